// Nothing of ours may throw into the page, and nothing of the page's may stop us: prototypes are tampered with,
// storage throws on property access (https://github.com/segmentio/analytics.js/issues/478), globals are frozen.

export const win = window;
export const nav = navigator;

/** The result of `run`, or undefined when it throws. */
export const attempt = (run) => {
  try {
    return run();
  } catch (_) {}
};

/** JSON, also where Prototype.js before 1.7 gave arrays a `toJSON` that writes them as strings. */
export const json = (value) => {
  const proto = Array.prototype;
  const toJSON = proto.toJSON;
  delete proto.toJSON;
  const text = attempt(() => JSON.stringify(value));
  if (toJSON) proto.toJSON = toJSON;
  return text;
};

/**
 * When this page began, so that the server keeps its ids in that order, and 128 bits from the browser's generator:
 * `Math.random` is stubbed on some pages.
 */
export const random = attempt(() => Date.now() + crypto.getRandomValues(new Uint8Array(16)).join(''));

/** Listen for an event on its way down; a listener that throws is ours to swallow. */
export const on = (name, run) => addEventListener(name, (event) => attempt(() => run(event)), true);
