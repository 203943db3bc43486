// @ts-check
/** The monitor: the whole fleet in two tables, for six to two hundred peers; on a small screen queue and results. */
import { atNextFrame, h, setAttribute, setOptionalText, setText } from "../ui/dom.js";
import { t } from "../data/i18n.js";
import { fleetNotices } from "../peers/notices.js";
import { fleetSummary } from "../peers/summary.js";
import { mount as mountTimeline } from "../timeline/timeline.js";
import { jobTable } from "./job_table.js";
import { peerTable } from "./peer_table.js";
import { followWork, TODAY } from "./work.js";

/** @typedef {"queue" | "results" | "peers"} View what a small screen shows
 * @typedef {{api: import("../data/api.js").FleetApi, store: import("../data/store.js").FleetStore}} Deps */

const NARROW_PX = 700; //: the width below which tables become cards; fleet_monitor.css has it too
const TICK_MS = 1000;
/** @type {{id: View, label(): string}[]} */
const VIEWS = [
  { id: "queue", label: () => t("Queue") },
  { id: "results", label: () => t("Results") },
  { id: "peers", label: () => t("Peers") },
];

/**
 * @param {HTMLElement} el of a height of its own @param {Deps} deps @param {"h1" | "h2"} [heading]
 * @returns {() => void} takes everything away again
 */
export function mount(el, { api, store }, heading = "h2") {
  const controller = new AbortController();
  /** @type {View} */
  let view = "queue";
  let isNarrow = false;
  const summary = h("span", { class: "orc-muted" });
  const spoken = h("div", { class: "orc-sr", role: "status" });
  const failure = h("p", { class: "orc-error orc-note", role: "alert", hidden: true });
  const notices = fleetNotices(store);
  const work = followWork(api, store, () => frame.soon());
  const act = async (/** @type {() => Promise<unknown>} */ change, /** @type {string} */ done) => {
    setOptionalText(failure, "");
    try {
      await change();
      setText(spoken, done);
    } catch (problem) {
      setOptionalText(failure, /** @type {Error} */ (problem).message);
    }
  };
  const period = h("select", { class: "orc-choice", "aria-label": t("Counted since"), onchange: () => work.setHours(Number(period.value)) },
    h("option", { value: TODAY }, t("today")),
    ...[1, 6, 24].map((hours) => h("option", { value: hours }, t("last {hours} h", { hours }))));
  const jobs = jobTable({ api, store, act, view: () => view, isNarrow: () => isNarrow, onFilter: () => peers.draw() });
  const peers = peerTable({
    store, work, isNarrow: () => isNarrow, chosen: () => jobs.peer,
    choose(id) {
      jobs.setPeer(id);
      if (isNarrow && id) show(store.queue.some((job) => job.peer_id === id) ? "queue" : "results");
    },
  });
  const none = h("p", { class: "orc-muted orc-rest" }, t("No peers yet. Add them in ComfyUI's Fleet tab."));
  peers.element.append(none);
  const buttons = VIEWS.map(({ id, label }) => ({
    id, button: h("button", { type: "button", class: "orc-view", onclick: () => show(id) }, label()),
  }));
  const show = (/** @type {View} */ next) => {
    view = next;
    for (const { id, button } of buttons) setAttribute(button, "aria-pressed", String(id === view));
    setAttribute(root, "data-view", view);
    draw();
  };
  const timeline = h("section", { class: "orc-monitor-timeline", "aria-label": t("Timeline") });
  const root = h("div", { class: "orc-panel orc-monitor" },
    h("div", { class: "orc-monitor-body" },
      h("header", { class: "orc-panel-head" }, h(heading, { class: "orc-title" }, t("Monitor")), summary, period),
      ...notices.elements, failure,
      h("section", { class: "orc-monitor-peers", "aria-label": t("Peers") }, peers.element),
      timeline,
      h("section", { class: "orc-monitor-jobs", "aria-label": t("Jobs") }, ...jobs.elements),
      h("nav", { class: "orc-views", "aria-label": t("Show") }, ...buttons.map(({ button }) => button)),
      spoken));

  const draw = () => {
    setOptionalText(summary, fleetSummary(store));
    peers.draw();
    jobs.draw();
    none.hidden = store.peers.length > 0 || store.phase !== "ready";
    tickWhile(store.queue[0]?.state === "running");
  };
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let clock;
  const tickWhile = (/** @type {boolean} */ running) => {
    if (running) clock ??= setInterval(frame.soon, TICK_MS);
    else {
      clearInterval(clock);
      clock = undefined;
    }
  };
  const frame = atNextFrame(draw);
  for (const name of ["jobs", "peers", "settings"]) store.addEventListener(name, frame.soon, { signal: controller.signal });
  for (const name of ["status", "peers"]) store.addEventListener(name, notices.show, { signal: controller.signal });
  const resized = new ResizeObserver(([{ contentRect }]) => {
    if (isNarrow === contentRect.width < NARROW_PX || !contentRect.width) return;
    isNarrow = !isNarrow;
    setAttribute(root, "data-narrow", isNarrow);
    draw();
  });
  el.replaceChildren(root);
  resized.observe(root);
  const deps = { api, store, say: (/** @type {string} */ text) => setText(spoken, text) };
  const unmountTimeline = mountTimeline(timeline, deps);
  notices.show();
  show(view);
  const unwatch = store.watch();
  store.refresh();

  return () => {
    unwatch();
    controller.abort();
    resized.disconnect();
    frame.cancel();
    tickWhile(false);
    work.close();
    unmountTimeline();
    peers.close();
    jobs.close();
    el.replaceChildren();
  };
}
