// Click ids of the landing page, kept first-party for their usual life in days.

import { win } from './safe.js';
import { keep, recall } from './storage.js';

const NAMES = ['epik', 'gclid', 'fbclid', 'ttclid', 'msclkid'];
const landing = location.search;
let kept;

/** The known click ids by name; call it only where storing is allowed. */
export const clicks = () => {
  const found = {};
  NAMES.forEach((name) => {
    const match = landing.match(`[?&]${name}=([\\w.~%+-]+)`);
    if (match && !kept) keep(name, match[1], name == 'epik' ? 365 : 90);
    found[name] = match?.[1] || recall(name);
  });
  kept = 1;
  return found;
};

/** Delete what this tag keeps; whether there was anything. */
export const forgetAll = () =>
  ['pin_unauth', ...NAMES].filter((name) => recall(name) && !keep(name, '', 0))[0];
