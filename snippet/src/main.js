// The tag: takes over what the page has queued, and listens.
//
// CONFIG (each tag's configuration by id) and MODULES are baked in by the server: `(this file)(CONFIG, MODULES)`.

import { call } from './calls.js';
import { state } from './consent.js';
import { declare } from './declare.js';
import { adopt, flush } from './delivery.js';
import { leave, watch } from './life.js';
import { attempt, doc, win } from './safe.js';
import { base, data, debugging } from './say.js';
import { stored } from './storage.js';
import { enrich, tags, track } from './tags.js';

/** The shop's own staff: `?retag_ignore=1` once in a browser, `0` to count again. */
const ignored = () => {
  const asked = win.location.search.match(/[?&]retag_ignore=([01])/);
  if (asked) stored((store) => store.setItem('retag_ignore', asked[1]));
  return stored((store) => store.getItem('retag_ignore')) == 1;
};

/** The debug module comes only when it is asked for. */
const explain = () => {
  const script = doc.createElement('script');
  const types = win.trustedTypes;
  const address = base + CONFIG.debug;
  script.src = types ? types.createPolicy('retag', { createScriptURL: (url) => url }).createScriptURL(address) : address;
  script.nonce = data.nonce;
  doc.head.append(script);
};

const begin = () => {
  const stub = win.pintrk;
  if (stub && stub.retag) return console.warn('retag: the tag is on this page twice; the first one stays');
  const silent = ignored();
  const take = (given) => silent || call(given);
  const pintrk = function () {
    take(arguments);
  };
  const queue = [];
  pintrk.queue = queue;
  pintrk.version = '3.0';
  pintrk.push = queue.push = (...all) => all.forEach(take);
  pintrk.retag = { call, enrich, flush, leave, state, tags, track };
  const waiting = (stub && stub.queue) || [];
  attempt(() => (win.pintrk = pintrk));
  // A frozen global keeps the stub: then its queue is ours.
  if (win.pintrk != pintrk) attempt(() => (waiting.push = queue.push));
  MODULES.forEach((start) => attempt(() => start(pintrk.retag, CONFIG)));
  Array.prototype.slice.call(waiting).forEach(take);
  if (silent) return;
  watch();
  declare();
  adopt();
  flush();
  if (debugging) attempt(explain);
};

attempt(begin);
