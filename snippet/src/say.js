// What debug mode (`?retag_debug=1`, `data-debug`) hears.

import { doc } from './safe.js';

const script = doc.currentScript;

/** The data attributes of our own script element, when it was written into the page. */
export const data = script?.dataset || {};

export const debugging = 'debug' in data || /retag_debug=1/.test(location.search);

export const say = (...words) => debugging && console.log('retag:', ...words);

/** Our server: `/tag.js`, `/ct/core.js` and `/t/VERSION.js` are under it. */
export const base = String(script?.src).replace(/\/((ct|t)\/)?[^/]*$/, '');
