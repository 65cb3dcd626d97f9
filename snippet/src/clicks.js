// Click ids of the landing page, kept first-party for their usual life: a year, or ninety days.

import { landing } from './say.js';
import { keep, YEAR } from './storage.js';

/** The click ids that are kept. */
export const NAMES = ['epik', 'gclid', 'fbclid', 'ttclid', 'msclkid'];

/**
 * What the address has under this name, which is kept from now on, or what was kept; call it only where storing is
 * allowed.
 */
export const click = (name, cookies) => {
  const fresh = landing[name];
  const kept = cookies['_' + name];
  // Other networks' ids, whose names end so, live for ninety days.
  if (fresh && fresh != kept) keep(name, fresh, /id$/.test(name) ? 7776e3 : YEAR);
  return fresh || kept;
};
