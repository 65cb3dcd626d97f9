// Addresses leave the page with the listed query parameters alone, without their fragment, and masked.
// The server scrubs again; what never leaves the page needs no scrubbing.

import { attempt } from './safe.js';

const LISTED =
  /^(utm_\w+|q|query|s|search|p|pp|page|category|cat|product|product_id|pid|sku|variant|colou?r|size|brand|collection|lang|currency|sort)$/;
const EMAIL = /[^/?&=\s]+(@|%40)[^/?&=\s]+\.\w+/gi;

/** An address as it may be sent; '' for what is none. `more` are further parameters by name. */
export const scrub = (address, more) =>
  attempt(() => {
    const url = new URL(address);
    const kept = url.search
      .slice(1)
      .split('&')
      .filter((pair) => {
        const name = pair.split('=')[0].toLowerCase();
        return LISTED.test(name) || more.includes(name);
      });
    return (url.origin + url.pathname + (kept[0] ? '?' + kept.join('&') : '')).replace(EMAIL, '[email]');
  }, '');
