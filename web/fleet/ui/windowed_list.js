// @ts-check
/** A list of any length of which only the rows in sight are in the document, and the one that has the focus. */
import { setAttribute } from "./dom.js";
import { offsetsOf, rowsWithin } from "./windowing.js";

const GUESSED_PX = 60;
const SPARE_ROWS = 6;
const NEW_ROWS_A_FRAME = 4; //: a screenful at once would hold up the page
const SETTLED_MS = 150; //: after the last scrolling
const MOVES_A_FRAME = 6; //: of rows within the document
const DRAGGED = ":scope > [data-dragged]"; //: it falls out of the hand when it is moved within the document

/** Where a list begins, and between which heights it can be seen, in px of the window.
 * @typedef {{top: number, from: number, to: number}} Sight */

/** Lists that are drawn at the next frame: all are measured before one is changed, or each would lay out the page.
 * @type {Set<{measure(): Sight, draw(sight: Sight): void}>} */
const due = new Set();
let frame = 0;

function drawDue() {
  frame = 0;
  const lists = [...due].map((list) => ({ list, sight: list.measure() }));
  due.clear();
  for (const { list, sight } of lists) list.draw(sight);
}

/**
 * A row serves one item after the other. `reset` forgets what a person did to it; false: it cannot, it is at work.
 * @template Item
 * @typedef {{element: HTMLElement, update(item: Item): void, reset(): boolean}} WindowedRow
 */

/**
 * @template Item
 * @param {HTMLElement} list its rows are placed absolutely: see .orc-windowed
 * @param {(item: Item) => string} keyOf
 * @param {(kind: string) => WindowedRow<Item>} createRow
 * @param {{usualPx?: () => number, scroller?: HTMLElement, kindOf?: (item: Item) => string}} [more] how high a row is that
 *   was never seen; what cuts the list off besides the window; a row serves items of its kind alone
 */
