// Tags and their events: what a call becomes before it is delivered.

import { allowed, configured } from './consent.js';
import { scrub } from './address.js';
import { enqueue } from './delivery.js';
import { learn } from './hash.js';
import { attempt, doc, nav, random, win } from './safe.js';
import { say } from './say.js';

/** Loaded tags: `{id, partner, page}`; `page` is the address that was last counted. */
export const tags = [];

/** What modules may add to an event: functions of it. */
export const enrich = [];

let here = '';
let referrer = doc.referrer;

/** The address as a page view counts it. */
export const address = () => location.href.split(CONFIG.hash ? ' ' : '#')[0];

/** After a navigation inside the page, the page before is the referrer. */
export const moved = (from) => (referrer = from);

// No viewport here: reading `innerWidth` forces a layout; the engagement module sends it.
const automatic = () => ({
  loc: scrub(location.href),
  ref: scrub(referrer),
  title: CONFIG.title && doc.title,
  if: win != top,
  sw: screen.width,
  sh: screen.height,
  language: nav.language,
  webdriver: nav.webdriver,
  ...nav.userAgentData?.toJSON(),
});

/** Send one event to one tag; returns why not, or nothing. */
const report = (tag, name, given) => {
  if (allowed(tag.id) === false) return 'denied';
  const ed = { ...given };
  if (ed.line_items) ed.line_items = [].concat(ed.line_items);
  ed.event_id ||= ed.eventID || ed.eid || random();
  const event = { tid: tag.id, event: name, ed, pd: { ...tag.partner }, ad: automatic(), ts: Date.now() };
  enrich.forEach((add) => attempt(() => add(event, configured(tag.id))));
  say(event);
  enqueue(event);
};

/** Send an event to every tag; returns why it could not be, or nothing. */
export const track = (name, given) => {
  const plain = String(name || '').toLowerCase().replace(/\s/g, '');
  if (!plain) return 'no name';
  if (!tags[0]) return 'no tag';
  return tags.map((tag) => report(tag, plain, given)).find(Boolean);
};

/** Count the page, once for an address; `again` for the tags that have counted one. */
export const page = (given, again) => {
  const now = address();
  if (!tags[0]) return 'no tag';
  return tags
    .filter((tag) => tag.page !== now && (!again || tag.page != null))
    .map((tag) => report(tag, 'init', given, (tag.page = now)))
    .find(Boolean);
};

/** Partner data for later events; an empty value clears. */
export const set = (tag, given) => {
  const partner = { ...given };
  learn(partner);
  Object.entries(partner).forEach(([key, value]) => {
    if (value == null || value === '') delete tag.partner[key];
    else tag.partner[key] = value;
  });
};
