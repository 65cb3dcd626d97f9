// First-party storage. Every access may throw (https://github.com/segmentio/analytics.js/issues/478).

import { attempt, doc } from './safe.js';

/** The page's own storage, for a `run` that may fail. */
export const stored = (run) => attempt(() => run(localStorage));

export const YEAR = 31536e3;

/** Keep a value in a cookie for some seconds, under the names that Pinterest's tag uses. */
export const keep = (name, value, seconds) =>
  attempt(() => {
    doc.cookie = `_${name}=${value};path=/;max-age=${seconds};samesite=lax` + (isSecureContext ? ';secure' : '');
  });

/** All cookies of the page as one text: they are another process's, so ask once. */
export const jar = () => attempt(() => doc.cookie) || '';

/** The value of a name, a pattern, in such a text or in an address; or undefined. */
export const recall = (name, text) => text.match(`\\b${name}=([\\w.~%+:=-]+)`)?.[1];
