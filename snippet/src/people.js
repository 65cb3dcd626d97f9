// Identifiers are hashed before they leave the page: trimmed, in small letters, SHA-256 in hexadecimal.
const HASHED = /^([0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})$/i;
const RAW = ['em', 'external_id'];

async function sha256(text) {
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function hashed(value) {
  if (Array.isArray(value)) return Promise.all(value.map(hashed));
  const text = String(value).trim();
  if (HASHED.test(text)) return text.toLowerCase();
  // crypto.subtle is absent on plain http: then nothing is sent rather than the raw value.
  return crypto.subtle ? sha256(text.toLowerCase()) : '';
}

export const raw = (given) => RAW.some((name) => given[name]);

export async function hash(given) {
  const found = { ...given };
  for (const name of RAW) if (found[name]) found[name] = await hashed(found[name]).catch(() => '');
  return found;
}
