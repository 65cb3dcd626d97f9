// Delivery: events wait in a queue, leave in small batches, and are gone only when the server has said so.
//
// Seen pages use `fetch` with keepalive and read the answer; pages that hide use `sendBeacon`, whose return value
// counts (https://github.com/PostHog/posthog-js/issues/4140); where connections are blocked, an image is tried.
// `text/plain` needs no preflight. One request at a time, until the page hides.

import { click, NAMES } from './clicks.js';
import { allowed, denied, said, words } from './consent.js';
import { hold, holding } from './hash.js';
import { attempt, json, nav, random } from './safe.js';
import { landing, say, url } from './say.js';
import { jar, keep, stored, YEAR } from './storage.js';

const LEASE = 1e4;
const own = '_retag:' + random;

/** The events that wait, oldest first, and those of them that are on their way. */
let queue = [];
let away = [];
let answered;
let busy;
let failures = 0;
let blocked = 0;
let notBefore = 0;
let hiding;
let adopting;
let opened;
let telling;
let first;

/** The events that may leave. */
const ready = () => queue.filter((event) => allowed(event.tid));

/**
 * Write the queue down under this tab's lease, so that a reload or a killed tab loses nothing; up to a million
 * characters, since the storage is the page's.
 */
const save = () =>
  opened &&
  stored((store) => {
    const mine = ready();
    const lease = document.hidden ? 0 : Math.max(notBefore, Date.now()) + LEASE;
    const text = json([lease, mine]);
    if (!mine[0]) delete store[own];
    else if (!text[1e6]) store[own] = text;
  });

const saved = (run) =>
  stored((store) => Object.keys(store).forEach((key) => attempt(() => key.startsWith('_retag') && run(store, key))));

/** Take over what tabs that are gone have left; a living one is asked again when its lease is over. */
const take = () => {
  opened = 1;
  adopting = 0;
  saved((store, key) => {
    const [lease, mine] = JSON.parse(store[key]);
    if (key == own || !mine.every(({ tid }) => allowed(tid))) return;
    // None is that long: it is from a clock that was ahead.
    if (lease > Date.now() && lease < Date.now() + 1e7) adopting ||= setTimeout(take, LEASE);
    else {
      delete store[key];
      queue = mine.concat(queue);
    }
  });
  hold();
};

/** Send, and open the storage after: it is another process's, and the first event does not wait for it. */
export const adopt = () => {
  setTimeout(take, 99);
  hold();
};

/** Add an event to the queue, which keeps the newest; it leaves with the others of this task. */
export const enqueue = (event) => {
  queue = [...queue, event].slice(-500);
  hold();
};

/** The next batch: one tag's events that may go, within a size that leaves room in the shared 64 KiB quota. */
const next = (free = ready().filter((event) => !away.includes(event)), size = 0) =>
  free.filter((event, i) => event.tid == free[0].tid && ((size += json(event).length) < 16e3 || !i));

const settle = (batch, done) => {
  const others = (event) => !batch.includes(event);
  away = away.filter(others);
  if (done) queue = queue.filter(others);
  save();
};

/** Try again when the server says so, in seconds or with a date, and later with each failure. */
const later = (after) => {
  const wait = Math.max((+after || (Date.parse(after) - Date.now()) / 1e3) | 0, ++failures ** 2) * (1e3 + (Date.now() % 1e3));
  notBefore = Date.now() + wait;
  setTimeout(flush, wait + 9);
};

const picture = async (event) => {
  const image = new Image();
  const { ed, pd, ad } = event;
  image.src = url + '?' + new URLSearchParams({ ...event, ed: json(ed), pd: json(pd), ad: json(ad) });
  return image.decode();
};

/** Whether the answer settles what was sent: yes, or a definite refusal; not an overload. */
const post = async (body, tag) => {
  const answer = await fetch(url, {
    method: 'POST',
    body,
    keepalive: !failures,
    credentials: 'include',
    // Without domains the server names no origin: then only pages of its own may read the answer.
    mode: CONFIG[tag]?.mode || 'no-cors',
  });
  say(answer);
  const { status, headers } = answer;
  if (status > 499 || status == 429) return later(headers.get('retry-after'));
  // Withdrawn in the meantime: nothing is kept.
  if (denied()) return 1;
  const id = headers.get('pin-unauth');
  if (id != null) keep('pin_unauth', id, YEAR);
  answered = 1;
  if (status < 400 && first != 1) keep('retag', 1, YEAR);
  return !(failures = blocked = 0);
};

const beacon = (body) => attempt(() => nav.sendBeacon(url, body));

/** One request at a time, and a new browser's first one has the server to itself; but none waits longer than 2 s. */
const free = () => {
  busy = 0;
  flush();
};

const send = async () => {
  const held = holding || busy || blocked > 4 || notBefore > Date.now();
  const batch = hiding || !held ? next() : [];
  if (!batch[0]) return save();
  const cookies = jar();
  // The shop's own staff: `?retag_ignore=1` once a year in a browser, `0` to count again.
  if (click('retag_ignore', cookies) > 0) words.ours = false;
  // Withdrawn in another tab: the word that this page has written is gone.
  if (first == 1 && !cookies._retag) words.given = first = false;
  if (denied()) return forget(batch.slice(-1));
  // The first requests of a new browser, from any tab, share a word for a minute: the server makes them one visitor.
  // Then it is 1: a browser that has been answered has its id.
  first = cookies._retag;
  if (!first) keep('retag', (first = own), 60);
  const partner = { first, pin_unauth: cookies._pin_unauth };
  NAMES.forEach((name) => (partner[name] = click(name, cookies)));
  batch.forEach((event) => {
    // Another object: what others left in storage may have none.
    event.pd = { ...event.pd, ...partner };
    event.sent = Date.now();
    if (said(true)) event.consent = 1;
  });
  save();
  away.push(...batch);
  const body = json(batch);
  if (hiding && beacon(body)) {
    // Nobody hears how a beacon fares: unless all was well before, the next page sends again.
    if (answered && !failures && nav.onLine) settle(batch, 1);
    return send();
  }
  busy = 1;
  setTimeout(free, 2e3);
  const sent = blocked > 1 ? Promise.all(batch.map(picture)) : post(body, batch[0].tid);
  settle(batch, await sent.catch(() => void later(blocked++)));
  free();
};

/** Send what may go. */
export const flush = () => send().catch(say);

/** The page hides: hand over what has not left, and give up the lease. */
export const hide = () => {
  hiding = opened = 1;
  flush();
  hiding = 0;
};

/** Try again at once, and look for what others have left: the connection or the page is back. */
export const retry = () => {
  busy = failures = blocked = notBefore = 0;
  away = [];
  adopt();
};

/**
 * Drop what waits, delete what is ours, and tell the server, for these tags, to drop the browser's id. What says that
 * there is one goes when the server has heard it: else the next page tells it again.
 */
export const forget = (tags) => {
  const cookies = jar();
  NAMES.forEach((name) => keep(name, '', 0));
  queue = [];
  saved((store, key) => delete store[key]);
  if (telling || !(cookies._retag || cookies._pin_unauth)) return;
  tags.forEach(({ tid }) =>
    hold(async () => {
      telling = 1;
      try {
        const body = json({ tid, ...words.proof, consent: 0, pd: { pin_unauth: cookies._pin_unauth } });
        if (await post(body, tid)) {
          keep('retag', '', 0);
          keep('pin_unauth', '', 0);
        }
      } finally {
        telling = 0;
      }
    }),
  );
};
