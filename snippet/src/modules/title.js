// The page's title, for tags whose `title` is set.

export const start = (api) => api.enrich.push((event) => void (event.ad.title = document.title));
