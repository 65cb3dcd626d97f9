// The calls: `pintrk('load' | 'page' | 'track' | 'set' | 'setconsent', …)`.
// https://help.pinterest.com/en/business/article/add-event-codes

import { forgetAll } from './clicks.js';
import { state } from './consent.js';
import { drop, flush, left, withdraw } from './delivery.js';
import { attempt } from './safe.js';
import { say } from './say.js';
import { recall } from './storage.js';
import { page, set, tags, track } from './tags.js';

// What was `set` before or between loads is every tag's.
const shared = { partner: {} };

const load = (given, partner) => {
  if (!given) return 'no tag';
  const id = String(given).trim();
  if (!tags.some((tag) => tag.id == id)) tags.push({ id, partner: { ...shared.partner } });
  set(tags.find((tag) => tag.id == id), partner);
};

/** `true` releases what waited; `false` drops it, deletes what is ours and tells the server. */
const setconsent = (given) => {
  const pin = recall('pin_unauth');
  state.given = /^(true|1)$/.test(given);
  if (state.given) return flush();
  drop();
  if (forgetAll() || left()) tags.forEach((tag) => withdraw(tag.id, pin));
};

const calls = {
  load,
  page,
  track,
  set: (given) => [shared, ...tags].forEach((tag) => set(tag, given)),
  setconsent,
};

/** One call; never throws. Its callback hears `(true)`, or `(false, reason)`. */
export const call = (given) => {
  const [name, ...rest] = Array.from(given);
  const run = calls[String(name).toLowerCase()];
  const done = rest.find((one) => typeof one == 'function');
  const error = attempt(() => run(...rest), 'failed');
  if (error) say(error);
  attempt(() => done && done(!error, error));
};
