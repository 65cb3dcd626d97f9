// Events without code: `data-retag="save"` with `data-retag-pin`, `-product-id`, `-value`, …
//
// One listener on the window, while capturing, so that no handler of the page can stop it; `composedPath` sees
// through open shadow roots. An element takes the values of the elements around it. `getAttribute` is taken from
// the prototype, since a form's own fields hide its methods, and an SVG's properties are not strings.

import { on, win } from './safe.js';
import { track } from './tags.js';

const { getAttribute, getAttributeNames } = Element.prototype;

const read = (path) => {
  const found = {};
  path.forEach((element) =>
    getAttributeNames.call(element).forEach((name) => {
      if (!name.startsWith('data-retag-')) return;
      const key = name.slice(11).replace(/-/g, '_').replace(/^(pin|campaign|ad)$/, '$1_id');
      found[key] ??= getAttribute.call(element, name);
    }),
  );
  return found;
};

const fire = (event) => {
  const path = event.composedPath().filter((one) => one instanceof Element);
  const named = path.find((one) => getAttribute.call(one, 'data-retag'));
  // A form speaks when it is submitted, anything else when it is clicked.
  if (!named || named instanceof HTMLFormElement != (event.type == 'submit')) return;
  track(getAttribute.call(named, 'data-retag'), read(path.slice(path.indexOf(named))));
};

export const declare = () => ['click', 'submit'].forEach((name) => on(win, name, fire));
