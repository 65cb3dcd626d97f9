// The tag: takes over what the page has queued, and listens.
//
// CONFIG (each tag's configuration by id) and MODULES are baked in by the server: `(this file)(CONFIG, MODULES)`.

import { call } from './calls.js';
import { state } from './consent.js';
import { declare } from './declare.js';
import { adopt, flush } from './delivery.js';
import { leave, watch } from './life.js';
import { attempt, win } from './safe.js';
import { base, debugging } from './say.js';
import { stored } from './storage.js';
import { enrich } from './tags.js';

/** The shop's own staff: `?retag_ignore=1` once in a browser, `0` to count again. */
const ignored = () =>
  stored((store) => {
    const asked = /retag_ignore=(.)/.exec(location.search);
    if (asked) store.retag_ignore = asked[1];
    return +store.retag_ignore;
  });

const begin = () => {
  const stub = win.pintrk;
  if (stub?.retag) return console.warn('retag: twice');
  const silent = ignored();
  const take = (given) => silent || call(given);
  const pintrk = (...given) => take(given);
  const push = (...all) => all.forEach(take);
  const queue = Object.assign([], { push });
  Object.assign(pintrk, { queue, push, version: '3.0', retag: { call, enrich, flush, leave, state } });
  const waiting = stub?.queue || [];
  attempt(() => (win.pintrk = pintrk));
  // A frozen global keeps the stub: then its queue is ours.
  if (win.pintrk != pintrk) attempt(() => (waiting.push = push));
  MODULES.forEach((start) => attempt(() => start(pintrk.retag, CONFIG)));
  Array.from(waiting).forEach(take);
  if (silent) return;
  watch();
  declare();
  adopt();
  // An import, since Trusted Types stop a script element.
  if (debugging) import(base + CONFIG.debug).then((module) => module.start(pintrk.retag, CONFIG));
};

attempt(begin);
