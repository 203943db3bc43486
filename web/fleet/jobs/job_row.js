// @ts-check
/** One job: where it runs, how far it is, why there, what came of it, and what can be done to it. */
import { fillingBar } from "../ui/bar.js";
import { h, outsideLink, setAttribute, setChildren, setOptionalText, setText } from "../ui/dom.js";
import {
  errorOf, failedAttempts, isPicture, jobId, jobReason, jobTime, jobTitle, jobWord, notesOf, ownPath, peersOwnError, placeOf, progressOf,
} from "../ui/format.js";
import { plural, t } from "../data/i18n.js";
import { jobActions } from "./job_actions.js";
import { openJobMenu } from "./job_menu.js";
import { dragGrip } from "./job_drag.js";
import { queueControls } from "./queue_controls.js";
import { previewPicture } from "../ui/preview_picture.js";
import { isFinal } from "../data/store.js";

/**
 * @typedef {import("../data/api.js").Job} Job @typedef {import("../panel.js").SectionDeps} SectionDeps
 * @typedef {{first: string, above: string, below: string}} Neighbours ids of waiting jobs, "" for none
 * @typedef {{has(id: string): boolean, toggle(id: string): void, reach(id: string): void}} Picks
 */

const PICTURES_SHOWN = 4;
const TONES = { waiting: "off", running: "run", done: "good", failed: "bad", cancelled: "off", set_aside: "warn" };

/** @param {SectionDeps} deps @param {(job: Job) => Neighbours | null} neighbours null for what cannot be moved
 * @param {Picks} picks what of the list a person has selected */
export function jobRow(deps, neighbours, picks) {
  const { api, store, say } = deps;
  /** @type {Job} */
  let job;
  const dot = h("span", { class: "orc-dot" });
  const title = h("span", { class: "orc-name" });
  const idKind = h("span", { class: "orc-id-kind" });
  const idNumber = h("span");
  const id = h("span", { class: "orc-id" }, idKind, idNumber);
  const time = h("span", { class: "orc-figure" });
  const where = h("span", { class: "orc-clip" });
  const cancel = h("button", {
    type: "button", class: "orc-button orc-cancel", title: t("Cancel"),
    onclick: (/** @type {MouseEvent} */ event) => event.detail < 2 && act(() => api.cancelJob(job.job_id), t("{job} is cancelled.", { job: jobTitle(job) })),
  }, t("Cancel"));
  const copy = h("button", {
    type: "button", class: "orc-button orc-copy", title: t("Runs it on another peer too. The first copy to finish counts."),
    onclick: () => act(() => api.secondCopy(job.job_id), t("{job} also runs on another free peer.", { job: jobTitle(job) })),
  }, t("Run a second copy"));
  const bar = fillingBar("progressbar");
  const preview = previewPicture(api);
  const error = h("p", { class: "orc-error" });
  const ownError = h("pre");
  const own = h("details", { class: "orc-why orc-own" }, h("summary", {}, t("Error details")), ownError);
  // One line until it is opened: the reasons for every peer are long.
  const whyText = h("summary");
  const why = h("details", { class: "orc-why orc-muted" }, whyText);
  const notes = h("ul", { class: "orc-tried orc-notes", "aria-label": t("Notes") });
  const tried = h("ul", { class: "orc-tried" });
  const results = h("div", { class: "orc-results" });
  const failure = h("p", { class: "orc-error", role: "alert", hidden: true });

  const act = async (/** @type {() => Promise<unknown>} */ change, /** @type {string} */ done) => {
    if (element.hasAttribute("aria-busy")) return;
    setOptionalText(failure, "");
    setAttribute(element, "aria-busy", "true");
    try {
      await change();
      say(done);
    } catch (problem) {
      setOptionalText(failure, /** @type {Error} */ (problem).message);
    } finally {
      setAttribute(element, "aria-busy", null);
    }
  };
  const move = (/** @type {string} */ id, /** @type {import("../data/api.js").Move} */ to, /** @type {string} */ done) =>
    act(async () => {
      await api.moveJob(id, to);
      await store.readLine();
    }, done);
  const controls = queueControls(store, move);
  const repeat = h("span", { class: "orc-repeat" });
  const actions = jobActions(deps, act, repeat);
  const pick = h("input", { type: "checkbox", class: "orc-select", onclick: (/** @type {MouseEvent} */ event) => picked(event) });
  const more = h("button", {
    type: "button", class: "orc-button orc-icon orc-job-more", title: t("More"), "aria-haspopup": "menu",
    onclick: () => {
      const { left, bottom } = more.getBoundingClientRect();
      openJobMenu(deps, job, act, { x: left, y: bottom });
    },
  }, h("i", { class: "pi pi-ellipsis-h", "aria-hidden": "true" }));
  const picked = ({ shiftKey }) => (shiftKey ? picks.reach(job.job_id) : picks.toggle(job.job_id));
  const element = h("li", {
    class: "orc-row",
    onclick: (/** @type {MouseEvent} */ event) => {
      const isOurs = (event.ctrlKey || event.metaKey || event.shiftKey) && !onControl(event);
      if (isOurs) picked(event);
    },
    onmousedown: (/** @type {MouseEvent} */ event) => event.shiftKey && !onControl(event) && event.preventDefault(), // selects no text
    oncontextmenu: (/** @type {MouseEvent} */ event) => {
      if (onControl(event)) return;
      event.preventDefault();
      event.stopPropagation();
      openJobMenu(deps, job, act, { x: event.clientX, y: event.clientY });
    },
  });
  const grip = dragGrip(element, () => job.job_id);
  element.append(
    h("div", { class: "orc-line" }, pick, dot, grip, title, id, time, more),
    h("div", { class: "orc-line" }, preview.element, where, controls.element, repeat, copy, cancel),
    bar.element, error, own, notes, why, tried, results, actions.element, failure);

  return {
    element,
    reset() {
      for (const details of [own, why]) details.open = false;
      setOptionalText(failure, "");
      return !element.hasAttribute("aria-busy");
    },
    update(/** @type {Job} */ next) {
      job = next;
      const line = neighbours(job);
      const running = job.state === "running" && job.begun_at !== null;
      setAttribute(dot, "data-tone", job.state === "running" && !running ? "off" : TONES[job.state] ?? "off");
      setText(title, jobTitle(job));
      setAttribute(title, "title", job.job_id);
      pick.checked = picks.has(job.job_id);
      setAttribute(element, "data-picked", pick.checked);
      setAttribute(pick, "aria-label", t("Select {job}", { job: jobTitle(job) }));
      setAttribute(more, "aria-label", t("More: {job}", { job: jobTitle(job) }));
      const [kind, number] = jobId(job).split(/(\S+)$/);
      setText(idKind, kind);
      setText(idNumber, number);
      id.hidden = jobTitle(job) === jobId(job);
      setText(time, jobTime(job, store.now()));
      setAttribute(element, "data-job", line === null ? null : job.job_id);
      grip.hidden = line === null;
      preview.show(running ? job : null);
      setText(where, whereText(job));
      where.hidden = line !== null;
      controls.show(job, line);
      copy.hidden = !job.is_silent || job.attempts.filter((attempt) => !attempt.ended_at).length > 1;
      cancel.hidden = isFinal(job);
      setAttribute(cancel, "aria-label", t("Cancel {job}", { job: jobTitle(job) }));
      bar.element.hidden = !running;
      if (running) bar.show(t("Progress of {job}", { job: jobTitle(job) }), job.progress);
      setAttribute(error, "class", job.state === "cancelled" ? "orc-muted" : "orc-error"); // that one was wanted
      setOptionalText(error, errorOf(job));
      setText(ownError, peersOwnError(job));
      own.hidden = !ownError.textContent;
      actions.show(job);
      const told = notesOf(job);
      notes.hidden = !told.length;
      setChildren(notes, told.join("\n"), () => told.map((text) => h("li", {}, text)));
      setText(whyText, jobReason(job));
      why.hidden = !job.explanation;
      const failed = failedAttempts(job);
      tried.hidden = !failed.length;
      setChildren(tried, failed.join("\n"), () => failed.map((text) => h("li", {}, text)));
      const signature = job.outputs.map((output) => output.url).join("\n");
      setChildren(results, signature, () => resultsOf(job, (path) => api.fileUrl(path)));
      results.hidden = !results.childElementCount;
    },
  };
}

