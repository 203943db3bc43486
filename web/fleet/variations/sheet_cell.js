// @ts-check
/** One cell of a contact sheet: its job's picture or progress, and a way to its graph. */
import { fillingBar } from "../ui/bar.js";
import { h, setAttribute, setChildren, setOptionalText } from "../ui/dom.js";
import { errorOf, isPicture, jobWord, ownPath, percent, progressOf } from "../ui/format.js";
import { t } from "../data/i18n.js";
import { previewPicture } from "../ui/preview_picture.js";

/** @typedef {import("../data/api.js").Job} Job @typedef {import("./sheet_layout.js").Cell} Cell */

const FAILED = new Set(["failed", "cancelled", "set_aside"]);

/** The path of the picture that stands for a job: what it saved, else what it showed. @param {Job} job
 * @returns {string | null} */
export function pictureOf({ outputs }) {
  const pictures = outputs.filter(({ filename, url }) => isPicture(filename) && ownPath(url));
  return (pictures.find(({ type }) => type === "output") ?? pictures[0])?.url ?? null;
}

/**
 * @param {import("../data/api.js").FleetApi} api
 * @param {{open(job: Job, caption: string): void, retry(job: Job): void}} acts
 */
export function sheetCell(api, { open, retry }) {
  /** @type {Cell} */
  let cell;
  let caption = "";
  const picture = h("div", { class: "orc-cell-picture" });
  const preview = previewPicture(api);
  const word = h("span", { class: "orc-cell-word" });
  const bar = fillingBar("progressbar");
  const label = h("span", { class: "orc-caption" });
  const face = h("button", { type: "button", class: "orc-cell", onclick: () => open(cell.job, caption) },
    picture, preview.element, word, bar.element);
  const reason = h("p", { class: "orc-error" });
  const again = h("button", { type: "button", class: "orc-button", onclick: () => retry(cell.job) }, t("Retry"));
  const element = h("div", { class: "orc-cell-box" }, face, label, reason, again);
  return {
    element,
    /** @param {Cell} next @param {string} says what is different here @param {boolean} labelled */
    show(next, says, labelled) {
      cell = next;
      caption = says;
      const { job } = next;
      const path = job.state === "done" ? pictureOf(job) : null;
      const running = job.state === "running" && job.begun_at !== null;
      const texts = job.outputs.map(({ filename }) => filename).concat(job.texts).join(", ");
      setChildren(picture, path ?? "", () => (path ? [h("img", { src: api.fileUrl(path), alt: "", decoding: "async" })] : []));
      preview.show(running ? job : null);
      setOptionalText(word, path ? "" : job.state === "done" ? texts || jobWord(job) : stateText(job));
      bar.element.hidden = !running;
      if (running) bar.show(says, job.progress);
      setAttribute(face, "data-state", job.state);
      setAttribute(face, "aria-label", t("{caption}: {state}. Open this workflow.", { caption: says, state: jobWord(job) }));
      setAttribute(face, "title", t("Open the workflow of {caption}", { caption: says }));
      setOptionalText(label, labelled ? says : "");
      const failed = FAILED.has(job.state);
      setOptionalText(reason, failed && job.state !== "cancelled" ? errorOf(job) : "");
      again.hidden = !failed;
      setAttribute(again, "aria-label", t("Retry: {caption}", { caption: says }));
    },
  };
}

/** @param {Job} job */
function stateText(job) {
  if (job.state !== "running") return jobWord(job);
  return job.begun_at ? `${job.peer} · ${percent(job.progress)} %` : progressOf(job) || t("next on {peer}", { peer: job.peer });
}

