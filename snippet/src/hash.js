// E-mail addresses and user ids are hashed here: a raw one is never sent, and never stored.
// Without `crypto.subtle` (plain http) it is left out.

import { say } from './say.js';

// SHA-256, SHA-1 or MD5 already.
const HEX = /^([a-f\d]{8}){4,8}$/;

/** Settles when events may leave: all that was learnt is hashed, and modules have read the page. */
export let ready = Promise.resolve();

/** Let events wait for a promise too. */
export const hold = (promise) => {
  ready = Promise.all([ready, promise]).catch(say);
};

/** A list of the digests of a value or of several, which fills until `ready`. */
export const digests = (given) => {
  const found = [];
  const hash = async (text) => {
    const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
    found.push([...new Uint8Array(bytes)].map((byte) => (byte + 256).toString(16).slice(1)).join(''));
  };
  [].concat(given).forEach((value) => {
    const text = String(value).trim().toLowerCase();
    HEX.test(text) ? found.push(text) : hold(hash(text));
  });
  return found;
};
