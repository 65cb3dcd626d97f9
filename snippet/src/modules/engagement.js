// Engagement: seconds in view, how far the page was scrolled, and the viewport, told when the page is left.
// Inside a page that is when the address is already the next one's: the event keeps the one that was read.

import { scrub } from '../address.js';
import { routed } from '../route.js';

export const start = (api, config) => {
  let since = document.hidden ? 0 : performance.now();
  let total = 0;
  let deepest = 0;
  let page = location.href;
  const pause = () => {
    if (since) total += performance.now() - since;
    since = 0;
  };
  addEventListener('scroll', () => (deepest = Math.max(deepest, scrollY)), { passive: true, capture: true });
  document.addEventListener('visibilitychange', () => document.hidden || (since = performance.now()));
  api.enrich.push(({ event, ad }) => {
    if (event == 'engagement') ad.loc = scrub(config.hash ? routed(page) : page);
  });
  api.leave.push(() => {
    pause();
    const seconds = Math.round(total / 1000);
    if (seconds) {
      const height = document.documentElement.scrollHeight;
      const scroll = Math.min(100, Math.round((100 * (deepest + innerHeight)) / height));
      window.pintrk('track', 'engagement', { seconds, scroll, viewport: innerWidth + 'x' + innerHeight });
      total = 0;
      deepest = scrollY;
    }
    page = location.href;
    since = document.hidden ? 0 : performance.now();
  });
};
