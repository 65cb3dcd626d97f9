// The life of a page: navigations inside it, the back/forward cache, prerendering and background tabs, hiding.
// No `unload` and no `beforeunload`: they keep pages out of the back/forward cache.

import { hide, retry } from './delivery.js';
import { doc, on, win } from './safe.js';
import { address, moved, page, tags } from './tags.js';

/** Functions that modules want called when a page is left, and when another begins. */
export const leave = [];

let before = address();

const turn = () => {
  const now = address();
  if (now == before) return;
  leave.forEach((run) => run());
  moved(before);
  before = now;
  page(0, 1);
};

// A router may call replaceState before pushState (https://github.com/vuejs/router/issues/1416) and `page` after:
// look once, when the task is over.
const soon = () => setTimeout(turn);

export const watch = () => {
  if (win.navigation) on(win.navigation, 'currententrychange', soon);
  else {
    ['pushState', 'replaceState'].forEach((name) => {
      const theirs = history[name];
      history[name] = function () {
        soon();
        return theirs.apply(this, arguments);
      };
    });
    on(win, 'popstate', soon);
  }
  on(win, 'pageshow', (event) => {
    if (!event.persisted) return;
    tags.forEach((tag) => (tag.page = tag.page && '-'));
    page(0, 1);
  });
  const left = () => {
    leave.forEach((run) => run());
    hide();
  };
  on(doc, 'visibilitychange', () => (doc.hidden ? left() : retry()));
  on(win, 'pagehide', left);
  on(win, 'online', retry);
  on(doc, 'prerenderingchange', retry);
};