export function windowedList(list, keyOf, createRow, { usualPx = () => GUESSED_PX, scroller, kindOf = () => "" } = {}) {
  /** @type {Map<string, number>} */
  const heights = new Map();
  /** @type {WeakMap<Element, string>} */
  const keyOfRow = new WeakMap();
  /** @typedef {{row: WindowedRow<Item>, kind: string, place: number, item: Item | null, turn: number}} Shown */
  /** @type {Map<string, Shown>} */
  const shown = new Map();
  /** @type {Shown[]} */
  const spare = [];
  /** @type {readonly Item[]} */
  let items = [];
  let turn = 0; //: of `show`: what a row says may depend on more than its item
  /** @type {string[]} */
  let keys = [];
  let offsets = new Float64Array(1);
  let scrolled = 0; //: the timer, while somebody scrolls
  let settling = 0; //: the frame in which more rows are put in order
  let isLaidOut = false; //: the first frame has its hands full with the page around it
  list.classList.add("orc-windowed");

  const sizes = new ResizeObserver((entries) => {
    let changed = false;
    for (const { target, borderBoxSize } of entries) {
      const key = keyOfRow.get(target);
      const height = borderBoxSize[0]?.blockSize ?? 0;
      if (key === undefined || !height || heights.get(key) === height) continue;
      changed ||= height !== (heights.get(key) ?? usualPx());
      heights.set(key, height);
    }
    if (!changed) return;
    layOut();
    for (const { row, place } of shown.values()) setTop(row.element, offsets[place]);
    soon();
  });
  const put = (/** @type {Shown} */ entry, /** @type {number} */ place) => {
    const { element } = entry.row;
    if (entry.item !== items[place] || entry.turn !== turn) entry.row.update(items[place]);
    entry.item = items[place];
    entry.turn = turn;
    entry.place = place;
    setTop(element, offsets[place]);
    if (element.getAttribute("role") === "row") setAttribute(element, "aria-rowindex", place + 2); // the header is the first
    else {
      setAttribute(element, "aria-posinset", place + 1);
      setAttribute(element, "aria-setsize", items.length);
    }
    return entry;
  };
  const takeSpare = (/** @type {string} */ kind) => {
    const at = spare.findIndex((entry) => entry.kind === kind); // what leaves first comes in first: the order lasts
    return at < 0 ? null : spare.splice(at, 1)[0];
  };
  const takeRow = (/** @type {string} */ key, /** @type {string} */ kind) => {
    const entry = shown.get(key) ?? takeSpare(kind) ?? { row: createRow(kind), kind, place: 0, item: null, turn };
    const { element } = entry.row;
    if (keyOfRow.get(element) !== key) {
      // Measured again for its new item: of a row that only kept its size the observer would say nothing.
      sizes.unobserve(element);
      sizes.observe(element);
      keyOfRow.set(element, key);
    }
    shown.set(key, entry);
    return entry;
  };
  const showRows = (/** @type {number[]} */ places) => {
    const wanted = new Set(places.map((place) => keys[place]));
    for (const [key, entry] of shown) {
      if (wanted.has(key)) continue;
      shown.delete(key);
      if (entry.row.reset()) spare.push(entry);
      else entry.row.element.remove();
    }
    let room = spare.length + (isLaidOut ? NEW_ROWS_A_FRAME : 0);
    isLaidOut = true;
    for (const place of places) {
      if (!shown.has(keys[place]) && --room < 0) {
        soon();
        continue;
      }
      const { row } = put(takeRow(keys[place], kindOf(items[place])), place);
      if (row.element.parentNode !== list) list.append(row.element);
    }
    for (const { row } of spare) row.element.remove();
  };
  /** Rows are placed by their tops. Which comes first for a keyboard or a screen reader is seen to when the scrolling
   * ends: to move an element costs as much as to make it. @returns {boolean} whether `most` moves were enough */
  const order = (most = Infinity) => {
    if (list.querySelector(DRAGGED)) return false;
    const focused = document.activeElement;
    let moves = 0;
    /** @type {ChildNode | null} */
    let next = list.firstChild;
    for (const { row } of [...shown.values()].sort((a, b) => a.place - b.place)) {
      if (row.element === next) next = next.nextSibling;
      else if (++moves > most) break;
      else list.insertBefore(row.element, next);
    }
    // Moving an element takes its focus away.
    const lost = focused instanceof HTMLElement && list.contains(focused) && document.activeElement !== focused;
    if (lost) focused.focus({ preventScroll: true });
    return moves <= most;
  };
  const settle = () => {
    settling = order(MOVES_A_FRAME) ? 0 : requestAnimationFrame(settle);
  };

  const self = {
    measure() {
      const { top } = list.getBoundingClientRect();
      const cut = scroller?.getBoundingClientRect();
      return { top, from: Math.max(0, cut?.top ?? 0), to: Math.min(window.innerHeight, cut?.bottom ?? Infinity) };
    },
    draw(/** @type {Sight} */ { top, from, to }) {
      const { first, end } = rowsWithin(offsets, from - top, to - top, SPARE_ROWS);
      const places = [];
      const kept = keptRow();
      if (kept >= 0 && kept < first) places.push(kept);
      for (let place = first; place < end; place++) places.push(place);
      if (kept >= end) places.push(kept);
      showRows(places);
      if (!(scrolled || settling) || list.contains(document.activeElement)) order();
    },
  };
  /** Out of sight, but a person is at it: it has the focus, or is being dragged. */
  const keptRow = () => {
    const row = document.activeElement?.closest(".orc-windowed > *") ?? null;
    const busy = row && list.contains(row) ? row : list.querySelector(DRAGGED);
    const key = busy ? keyOfRow.get(busy) : undefined;
    return key === undefined ? -1 : keys.indexOf(key);
  };
  const layOut = () => {
    offsets = offsetsOf(keys, heights, usualPx());
    const height = `${offsets[keys.length]}px`;
    if (list.style.height !== height) list.style.height = height;
  };
  const soon = () => {
    due.add(self);
    frame ||= requestAnimationFrame(drawDue);
  };
  const follow = () => {
    clearTimeout(scrolled);
    scrolled = setTimeout(() => {
      scrolled = 0;
      settling ||= requestAnimationFrame(settle);
    }, SETTLED_MS);
    soon();
  };
  // Whatever scrolls around it: the tab, or the whole page.
  document.addEventListener("scroll", follow, { capture: true, passive: true });
  window.addEventListener("resize", soon);

  return {
    show(/** @type {readonly Item[]} */ next) {
      items = next;
      turn += 1;
      keys = next.map(keyOf);
      if (heights.size > 2 * keys.length + 500) heights.clear();
      layOut();
      soon();
    },
    close() {
      due.delete(self);
      sizes.disconnect();
      clearTimeout(scrolled);
      cancelAnimationFrame(settling);
      document.removeEventListener("scroll", follow, { capture: true });
      window.removeEventListener("resize", soon);
    },
  };
}

/** @param {HTMLElement} element @param {number} top px */
function setTop(element, top) {
  const wanted = `${top}px`;
  if (element.style.top !== wanted) element.style.top = wanted;
}
