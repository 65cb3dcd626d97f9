// A hash router's route, for tags whose `hash` is set: sent as a part of the path, since the server drops fragments,
// and masked like one. What a route is asked with (`#/reset?token=…`) stays on the page.

import { scrub } from '../address.js';
import { routed } from '../route.js';

// First, so that the engagement module may still tell of the route that is left.
export const start = (api) => api.enrich.unshift(({ ad }) => void (ad.loc = scrub(routed(location.href))));
