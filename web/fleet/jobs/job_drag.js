// @ts-check
/** Moving a waiting job in the queue with the pointer. The keyboard's way is in queue_controls.js. */
import { h, setAttribute } from "../ui/dom.js";
import { t } from "../data/i18n.js";

const KIND = "application/x-orc-job";

/** What a waiting row is taken by. @param {HTMLElement} row @param {() => string} jobId */
export function dragGrip(row, jobId) {
  return h("span", {
    class: "orc-grip", draggable: "true", title: t("Drag to reorder"), "aria-hidden": "true",
    ondragstart: (/** @type {DragEvent} */ event) => {
      event.dataTransfer?.setData(KIND, jobId());
      if (event.dataTransfer) event.dataTransfer.effectAllowed = "move";
      event.dataTransfer?.setDragImage(row, 8, 8);
      row.dataset.dragged = jobId();
      event.stopPropagation();
    },
    ondragend: () => delete row.dataset.dragged,
  }, h("i", { class: "pi pi-bars" }));
}

/**
 * Whom the dragged job goes before.
 * @param {string[]} line ids, the next first @param {string} dragged @param {string} over @param {boolean} after
 * @returns {string | null} "" for the end, null where nothing would change
 */
export function dropTarget(line, dragged, over, after) {
  const others = line.filter((id) => id !== dragged);
  const place = others.indexOf(over);
  if (place < 0) return null;
  const before = others[place + (after ? 1 : 0)] ?? "";
  return before === (line[line.indexOf(dragged) + 1] ?? "") ? null : before;
}

/**
 * Lets rows of a list be dropped between others.
 * @param {HTMLElement} list @param {(row: Element) => string} jobIdOf "" for one that does not wait
 * @param {(dragged: string, over: string, after: boolean) => void} onDrop
 */
export function dropZone(list, jobIdOf, onDrop) {
  /** @type {Element | null} */
  let marked = null;
  const mark = (/** @type {Element | null} */ row, /** @type {string} */ side) => {
    if (marked && marked !== row) setAttribute(marked, "data-drop", null);
    marked = row;
    if (row) setAttribute(row, "data-drop", side);
  };
  const isOurs = (/** @type {DragEvent} */ event) => Boolean(event.dataTransfer?.types.includes(KIND));
  const place = (/** @type {DragEvent} */ event) => {
    const row = event.target instanceof Element ? event.target.closest(".orc-windowed > *") : null;
    if (!row || !list.contains(row) || !jobIdOf(row)) return null;
    const { top, height } = row.getBoundingClientRect();
    return { row, after: event.clientY > top + height / 2 };
  };
  list.addEventListener("dragover", (event) => {
    if (!isOurs(event)) return;
    const at = place(event);
    mark(at?.row ?? null, at?.after ? "after" : "before");
    if (!at) return;
    event.preventDefault();
    event.stopPropagation();
  });
  list.addEventListener("dragleave", (event) => {
    if (!(event.relatedTarget instanceof Node && list.contains(event.relatedTarget))) mark(null, "");
  });
  list.addEventListener("drop", (event) => {
    const at = isOurs(event) ? place(event) : null;
    mark(null, "");
    if (!at) return;
    event.preventDefault();
    event.stopPropagation();
    onDrop(event.dataTransfer?.getData(KIND) ?? "", jobIdOf(at.row), at.after);
  });
}
