// A product page's `pagevisit` carries its product: JSON-LD first, then Open Graph, then microdata.
// https://schema.org/Product, https://ogp.me, https://html.spec.whatwg.org/multipage/microdata.html

const text = (selector, attribute) => {
  const found = document.querySelector(selector);
  return (found && (found.getAttribute(attribute || 'content') || found.textContent.trim())) || undefined;
};

const isProduct = (node) => node && [].concat(node['@type']).some((type) => /^(https?:\/\/schema\.org\/)?Product(Group)?$/.test(type));

const search = (node, depth) => {
  if (!node || typeof node != 'object' || depth > 4) return;
  if (isProduct(node)) return node;
  return Object.values(node).map((one) => search(one, depth + 1)).find(Boolean);
};

const linked = () => {
  for (const script of document.querySelectorAll('script[type="application/ld+json"]')) {
    try {
      const product = search(JSON.parse(script.textContent), 0);
      if (!product) continue;
      const offer = [].concat(product.offers || {})[0];
      return {
        product_id: product.sku || product.productID || product.mpn || product['@id'],
        product_name: product.name,
        product_brand: product.brand && (product.brand.name || product.brand),
        product_category: product.category,
        product_price: offer.price || offer.lowPrice,
        currency: offer.priceCurrency,
      };
    } catch (_) {
      // Shops' JSON-LD is often broken: the next source is asked.
    }
  }
};

const graph = () =>
  text('meta[property="og:type"]') == 'product' || text('meta[property="product:retailer_item_id"]')
    ? {
        product_id: text('meta[property="product:retailer_item_id"]'),
        product_name: text('meta[property="og:title"]'),
        product_brand: text('meta[property="product:brand"]'),
        product_price: text('meta[property="product:price:amount"]'),
        currency: text('meta[property="product:price:currency"]'),
      }
    : undefined;

const micro = () => {
  const scope = '[itemtype$="schema.org/Product"] ';
  if (!document.querySelector(scope)) return;
  return {
    product_id: text(scope + '[itemprop="sku"]'),
    product_name: text(scope + '[itemprop="name"]'),
    product_brand: text(scope + '[itemprop="brand"]'),
    product_price: text(scope + '[itemprop="price"]'),
    currency: text(scope + '[itemprop="priceCurrency"]'),
  };
};

/** What the page says is its product, or undefined. */
export const product = () => linked() || graph() || micro();

export const start = (api) =>
  api.enrich.push((event) => {
    const { ed } = event;
    if (event.event != 'pagevisit' || ed.product_id || ed.line_items) return;
    const { currency, ...item } = product() || {};
    if (!item.product_id && !item.product_name) return;
    ed.line_items = [item];
    if (currency && !ed.currency) ed.currency = currency;
  });
