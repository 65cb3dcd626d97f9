// window.pintrk: load, page, track, set, setconsent, with the queue of the base code. Never throws into the page.
import { server, sameHost } from './address.js';
import { onAttribute } from './attributes.js';
import { facts, onNavigation, whenSeen } from './page.js';
import { hash, raw } from './people.js';
import { sender } from './send.js';
import { forget, get, put } from './storage.js';

const UNAUTH = '_pin_unauth', EPIK = '_epik';
const stub = window.pintrk;

if (!stub || !stub.retag) {
  const base = server();
  const send = sender(base);
  const tags = {};
  let person = {}, consent, chain = Promise.resolve();

  const id = () => (crypto.randomUUID ? crypto.randomUUID() : `${Date.now()}-${Math.random()}`);

  function report(event, data, callback) {
    for (const tag of Object.keys(tags)) {
      const ed = data && typeof data === 'object' ? { ...data } : undefined;
      const one = { tid: tag, event, ad: facts(), ts: Date.now() };
      if (event !== 'init') one.ed = { event_id: id(), ...ed };
      else if (ed) one.ed = ed;
      if (consent !== undefined) one.consent = consent ? '1' : '0';
      deliver(one, { ...tags[tag], ...person });
    }
    if (callback) callback(true);
  }

  // Hashing is asynchronous: what waits for it keeps its place.
  function deliver(one, pd) {
    const give = (known) => {
      if (consent === false) return;
      for (const [name, key] of [[UNAUTH, 'pin_unauth'], [EPIK, 'epik']]) if (get(name)) known[key] = get(name);
      if (Object.keys(known).length) one.pd = known;
      send(one);
    };
    if (!busy && !raw(pd)) { give({ ...pd }); return; }
    busy += 1;
    chain = chain.then(() => hash(pd)).then(give).catch(() => {}).then(() => { busy -= 1; });
  }
  let busy = 0;

  // On another site the cookie is blocked: the server hands the signed id to pages on the tag's own domains.
  function introduce(tag) {
    if (sameHost(base) || get(UNAUTH) || consent === false) return;
    fetch(`${base}/user/?tid=${encodeURIComponent(tag)}&cb=${Date.now()}`, { credentials: 'include' })
      .then((answer) => answer.headers.get('Pin-Unauth'))
      .then((value) => { if (value && consent !== false) put(UNAUTH, value); })
      .catch(() => {});
  }

  function landing() {
    const found = /[?&]epik=([^&#]+)/.exec(location.search);
    if (found && consent !== false) put(EPIK, found[1]);
  }

  const commands = {
    load(tag, pd) {
      if (!tag) return;
      tags[String(tag)] = pd && typeof pd === 'object' ? pd : {};
      landing();
      introduce(String(tag));
    },
    page(props) { report('init', props); },
    track(event, data, callback) { report(String(event || ''), data, callback); },
    set(given) { person = { ...person, ...given }; },
    setconsent(given) {
      consent = given === true || given === 'true' || given === 1;
      if (!consent) forget([UNAUTH, EPIK]);
    },
  };

  const run = (given) => {
    const [name, ...rest] = given;
    const callback = typeof rest[2] === 'function' ? rest[2] : null;
    try {
      if (Object.prototype.hasOwnProperty.call(commands, name)) commands[name](...rest);
    } catch (error) {
      try { if (callback) callback(false, String(error)); } catch { /* the page's own */ }
    }
  };

  const pintrk = function () { whenSeen(() => run(arguments)); };
  pintrk.queue = [];
  pintrk.version = '3.0';
  pintrk.retag = true;
  window.pintrk = pintrk;
  for (const given of (stub && stub.queue) || []) pintrk.apply(null, Array.prototype.slice.call(given));
  // A tag manager that kept the old queue goes on pushing into it.
  if (stub && stub.queue) stub.queue.push = (...all) => { all.forEach((given) => pintrk.apply(null, Array.prototype.slice.call(given))); return 0; };
  onNavigation(() => report('init'));
  onAttribute((event, data) => report(event, data));
} else if (window.console) {
  console.warn('Retag: the tag is on this page twice; the second one does nothing.');
}
