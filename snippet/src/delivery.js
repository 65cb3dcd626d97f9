// Delivery: events wait in a queue, leave in small batches, and are gone only when the server has said so.
//
// Seen pages use `fetch` with keepalive and read the answer; pages that hide use `sendBeacon`, whose return value
// counts (https://github.com/PostHog/posthog-js/issues/4140); where connections are blocked, an image is tried.
// `text/plain` needs no preflight. Until the first answer, one request at a time: a new browser is one visitor.

import { clicks } from './clicks.js';
import { allowed, configured, seen, state } from './consent.js';
import { hashed, hashing } from './hash.js';
import { attempt, json, nav, random, win } from './safe.js';
import { base, say } from './say.js';
import { keep, recall, stored } from './storage.js';

const PREFIX = '_retag:';
const LEASE = 1e4;
const own = PREFIX + attempt(random);
const url = base + '/v3/';
const foreign = !url.startsWith(location.origin + '/');

/** The events that wait, oldest first, and those of them that are on their way. */
export let queue = [];
let away = [];
let answered = 0;
let failures = 0;
let blocked = 0;
let notBefore = 0;
let hiding;
let timer;

/** Whether anything has left this page, and so whether a withdrawal has to be told. */
export const left = () => answered || away[0];

const wire = (event) => ({ ...event, pd: hashed(event.pd), sent: Date.now() });

/** Write the queue down under this tab's lease, so that a reload or a killed tab loses nothing. */
const save = () =>
  stored((store) => {
    const mine = queue.filter((event) => seen() && allowed(event.tid)).map(wire);
    if (mine[0]) store.setItem(own, json({ lease: hiding ? 0 : Date.now() + LEASE, mine }));
    else store.removeItem(own);
  });

const saved = (run) =>
  stored((store) => Object.keys(store).forEach((key) => key.startsWith(PREFIX) && run(store, key)));

/** Take over what tabs that are gone have left; a living one is asked again when its lease is over. */
export const adopt = () => {
  saved((store, key) => {
    if (key == own) return;
    const { lease, mine } = JSON.parse(store.getItem(key));
    if (lease > Date.now()) return setTimeout(adopt, LEASE);
    store.removeItem(key);
    queue = mine.concat(queue);
    // The page before left without its answer, which may bring the cookie: not two visitors from a quick reload.
    later(0.5);
  });
  soon();
};

/** Drop what waits, and what was stored. */
export const drop = () => {
  queue = [];
  saved((store, key) => store.removeItem(key));
};

/** Send when this task is over and everything is hashed. */
const soon = () => hashing.then(flush);

/** Add an event to the queue; it leaves with the others of this task. */
export const enqueue = (event) => {
  queue = [...queue, event].slice(-50);
  soon();
};

/** The next batch: one tag's events that may go, within a size that leaves room in the shared 64 KiB quota. */
const next = () => {
  const ready = queue.filter((event) => !away.includes(event) && allowed(event.tid));
  let size = 0;
  return ready.filter(
    (event, i) => event.tid == ready[0].tid && ((size += json(event).length) < 16e3 || !i),
  );
};

const settle = (batch, done) => {
  away = away.filter((event) => !batch.includes(event));
  if (done) queue = queue.filter((event) => !batch.includes(event));
  save();
};

const later = (seconds) => {
  const wait = (seconds || Math.min(60, 2 ** failures++)) * 1e3 + (Date.now() % 500);
  notBefore = Date.now() + wait;
  clearTimeout(timer);
  timer = setTimeout(flush, wait);
};

/** Whether an answer settles its batch: yes, or a definite refusal; not an overload. */
const read = ({ status, headers }) => {
  const id = headers.get('pin-unauth');
  const outcome = headers.get('retag-outcome');
  if (foreign && id) keep('pin_unauth', id, 365);
  if (/erased/.test(outcome)) keep('pin_unauth', '', 0);
  say(status, outcome);
  if (status > 499 || status == 429) return later(+headers.get('retry-after'));
  return !(failures = blocked = 0);
};

const picture = (event) =>
  new Promise((resolve, reject) => {
    const image = new Image();
    const fields = new URLSearchParams();
    Object.entries(wire(event)).forEach(([key, value]) => fields.set(key, key[1] == 'd' ? json(value) : value));
    image.onload = resolve;
    image.onerror = reject;
    image.src = url + '?' + fields;
  });

const post = (body, tag) =>
  fetch(url, {
      method: 'POST',
      body,
      keepalive: !failures,
      credentials: 'include',
      // Without domains the server names no origin, so a page elsewhere may not read the answer.
      mode: foreign && !configured(tag).domains ? 'no-cors' : 'cors',
    })
    .then(read);

/** Tell the server that consent is withdrawn: it drops the browser's id. */
export const withdraw = (tid, pin_unauth) => nav.sendBeacon(url, json({ tid, consent: 0, pd: { pin_unauth } }));

/** Send what may go. */
export const flush = () => {
  const held = notBefore > Date.now() || blocked > 4 || (away[0] && !answered);
  const batch = seen() && (hiding || !held) ? next() : [];
  save();
  if (!batch[0]) return;
  away.push(...batch);
  batch.forEach((event) => {
    Object.assign(event.pd, clicks(), foreign && { pin_unauth: recall('pin_unauth') });
    if (state.given) event.consent = 1;
  });
  const body = json(batch.map(wire));
  if (hiding && attempt(() => nav.sendBeacon(url, body))) return flush(settle(batch, (answered = 1)));
  const free = () => flush((answered = 1));
  setTimeout(free, 2e3);
  new Promise((resolve) => resolve(blocked > 1 ? Promise.all(batch.map(picture)) : post(body, batch[0].tid)))
    .catch(() => {
      blocked++;
      later();
    })
    .then((done) => {
      settle(batch, done);
      if (done) free();
    });
};

/** The page hides: hand over what has not left, and give up the lease. */
export const hide = () => {
  hiding = 1;
  flush();
  hiding = 0;
};

/** Try again at once: the connection or the page is back. */
export const retry = () => {
  failures = blocked = notBefore = 0;
  flush();
};
