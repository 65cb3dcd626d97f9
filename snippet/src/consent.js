// Consent decides first. Three states: unknown, yes, no; the mode is each tag's. Any no wins.

import { nav } from './safe.js';
import { data } from './say.js';

/** Words of the page, of a consent module and of our own staff: true, false, 0 for "wait", or another for nothing. */
export const words = {};

export const said = (word) => Object.values(words).includes(word);

/** Whether nothing may be sent or kept. */
export const denied = () => nav.globalPrivacyControl == 1 || said(false);

let once;

/** Whether the page has been seen (an image may be named `hidden`): not while it is prerendered or has only been opened in the background. */
const seen = () => (once ||= document.hidden != 1);

/** Whether a tag's events may be sent and kept; else they wait in memory. Attributes may only make a mode stricter. */
export const allowed = (id) =>
  seen() &&
  !denied() && (said(true) || !(said(0) || data?.consent == 'required' || CONFIG[id]?.consent));

