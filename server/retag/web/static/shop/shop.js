// A shop small enough to read. It calls pintrk as any shop would.
const picture = (shapes) => `<svg viewBox="0 0 96 88" aria-hidden="true">${shapes}</svg>`;
const GOODS = {
  7: { name: 'Parker boots', category: 'Shoes', price: 199.98, photo: picture('<path d="M22 12h20v32l22 10c6 3 8 6 8 12H22z" fill="#8a5a3b"/><path d="M20 68h54v6H20z" fill="#3b2a20"/><path d="M22 20h20M26 30h16" stroke="#f3e6d8" stroke-width="3"/>') },
  11: { name: 'Pillow, set of 2', category: 'Home', price: 48, photo: picture('<path d="M14 34q34-14 68 0 6 18 0 36-34 12-68 0-6-18 0-36z" fill="#d9e3ea"/><path d="M20 22q28-10 56 0 5 12 0 22-28 8-56 0-5-12 0-22z" fill="#a9bfcd"/>') },
  15: { name: 'Quilting kit', category: 'Crafts', price: 68.5, photo: picture('<path d="M30 14h36v8H30zM30 66h36v8H30z" fill="#c59a6d"/><path d="M34 22h28v44H34z" fill="#b3402e"/><path d="M34 30h28M34 38h28M34 46h28M34 54h28" stroke="#e7a79b" stroke-width="2"/><path d="M62 60q16 0 20 20" fill="none" stroke="#b3402e" stroke-width="2"/>') },
  21: { name: 'Straw hat', category: 'Clothing', price: 25, photo: picture('<ellipse cx="48" cy="60" rx="40" ry="12" fill="#d8b563"/><path d="M26 58q0-34 22-34t22 34q-22 8-44 0z" fill="#e6c97f"/><path d="M26 52q22 10 44 0v6q-22 10-44 0z" fill="#4d6b57"/>') },
};
const byId = (id) => document.getElementById(id);
const cart = () => JSON.parse(sessionStorage.cart || '[]');
const item = (id, quantity = 1) => ({
  product_id: String(id), product_name: GOODS[id].name, product_category: GOODS[id].category,
  product_price: GOODS[id].price, product_quantity: quantity,
});
const order = () => {
  const items = cart();
  return {
    value: items.reduce((sum, id) => sum + GOODS[id].price, 0), order_quantity: items.length, currency: 'EUR',
    line_items: items.map((id) => item(id)),
  };
};

const PAGES = {
  index() {
    byId('goods').innerHTML = Object.keys(GOODS).map((id) =>
      `<li><span class="picture">${GOODS[id].photo}</span><a href="product.html?id=${id}">${GOODS[id].name}</a><br>${GOODS[id].price.toFixed(2)} EUR</li>`).join('');
    pintrk('track', 'viewcategory', { product_category: 'All' });
  },
  product() {
    const id = new URLSearchParams(location.search).get('id');
    const good = GOODS[id];
    if (!good) return location.replace('index.html');
    const link = location.href;
    byId('name').textContent = document.title = good.name;
    byId('price').textContent = `${good.price.toFixed(2)} EUR`;
    byId('photo').innerHTML = good.photo;
    pintrk('track', 'pagevisit', { ...item(id), currency: 'EUR' });
    byId('photo').onclick = () => { byId('photo').classList.toggle('near'); pintrk('track', 'closeup', { pin_id: id, link }); };
    for (const [name, done] of [['save', 'Saved'], ['like', 'Liked']]) byId(name).onclick = () => {
      byId(name).ariaPressed = 'true';
      byId(name).textContent = done;
      pintrk('track', name, { pin_id: id, link });
    };
    byId('comment').onsubmit = (event) => {
      event.preventDefault();
      const said = document.createElement('li');
      said.textContent = event.target.text.value;
      byId('comments').append(said);
      event.target.reset();
      pintrk('track', 'comment', { pin_id: id, link });
    };
    byId('add').onclick = () => {
      sessionStorage.cart = JSON.stringify([...cart(), id]);
      byId('added').hidden = false;
      pintrk('track', 'addtocart', { value: good.price, order_quantity: 1, currency: 'EUR', line_items: [item(id)] });
    };
  },
  cart() {
    byId('lines').innerHTML = cart().map((id) => `<li>${GOODS[id].name}<span>${GOODS[id].price.toFixed(2)} EUR</span></li>`).join('') || '<li>Nothing yet.</li>';
    byId('total').textContent = `${order().value.toFixed(2)} EUR`;
    byId('buy').disabled = !cart().length;
    byId('order').onsubmit = (event) => {
      event.preventDefault();
      const email = byId('email').value;
      if (email) pintrk('set', { em: email });
      pintrk('track', 'checkout', { ...order(), order_id: `D-${Date.now()}` });
      sessionStorage.cart = '[]';
      location.href = 'thanks.html';
    };
  },
  thanks() {},
};
PAGES[document.body.dataset.page]();
