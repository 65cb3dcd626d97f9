// E-mail addresses and user ids are hashed here: a raw one is never sent and never stored.
// Without `crypto.subtle` (plain http) it is left out.

import { attempt } from './safe.js';
import { say } from './say.js';

const HEX = /^([a-f\d]{64}|[a-f\d]{40}|[a-f\d]{32})$/;
const HASHED = ['em', 'external_id'];
const known = {};

/** Settles when all that was learnt is hashed. */
export let hashing;

const normal = (value) => String(value).trim().toLowerCase();

const hash = async (text) => {
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  known[text] = [...new Uint8Array(bytes)].map((byte) => (byte + 256).toString(16).slice(1)).join('');
};

/** Begin to hash what partner data holds. */
export const learn = (partner) =>
  HASHED.forEach((key) =>
    [].concat(partner[key] || []).forEach((value) => {
      const text = normal(value);
      if (HEX.test(text) || known[text]) return;
      const before = hashing;
      const done = hash(text).catch(() => say(key, 'is not sent: crypto.subtle needs https'));
      const all = (hashing = Promise.all([before, done]).then(() => {
        if (hashing == all) hashing = 0;
      }));
    }),
  );

/** Partner data as it may leave the page. */
export const hashed = (partner) => {
  const found = { ...partner };
  HASHED.forEach((key) => {
    if (!(key in found)) return;
    const digests = []
      .concat(found[key])
      .map(normal)
      .map((text) => (HEX.test(text) ? text : known[text]))
      .filter(Boolean);
    found[key] = digests[1] ? digests : digests[0];
  });
  return found;
};
