// Tags and their events: what a call becomes before it is delivered.

import { allowed } from './consent.js';
import { scrub } from './address.js';
import { enqueue } from './delivery.js';
import { learn } from './hash.js';
import { attempt, doc, nav, random, win } from './safe.js';
import { say } from './say.js';

/** Loaded tags: `{id, config, partner, page}` by id; `page` is the address that was last counted. */
export const tags = new Map();

/** What modules may add to an event: functions of it. */
export const enrich = [];

let here = '';
let referrer = doc.referrer;

/** The address as a page view counts it. */
export const address = () => {
  const { pathname, search, hash } = win.location;
  return pathname + search + ([...tags.values()].some((tag) => tag.config.hash) ? hash : '');
};

/** After a navigation inside the page, the page before is the referrer. */
export const moved = (from) => (referrer = from);

const automatic = ({ params = [], title }) => {
  const hints = nav.userAgentData;
  return {
    loc: scrub(win.location.href, params),
    ref: scrub(referrer, params),
    title: title ? doc.title : undefined,
    if: win != win.top,
    sw: screen.width,
    sh: screen.height,
    vw: win.innerWidth,
    vh: win.innerHeight,
    language: nav.language,
    webdriver: nav.webdriver || undefined,
    ...(hints && hints.toJSON()),
  };
};

/** Send one event to one tag; returns why not, or nothing. */
const report = (tag, name, given) => {
  if (allowed(tag.config) === false) return 'consent was denied';
  const ed = { ...given };
  if (ed.line_items && !Array.isArray(ed.line_items)) ed.line_items = [ed.line_items];
  ed.event_id = ed.event_id || ed.eventID || ed.eid || random();
  const event = { tid: tag.id, event: name, ed, pd: { ...tag.partner }, ad: automatic(tag.config), ts: Date.now() };
  enrich.forEach((add) => attempt(() => add(event, tag.config)));
  say(name, ed, 'for tag', tag.id);
  enqueue({ config: tag.config, event });
};

/** Send an event to every tag; returns why it could not be, or nothing. */
export const track = (name, given) => {
  const plain = String(name || '').toLowerCase().replace(/\s/g, '');
  if (!plain) return 'the event has no name';
  if (!tags.size) return "no tag: call pintrk('load', TAG_ID) first";
  return [...tags.values()].map((tag) => report(tag, plain, given)).find(Boolean);
};

/** Count the page, once for an address. */
export const page = (given) => {
  if (!tags.size) return track('init');
  const now = address();
  return [...tags.values()]
    .filter((tag) => tag.page !== now)
    .map((tag) => report(tag, 'init', given, (tag.page = now)))
    .find(Boolean);
};

/** Partner data for later events; an empty value clears. */
export const set = (tag, partner) => {
  learn(partner);
  Object.entries(partner).forEach(([key, value]) => {
    if (value == null || value === '') delete tag.partner[key];
    else tag.partner[key] = value;
  });
};
