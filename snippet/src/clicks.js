// Click ids of the landing page, kept first-party for their usual life: a year, or ninety days.

import { landing } from './say.js';
import { keep, YEAR } from './storage.js';

/** The click ids that are kept. */
export const NAMES = ['epik', 'gclid', 'fbclid', 'ttclid', 'msclkid'];

/** Find the known click ids by name, in these cookies or in the address; call it only where storing is allowed. */
export const clicks = (cookies, found) =>
  NAMES.forEach((name) => {
    const fresh = landing[name];
    const kept = cookies['_' + name];
    if (fresh && fresh != kept) keep(name, fresh, name == 'epik' ? YEAR : 7776e3);
    found[name] = fresh || kept;
  });
