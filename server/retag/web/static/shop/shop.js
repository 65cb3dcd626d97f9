// A shop small enough to read. It calls pintrk as any shop would.
const GOODS = {
  7: { name: 'Parker boots', category: 'Shoes', price: 199.98, photo: '🥾' },
  11: { name: 'Pillow, set of 2', category: 'Home', price: 48, photo: '🛏️' },
  15: { name: 'Quilting kit', category: 'Crafts', price: 68.5, photo: '🧵' },
  21: { name: 'Straw hat', category: 'Clothing', price: 25, photo: '👒' },
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
      `<li>${GOODS[id].photo} <a href="product.html?id=${id}">${GOODS[id].name}</a><br>${GOODS[id].price} EUR</li>`).join('');
    pintrk('track', 'viewcategory', { product_category: 'All' });
  },
  product() {
    const id = new URLSearchParams(location.search).get('id');
    const good = GOODS[id];
    if (!good) return;
    const link = location.href;
    byId('name').textContent = document.title = good.name;
    byId('price').textContent = `${good.price} EUR`;
    byId('photo').textContent = good.photo;
    pintrk('track', 'pagevisit', { ...item(id), currency: 'EUR' });
    byId('photo').onclick = () => { byId('photo').classList.toggle('near'); pintrk('track', 'closeup', { pin_id: id, link }); };
    for (const name of ['save', 'like']) byId(name).onclick = () => pintrk('track', name, { pin_id: id, link });
    byId('comment').onsubmit = (event) => { event.preventDefault(); event.target.reset(); pintrk('track', 'comment', { pin_id: id, link }); };
    byId('add').onclick = () => {
      sessionStorage.cart = JSON.stringify([...cart(), id]);
      byId('added').hidden = false;
      pintrk('track', 'addtocart', { value: good.price, order_quantity: 1, currency: 'EUR', line_items: [item(id)] });
    };
  },
  cart() {
    byId('lines').innerHTML = cart().map((id) => `<li>${GOODS[id].name}, ${GOODS[id].price} EUR</li>`).join('') || '<li>Nothing yet.</li>';
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
