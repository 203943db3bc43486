// @ts-check
/** Says what happens again and again at a pace that a page can follow. */

/** Calls `tell` at once, and for what follows closely no more than once in `everyMs`.
 * @param {() => void} tell @param {number} everyMs @returns {() => void} */
export function paced(tell, everyMs) {
  let toldAt = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const now = () => {
    timer = undefined;
    toldAt = performance.now();
    tell();
  };
  return () => {
    if (timer !== undefined) return;
    const wait = toldAt + everyMs - performance.now();
    if (wait <= 0) now();
    else timer = setTimeout(now, wait);
  };
}
