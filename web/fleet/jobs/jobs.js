// @ts-check
/** The jobs: the queue with what runs and waits, and the last that ended. */
import { atNextFrame, h, setAttribute, setOptionalText, setText } from "../ui/dom.js";
import { entryOf, grouped, partedByDays } from "../data/batches.js";
import { dayNumber, plural, t } from "../data/i18n.js";
import { restText } from "../ui/format.js";
import { dropTarget, dropZone } from "./job_drag.js";
import { isWanted, jobFilter } from "./job_filter.js";
import { jobList } from "./job_list.js";
import { Selection, selectionBar } from "./selection.js";
import { variationButtons } from "../variations/variations.js";

/** @typedef {import("../data/api.js").Job} Job @typedef {import("../panel.js").SectionDeps} SectionDeps
 * @typedef {import("../data/batches.js").Entry} Entry */

/** @param {HTMLElement} el @param {SectionDeps} deps @returns {() => void} */
export function mount(el, deps) {
  const { api, store, say } = deps;
  const controller = new AbortController();
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let clock;
  const pause = pauseButton(deps);
  const variations = variationButtons();
  const rest = h("span", { class: "orc-muted orc-rest", hidden: true });
  const none = h("p", { class: "orc-muted" });
  const filter = jobFilter(() => render());
  /** @type {string[]} */
  let line = [];
  /** Made when a row first asks. @type {Map<string, number> | null} */
  let places = null;
  const neighbours = (/** @type {Job} */ job) => {
    const place = (places ??= new Map(line.map((id, at) => [id, at]))).get(job.job_id);
    return place === undefined ? null : neighboursAt(line, place);
  };
  /** Ids of batches that a person opened. @type {Set<string>} */
  const opened = new Set();
  const toggle = (/** @type {string} */ id) => {
    if (!opened.delete(id)) opened.add(id);
    render();
  };
  /** @type {Entry[][]} */
  let lists = [];
  const order = () => lists.flat().flatMap((entry) => (entry.kind === "job" ? [entry.job.job_id] : []));
  const selection = new Selection(() => render());
  const picks = {
    has: (/** @type {string} */ id) => selection.ids.has(id),
    toggle: (/** @type {string} */ id) => selection.toggle(id),
    reach: (/** @type {string} */ id) => selection.reach(order(), id),
  };
  const bar = selectionBar(deps, selection, order);
  const queue = jobList(deps, t("Queue"), { neighbours, picks, toggle });
  const ended = jobList(deps, t("Finished"), { neighbours: () => null, picks, toggle });
  const endedHead = h("div", { class: "orc-section-head" }, h("h3", {}, t("Finished")));

  const render = () => {
    const whole = filter.wanted.kind === "all" && !filter.wanted.words.length;
    const wanted = (/** @type {readonly Job[]} */ jobs) => (whole ? jobs : jobs.filter((job) => isWanted(job, filter.wanted)));
    const [open, over] = [wanted(store.queue), wanted(store.ended)];
    const flat = filter.wanted.words.length > 0; // what is searched for is one job
    const all = flat ? { queue: open.map(entryOf), ended: over.map(entryOf) } : grouped(store.queue, store.ended, opened);
    const shown = (/** @type {Entry} */ entry) =>
      (entry.kind === "job" ? [entry.job] : entry.kind === "batch" ? entry.batch.jobs : []).some((job) => isWanted(job, filter.wanted));
    const entries = whole ? all : { queue: all.queue.filter(shown), ended: all.ended.filter(shown) };
    lists = [entries.queue, entries.ended];
    for (const id of selection.ids) if (!store.job(id)) selection.ids.delete(id);
    bar.show();
    setAttribute(el, "data-picking", selection.ids.size > 0);
    line = store.line.filter((id) => store.job(id)?.state === "waiting");
    places = null;
    queue.show(
      entries.queue,
      whole && store.unseen.waiting
        ? plural(store.unseen.waiting, "and {count} more waiting job", "and {count} more waiting jobs") : "",
    );
    ended.show(partedByDays(entries.ended, (job) => dayNumber(job.ended_at ?? job.created_at)), whole && store.unseen.ended
      ? plural(store.unseen.ended, "and {count} older job", "and {count} older jobs") : "");
    const any = store.queue.length + store.ended.length > 0;
    none.hidden = entries.queue.length > 0 || (!whole && over.length > 0);
    setText(none, !any ? t("No jobs yet") : whole ? t("Queue is empty") : t("No matching jobs."));
    endedHead.hidden = !over.length;
    filter.element.hidden = !any;
    pause.show();
    setOptionalText(rest, restText(store));
    variations.show(store.hasBatch);
    el.classList.toggle("orc-quiet", !any && !store.peers.length);
    tickWhile(store.queue[0]?.state === "running");
  };
  const tickWhile = (/** @type {boolean} */ running) => {
    if (running) clock ??= setInterval(render, 1000);
    else stopClock();
  };
  const stopClock = () => {
    clearInterval(clock);
    clock = undefined;
  };
  const drop = async (/** @type {string} */ dragged, /** @type {string} */ over, /** @type {boolean} */ after) => {
    const before = dropTarget(store.line, dragged, over, after);
    if (before === null) return;
    try {
      await api.moveJob(dragged, { before });
      say(t("The job was moved in the queue."));
    } catch (error) {
      say(/** @type {Error} */ (error).message);
    }
    await store.readLine();
  };
  dropZone(queue.list, (row) => row.getAttribute("data-job") ?? "", drop);

  const frame = atNextFrame(render);
  for (const name of ["jobs", "peers", "settings"]) store.addEventListener(name, frame.soon, { signal: controller.signal });
  el.replaceChildren(
    h("div", { class: "orc-section-head" }, h("h3", {}, t("Queue")), rest, variations.element, pause.button),
    pause.note, filter.element, none, queue.element, endedHead, ended.element, bar.element);
  render();
  const unwatch = store.watch();
  return () => {
    unwatch();
    controller.abort();
    frame.cancel();
    stopClock();
    queue.close();
    ended.close();
  };
}

/** Whom a waiting job can go before: the first, the one above; and the one below, that can go before it.
 * @param {string[]} line @param {number} place */
function neighboursAt(line, place) {
  return { first: place > 0 ? line[0] : "", above: line[place - 1] ?? "", below: line[place + 1] ?? "" };
}

/** @param {SectionDeps} deps */
function pauseButton({ store, say }) {
  const button = h("button", { type: "button", class: "orc-button", onclick: () => toggle() });
  const note = h("p", { class: "orc-note", role: "status" });
  const toggle = async () => {
    const paused = !store.settings?.paused;
    setAttribute(button, "aria-busy", "true");
    try {
      await store.change({ paused });
      say(paused ? t("Queue paused.") : t("Queue resumed."));
    } catch (error) {
      setOptionalText(note, /** @type {Error} */ (error).message);
    } finally {
      setAttribute(button, "aria-busy", null);
    }
  };
  return {
    button,
    note,
    show() {
      const paused = Boolean(store.settings?.paused);
      button.hidden = !store.settings;
      setText(button, paused ? t("Resume") : t("Pause"));
      setAttribute(button, "title", paused ? t("Start waiting jobs again") : t("Start no new jobs; running jobs finish"));
      setOptionalText(note, paused ? t("Paused. Running jobs finish, new ones wait.") : "");
    },
  };
}
