// Consent as others keep it: IAB TCF 2.2+, IAB GPP 1.1, Google's consent mode. What objects, wins.
// https://github.com/InteractiveAdvertisingBureau/GDPR-Transparency-and-Consent-Framework
// https://github.com/InteractiveAdvertisingBureau/Global-Privacy-Platform

const PURPOSES = [1, 3, 4];
const TYPES = ['ad_storage', 'ad_user_data', 'ad_personalization'];

/** TCF: true, false, null when it does not apply, undefined while it is not known. */
export const ofTcf = (data, success, vendor) => {
  if (!success) return false;
  if (data.gdprApplies === false) return null;
  if (data.gdprApplies === undefined || !['tcloaded', 'useractioncomplete'].includes(data.eventStatus)) return;
  const consents = vendor ? data.purpose.consents : (data.publisher && data.publisher.consents) || data.purpose.consents;
  const restricted = vendor && PURPOSES.some((one) => ((data.publisher.restrictions || {})[one] || {})[vendor] === 0);
  return PURPOSES.every((one) => consents[one] === true) && !restricted && (!vendor || data.vendor.consents[vendor] === true);
};

/** GPP: false when an applicable US section objects, null else, undefined while it is not ready. */
export const ofGpp = (event) => {
  if (event.eventName != 'signalStatus' || event.data != 'ready') return;
  const sections = Object.values(event.pingData.parsedSections || {}).flat(2);
  const objects = (one) =>
    one.SaleOptOut === 1 || one.SharingOptOut === 1 || one.TargetedAdvertisingOptOut === 1 || one.Gpc === true;
  return sections.some(objects) ? false : null;
};

/** Google: the last word of each type in a `dataLayer`. */
export const ofGoogle = (layer) => {
  const said = {};
  Array.from(layer).forEach((entry) => {
    if (entry && entry[0] == 'consent' && entry[2]) Object.assign(said, entry[2]);
  });
  const words = TYPES.map((type) => said[type]).filter(Boolean);
  if (!words.length) return;
  return TYPES.every((type) => said[type] == 'granted');
};

export const start = (api, config) => {
  const heard = {};
  const decide = () => {
    const words = Object.values(heard);
    if (words.includes(false)) return api.call(['setconsent', false]);
    if (words.includes(undefined)) return;
    api.state.wait = 0;
    if (words.includes(true)) api.call(['setconsent', true]);
    else api.flush();
  };
  const hear = (name, word) => {
    if (word === undefined && heard[name] !== undefined) return;
    heard[name] = word;
    decide();
  };

  if (typeof window.__tcfapi == 'function') {
    heard.tcf = undefined;
    api.state.wait = 1;
    window.__tcfapi('addEventListener', 2, (data, success) => hear('tcf', ofTcf(data || {}, success, config.vendor)));
  }
  if (typeof window.__gpp == 'function') {
    heard.gpp = undefined;
    api.state.wait = 1;
    window.__gpp('addEventListener', (event) => hear('gpp', ofGpp(event)));
  }
  if (config.google) {
    const layer = (window.dataLayer = window.dataLayer || []);
    const push = layer.push;
    const look = () => hear('google', ofGoogle(layer));
    heard.google = undefined;
    api.state.wait = 1;
    layer.push = function () {
      const result = push.apply(this, arguments);
      look();
      return result;
    };
    look();
  }
};
