// @ts-check
/** Which rows of a long list are in sight. Pure: heights that were seen, and a guess for the others. */

/**
 * Where each row begins, and at the end where the list does.
 * @param {string[]} keys @param {Map<string, number>} heights px of rows that were measured
 * @param {number} guess px of the others @returns {Float64Array} one more than `keys`
 */
export function offsetsOf(keys, heights, guess) {
  const offsets = new Float64Array(keys.length + 1);
  for (let n = 0; n < keys.length; n++) offsets[n + 1] = offsets[n] + (heights.get(keys[n]) ?? guess);
  return offsets;
}

/**
 * The rows that touch a stretch of the list.
 * @param {Float64Array} offsets @param {number} from px @param {number} to px @param {number} spare rows before and after
 * @returns {{first: number, end: number}} `end` is the one after the last
 */
export function rowsWithin(offsets, from, to, spare) {
  const count = offsets.length - 1;
  const first = Math.max(0, lastAtOrBefore(offsets, from) - spare);
  return { first: Math.min(first, count), end: Math.min(count, Math.max(first, lastAtOrBefore(offsets, to) + 1 + spare)) };
}

/** @param {Float64Array} offsets @param {number} place */
function lastAtOrBefore(offsets, place) {
  let low = 0;
  let high = offsets.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (offsets[middle] <= place) low = middle;
    else high = middle - 1;
  }
  return low;
}
