// Click ids of the landing page, kept first-party for their usual life: a year, or ninety days.

import { landing } from './say.js';
import { keep, YEAR } from './storage.js';

const NAMES = ['epik', 'gclid', 'fbclid', 'ttclid', 'msclkid'];

/** The known click ids by name, of these cookies or of the address; call it only where storing is allowed. */
export const clicks = (cookies, found = {}) => {
  NAMES.forEach((name) => {
    const fresh = landing[name];
    const kept = cookies['_' + name];
    if (fresh && fresh != kept) keep(name, fresh, name == 'epik' ? YEAR : 7776e3);
    found[name] = fresh || kept;
  });
  return found;
};

/** Delete those of the page's cookies that are ours; whether there was any. */
export const forgetAll = (cookies) =>
  ['retag', 'pin_unauth', ...NAMES].filter((name) => cookies['_' + name] && !keep(name, '', 0))[0];
