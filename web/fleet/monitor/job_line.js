// @ts-check
/** A job as a line of the table, and as a card on a small screen. */
import { fillingBar } from "../ui/bar.js";
import { h, outsideLink, setAttribute, setChildren, setText } from "../ui/dom.js";
import { errorOf, isPicture, jobId, jobTime, jobTitle, jobWord, notesOf, ownPath, placeOf } from "../ui/format.js";
import { clock, plural, t } from "../data/i18n.js";
import { isFinal } from "../data/job_index.js";
import { JOB_COLUMNS, shortId } from "./job_columns.js";
import { rowOf } from "./table.js";

/** @typedef {import("../data/api.js").Job} Job @typedef {import("../data/api.js").FleetApi} FleetApi
 * @typedef {{api: FleetApi, store: import("../data/store.js").FleetStore, act(change: () => Promise<unknown>, done: string): void}} Deps */

export const ACT = "act"; //: the column of the buttons
const TONES = { waiting: "off", running: "run", done: "good", failed: "bad", cancelled: "off", set_aside: "warn" };
const DAY_MS = 86_400_000;

/** @param {Deps} deps */
export function jobLine({ api, store, act }) {
  /** @type {Job} */
  let job;
  const { element, cells } = rowOf([...JOB_COLUMNS.map(({ id }) => id), ACT]);
  const dot = h("span", { class: "orc-dot" });
  const word = h("span", { class: "orc-clip" });
  const title = h("span", { class: "orc-clip orc-strong" });
  const bar = fillingBar("progressbar");
  const said = h("span", { class: "orc-clip" });
  const button = (/** @type {string} */ text, /** @type {() => void} */ onclick) => h("button", { type: "button", class: "orc-button", onclick }, text);
  const cancel = button(t("Cancel"), () => act(() => api.cancelJob(job.job_id), t("{job} is cancelled.", { job: jobTitle(job) })));
  const retry = button(t("Retry"), () => act(() => api.retryJob(job.job_id, {}), t("{job} is queued once more.", { job: jobTitle(job) })));
  cells.state.append(dot, word);
  cells.title.append(title);
  cells.progress.append(bar.element, said);
  cells[ACT].append(cancel, retry);
  const showMoment = {
    created: momentText(cells.created, () => store.now()),
    ended: momentText(cells.ended, () => store.now()),
  };
  return {
    element,
    cells,
    reset: () => true,
    update(/** @type {Job} */ next) {
      job = next;
      const running = job.state === "running" && job.begun_at !== null;
      setAttribute(element, "data-state", job.state);
      setAttribute(dot, "data-tone", job.state === "running" && !running ? "off" : TONES[job.state] ?? "off");
      setText(word, job.state === "running" && !running ? t("waiting") : jobWord(job));
      setText(title, jobTitle(job));
      setAttribute(title, "title", `${jobTitle(job)}\n${jobId(job)}`);
      setText(cells.peer, placeOf(job).name);
      bar.element.hidden = !running;
      if (running) bar.show(t("Progress of {job}", { job: jobTitle(job) }), job.progress);
      setText(said, running ? job.progress_text : "");
      setText(cells.took, jobTime(job, store.now()));
      showMoment.created(job.created_at);
      showMoment.ended(job.ended_at);
      setText(cells.batch, job.batch ? `${shortId(job.batch.id)} · ${job.batch.index + 1}` : "");
      setText(cells.client, shortId(job.client_id ?? ""));
      const note = errorOf(job) || (notesOf(job)[0] ?? "");
      setText(cells.note, note);
      setAttribute(cells.note, "title", note || null);
      setAttribute(cells.note, "data-bad", job.state === "failed");
      setChildren(cells.result, job.outputs.map(({ url }) => url).join("\n"), () => resultsOf(job, api));
      cancel.hidden = isFinal(job);
      retry.hidden = !isFinal(job) || job.state === "done";
      for (const [control, name] of /** @type {const} */ ([[cancel, t("Cancel")], [retry, t("Retry")]])) {
        if (!control.hidden) setAttribute(control, "aria-label", t("{action}: {job}", { action: name, job: jobTitle(job) }));
      }
    },
  };
}

/** Made once for each moment: a language's own form takes longer than all else in a row.
 * @param {HTMLElement} cell @param {() => number} now */
function momentText(cell, now) {
  /** @type {string | null} */
  let shown = "";
  return (/** @type {string | null} */ moment) => {
    if (moment === shown) return;
    shown = moment;
    const isOld = moment !== null && now() - Date.parse(moment) > DAY_MS;
    const day = isOld ? { month: /** @type {const} */ ("short"), day: /** @type {const} */ ("numeric") } : {};
    setText(cell, moment === null ? "" : clock(moment, { hour: "2-digit", minute: "2-digit", ...(!isOld && { second: "2-digit" }), ...day }));
  };
}

/** @param {Job} job @param {FleetApi} api @returns {Node[]} the first one, and how many more there are */
function resultsOf(job, api) {
  const [first, ...others] = job.outputs;
  if (!first) return [];
  const own = ownPath(first.url);
  const isShown = isPicture(first.filename) && own;
  const link = outsideLink(own && api.fileUrl(own), isShown ? "" : first.filename,
    { class: isShown ? "orc-thumb" : "orc-clip", title: first.filename, "aria-label": t("Open {file}", { file: first.filename }) });
  if (isShown) link.append(h("img", { src: api.fileUrl(own), alt: "", loading: "lazy", decoding: "async" }));
  const more = others.length ? h("span", { class: "orc-muted", title: plural(others.length, "and {count} more file", "and {count} more files") }, `+${others.length}`) : null;
  return more ? [link, more] : [link];
}
