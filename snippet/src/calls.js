// The calls: `pintrk('load' | 'page' | 'track' | 'set' | 'setconsent', …)`.
// https://help.pinterest.com/en/business/article/add-event-codes

import { forgetAll } from './clicks.js';
import { state } from './consent.js';
import { drop, flush, queue, told, withdraw } from './delivery.js';
import { say } from './say.js';
import { recall } from './storage.js';
import { page, set, tags, track } from './tags.js';

const partner = {};

const load = (id, given) => {
  const key = String(id || '').trim();
  if (!key) return 'load needs a tag id';
  const known = tags.get(key);
  const tag = known || { id: key, config: CONFIG[key] || {}, partner: { ...partner } };
  tags.set(key, tag);
  if (known) say('tag', key, 'was loaded already');
  set(tag, { ...given });
};

/** `true` releases what waited; `false` drops it, deletes what is ours and tells the server. */
const setconsent = (given) => {
  const yes = String(given) == 'true' || given === 1;
  const before = state.given;
  state.given = yes;
  if (yes) return void flush();
  const waited = queue.length;
  drop();
  const pin = recall('_pin_unauth');
  const stored = forgetAll();
  if (before !== false && (stored || told())) tags.forEach((tag) => withdraw(tag.id, pin));
  say('consent denied;', waited, 'events dropped');
};

const calls = {
  load,
  page,
  track,
  set: (given) => {
    set({ partner }, { ...given });
    tags.forEach((tag) => set(tag, { ...given }));
  },
  setconsent,
};

/** One call; never throws. Its callback hears `(true)`, or `(false, reason)`. */
export const call = (given) => {
  const [name, ...rest] = Array.prototype.slice.call(given);
  const run = calls[String(name).toLowerCase()];
  const done = rest.find((one) => typeof one == 'function');
  let error;
  try {
    error = run ? run(...rest.filter((one) => one != done)) : `there is no call ${name}`;
  } catch (reason) {
    error = String(reason);
  }
  if (error) say(error);
  try {
    if (done) done(!error, error);
  } catch (reason) {
    say('the callback failed:', reason);
  }
};
