// The tag: takes over what the page has queued, and listens.
//
// CONFIG (each tag's configuration by id) and MODULES are baked in by the server: `(this file)(CONFIG, MODULES)`.

import { call, decide } from './calls.js';
import { words } from './consent.js';
import { declare } from './declare.js';
import { watch } from './life.js';
import { attempt, win } from './safe.js';
import { debugging, heard, say, url } from './say.js';
import { enrich, leave } from './tags.js';

const begin = () => {
  const stub = win.pintrk;
  if (stub?.retag) return console.warn('retag: twice');
  const pintrk = (...given) => call(given);
  const push = (...all) => all.forEach(call);
  const api = { decide, enrich, heard, leave, words };
  // The queue's push is defined, since a frozen prototype forbids to assign.
  Object.assign(pintrk, { queue: Object.defineProperty([], 'push', { value: push }), push, version: '3.0', retag: api });
  const waiting = stub?.queue || [];
  win.pintrk = pintrk;
  // A frozen global keeps the stub, and others have kept its queue.
  waiting.push = push;
  MODULES?.forEach((start) => attempt(() => start(api, CONFIG)));
  [].forEach.call(waiting, call);
  declare();
  watch();
  // An import, since Trusted Types stop a script element.
  if (debugging) import(url + 'debug.js').then((module) => module.start(api, CONFIG)).catch(say);
};

attempt(begin);
