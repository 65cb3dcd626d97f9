// Addresses leave the page with the listed query parameters alone, without their fragment, and masked.
// The server scrubs again; what never leaves the page needs no scrubbing.

import { attempt } from './safe.js';

// CONFIG.params: the server's list, and what tags add to it, as a pattern.
const EMAIL = /[^/?&=]+(@|%40)[^/?&=]+/g;

/** An address as it may be sent; undefined for what is none. */
export const scrub = (address) =>
  attempt(() => {
    const url = new URL(address);
    const query = url.searchParams;
    [...query.keys()].forEach((name) => RegExp(`^(${CONFIG.params})$`, 'i').test(name) || query.delete(name));
    url.hash = '';
    return url.href.replace(EMAIL, '[email]');
  });
