// @ts-check
/** A table of any length: headers that sort, rows that are in the document while they are in sight. */
import { h, setAttribute } from "../ui/dom.js";
import { windowedList } from "../ui/windowed_list.js";
import { t } from "../data/i18n.js";

/** @typedef {import("./peer_lines.js").Sort} Sort
 * @typedef {{id: string, label(): string, px: number, share: number, spare?: number, isSortable: boolean}} Column `spare`: which one
 *   goes first where there is no room
 * @typedef {Record<string, HTMLElement>} Cells by column */

/**
 * @template Item
 * @typedef {{element: HTMLElement, cells: Cells, update(item: Item): void, reset(): boolean}} TableRow
 */

/** A row with a cell for each column. @param {string[]} ids @param {Record<string, any>} [props] */
export function rowOf(ids, props = {}) {
  const cells = Object.fromEntries(ids.map((id) => [id, h("div", { role: "cell", "data-column": id })]));
  return { cells, element: h("div", { class: "orc-tr", role: "row", ...props }, ...Object.values(cells)) };
}

const [GAP_PX, EDGES_PX] = [10, 24]; //: fleet_monitor.css has them too

/** The columns that there is room for: those that cannot be spared in any case. @param {Column[]} columns @param {number} width px, 0 while unknown */
export function fitting(columns, width) {
  const needed = (/** @type {Column[]} */ some) => some.reduce((sum, { px }) => sum + px + GAP_PX, EDGES_PX - GAP_PX);
  let left = columns;
  while (width && needed(left) > width) {
    const [first] = left.filter(({ spare }) => spare).sort((a, b) => (a.spare ?? 0) - (b.spare ?? 0));
    if (!first) break;
    left = left.filter((column) => column !== first);
  }
  return left;
}

/** What a click on a header makes of the order: up, down, as usual. @param {Sort} sort @param {string} column @returns {Sort} */
export function nextSort(sort, column) {
  if (sort?.column !== column) return { column, isUp: true };
  return sort.isUp ? { column, isUp: false } : null;
}

/**
 * @template Item
 * @param {{label: string, columns: Column[], rowPx(): number, keyOf(item: Item): string, createRow(): TableRow<Item>,
 *   redraw(): void}} deps
 */
export function table({ label, columns, rowPx, keyOf, createRow, redraw }) {
  /** @type {Sort} */
  let sort = null;
  /** @type {Set<string>} */
  let shown = new Set(columns.map(({ id }) => id));
  const heads = columns.map((column) => ({ column, element: headOf(column) }));
  const body = h("div", { role: "rowgroup" });
  const grid = h("div", { class: "orc-table", role: "table", "aria-label": label },
    h("div", { class: "orc-thead", role: "rowgroup" }, h("div", { class: "orc-tr", role: "row" }, ...heads.map((head) => head.element))),
    body);
  const element = h("div", { class: "orc-scroll" }, grid);

  function headOf(/** @type {Column} */ { id, label: text, isSortable }) {
    const sorts = isSortable && h("button", {
      type: "button", class: "orc-sort", title: t("Sort by this column"),
      onclick: () => {
        sort = nextSort(sort, id);
        showSort();
        redraw();
      },
    }, text());
    return h("div", { role: "columnheader", "data-column": id }, sorts || text());
  }
  const showSort = () => {
    for (const { column, element: head } of heads) {
      const direction = sort?.column !== column.id ? null : sort.isUp ? "ascending" : "descending";
      setAttribute(head, "aria-sort", direction);
    }
  };
  const showCells = (/** @type {Cells} */ cells) => {
    for (const [id, cell] of Object.entries(cells)) {
      if (cell.hidden === shown.has(id)) cell.hidden = !shown.has(id);
    }
  };
  const rows = windowedList(body, keyOf, () => {
    const row = createRow();
    return {
      element: row.element,
      reset: row.reset,
      update(/** @type {Item} */ item) {
        showCells(row.cells);
        row.update(item);
      },
    };
  }, { usualPx: rowPx, scroller: element });

  let width = 0;
  const resized = new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width === width) return;
    width = contentRect.width;
    redraw();
  });
  resized.observe(element);
  return {
    element,
    get sort() { return sort; },
    /** @param {string[]} ids @param {boolean} isCard where each has a place of its own */
    setColumns(ids, isCard) {
      const wanted = columns.filter(({ id }) => ids.includes(id));
      const left = isCard ? wanted : fitting(wanted, width);
      shown = new Set(left.map(({ id }) => id));
      showCells(Object.fromEntries(heads.map((head) => [head.column.id, head.element])));
      grid.style.setProperty("--orc-columns", left.map(({ px, share }) => (share ? `minmax(${px}px, ${share}fr)` : `${px}px`)).join(" "));
    },
    /** @param {readonly Item[]} items */
    show(items) {
      setAttribute(grid, "aria-rowcount", items.length + 1);
      grid.hidden = !items.length;
      rows.show(items);
    },
    close() {
      resized.disconnect();
      rows.close();
    },
  };
}
