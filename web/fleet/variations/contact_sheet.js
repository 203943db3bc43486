// @ts-check
/** The results of one request beside each other, live: by rows and columns where two things were varied. */
import { h, setAttribute, setChildren, setOptionalText, setText } from "../ui/dom.js";
import { clock, plural, t } from "../data/i18n.js";
import { sheetCell } from "./sheet_cell.js";
import { batchesOf, captionOf, labelOf, namesOf, sheetOf, tallyOf } from "./sheet_layout.js";
import { isFinal } from "../data/store.js";

/** @typedef {import("../data/api.js").Job} Job @typedef {import("./sheet_layout.js").Sheet} Sheet
 * @typedef {{workflow: any, prompt: Record<string, any>}} Graph */

/**
 * @param {{api: import("../data/api.js").FleetApi, store: import("../data/store.js").FleetStore, batchId: string,
 *   baseOf(batchId: string): Graph | undefined, openGraph(graph: Graph, name: string): Promise<void>,
 *   save(sheet: Sheet, names: Record<string, string>, base: Graph | null, dialog: HTMLElement): Promise<void>}} deps
 *   `baseOf`: the graph before it was varied, where this page still has it
 * @returns {HTMLDialogElement} not yet shown; it removes itself when it closes
 */
export function contactSheet({ api, store, batchId, baseOf, openGraph, save }) {
  const controller = new AbortController();
  let shown = batchId;
  /** @type {Graph | null} */
  let base = null;
  /** @type {Record<string, string>} */
  let names = {};
  /** @type {Map<string, ReturnType<typeof sheetCell>>} */
  let cells = new Map();
  /** @type {Sheet} */
  let sheet;

  const tally = h("span", { class: "orc-muted", role: "status" });
  const failure = h("p", { class: "orc-error", role: "alert", hidden: true });
  const place = h("div", { class: "orc-scroll orc-sheet" });
  const which = h("select", { class: "orc-choice", "aria-label": t("Which contact sheet"), onchange: () => take(which.value) });
  const saveButton = h("button", { type: "button", class: "orc-button", onclick: () => attempt(() => save(sheet, names, base, dialog)) },
    t("Save as picture"));

  const attempt = async (/** @type {() => Promise<unknown>} */ act) => {
    setOptionalText(failure, "");
    try {
      await act();
    } catch (error) {
      setOptionalText(failure, /** @type {Error} */ (error).message);
    }
  };
  const open = (/** @type {Job} */ job, /** @type {string} */ caption) => attempt(async () => {
    await openGraph(await api.graphOf(job.job_id), caption);
    dialog.close();
  });
  const retry = (/** @type {Job} */ job) => attempt(() => api.retryJob(job.job_id, {}));
  const take = async (/** @type {string} */ id) => {
    shown = id;
    cells = new Map();
    delete place.dataset.orcShows;
    base = baseOf(id) ?? null;
    names = {};
    render();
    await attempt(async () => {
      const first = sheet.cells[0]?.job;
      const graph = base ?? (first ? await api.graphOf(first.job_id) : null);
      if (shown !== id) return;
      base = graph;
      delete place.dataset.orcShows;
      render();
    });
  };

  const render = () => {
    sheet = sheetOf(store.jobs, shown);
    names = namesOf(sheet.varied.map(({ address }) => address), base?.prompt ?? {});
    setText(tally, tallyOf(sheet));
    saveButton.disabled = !sheet.cells.some(({ job }) => isFinal(job));
    for (const cell of sheet.cells) {
      const key = String(cell.index);
      if (!cells.has(key)) cells.set(key, sheetCell(api, { open, retry }));
      cells.get(key)?.show(cell, captionOf(sheet, cell, names), !sheet.rows);
    }
    const signature = JSON.stringify([shown, sheet.cells.map(({ index }) => index), sheet.varied]);
    setChildren(place, signature, () => [sheet.rows ? table() : flow()]);
    const batches = batchesOf(store.jobs);
    setChildren(which, batches.map(({ id, count }) => `${id} ${count}`).join(), () => batches.map(({ id, count, at }) =>
      h("option", { value: id, selected: id === shown },
        plural(count, "{time}, {count} job", "{time}, {count} jobs", { time: clock(at) }))));
    which.hidden = batches.length < 2;
  };
  const elementOf = (/** @type {{index: number}} */ { index }) => cells.get(String(index))?.element ?? h("span");
  const flow = () => h("ol", { class: "orc-flow" }, ...sheet.cells.map((cell) => h("li", {}, elementOf(cell))));
  const table = () => {
    const { rows, columns } = sheet;
    if (!rows || !columns) return flow();
    const width = columns.values.length;
    const title = (/** @type {unknown} */ value) => ({ title: String(value) });
    return h("table", {},
      h("thead", {}, h("tr", {},
        h("td", { class: "orc-corner" }, `${names[rows.address]} ↓ ${names[columns.address]} →`),
        ...columns.values.map((value) => h("th", { scope: "col", ...title(value) }, labelOf(value))))),
      h("tbody", {}, ...rows.values.map((value, row) => h("tr", {},
        h("th", { scope: "row", ...title(value) }, labelOf(value)),
        ...sheet.cells.slice(row * width, (row + 1) * width).map((cell) => h("td", {}, elementOf(cell)))))));
  };

  const dialog = h("dialog", {
    class: "orc-panel orc-contact", "aria-label": t("Contact sheet"),
    onclose: () => { controller.abort(); dialog.remove(); },
  },
    h("header", { class: "orc-panel-head" }, h("h2", {}, t("Contact sheet")), tally, which, saveButton,
      h("button", { type: "button", class: "orc-button", onclick: () => dialog.close() }, t("Close"))),
    failure, place, h("p", { class: "orc-muted orc-hint" }, t("Click a picture to open its workflow.")));
  setAttribute(dialog, "data-batch", batchId);
  store.addEventListener("jobs", render, { signal: controller.signal });
  take(batchId);
  return dialog;
}
