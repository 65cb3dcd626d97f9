// Addresses leave the page with the listed query parameters alone, without their fragment, and masked.
// The server scrubs again; what never leaves the page needs no scrubbing.

// CONFIG.params: the server's list, and what tags add to it: ` q page utm `, the last for all of its kind.
const EMAIL = /[^/?&=]+(@|%40)[^/?&=]+/g;

const listed = (pair) => CONFIG.params.includes(` ${pair.split('=')[0].toLowerCase().replace(/^utm_.*/, 'utm')} `);

/**
 * An address as it may be sent, as long as servers keep it: cut behind the mask, since half an e-mail address is one too,
 * and before, since the mask takes the square of a length. By hand: a URL object costs four times as much, and throws
 * where there is no referrer.
 */
export const scrub = (address) => {
  const [page, ...rest] = address.split('#')[0].split('?');
  const kept = rest.join('&').split('&').filter(listed).join('&');
  return (page + (kept && '?' + kept)).slice(0, 3e3).replace(EMAIL, '[email]').slice(0, 2e3);
};
