// The calls: `pintrk('load' | 'page' | 'track' | 'set' | 'setconsent', …)`.
// https://help.pinterest.com/en/business/article/add-event-codes

import { denied, words } from './consent.js';
import { adopt, forget } from './delivery.js';
import { attempt } from './safe.js';
import { say } from './say.js';
import { page, set, tags, track } from './tags.js';

// What was `set` before or between loads is every tag's.
const shared = { pd: {} };

/** What a change of consent means: send what waited, or drop it, delete what is ours and tell the server. */
export const decide = () => (denied() ? forget(tags) : adopt());

const load = (given, partner) => {
  if (!given) return 'no tag';
  const tid = String(given).trim();
  let tag = tags.find((one) => one.tid == tid);
  if (!tag) tags.push((tag = { tid, pd: { ...shared.pd } }));
  set(tag, partner);
  decide();
};

const calls = {
  load,
  page,
  track,
  set: (given) => [shared, ...tags].forEach((tag) => set(tag, given)),
  setconsent: (given) => {
    words.given = /^(true|1)$/i.test(given);
    decide();
  },
};

/** One call; never throws. Its callback hears `(true)`, or `(false, reason)`. */
export const call = (given) =>
  attempt(() => {
    const [name, ...rest] = [].slice.call(given);
    const run = calls[String(name).toLowerCase()];
    // A function, whatever window it is from.
    const done = rest.find((one) => one?.call);
    let error = 'failed';
    attempt(() => (error = run(...rest)));
    say(name, error);
    done?.(!error, error);
  });
