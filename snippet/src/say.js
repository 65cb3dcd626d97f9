// What debug mode (`?retag_debug=1`, `data-debug`) hears.

import { attempt, doc, win } from './safe.js';

const script = doc.currentScript;

/** The data attributes of our own script element, when it was written into the page. */
export const data = { ...(script && { ...script.dataset, nonce: script.nonce }) };

export const debugging = 'debug' in data || /[?&]retag_debug=1/.test(win.location.search);

export const say = (...words) => debugging && attempt(() => console.log('retag:', ...words));

/** Our own address: where this file came from says where its server is. */
export const source = (script && script.src) || '';

/** Our server: `/tag.js`, `/ct/core.js` and `/t/VERSION.js` are under it. */
export const base = source.replace(/\/((ct|t)\/)?[^/]*$/, '');
