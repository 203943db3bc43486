// @ts-check
/** The jobs: the queue with what runs and waits, and the last that ended. */
import { h, keyedList, setAttribute, setOptionalText, setText } from "./dom.js";
import { counted } from "./format.js";
import { jobRow } from "./job_row.js";
import { inViewingOrder, JOBS_KEPT } from "./store.js";

/** @typedef {import("./api.js").Job} Job @typedef {import("./panel.js").SectionDeps} SectionDeps */

const PAGE = 20;

/** @param {HTMLElement} el @param {SectionDeps} deps @returns {() => void} */
export function mount(el, deps) {
  const { store } = deps;
  const controller = new AbortController();
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let clock;
  const pause = pauseButton(deps);
  const none = h("p", { class: "orc-muted" });
  const queue = pagedList(deps, () => render());
  const ended = pagedList(deps, () => render());
  const endedHead = h("div", { class: "orc-section-head" }, h("h3", {}, "Finished"));

  const render = () => {
    const listed = inViewingOrder(store.jobs, store.line);
    const movable = new Set(listed.queue.filter((job) => job.state === "waiting").map((job) => job.job_id));
    const line = store.line.filter((id) => movable.has(id));
    const places = new Map(line.map((id, place) => [id, place]));
    queue.show(
      listed.queue.map((job) => {
        const place = places.get(job.job_id);
        return { job, line: place === undefined ? null : neighbours(line, place) };
      }),
      store.unseen.waiting,
      "waiting",
    );
    ended.show(listed.ended.map((job) => ({ job, line: null })), store.unseen.ended, "older");
    const any = listed.queue.length + listed.ended.length > 0;
    none.hidden = listed.queue.length > 0;
    setText(none, any ? "Nothing runs or waits." : "Nothing was sent yet.");
    endedHead.hidden = !listed.ended.length;
    pause.show();
    el.classList.toggle("orc-quiet", !any && !store.peers.length);
    tickWhile(listed.queue.some((job) => job.state === "running"));
  };
  const tickWhile = (/** @type {boolean} */ running) => {
    if (running) clock ??= setInterval(render, 1000);
    else stopClock();
  };
  const stopClock = () => {
    clearInterval(clock);
    clock = undefined;
  };

  for (const name of ["jobs", "peers", "settings"]) store.addEventListener(name, render, { signal: controller.signal });
  el.replaceChildren(
    h("div", { class: "orc-section-head" }, h("h3", {}, "Queue"), pause.button),
    pause.note, none, queue.element, endedHead, ended.element);
  render();
  const unwatch = store.watch();
  return () => {
    unwatch();
    controller.abort();
    stopClock();
  };
}

/** Whom a waiting job can go before: the first, the one above; and the one below, that can go before it.
 * @param {string[]} line @param {number} place */
function neighbours(line, place) {
  return { first: place > 0 ? line[0] : "", above: line[place - 1] ?? "", below: line[place + 1] ?? "" };
}

/** Rows that grow by a page at a time, up to what the page keeps. @param {SectionDeps} deps @param {() => void} redraw */
function pagedList(deps, redraw) {
  let shown = PAGE;
  const list = h("ul", { class: "orc-list" });
  const rest = h("p", { class: "orc-muted orc-rest" });
  const more = h("button", {
    type: "button", class: "orc-button orc-more",
    onclick: () => {
      shown = Math.min(JOBS_KEPT, shown + PAGE * (shown > PAGE ? 4 : 1));
      redraw();
    },
  });
  const showRows = keyedList(list, (/** @type {import("./job_row.js").Item} */ { job }) => job.job_id, () => jobRow(deps));
  return {
    element: h("div", {}, list, more, rest),
    show(/** @type {import("./job_row.js").Item[]} */ items, /** @type {number} */ unseen, /** @type {string} */ kind) {
      const drawn = items.slice(0, shown);
      showRows(drawn);
      const hidden = items.length - drawn.length + unseen;
      more.hidden = drawn.length === items.length || shown >= JOBS_KEPT;
      setText(more, `Show more (${hidden} ${kind})`);
      setOptionalText(rest, hidden && more.hidden ? `and ${counted(hidden, `more ${kind} job`)}` : "");
    },
  };
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
      say(paused ? "The queue is paused." : "The queue goes on.");
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
      setText(button, paused ? "Resume" : "Pause");
      setAttribute(button, "title", paused ? "Start waiting jobs again" : "Start no further job; what runs goes on");
      setOptionalText(note, paused ? "Paused: what runs goes on, nothing else is started." : "");
    },
  };
}
