// Consent decides first. Three states: unknown (undefined), true, false; the mode is each tag's.

import { doc, nav } from './safe.js';
import { data } from './say.js';

/** `wait` is a consent module's, which has yet to hear. */
export const state = {};

/** A tag's baked configuration. */
export const configured = (id) => CONFIG[id] || {};

/** True to send, false to drop, undefined to wait in memory. Attributes may only make a mode stricter. */
export const allowed = (id) =>
  nav.globalPrivacyControl == 1 || state.given === false
    ? false
    : state.given || (state.wait || [data.consent, configured(id).consent].includes('required') ? undefined : true);

/** Whether the page has been seen: not while it is prerendered or has only been opened in the background. */
export const seen = () => (once ||= !doc.hidden);

let once;
