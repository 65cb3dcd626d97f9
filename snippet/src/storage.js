// First-party storage: `localStorage` and, where integrations read one, a cookie. Every access may throw.

import { attempt, doc, json, win } from './safe.js';

const DAY = 864e5;

/** The page's own storage, for a `run` that may fail. */
export const stored = (run) => attempt(() => run(win.localStorage));

const write = (name, value, seconds) =>
  attempt(() => {
    doc.cookie =
      `${name}=${value};path=/;max-age=${seconds};samesite=lax` + (win.location.protocol[4] == 's' ? ';secure' : '');
  });

/** Keep a value for some days, under the names that Pinterest's tag uses. */
export const keep = (name, value, days) => {
  stored((store) => store.setItem(name + '_ls', json({ value, expires: Date.now() + days * DAY })));
  if (name == '_epik') write(name, value, days * 86400);
};

/** A kept value, or undefined. */
export const recall = (name) =>
  stored((store) => {
    const found = JSON.parse(store.getItem(name + '_ls'));
    return found.expires > Date.now() ? found.value : undefined;
  }) || attempt(() => decodeURIComponent(doc.cookie.match(`(?:^|; )${name}=([^;]+)`)[1]));

export const forget = (name) => {
  const known = recall(name);
  stored((store) => store.removeItem(name + '_ls'));
  if (known) write(name, '', 0);
  return known;
};
