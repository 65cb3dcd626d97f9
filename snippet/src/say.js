// What the debug module tells (`?retag_debug=1`, `data-debug`), and what our own script element says.

const script = document.currentScript;

/** The first value of each name in cookies or in a query, as far as it is plain. */
export const pairs = (text = '') => {
  const found = {};
  text.replace(/(\w+)=([\w.~%+:=-]+)/g, (_, name, value) => (found[name] ??= value));
  return found;
};

/** The query that the page was opened with. */
export const landing = pairs(location.search);

/** The data attributes of our script element. */
export const data = { ...script?.dataset };

export const debugging = 'debug' in data || landing.retag_debug == 1;

/** What there is to tell; the module, which comes later, explains it in the console. */
export const heard = [];

export const say = (...words) => debugging && heard.push(words);

/** Our server: `/tag.js`, `/ct/core.js`, `/t/VERSION.js` and those under a name of your own are below it. */
export const base = (script?.src || '').replace(RegExp(`/((ct|t|${CONFIG.name})/)?[^/]*$`), '');
