// Consent decides first. Three states: unknown (undefined), true, false; the mode is each tag's.

import { doc, nav } from './safe.js';
import { data } from './say.js';

export const state = { given: undefined, wait: false };

const objects = () => nav.globalPrivacyControl == 1;

/** True to send, false to drop, undefined to wait in memory. Attributes may only make a mode stricter. */
export const allowed = (config) => {
  if (objects() || state.given === false) return false;
  if (state.given) return true;
  return state.wait || config.consent == 'required' || data.consent == 'required' ? undefined : true;
};

/** Whether the page has been seen: not while it is prerendered or has only been opened in the background. */
export const seen = () => (seen.once = seen.once || (!doc.prerendering && doc.visibilityState != 'hidden'));
