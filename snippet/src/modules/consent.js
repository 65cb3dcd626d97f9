// Consent as others keep it: IAB TCF 2.2+, IAB GPP 1.1, Google's consent mode. What objects, wins.
// https://github.com/InteractiveAdvertisingBureau/GDPR-Transparency-and-Consent-Framework
// https://github.com/InteractiveAdvertisingBureau/Global-Privacy-Platform
//
// A verdict is true (given), false (denied), null (this framework has no say here) or 0 (not known yet: wait).

const PURPOSES = [1, 3, 4];
const TYPES = ['ad_storage', 'ad_user_data', 'ad_personalization'];
const NOT_ALLOWED = [0, 2];
const PATIENCE = 2e3;
const LONGEST = 2e3;

/** TCF: the publisher's own purposes, or those of a vendor of the global list, which must also be disclosed (2.3). */
export const ofTcf = (data, success, vendor) => {
  if (!success || !data) return false;
  if (data.gdprApplies === false) return null;
  if (data.gdprApplies === undefined || !['tcloaded', 'useractioncomplete'].includes(data.eventStatus)) return 0;
  const { publisher = {}, purpose = {}, vendor: vendors = {} } = data;
  const purposes = (vendor ? purpose.consents : publisher.consents || purpose.consents) || {};
  if (!PURPOSES.every((one) => purposes[one] === true)) return false;
  if (!vendor) return true;
  const restricted = PURPOSES.some((one) => NOT_ALLOWED.includes(publisher.restrictions?.[one]?.[vendor]));
  return !restricted && vendors.consents?.[vendor] === true && vendors.disclosedVendors?.[vendor] !== false;
};

/** GPP: false when a section of the United States objects. */
export const ofGpp = (event) => {
  const status = event.eventName == 'signalStatus' ? event.data : event.pingData?.signalStatus;
  if (status != 'ready') return 0;
  const objects = (one) =>
    one?.SaleOptOut === 1 || one?.SharingOptOut === 1 || one?.TargetedAdvertisingOptOut === 1 || one?.Gpc === true;
  return Object.values(event.pingData?.parsedSections || {}).flat(2).some(objects) ? false : null;
};

/** Google: the last word on each type in a `dataLayer`; a default of "denied" is a question that is still open. */
export const ofGoogle = (layer) => {
  const said = {};
  Array.from(layer).forEach((entry) => {
    if (!entry || entry[0] != 'consent' || !entry[2]) return;
    TYPES.forEach((type) => {
      const word = entry[2][type];
      if (word) said[type] = word == 'granted' || (entry[1] == 'update' ? false : 0);
    });
  });
  if (!Object.keys(said).length) return;
  const words = TYPES.map((type) => said[type] ?? 0);
  return words.includes(false) ? false : words.includes(0) ? 0 : true;
};

/** The API of a banner in a frame around this one: its frame `…Locator` is named there, and it is asked by message. */
const distant = (name) => {
  let frame = window;
  const holds = () => {
    try {
      return frame.frames[name + 'Locator'];
    } catch (_) {
      // Of another origin, and without a frame of this name.
    }
  };
  while (!holds()) {
    if (frame == top) return;
    frame = frame.parent;
  }
  return (command, ...rest) => {
    const done = rest.pop();
    const callId = 'retag' + name;
    addEventListener('message', ({ data, source }) => {
      const found = source == frame && data?.[name + 'Return'];
      if (found && found.callId == callId) done(found.returnValue, found.success);
    });
    frame.postMessage({ [name + 'Call']: { command, version: rest[0] || '1.1', callId } }, '*');
  };
};

export const start = (api, config) => {
  const heard = {};
  const proofs = {};
  let owed;
  let first;
  // What the server's log keeps of a change: who said so, and the framework's own string. A no goes with the
  // message that the core sends, a yes with the first event that waited for it, else with the next one.
  api.enrich.push((event) => {
    if (api.words.heard === 0) first ||= event;
    else owed = void Object.assign(event, owed);
  });
  const decide = () => {
    const all = Object.values(heard);
    const word = [false, 0, true].find((one) => all.includes(one)) ?? null;
    if (word === api.words.heard) return;
    const proof = proofs[Object.keys(heard).find((name) => heard[name] === word)];
    api.words.heard = word;
    api.words.proof = word === false ? proof : null;
    owed = word && proof;
    if (word !== 0 && first) first = owed = void Object.assign(first, owed);
    api.decide();
  };
  const hear = (name, verdict, mechanism, proof) => {
    let word = false;
    try {
      word = verdict();
    } catch (_) {
      // What cannot be understood is no consent.
    }
    // A banner that is opened again does not take back what was said.
    if (word !== undefined && (word !== 0 || !heard[name])) heard[name] = word;
    proofs[name] = { mechanism, proof: proof?.slice?.(0, LONGEST) };
    decide();
  };
  const ask = {
    __tcfapi: (api) => api('addEventListener', 2, (data, ok) => hear('__tcfapi', () => ofTcf(data, ok, config.vendor), 'tcf', data?.tcString)),
    __gpp: (api) => api('addEventListener', (event) => hear('__gpp', () => ofGpp(event), 'gpp', event?.pingData?.gppString)),
  };
  const look = () => {
    Object.keys(ask).forEach((name) => {
      if (name in heard) return;
      const given = typeof window[name] == 'function' ? window[name] : distant(name);
      if (!given) return;
      heard[name] = 0;
      try {
        ask[name](given);
      } catch (_) {
        heard[name] = false;
      }
    });
    decide();
  };

  // Whoever switches this module on has a consent banner: one that comes late is waited for. Where none has come two
  // seconds after the page was loaded, the tag's own mode decides; one that comes later still is heard.
  heard.none = 0;
  if (config.google) {
    const layer = (window.dataLayer = window.dataLayer || []);
    const push = layer.push;
    const listen = () => hear('google', () => ofGoogle(layer), 'google');
    layer.push = function () {
      const result = push.apply(this, arguments);
      listen();
      return result;
    };
    listen();
  }
  let loaded = document.readyState == 'complete' && Date.now();
  addEventListener('load', () => (loaded = Date.now()));
  let rounds = 50;
  const again = () => {
    const late = loaded && Date.now() - loaded > PATIENCE;
    if (late || Object.keys(heard).length > 1) heard.none = null;
    look();
    if (heard.none === 0) setTimeout(again, 100);
    else if (rounds--) setTimeout(again, PATIENCE);
  };
  look();
  again();
};
