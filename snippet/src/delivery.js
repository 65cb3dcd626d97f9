// Delivery: events wait in a queue, leave in small batches, and are gone only when the server has said so.
//
// Seen pages use `fetch` with keepalive and read the answer; pages that hide use `sendBeacon`, whose return value
// counts (https://github.com/PostHog/posthog-js/issues/4140); where connections are blocked, an image is tried.
// `text/plain` needs no preflight. Until the first answer, one request at a time: a new browser is one visitor.

import { allowed, seen, state } from './consent.js';
import { clicks } from './clicks.js';
import { hashed, hashing } from './hash.js';
import { attempt, json, nav, random, win } from './safe.js';
import { base, say, source } from './say.js';
import { forget, keep, recall, stored } from './storage.js';

const PREFIX = '_retag:';
const LEASE = 1e4;
const MOST = 50;
const own = PREFIX + attempt(random);
const server = attempt(() => new URL(source), win.location);
const foreign = server.origin != win.location.origin;

/** The events that wait, oldest first, each `{config, event, tries}`. */
export let queue = [];
let flying = 0;
let answered = 0;
let failures = 0;
let lost = 0;
let notBefore = 0;
let hiding;
let timer;

/** Whether anything has left this page, and so whether a withdrawal has to be told. */
export const told = () => answered || flying;

const wire = ({ event }, at) => ({ ...event, pd: hashed(event.pd), sent: at });

/** Write the queue down under this tab's lease, so that a reload or a killed tab loses nothing. */
const save = (lease) =>
  stored((store) => {
    const mine = queue.filter((item) => seen() && allowed(item.config)).map((item) => [item.config, wire(item)]);
    if (mine[0]) store.setItem(own, json({ lease, mine }));
    else store.removeItem(own);
  });

/** Take over what tabs that are gone have left. */
export const adopt = () =>
  stored((store) =>
    Object.keys(store).forEach((key) => {
      if (key.slice(0, 7) != PREFIX || key == own) return;
      const { lease, mine } = JSON.parse(store.getItem(key));
      if (lease > Date.now()) return setTimeout(() => flush(adopt()), LEASE);
      store.removeItem(key);
      queue = mine.map(([config, event]) => ({ config, event })).concat(queue);
    }),
  );

/** Drop what waits, and what was stored. */
export const drop = () => {
  queue = [];
  stored((store) => Object.keys(store).forEach((key) => key.slice(0, 7) == PREFIX && store.removeItem(key)));
};

/** Add an event to the queue; it leaves with the others of this task. */
export const enqueue = (item) => {
  queue = [...queue, item].slice(-MOST);
  Promise.resolve(hashing).then(() => flush());
};

const complete = (event, config) => {
  const ids = clicks();
  Object.assign(event.pd, ids);
  if (foreign) event.pd.pin_unauth = recall('_pin_unauth');
  if (state.given) event.consent = 1;
  return config;
};

/** The next batch: one tag's events that may go, within a size that leaves room in the shared 64 KiB quota. */
const next = () => {
  const ready = queue.filter((item) => !item.away && allowed(item.config));
  let size = 0;
  return ready.filter(
    (item, i) =>
      item.event.tid == ready[0].event.tid && ((size += json(item.event).length) < 16e3 || !i) && i < 20,
  );
};

const settle = (batch, done) => {
  batch.forEach((item) => (item.away = 0));
  if (done) queue = queue.filter((item) => !batch.includes(item));
  save(Date.now() + LEASE);
};

const later = (seconds) => {
  const wait = (seconds || Math.min(60, 2 ** failures)) * 1e3 * (1 + (crypto.getRandomValues(new Uint8Array(1))[0] / 512));
  notBefore = Date.now() + wait;
  clearTimeout(timer);
  timer = setTimeout(flush, wait);
};

const read = (answer) => {
  const { status, headers } = answer;
  const id = foreign && headers.get('pin-unauth');
  if (id) keep('_pin_unauth', id, 365);
  if (/erased/.test(headers.get('retag-outcome'))) forget('_pin_unauth');
  say(status || 'sent', headers.get('retag-outcome') || '');
  const again = status > 499 || status == 429 || status == 408;
  if (again) later(+headers.get('retry-after'), failures++);
  else failures = lost = 0;
  return !again;
};

const picture = (url, item) =>
  new Promise((resolve, reject) => {
    const image = new Image();
    const fields = Object.entries(wire(item, Date.now())).map(
      ([key, value]) => `${key}=${encodeURIComponent(typeof value == 'object' ? json(value) : value)}`,
    );
    image.onload = () => resolve(true);
    image.onerror = reject;
    image.src = `${url}?${fields.join('&')}&cb=${Date.now()}`;
  });

/** Resolves to whether the batch is settled; rejects when no answer came. */
const post = (url, body, config) =>
  win
    .fetch(url, {
      method: 'POST',
      body,
      headers: { 'content-type': 'text/plain' },
      keepalive: !failures,
      // Without domains the server names no origin, so a page elsewhere may not read the answer.
      mode: foreign && !config.domains ? 'no-cors' : 'cors',
      credentials: 'include',
    })
    .then(read);

/** Tell the server that consent is withdrawn: it drops the browser's id. */
export const withdraw = (tid, pin_unauth) => nav.sendBeacon(base + '/v3/', json({ tid, consent: 0, pd: { pin_unauth } }));

/** Send what may go. */
export const flush = () =>
  attempt(() => {
    if (!seen()) return;
    if (!hiding && (notBefore > Date.now() || lost > 4 || (flying && !answered))) return save(Date.now() + LEASE);
    const batch = next();
    if (!batch[0]) return save(Date.now() + LEASE);
    const { config } = batch[0];
    const url = base + '/v3/';
    batch.forEach((item) => (item.away = complete(item.event, config)));
    save(Date.now() + LEASE);
    const body = json(batch.map((item) => wire(item, Date.now())));
    if (hiding && nav.sendBeacon && attempt(() => nav.sendBeacon(url, body))) {
      settle(batch, (flying = 1));
      return flush();
    }
    flying++;
    const free = setTimeout(() => flush((answered = 1)), 2e3);
    const end = (done) => {
      clearTimeout(free);
      flying--;
      answered = done ? 1 : answered;
      settle(batch, done);
      if (done) flush();
    };
    const blocked = () => {
      say('blocked, or the server is down');
      later(0, failures++, lost++);
      end();
    };
    new Promise((resolve) =>
      resolve(lost > 1 ? Promise.all(batch.map((item) => picture(url, item))) : post(url, body, config)),
    ).then(end, blocked);
  });

/** The page hides: hand over what has not left, and give up the lease. */
export const hide = () => {
  hiding = 1;
  flush();
  hiding = 0;
  save(0);
};

/** Try again at once: the connection or the page is back. */
export const retry = () => {
  failures = lost = notBefore = 0;
  flush();
};
