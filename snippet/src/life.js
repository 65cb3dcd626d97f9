// The life of a page: navigations inside it, the back/forward cache, prerendering and background tabs, hiding.
// No `unload` and no `beforeunload`: they keep pages out of the back/forward cache.

import { hide, retry } from './delivery.js';
import { attempt, on, win } from './safe.js';
import { left, page, turn } from './tags.js';

// A router may call replaceState before pushState (https://github.com/vuejs/router/issues/1416) and `page` after:
// look once, when the task is over. Timers that pages have wrapped may forget further arguments.
const soon = () => setTimeout(() => attempt(turn));

const hidden = () => {
  left();
  hide();
};

export const watch = () => {
  // Back from the back/forward cache: it is counted again.
  on('pageshow', (event) => event.persisted && page(0, 2));
  on('visibilitychange', () => (document.hidden ? hidden() : retry()));
  on('pagehide', hidden);
  on('online', retry);
  on('prerenderingchange', retry);
  // Last, and the window's: pages have elements and constants of that name.
  if (win.navigation?.currentEntry) win.navigation.addEventListener('currententrychange', soon);
  else {
    ['pushState', 'replaceState'].forEach((name) => {
      const theirs = history[name];
      history[name] = (...given) => {
        soon();
        return theirs.apply(history, given);
      };
    });
    on('popstate', soon);
  }
};
