// @ts-check
/** The jobs: running ones first, then the last ones. */
import { h, keyedList, outsideLink, setAttribute, setChildren, setOptionalText, setText } from "./dom.js";
import {
  counted, failedAttempts, isPicture, jobDuration, jobTitle, jobWord, ownPath, percent,
} from "./format.js";
import { inViewingOrder, isFinal } from "./store.js";

/** @typedef {import("./api.js").Job} Job @typedef {import("./panel.js").SectionDeps} SectionDeps */

const PAGE = 20;
const PICTURES_SHOWN = 4;
const TONES = { waiting: "off", running: "run", done: "good", failed: "bad", cancelled: "off", set_aside: "warn" };

/** @param {HTMLElement} el @param {SectionDeps} deps @returns {() => void} */
export function mount(el, deps) {
  const { store } = deps;
  const controller = new AbortController();
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let clock;
  let shown = PAGE;
  const list = h("ul", { class: "orc-list" });
  const none = h("p", { class: "orc-muted" }, "Nothing was sent yet.");
  const more = h("button", {
    type: "button", class: "orc-button orc-more",
    onclick: () => {
      shown += PAGE;
      render();
    },
  });
  const showJobs = keyedList(list, (/** @type {Job} */ job) => job.job_id, () => jobRow(deps));

  const render = () => {
    const jobs = inViewingOrder(store.jobs);
    showJobs(jobs.slice(0, shown));
    none.hidden = jobs.length > 0;
    more.hidden = jobs.length <= shown;
    setText(more, `Show ${Math.min(PAGE, jobs.length - shown)} more`);
    el.classList.toggle("orc-quiet", !jobs.length && !store.peers.length);
    tickWhile(jobs.some((job) => job.state === "running"));
  };
  const tickWhile = (/** @type {boolean} */ running) => {
    if (running) clock ??= setInterval(render, 1000);
    else stopClock();
  };
  const stopClock = () => {
    clearInterval(clock);
    clock = undefined;
  };

  for (const name of ["jobs", "peers"]) store.addEventListener(name, render, { signal: controller.signal });
  el.replaceChildren(h("div", { class: "orc-section-head" }, h("h3", {}, "Jobs")), none, list, more);
  render();
  return () => {
    controller.abort();
    stopClock();
  };
}

/** @param {SectionDeps} deps */
function jobRow({ api, store, say }) {
  /** @type {Job} */
  let job;
  const dot = h("span", { class: "orc-dot" });
  const title = h("span", { class: "orc-name" });
  const time = h("span", { class: "orc-figure" });
  const where = h("span", { class: "orc-clip" });
  const cancel = h("button", { type: "button", class: "orc-button", onclick: () => stop() }, "Cancel");
  const bar = h("div", { class: "orc-bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, h("i"));
  const error = h("p", { class: "orc-error" });
  // One line until it is opened: the reasons for every peer are long.
  const whyText = h("summary");
  const why = h("details", { class: "orc-why orc-muted" }, whyText);
  const tried = h("ul", { class: "orc-tried" });
  const results = h("div", { class: "orc-results" });
  const failure = h("p", { class: "orc-error", role: "alert", hidden: true });
  const element = h("li", { class: "orc-row" },
    h("div", { class: "orc-line" }, dot, title, time),
    h("div", { class: "orc-line" }, where, cancel),
    bar, error, why, tried, results, failure);

  const stop = async () => {
    cancel.disabled = true;
    setOptionalText(failure, "");
    try {
      await api.cancelJob(job.job_id);
      say(`${jobTitle(job)} is cancelled.`);
    } catch (problem) {
      setOptionalText(failure, /** @type {Error} */ (problem).message);
    } finally {
      cancel.disabled = false;
    }
  };

  return {
    element,
    update(/** @type {Job} */ next) {
      job = next;
      const running = job.state === "running";
      setAttribute(dot, "data-tone", TONES[job.state] ?? "off");
      setText(title, jobTitle(job));
      setAttribute(title, "title", job.job_id);
      setText(time, jobDuration(job, store.now()));
      setText(where, [job.peer, (running && job.progress_text) || jobWord(job)].filter(Boolean).join(" · "));
      cancel.hidden = isFinal(job);
      setAttribute(cancel, "aria-label", `Cancel ${jobTitle(job)}`);
      bar.hidden = !running;
      if (running) showProgress(bar, job);
      setOptionalText(error, job.error?.message ?? "");
      setText(whyText, job.explanation);
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

/** @param {HTMLElement} bar @param {Job} job */
function showProgress(bar, job) {
  setAttribute(bar, "aria-label", `Progress of ${jobTitle(job)}`);
  setAttribute(bar, "aria-valuenow", percent(job.progress));
  /** @type {HTMLElement} */ (bar.firstElementChild).style.width = `${percent(job.progress)}%`;
}

/** @param {Job} job @param {(path: string) => string} urlOf @returns {Node[]} */
function resultsOf(job, urlOf) {
  /** @type {Node[]} */
  const nodes = [];
  const pictures = job.outputs.filter((output) => isPicture(output.filename) && ownPath(output.url));
  for (const { filename, url } of pictures.slice(0, PICTURES_SHOWN)) {
    const link = outsideLink(urlOf(url), "", { class: "orc-picture", title: filename, "aria-label": `Open ${filename}` });
    link.append(h("img", { src: urlOf(url), alt: "", loading: "lazy", decoding: "async" }));
    nodes.push(link);
  }
  const unseen = pictures.length - PICTURES_SHOWN;
  if (unseen > 0) nodes.push(h("span", { class: "orc-muted" }, `and ${counted(unseen, "more picture", "more pictures")}`));
  for (const output of job.outputs) {
    if (pictures.includes(output)) continue;
    const own = ownPath(output.url);
    nodes.push(outsideLink(own && urlOf(own), output.filename));
  }
  return nodes;
}
