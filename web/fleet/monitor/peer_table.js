// @ts-check
/** The peers, one line each, busy first. A click on one shows its jobs alone. */
import { fillingBar } from "../ui/bar.js";
import { h, setAttribute, setOptionalText, setText } from "../ui/dom.js";
import { jobTitle, gigabytes, memory } from "../ui/format.js";
import { t } from "../data/i18n.js";
import { peerLines, sortedLines } from "./peer_lines.js";
import { rowOf, table } from "./table.js";
import { shareOf } from "./work.js";
import { stripColours, workStrip } from "./work_strip.js";

/** @typedef {import("./peer_lines.js").PeerLine} PeerLine
 * @typedef {{store: import("../data/store.js").FleetStore, work: ReturnType<typeof import("./work.js").followWork>,
 *   isNarrow(): boolean, chosen(): string, choose(peerId: string): void}} Deps `chosen`: whose jobs are shown, "" for all */

const COLUMNS = [
  { id: "name", label: () => t("Peer"), px: 100, share: 1.2, isSortable: true },
  { id: "state", label: () => t("State"), px: 84, share: 0.9, isSortable: true },
  { id: "job", label: () => t("Job"), px: 100, share: 2, isSortable: false },
  { id: "progress", label: () => t("Progress"), px: 70, share: 0.8, spare: 1, isSortable: false },
  { id: "memory", label: () => t("Free VRAM (GB)"), px: 104, share: 0.8, spare: 2, isSortable: true },
  { id: "done", label: () => t("Done"), px: 50, share: 0.35, spare: 3, isSortable: true },
  { id: "failed", label: () => t("Failed"), px: 52, share: 0.35, isSortable: true },
  { id: "busy", label: () => t("At work"), px: 142, share: 0.8, isSortable: true },
];
const ROW_PX = 30;
const CARD_PX = 84;

/** @param {Deps} deps */
export function peerTable(deps) {
  const { store, work } = deps;
  /** @type {string[]} */
  let order = [];
  const colours = stripColours();
  let palette = { busy: "", failed: "" };
  /** @type {unknown} */
  let counted;
  const rows = table({
    label: t("Peers"), columns: COLUMNS, rowPx: () => (deps.isNarrow() ? CARD_PX : ROW_PX),
    keyOf: (/** @type {PeerLine} */ line) => line.id, createRow: () => peerRow(deps, () => palette),
    redraw() {
      order = [];
      draw();
    },
  });
  rows.element.append(colours.element);
  // Nothing moves away under a pointer that is about to click.
  let isPointedAt = false;
  rows.element.addEventListener("pointerover", ({ target }) => {
    isPointedAt = target instanceof Element && target.closest("[role=cell]") !== null;
  });
  rows.element.addEventListener("pointerleave", () => {
    isPointedAt = false;
    draw();
  });
  const draw = () => {
    const lines = peerLines(store, work.of);
    const sorted = sortedLines(lines, rows.sort, isPointedAt ? order : []);
    order = sorted.map(({ id }) => id);
    if (counted !== work.all) palette = colours.read(); // reading them takes the page's styles to be up to date
    counted = work.all;
    rows.setColumns(COLUMNS.map(({ id }) => id), deps.isNarrow());
    rows.show(sorted);
  };
  return { element: rows.element, draw, close: rows.close };
}

/** @param {Deps} deps @param {() => import("./work_strip.js").Colours} palette */
function peerRow({ work, chosen, choose }, palette) {
  /** @type {PeerLine} */
  let line;
  const toggle = () => choose(chosen() === line.id ? "" : line.id);
  const { element, cells } = rowOf(COLUMNS.map(({ id }) => id), {
    onclick: (/** @type {MouseEvent} */ event) => {
      if (!(event.target instanceof Element && event.target.closest("button, a"))) toggle();
    },
  });
  const dot = h("span", { class: "orc-dot" });
  const name = h("button", { type: "button", class: "orc-pick", title: t("Show only the jobs of this peer"), onclick: toggle });
  const word = h("span", { class: "orc-clip" });
  const title = h("span", { class: "orc-clip" });
  const bar = fillingBar("progressbar");
  const meter = fillingBar("meter");
  const room = h("span", { class: "orc-number" });
  const strip = workStrip(palette);
  // On a card there is no header above them.
  cells.done.dataset.label = t("Done");
  cells.failed.dataset.label = t("Failed");
  cells.name.append(dot, name);
  cells.state.append(word);
  cells.job.append(title);
  cells.progress.append(bar.element);
  cells.memory.append(room, meter.element);
  cells.busy.append(strip.element);
  return {
    element,
    cells,
    reset: () => true,
    update(/** @type {PeerLine} */ next) {
      line = next;
      setAttribute(dot, "data-tone", line.job ? "run" : line.tone);
      setText(name, line.name);
      setAttribute(name, "aria-pressed", String(chosen() === line.id));
      setAttribute(element, "data-chosen", chosen() === line.id);
      setText(word, line.word);
      setAttribute(word, "title", [line.word, line.reason].filter(Boolean).join(": "));
      setText(title, line.job ? [line.job.progress_text, jobTitle(line.job)].filter(Boolean).join(" · ") : line.isOthers ? t("another user's job") : "");
      setAttribute(title, "title", line.job ? jobTitle(line.job) : null);
      bar.element.hidden = !line.job;
      if (line.job) bar.show(t("Progress on {peer}", { peer: line.name }), line.job.progress);
      showMemory(line, room, meter);
      setText(cells.done, String(line.work?.done ?? 0));
      setText(cells.failed, String(line.work?.failed ?? 0));
      setAttribute(cells.failed, "data-any", Boolean(line.work?.failed));
      strip.show(line.work, shareOf(line.work, work.all));
    },
  };
}

/** @param {PeerLine} line @param {HTMLElement} room @param {ReturnType<typeof fillingBar>} meter */
function showMemory({ name, free, total }, room, meter) {
  const known = memory({ name, type: "", vram_total_bytes: total, vram_free_bytes: free });
  meter.element.hidden = !known;
  setOptionalText(room, known ? `${gigabytes(free)} / ${gigabytes(total)}` : "");
  if (!known) return;
  setAttribute(room, "title", known.text);
  meter.show(t("Memory in use on {peer}", { peer: name }), known.used);
  setAttribute(meter.element, "data-full", known.used > 0.9);
}
