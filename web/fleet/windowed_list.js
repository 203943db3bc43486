// @ts-check
/** A list of any length of which only the rows in sight are in the document, and the one that has the focus. */
import { keyedList, setAttribute } from "./dom.js";
import { offsetsOf, rowsWithin } from "./windowing.js";

const GUESSED_PX = 58;
const SPARE_ROWS = 6;

/**
 * @template Item
 * @param {HTMLElement} list its rows are placed absolutely: see .orc-windowed
 * @param {(item: Item) => string} keyOf
 * @param {() => {element: HTMLElement, update(item: Item): void}} createRow
 */
export function windowedList(list, keyOf, createRow) {
  /** @typedef {{key: string, item: Item, top: number, place: number}} Placed */
  /** @type {Map<string, number>} */
  const heights = new Map();
  /** @type {WeakMap<Element, string>} */
  const keyOfRow = new WeakMap();
  /** @type {Item[]} */
  let items = [];
  /** @type {string[]} */
  let keys = [];
  let offsets = new Float64Array(1);
  let due = 0;
  list.classList.add("orc-windowed");

  const sizes = new ResizeObserver((entries) => {
    let changed = false;
    for (const { target, borderBoxSize } of entries) {
      const key = keyOfRow.get(target);
      const height = borderBoxSize[0]?.blockSize ?? 0;
      if (key === undefined || !height || heights.get(key) === height) continue;
      heights.set(key, height);
      changed = true;
    }
    if (changed) layOut();
  });
  const showRows = keyedList(list, (/** @type {Placed} */ { key }) => key, ({ key }) => {
    const row = createRow();
    keyOfRow.set(row.element, key);
    sizes.observe(row.element);
    return {
      element: row.element,
      update(/** @type {Placed} */ { item, top, place }) {
        row.update(item);
        row.element.style.top = `${top}px`;
        setAttribute(row.element, "aria-posinset", place + 1);
        setAttribute(row.element, "aria-setsize", items.length);
      },
    };
  });

  const draw = () => {
    due = 0;
    const { top } = list.getBoundingClientRect();
    const { first, end } = rowsWithin(offsets, -top, window.innerHeight - top, SPARE_ROWS);
    const placed = [];
    const kept = keptRow();
    if (kept >= 0 && kept < first) placed.push(kept);
    for (let n = first; n < end; n++) placed.push(n);
    if (kept >= end) placed.push(kept);
    showRows(placed.map((n) => ({ key: keys[n], item: items[n], top: offsets[n], place: n })));
  };
  /** Out of sight, but a person is at it: it has the focus, or is being dragged. */
  const keptRow = () => {
    const row = document.activeElement?.closest(".orc-windowed > *") ?? null;
    const busy = row && list.contains(row) ? row : list.querySelector("[data-dragged]");
    const key = busy ? keyOfRow.get(busy) : undefined;
    return key === undefined ? -1 : keys.indexOf(key);
  };
  const layOut = () => {
    offsets = offsetsOf(keys, heights, GUESSED_PX);
    list.style.height = `${offsets[keys.length]}px`;
    draw();
  };
  const soon = () => {
    due ||= requestAnimationFrame(draw);
  };
  // Whatever scrolls around it: the tab, or the whole page.
  document.addEventListener("scroll", soon, { capture: true, passive: true });
  window.addEventListener("resize", soon);

  return {
    show(/** @type {Item[]} */ next) {
      items = next;
      keys = next.map(keyOf);
      if (heights.size > 2 * keys.length + 500) heights.clear();
      layOut();
    },
    close() {
      cancelAnimationFrame(due);
      sizes.disconnect();
      document.removeEventListener("scroll", soon, { capture: true });
      window.removeEventListener("resize", soon);
    },
  };
}
