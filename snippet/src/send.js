// Events leave in one beacon a tag and tick. fetch with keepalive outlives the page; where there is none,
// sendBeacon, and an image last. Across origins the answer is opaque, so nothing is ever sent twice.
import { sameHost } from './address.js';

const LIMIT = 60000; // below the 64 KiB that browsers share among all keepalive requests of a page

export function sender(base) {
  let waiting = {};
  let due = false;

  function flush() {
    due = false;
    const all = waiting;
    waiting = {};
    for (const tag of Object.keys(all)) parts(all[tag]).forEach(post);
  }

  function parts(events) {
    const sent = Date.now();
    for (const event of events) event.sent = sent;
    const body = JSON.stringify(events);
    if (body.length < LIMIT || events.length < 2) return [body];
    const half = events.length >> 1;
    return [...parts(events.slice(0, half)), ...parts(events.slice(half))];
  }

  function post(body) {
    const url = `${base}/v3/`;
    try {
      fetch(url, {
        method: 'POST', body, keepalive: true, credentials: 'include',
        headers: { 'Content-Type': 'text/plain' }, mode: sameHost(base) ? 'cors' : 'no-cors',
      }).catch(() => beacon(url, body));
    } catch {
      beacon(url, body);
    }
  }

  function beacon(url, body) {
    try { if (navigator.sendBeacon && navigator.sendBeacon(url, body)) return; } catch { /* blocked */ }
    for (const event of JSON.parse(body)) {
      const query = Object.keys(event).map((key) => {
        const value = typeof event[key] === 'object' ? JSON.stringify(event[key]) : event[key];
        return `${key}=${encodeURIComponent(value)}`;
      });
      new Image().src = `${url}?${query.join('&')}`;
    }
  }

  addEventListener('pagehide', () => due && flush());
  return (event) => {
    (waiting[event.tid] = waiting[event.tid] || []).push(event);
    if (!due) { due = true; Promise.resolve().then(() => due && flush()); }
  };
}
