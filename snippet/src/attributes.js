// <button data-pintrk-event="addtocart" data-pintrk-data='{"product_id":"7"}'>: events without code.
export function onAttribute(then) {
  addEventListener('click', (event) => {
    // The target of a click can be a text node, and inside SVG, or another document's: composedPath knows them all.
    const path = event.composedPath ? event.composedPath() : [event.target];
    const found = path.find((node) => node && node.getAttribute && node.getAttribute('data-pintrk-event'));
    if (!found) return;
    let data = {};
    try { data = JSON.parse(found.getAttribute('data-pintrk-data') || '{}'); } catch { /* not JSON: no data */ }
    then(found.getAttribute('data-pintrk-event'), data);
  }, true);
}
