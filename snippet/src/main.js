// The tag: takes over what the page has queued, and listens.
//
// CONFIG (each tag's configuration by id) and MODULES are baked in by the server: `(this file)(CONFIG, MODULES)`.

import { call, decide } from './calls.js';
import { words } from './consent.js';
import { declare } from './declare.js';
import { watch } from './life.js';
import { attempt, win } from './safe.js';
import { base, debugging, heard, landing, say } from './say.js';
import { jar, keep, recall, YEAR } from './storage.js';
import { enrich, leave } from './tags.js';

/** The shop's own staff: `?retag_ignore=1` once in a browser, `0` to count again; for a year after the last visit. */
const ignored = () => {
  const word = recall('_?retag_ignore', landing + ';' + jar());
  if (word) keep('retag_ignore', word, YEAR);
  if (+word) words.ours = false;
};

const begin = () => {
  const stub = win.pintrk;
  if (stub?.retag) return console.warn('retag: twice');
  const pintrk = (...given) => call(given);
  const push = (...all) => all.forEach(call);
  const api = { decide, enrich, heard, leave, words };
  // Defined, since a frozen prototype forbids to assign.
  const queue = Object.defineProperty([], 'push', { value: push });
  Object.assign(pintrk, { queue, push, version: '3.0', retag: api });
  const waiting = stub?.queue || [];
  win.pintrk = pintrk;
  // A frozen global keeps the stub, and others have kept its queue.
  attempt(() => (waiting.push = push));
  attempt(ignored);
  MODULES.forEach((start) => attempt(() => start(api, CONFIG)));
  [].slice.call(waiting).forEach(call);
  [watch, declare].forEach(attempt);
  // An import, since Trusted Types stop a script element.
  if (debugging) import(base + CONFIG.debug).then((module) => module.start(api, CONFIG)).catch(say);
};

attempt(begin);
