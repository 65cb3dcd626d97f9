// The life of a page: navigations inside it, the back/forward cache, prerendering and background tabs, hiding.
// No `unload` and no `beforeunload`: they keep pages out of the back/forward cache.

import { hide, retry } from './delivery.js';
import { attempt, doc, on, win } from './safe.js';
import { back, left, turn } from './tags.js';

// A router may call replaceState before pushState (https://github.com/vuejs/router/issues/1416) and `page` after:
// look once, when the task is over.
const soon = () => setTimeout(() => attempt(turn));

const hidden = () => {
  left();
  hide();
};

export const watch = () => {
  if (win.navigation) on(win.navigation, 'currententrychange', soon);
  else {
    ['pushState', 'replaceState'].forEach((name) => {
      const theirs = history[name];
      history[name] = (...given) => {
        soon();
        return theirs.apply(history, given);
      };
    });
    on(win, 'popstate', soon);
  }
  on(win, 'pageshow', (event) => event.persisted && back());
  on(doc, 'visibilitychange', () => (doc.hidden ? hidden() : retry()));
  on(win, 'pagehide', hidden);
  on(win, 'online', retry);
  on(doc, 'prerenderingchange', retry);
};
