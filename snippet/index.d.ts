export type Callback = (didInit: boolean, error?: string) => void;

export interface PartnerData {
  em?: string | string[];
  external_id?: string | number | (string | number)[];
  np?: string;
  opt_out_type?: string;
  [key: string]: unknown;
}

export interface LineItem {
  product_id?: string | number;
  product_name?: string;
  product_category?: string;
  product_variant?: string;
  product_price?: number | string;
  product_quantity?: number;
  product_brand?: string;
  [key: string]: unknown;
}

export interface EventData extends LineItem {
  event_id?: string;
  value?: number | string;
  order_quantity?: number;
  order_id?: string | number;
  currency?: string;
  line_items?: LineItem | LineItem[];
}

export interface LoadOptions extends PartnerData {
  /** Your server, for example `https://shop.example/retag`; the page's own host without one. */
  server?: string;
  /** The script's path there; an immutable one with `integrity`. */
  path?: string;
  integrity?: string;
  nonce?: string;
}

export interface Pintrk {
  (call: 'load', tagId: string | number, partner?: PartnerData): void;
  (call: 'page', properties?: EventData, callback?: Callback): void;
  (call: 'track', name: string, data?: EventData, callback?: Callback): void;
  (call: 'set', partner: PartnerData): void;
  (call: 'setconsent', given: boolean | 'true' | 'false'): void;
}

declare global {
  interface Window {
    pintrk: Pintrk & { queue: unknown[]; version: string; push?: (...calls: unknown[]) => void };
  }
}

export const pintrk: Pintrk;
export function load(tagId: string | number, options?: LoadOptions): void;
export function page(properties?: EventData, callback?: Callback): void;
export function track(name: string, data?: EventData, callback?: Callback): void;
export function set(partner: PartnerData): void;
export function setConsent(given: boolean): void;
