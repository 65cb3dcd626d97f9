/** An address with the route of a hash router as a part of its path; what a route is asked with is left out. */
export const routed = (address) => address.replace(/^([^?#]*)([^#]*)#(!?\/[^?]*).*/, '$1%23$3$2');
