// The viewport, for tags whose `viewport` is set. Reading `innerWidth` forces a layout in frames and on phones, whose
// viewport follows the page's content; there `outerWidth`, which forces none, says as much.

const size = () =>
  window != top || navigator.userAgentData?.mobile
    ? { vw: outerWidth, vh: outerHeight }
    : { vw: innerWidth, vh: innerHeight };

export const start = (api) => api.enrich.push(({ ad }) => void Object.assign(ad, size()));
