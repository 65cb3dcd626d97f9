// Tags and their events: what a call becomes before it is delivered.

import { scrub } from './address.js';
import { denied } from './consent.js';
import { enqueue } from './delivery.js';
import { digests, hold } from './hash.js';
import { attempt, json, nav, random, win } from './safe.js';
import { say } from './say.js';

/** Loaded tags: `{tid, pd, page}`: id and partner data, as in their events, and the address that was last counted. */
export const tags = [];

/** What modules may add to an event: functions of it, whose promises it waits for. */
export const enrich = [];

/** Functions that modules want called when a page is left. */
export const leave = [];

/** The address as a page view counts it. */
const address = () => location.href.split(CONFIG.hash ? ' ' : '#')[0];

let here = address();
let referrer = document.referrer + '';
let told = 0;

// To read `innerWidth` forces a layout in frames and, in Chromium, on phones, whose viewport follows the page's content;
// there `outerWidth`, which forces none, says as much.
const automatic = () => ({
  loc: scrub(location.href),
  ref: scrub(referrer),
  if: win != top,
  sw: screen?.width,
  sh: screen?.height,
  vw: win != top || nav.userAgentData?.mobile ? outerWidth : innerWidth,
  vh: win != top || nav.userAgentData?.mobile ? outerHeight : innerHeight,
  language: nav.language,
  webdriver: nav.webdriver,
  ...nav.userAgentData?.toJSON?.(),
});

/** Send an event to some of the tags; returns why it could not be, or nothing. */
const tell = (some, name, given) => {
  if (!tags[0]) return 'no tag';
  if (denied()) return 'denied';
  some.forEach((tag) => {
    // As it is now: the page may change its objects, and what is no JSON is refused here. The server takes `event_id`
    // and `eventID` before `eid`.
    const ed = JSON.parse(json({ eid: random + told++, ...given }));
    const event = { tid: tag.tid, event: name, ed, pd: { ...tag.pd }, ad: automatic(), ts: Date.now() };
    enrich.forEach((add) => hold(() => add(event)));
    say(event);
    enqueue(event);
  });
};

/** Send an event to every tag; returns why it could not be, or nothing. */
export const track = (name, given) => (name ? tell(tags, name + '', given) : 'no name');

/** Count the page, once for an address; `again` for the tags that have counted one, 2 though it is the same. */
export const page = (given, again) => {
  const now = moved();
  return tell(
    tags.filter((tag) => (tag.page != now || again > 1) && (tag.page || !(again > 0)) && (tag.page = now)),
    'init',
    given,
  );
};

/** The address as it is now; after a navigation inside the page, the page before is the referrer. */
const moved = () => {
  const now = address();
  if (now != here) {
    left();
    referrer = here;
    here = now;
  }
  return now;
};

/** A navigation inside the page: it is counted, unless the page has said so itself. */
export const turn = () => address() != here && page(0, 1);

export const left = () => leave.forEach(attempt);

/** Partner data for later events; an empty value clears, and so does what is no JSON: it would stop all of them. */
export const set = (tag, given) =>
  Object.entries({ ...given }).forEach(([key, value]) => {
    if (/^(""|null|undefined)$/.test(json(value))) delete tag.pd[key];
    else tag.pd[key] = /^(em|external_id)$/.test(key) ? digests(value) : value;
  });
