// Click ids of the landing page, kept first-party for their usual life: a year, or ninety days.

import { attempt, doc } from './safe.js';
import { keep, recall, YEAR } from './storage.js';

const NAMES = ['epik', 'gclid', 'fbclid', 'ttclid', 'msclkid'];
const landing = location.search;

/** Add the known click ids by name; call it only where storing is allowed. */
export const clicks = (found) =>
  NAMES.forEach((name) => {
    const fresh = landing.match(`[?&]${name}=([\\w.~%+-]+)`)?.[1];
    if (fresh) keep(name, fresh, name == 'epik' ? YEAR : 7776e3);
    found[name] = fresh || recall(name);
  });

/** Delete the cookies of ours that a page can see; whether there was any. */
export const forgetAll = () =>
  attempt(() => {
    const before = doc.cookie;
    ['retag', 'pin_unauth', ...NAMES].forEach((name) => keep(name, '', 0));
    return before != doc.cookie;
  });
