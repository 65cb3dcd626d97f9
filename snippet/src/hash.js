// E-mail addresses and user ids are hashed here: a raw one is never sent and never stored.
// Without `crypto.subtle` (plain http) it is left out.

import { say } from './say.js';

const HEX = /^([a-f\d]{64}|[a-f\d]{40}|[a-f\d]{32})$/;
const known = {};

/** Settles when all that was learnt is hashed. */
export let hashing = Promise.resolve();

const each = (partner, run) =>
  ['em', 'external_id'].forEach(
    (key) =>
      partner[key] && run([].concat(partner[key]).map((value) => String(value).trim().toLowerCase()), key),
  );

const hash = async (text) => {
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  known[text] = [...new Uint8Array(bytes)].map((byte) => (byte + 256).toString(16).slice(1)).join('');
};

/** Begin to hash what partner data holds. */
export const learn = (partner) =>
  each(partner, (texts) => {
    hashing = Promise.all([hashing, ...texts.map((text) => HEX.test(text) || hash(text))]).catch(say);
  });

/** Partner data as it may leave the page. */
export const hashed = (partner) => {
  const found = { ...partner };
  each(found, (texts, key) => {
    const digests = texts.map((text) => (HEX.test(text) ? text : known[text])).filter(Boolean);
    found[key] = digests[1] ? digests : digests[0];
  });
  return found;
};
