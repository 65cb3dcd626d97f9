// Click ids of the landing page, kept first-party for their usual life in days.

import { win } from './safe.js';
import { forget, keep, recall } from './storage.js';

const LIVES = { epik: 365, gclid: 90, fbclid: 90, ttclid: 90, msclkid: 90 };
const names = Object.keys(LIVES);
const landing = win.location.search;
let kept;

/** The known click ids by name; call it only where storing is allowed. */
export const clicks = () => {
  const found = {};
  names.forEach((name) => {
    const match = landing.match(`[?&]${name}=([\\w.~%+-]{1,300})`);
    if (match && !kept) keep('_' + name, match[1], LIVES[name]);
    const value = (match && match[1]) || recall('_' + name);
    if (value) found[name] = value;
  });
  kept = 1;
  return found;
};

/** Delete what this tag keeps; whether there was anything. */
export const forgetAll = () => ['pin_unauth', ...names].filter((name) => forget('_' + name))[0];
