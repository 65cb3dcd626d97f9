// Outbound clicks and form submits without code. What is in a form's fields is never read.

const { getAttribute } = Element.prototype;

const outbound = (event) => {
  const link = event.composedPath().find((one) => one instanceof HTMLAnchorElement && one.href);
  if (!link || link.hasAttribute('data-retag') || link.host == location.host || !/^http/.test(link.protocol)) return;
  return ['outbound', { link: link.origin + link.pathname }];
};

const submit = (event) => {
  const form = event.composedPath()[0];
  if (!(form instanceof HTMLFormElement) || getAttribute.call(form, 'data-retag')) return;
  return ['form_submit', { form: getAttribute.call(form, 'id') || getAttribute.call(form, 'name') || undefined }];
};

export const start = () => {
  const hear = (name, read) =>
    addEventListener(
      name,
      (event) => {
        try {
          const found = read(event);
          if (found) window.pintrk('track', ...found);
        } catch (_) {
          // The page has taken `pintrk` away: that is no error of its own.
        }
      },
      true,
    );
  hear('click', outbound);
  // The middle button opens a link, the others do not.
  hear('auxclick', (event) => event.button == 1 && outbound(event));
  hear('submit', submit);
};
