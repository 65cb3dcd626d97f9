// Debug mode: who is loaded, what consent says, and what the page's policy blocked. Imported when asked for.

export const start = (api, config) => {
  const say = (...words) => console.log('retag:', ...words);
  say('tags in this file:', Object.keys(config).filter((key) => /^\d+$/.test(key)).join(', ') || 'none');
  say('consent:', { true: 'given', false: 'denied' }[api.state.given] || 'unknown');
  if (navigator.globalPrivacyControl) say('the browser sends Global Privacy Control: nothing is reported');
  if (!crypto.subtle) say('no crypto.subtle without https: raw e-mail addresses are not sent');
  document.addEventListener('securitypolicyviolation', (event) =>
    say('blocked by', event.effectiveDirective, event.blockedURI, '- allow this server in connect-src and img-src'),
  );
};
