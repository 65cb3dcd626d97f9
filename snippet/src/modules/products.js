// A product page's `pagevisit` carries its product: JSON-LD first, then Open Graph, then microdata.
// https://schema.org/Product, https://ogp.me, https://html.spec.whatwg.org/multipage/microdata.html

const content = (element) => (element && (element.getAttribute('content') || element.textContent.trim())) || undefined;

const isProduct = (node) => [].concat(node['@type']).some((type) => /^(https?:\/\/schema\.org\/)?Product(Group)?$/.test(type));

const search = (node, depth) => {
  if (!node || typeof node != 'object' || depth > 4) return;
  if (isProduct(node)) return node;
  // A category's products are not the page's.
  if (/List$/.test(node['@type'])) return;
  return Object.values(node).map((one) => search(one, depth + 1)).find(Boolean);
};

const parsed = (script) => {
  try {
    // Comments around it, and lines that break in the middle of a text, are what templates often leave.
    return search(JSON.parse(script.textContent.replace(/\s+|<!--|-->|\/[/*]\s*(<!\[CDATA\[|]]>)(\s*\*\/)?/g, ' ')), 0);
  } catch (_) {
    // Shops' JSON-LD is often broken: the next source is asked.
  }
};

const linked = () => {
  const product = [...document.querySelectorAll('script[type="application/ld+json"]')].map(parsed).find(Boolean);
  if (!product) return;
  // Of a group of variants the first one's; of a summary without a price, the first offer in it.
  const variant = [].concat(product.hasVariant)[0];
  const outer = [].concat(product.offers || variant?.offers)[0] || {};
  const offer = { ...[].concat(outer.offers)[0], ...outer };
  const price = [].concat(offer.priceSpecification)[0] || {};
  return {
    product_id: product.sku || product.productID || product.productGroupID || product.mpn || product['@id'],
    product_name: product.name,
    product_brand: product.brand && (product.brand.name || product.brand),
    product_category: product.category,
    product_price: offer.price ?? offer.lowPrice ?? price.price,
    currency: offer.priceCurrency || price.priceCurrency,
  };
};

const graph = () => {
  const meta = (name) => content(document.querySelector(`meta[property="${name}"]`));
  const id = meta('product:retailer_item_id');
  if (!id && !/^(og:)?product/.test(meta('og:type'))) return;
  return {
    product_id: id,
    product_name: meta('og:title'),
    product_brand: meta('product:brand'),
    product_price: meta('product:price:amount') || meta('og:price:amount'),
    currency: meta('product:price:currency') || meta('og:price:currency'),
  };
};

const micro = () => {
  const scopes = [...document.querySelectorAll('[itemtype$="schema.org/Product"]')];
  const scope = scopes.find((one) => !one.closest('[itemtype$="List"]'));
  if (!scope) return;
  // Of the product itself or of its offer: what hangs on a review or on a related product is another's.
  const belongs = (one) => {
    const holder = one.parentNode.closest('[itemscope]');
    return holder == scope || (/Offer$/.test(holder.getAttribute('itemtype')) && belongs(holder));
  };
  const own = (name) => content([...scope.querySelectorAll(`[itemprop="${name}"]`)].find(belongs));
  return {
    product_id: own('sku') || own('productID'),
    product_name: own('name'),
    product_brand: own('brand'),
    product_price: own('price') || own('lowPrice'),
    currency: own('priceCurrency'),
  };
};

/** What the page says is its product, or undefined. */
export const product = () => linked() || graph() || micro();

const read = ({ ed }) => {
  const { currency, ...item } = product() || {};
  if (!item.product_id && !item.product_name) return;
  ed.line_items = [item];
  ed.currency ||= currency;
};

/** A page that is still being read may hold its product further down: the event waits for it. */
const parsedPage = () =>
  new Promise((resolve) =>
    document.readyState == 'loading' ? document.addEventListener('DOMContentLoaded', resolve) : resolve(),
  );

export const start = (api) =>
  api.enrich.push((event) => {
    const { ed } = event;
    if (!/^\s*page\s*_?visit\s*$/i.test(event.event) || ed.product_id || ed.line_items) return;
    return parsedPage().then(() => read(event));
  });
