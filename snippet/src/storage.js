// First-party storage. Every access may throw (https://github.com/segmentio/analytics.js/issues/478).

import { attempt } from './safe.js';
import { pairs } from './say.js';

/** The page's own storage, for a `run` that may fail. */
export const stored = (run) => attempt(() => run(localStorage));

export const YEAR = 31536e3;

/** Keep a value in a cookie for some seconds, under the names that Pinterest's tag uses. */
export const keep = (name, value, seconds) =>
  attempt(() => {
    document.cookie = `_${name}=${value};path=/;max-age=${seconds};samesite=lax` + (isSecureContext ? ';secure' : '');
  });

/**
 * The page's cookies by name: they are another process's, so ask once, and not before something is to be sent. A text,
 * whatever an element of that name or a polyfill says.
 */
export const jar = () => pairs(attempt(() => document.cookie + ''));