/** @param {Event} event */
const onControl = ({ target }) => target instanceof Element && Boolean(target.closest("button, a, input, select, summary, pre"));

/** @param {Job} job */
function whereText(job) {
  if (job.state === "running" && !job.begun_at) return progressOf(job) || t("next on {peer}", { peer: job.peer });
  const peer = isFinal(job) ? placeOf(job).name : job.peer;
  const how = (job.state === "running" && progressOf(job)) || jobWord(job);
  return !peer || how.includes(peer) ? how : `${how} · ${peer}`;
}

/** @param {Job} job @param {(path: string) => string} urlOf @returns {Node[]} */
function resultsOf(job, urlOf) {
  /** @type {Node[]} */
  const nodes = [];
  const pictures = job.outputs.filter((output) => isPicture(output.filename) && ownPath(output.url));
  for (const { filename, url } of pictures.slice(0, PICTURES_SHOWN)) {
    const link = outsideLink(urlOf(url), "", { class: "orc-picture", title: filename, "aria-label": t("Open {file}", { file: filename }) });
    link.append(h("img", { src: urlOf(url), alt: "", loading: "lazy", decoding: "async" }));
    nodes.push(link);
  }
  const unseen = pictures.length - PICTURES_SHOWN;
  if (unseen > 0) nodes.push(h("span", { class: "orc-muted" }, plural(unseen, "and {count} more picture", "and {count} more pictures")));
  for (const output of job.outputs) {
    if (pictures.includes(output)) continue;
    const own = ownPath(output.url);
    nodes.push(outsideLink(own && urlOf(own), output.filename));
  }
  return nodes;
}
