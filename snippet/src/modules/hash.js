// A hash router's route, for tags whose `hash` is set: sent as a part of the path, since the server drops fragments,
// and masked like one. What a route is asked with (`#/reset?token=…`) stays on the page.

import { scrub } from '../address.js';

export const start = (api) =>
  api.enrich.push(({ ad }) => {
    const { origin, pathname, search, hash } = location;
    const route = hash.match(/^#(!?\/[^?]*)/);
    if (route) ad.loc = scrub(`${origin}${pathname}%23${route[1]}${search}`);
  });
