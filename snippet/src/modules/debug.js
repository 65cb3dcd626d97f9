// Debug mode: what each call did, what consent says, and what the page's policy blocked. Imported when asked for.

const REASONS = {
  'no tag': "nothing was sent: call pintrk('load', TAG_ID) first",
  'no name': "nothing was sent: pintrk('track', NAME) needs the event's name",
  denied: 'nothing was sent: consent is denied, the browser sends Global Privacy Control, or ?retag_ignore=1 was asked',
  failed: 'nothing was done: there is no such call, or its data is no JSON (a page element, a loop, a BigInt)',
};
const STATUSES = {
  0: 'sent; a page on another site, without domains on the tag, cannot read the answer',
  429: 'too fast: it is sent again later',
  503: 'the server is busy: it is sent again later',
};

const explain = (say, waits, [first, ...rest]) => {
  if (first instanceof Response)
    return say('answer', first.status, first.headers.get('retag-outcome') || '', STATUSES[first.status] || '');
  if (first instanceof Error) return say('no answer:', first.message, '- sent again later, or hashing needs https');
  if (typeof first == 'object') return say('event', first.event, 'for tag', first.tid, first, waits(first.tid));
  say(`pintrk('${first}')`, rest[0] ? REASONS[rest[0]] || rest[0] : 'done');
};

/** Whether the page has been seen: once is enough. */
let seen = !document.hidden;
document.addEventListener('visibilitychange', () => (seen ||= !document.hidden));

/** Why an event is not sent yet, or nothing. */
const waiting = (words, required) => {
  const all = Object.values(words);
  if (!seen) return '- waits until the page is seen';
  if (all.includes(true)) return '';
  if (all.includes(0)) return '- waits for the consent banner';
  const strict = required || document.querySelector('script[data-consent="required"]');
  return strict ? "- waits for pintrk('setconsent', true): consent is required" : '';
};

const consent = (words) => {
  if (navigator.globalPrivacyControl) return 'denied by Global Privacy Control';
  if (words.ours === false) return 'this browser is left out: ?retag_ignore=0 counts it again';
  const all = Object.values(words);
  if (all.includes(false)) return 'denied';
  if (all.includes(true)) return 'given';
  return all.includes(0) ? 'waiting for the consent banner' : 'unknown: sent, unless the tag requires consent';
};

export const start = (api, config) => {
  const say = (...words) => console.log('retag:', ...words);
  say('tags with a configuration of their own:', Object.keys(config).filter((key) => /^\d+$/.test(key)).join(', ') || 'none');
  say('consent:', consent(api.words));
  if (!crypto.subtle) say('no crypto.subtle without https: raw e-mail addresses are not sent');
  const waits = (tid) => waiting(api.words, config[tid]?.consent);
  api.heard.forEach((one) => explain(say, waits, one));
  api.heard.push = (one) => explain(say, waits, one);
  document.addEventListener('securitypolicyviolation', (event) =>
    say('blocked by', event.effectiveDirective, event.blockedURI, '- allow this server in connect-src and img-src'),
  );
};
