// @ts-check
/** A list of jobs, batches and days, of any length. */
import { h, setOptionalText, setText } from "../ui/dom.js";
import { day, t } from "../data/i18n.js";
import { batchRow } from "./batch_row.js";
import { jobRow } from "./job_row.js";
import { windowedList } from "../ui/windowed_list.js";

/**
 * @typedef {import("../data/batches.js").Entry} Entry @typedef {import("../panel.js").SectionDeps} SectionDeps
 * @typedef {{neighbours(job: import("../data/api.js").Job): import("./job_row.js").Neighbours | null,
 *   picks: import("./job_row.js").Picks, toggle(batchId: string): void}} Ways what its rows ask and tell
 * @typedef {import("../ui/windowed_list.js").WindowedRow<Entry>} Row
 */

const SKIPPED_FROM = 8; //: rows, each of them several stops for who goes by keys

/** @param {SectionDeps} deps @param {string} label @param {Ways} ways */
export function jobList(deps, label, { neighbours, picks, toggle }) {
  /** @returns {Row} */
  const ofJob = () => {
    const row = jobRow(deps, neighbours, picks);
    return {
      ...row,
      update(/** @type {Entry} */ entry) {
        if (entry.kind !== "job") return;
        row.element.classList.toggle("orc-inside", entry.isInside);
        row.update(entry.job);
      },
    };
  };
  /** @returns {Row} */
  const ofBatch = () => {
    const row = batchRow(deps, toggle);
    return { ...row, update: (/** @type {Entry} */ entry) => entry.kind === "batch" && row.update(entry.batch) };
  };
  const list = h("ul", { class: "orc-list", "aria-label": label });
  const rest = h("p", { class: "orc-muted orc-rest" });
  const end = h("span", { class: "orc-sr", tabindex: "-1" }, t("End of the list: {list}", { list: label }));
  const skip = h("button", { type: "button", class: "orc-button orc-skip", hidden: true, onclick: () => end.focus() },
    t("Skip the list: {list}", { list: label }));
  const make = (/** @type {string} */ kind) => (kind === "job" ? ofJob() : kind === "batch" ? ofBatch() : dayRow());
  const rows = windowedList(list, (/** @type {Entry} */ entry) => entry.key, make, { kindOf: (entry) => entry.kind });
  return {
    list,
    element: h("div", {}, skip, list, rest, end),
    close: rows.close,
    show(/** @type {Entry[]} */ entries, /** @type {string} */ unseen) {
      rows.show(entries);
      skip.hidden = entries.length < SKIPPED_FROM;
      setOptionalText(rest, unseen);
    },
  };
}

/** @returns {Row} */
function dayRow() {
  const element = h("li", { class: "orc-row orc-day" });
  return {
    element,
    reset: () => true,
    update: (/** @type {Entry} */ entry) => entry.kind === "day" && setText(element, day(entry.moment)),
  };
}
