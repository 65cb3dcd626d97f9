// Click ids of the landing page, kept first-party for their usual life: a year, or ninety days.

import { jar, keep, recall, YEAR } from './storage.js';

const NAMES = ['epik', 'gclid', 'fbclid', 'ttclid', 'msclkid'];
const landing = location.search;

/** The known click ids by name, of these cookies or of the address; call it only where storing is allowed. */
export const clicks = (cookies, found = {}) => {
  NAMES.forEach((name) => {
    const fresh = landing.match(`[?&]${name}=([\\w.~%+-]+)`)?.[1];
    const kept = recall(name, cookies);
    if (fresh && fresh != kept) keep(name, fresh, name == 'epik' ? YEAR : 7776e3);
    found[name] = fresh || kept;
  });
  return found;
};

/** Delete the cookies of ours that a page can see; whether there was any. */
export const forgetAll = () => {
  const before = jar();
  ['retag', 'pin_unauth', ...NAMES].forEach((name) => keep(name, '', 0));
  return before != jar();
};
