// The page: what it is, when it is really seen, and when it becomes another without loading.
export const facts = () => ({
  loc: location.href, ref: document.referrer, if: self !== top, sw: screen.width, sh: screen.height,
  title: document.title, language: navigator.language, webdriver: !!navigator.webdriver,
});

// A page being prerendered may never be seen: https://developer.chrome.com/docs/web-platform/prerender-pages
export function whenSeen(then) {
  if (document.prerendering) document.addEventListener('prerenderingchange', then, { once: true });
  else then();
}

// History changes of single-page apps, once for each new address, and returns from the back-forward cache.
export function onNavigation(then) {
  let last = location.pathname + location.search;
  const look = () => {
    const now = location.pathname + location.search;
    if (now !== last) { last = now; then(); }
  };
  for (const name of ['pushState', 'replaceState']) {
    const original = history[name];
    history[name] = function (...given) {
      const result = original.apply(this, given);
      Promise.resolve().then(look); // routers call both in turn: look when they are done
      return result;
    };
  }
  addEventListener('popstate', look);
  addEventListener('pageshow', (event) => event.persisted && then());
}
