// The tag for bundlers: `import { load, page, track } from 'retag-tag'`. It loads the script from your server
// with the base code's own queue, so that calls made before it arrives are kept.

const queue = () => {
  if (!window.pintrk) {
    window.pintrk = function () {
      window.pintrk.queue.push(Array.prototype.slice.call(arguments));
    };
    window.pintrk.queue = [];
    window.pintrk.version = '3.0';
  }
  return window.pintrk;
};

/** Call the tag by its published interface; nothing happens outside a browser. */
export const pintrk = (...call) => {
  if (typeof window !== 'undefined') queue()(...call);
};

/** An address as pages with Trusted Types want it; where they allow no policy of this name, as it is. */
const trusted = (address) => {
  try {
    return window.trustedTypes.createPolicy('retag', { createScriptURL: (one) => one }).createScriptURL(address);
  } catch (_) {
    return address;
  }
};

/** Load a tag from `server`, for example `https://shop.example/retag`; without one from the page's own host. */
export const load = (tagId, { server = '', integrity, nonce, path = '/tag.js', ...partner } = {}) => {
  if (typeof window === 'undefined') return;
  const loaded = queue();
  if (!loaded.retag && !document.querySelector('script[data-retag-script]')) {
    const script = document.createElement('script');
    script.async = true;
    script.dataset.retagScript = '';
    if (nonce) script.nonce = nonce;
    if (integrity) Object.assign(script, { integrity, crossOrigin: 'anonymous' });
    try {
      script.src = trusted(server.replace(/\/$/, '') + path);
      document.head.append(script);
    } catch (error) {
      console.warn('retag: not loaded:', error.message);
    }
  }
  pintrk('load', tagId, partner);
};

export const page = (properties, callback) => pintrk('page', properties, callback);
export const track = (name, data, callback) => pintrk('track', name, data, callback);
export const set = (partner) => pintrk('set', partner);
export const setConsent = (given) => pintrk('setconsent', given);
