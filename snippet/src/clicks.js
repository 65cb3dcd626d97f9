// Click ids of the landing page, kept first-party for their usual life: a year, or ninety days.

import { landing } from './say.js';
import { keep, YEAR } from './storage.js';

/** The click ids that are kept. */
export const NAMES = ['epik', 'gclid', 'fbclid', 'ttclid', 'msclkid'];

/** The click id of this name: the address's, which is kept from now on, or the one that was; call it only where storing is allowed. */
export const click = (name, kept) => {
  const fresh = landing[name];
  if (fresh && fresh != kept) keep(name, fresh, name == 'epik' ? YEAR : 7776e3);
  return fresh || kept;
};
