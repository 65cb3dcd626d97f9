// What the debug module tells (`?retag_debug=1`, `data-debug`), and what our own script element says.

// Looked at twice: an image of the name `currentScript` hides the document's own, and is anybody's who may write markup.
const { currentScript } = document;
const script = currentScript instanceof HTMLScriptElement && currentScript;

/**
 * The first value of each name in cookies or in a query, as far as it is plain, and no longer than a shop's cookies may
 * be; names from their first letter on, since to look at each letter of a long text takes its square.
 */
export const pairs = (text = '') => {
  const found = {};
  text.replace(/\b(\w+)=([\w.~%+:=-]{1,500})/g, (_, name, value) => (found[name] ??= value));
  return found;
};

/** The query that the page was opened with. */
export const landing = pairs(location.search);

/** The data attributes of our script element. */
export const data = script?.dataset;

export const debugging = data?.debug >= '' || landing.retag_debug == 1;

/** What there is to tell; the module, which comes later, explains it in the console. */
export const heard = [];

export const say = (...words) => debugging && heard.push(words);

/** Where events go: beside `/tag.js`, `/ct/core.js`, `/t/VERSION.js` and those under a name of your own. */
export const url = (script?.src || '/').replace(RegExp(`/((ct|t|${CONFIG.name})/)?[^/?#]*([?#].*)?$`), `/${CONFIG.name || 'v3'}/`);
