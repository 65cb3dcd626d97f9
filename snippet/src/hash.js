// E-mail addresses and user ids are hashed here: a raw one is never sent, and never stored.
// Without `crypto.subtle` (plain http) it is left out.

import { flush } from './delivery.js';
import { say } from './say.js';

// SHA-256, SHA-1 or MD5 already.
const HEX = /^([a-f\d]{8}){4,8}$/;

/** How many promises are waited for: events leave when all that was learnt is hashed, and modules have read the page. */
export let holding = 0;

/** Send what there is when something has been done, or when this task is over. */
export const hold = async (run) => {
  holding++;
  try {
    await run?.();
  } catch (error) {
    say(error);
  }
  if (!--holding) flush();
};

/** A list of the digests of a value or of several, which fills while events are held. */
export const digests = (given) => {
  const found = [];
  [].concat(given).forEach((value) => {
    const text = String(value).trim().toLowerCase();
    if (HEX.test(text)) return found.push(text);
    hold(async () => {
      const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
      found.push([...new Uint8Array(bytes)].map((byte) => (byte + 256).toString(16).slice(1)).join(''));
    });
  });
  return found;
};
