// Events without code: `data-retag="save"` with `data-retag-pin`, `-product-id`, `-value`, …
//
// One listener on the window, while capturing, so that no handler of the page can stop it; `composedPath` sees
// through open shadow roots. From the inside out the first value of each kind counts. The methods are the
// prototype's, since a form's own fields hide its own, and attributes are text on SVG too.

import { attempt, on } from './safe.js';
import { track } from './tags.js';

const proto = Element.prototype;

let last;

const fire = (event) => {
  const found = {};
  let named;
  event.composedPath().forEach((element) =>
    // The document and the window, which are on the path too, have no attributes.
    attempt(() =>
      proto.getAttributeNames.call(element).forEach((attribute) => {
        const [start, key] = attribute.split(/^data-retag-?/);
        if (start) return;
        if (!key) named ||= element;
        found[key.replace(/-/g, '_').replace(/^(pin|campaign|ad)$/, '$1_id')] ??= proto.getAttribute.call(element, attribute);
      }),
    ),
  );
  const { '': name, ...data } = found;
  // A form speaks when it is submitted, anything else when it is clicked.
  if (name && named != last && named instanceof HTMLFormElement == (event.type == 'submit')) {
    // A click on a label is one on its field too, in the same task.
    last = named;
    setTimeout(() => (last = 0));
    track(name, data);
  }
};

export const declare = () => {
  on('click', fire);
  on('submit', fire);
};
