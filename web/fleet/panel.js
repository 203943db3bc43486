// @ts-check
/** The Fleet tab as a whole: header, notices, and the two sections. */
import { mount as mountAddresses, whyOff } from "./peers/addresses.js";
import { h, keyedList, setOptionalText, setText } from "./ui/dom.js";
import { plural, t } from "./data/i18n.js";
import { mount as mountJobs } from "./jobs/jobs.js";
import { mount as mountMode } from "./host_page/mode_switch.js";
import { mount as mountPeers } from "./peers/peers.js";
import { mount as mountTimeline } from "./timeline/timeline.js";

/**
 * @typedef {{api: import("./data/api.js").FleetApi, store: import("./data/store.js").FleetStore,
 *   outlook: import("./outlook/outlook.js").Outlook, host: Host | null}} Deps `host`: where there is a canvas
 * @typedef {{open(job: import("./data/api.js").Job): Promise<void>, edit(job: import("./data/api.js").Job): Promise<void>}} Host
 * @typedef {Deps & {say(text: string): void}} SectionDeps `say` tells screen readers what was done
 */

/**
 * @param {HTMLElement} el
 * @param {Deps} deps
 * @returns {() => void} takes everything away again
 */
export function mount(el, { api, store, outlook, host }) {
  const controller = new AbortController();
  const { signal } = controller;
  const summary = h("span", { class: "orc-muted" });
  const spoken = h("div", { class: "orc-sr", role: "status" });
  const noticeText = h("span");
  const retry = h("button", { type: "button", class: "orc-button", onclick: () => store.refresh() }, t("Try again"));
  const notice = h("div", { class: "orc-notice", role: "alert" }, noticeText, retry);
  const notices = h("div");
  const showNotices = keyedList(notices, (/** @type {string} */ text) => text, (text) => ({
    element: h("div", { class: "orc-notice", role: "status" }, h("span", {}, text),
      h("button", { type: "button", class: "orc-button", onclick: () => store.dismiss(text) }, t("Dismiss"))),
    update() {},
  }));
  const addresses = h("section", { "aria-label": t("Addresses") });
  const mode = h("section", { class: "orc-mode", "aria-label": t("Fleet mode") });
  const peers = h("section", { class: "orc-section", "aria-label": t("Peers") });
  const timeline = h("section", { class: "orc-section", "aria-label": t("Timeline") });
  const jobs = h("section", { class: "orc-section", "aria-label": t("Jobs") });

  const showSummary = () => {
    const up = store.peers.filter((peer) => peer.enabled && peer.health === "up").length;
    const open = store.queue;
    const running = open.filter((job) => job.state === "running" && job.begun_at).length;
    const waiting = open.length - running + store.unseen.waiting;
    const parts = [plural(store.peers.length, "{up} of {count} peer up", "{up} of {count} peers up", { up })];
    if (running) parts.push(t("{count} running", { count: running }));
    if (waiting) parts.push(t("{count} waiting", { count: waiting }));
    setOptionalText(summary, store.peers.length ? parts.join(" · ") : "");
  };
  const showStatus = () => {
    const text = !store.connected
      ? t("The connection to ComfyUI is lost. What you see is the last that was known.")
      : store.isShutOut
        ? whyOff(location.host)
      : store.phase === "failed"
        ? store.problem?.message ?? t("Could not load the fleet.")
        : "";
    setText(noticeText, text);
    notice.hidden = !text;
    showNotices(store.notices);
    retry.hidden = !store.connected;
    peers.hidden = jobs.hidden = store.phase === "idle" || (store.phase !== "ready" && !store.peers.length);
  };

  const deps = { api, store, outlook, host, say: (/** @type {string} */ text) => setText(spoken, text) };
  const unmounts = [mountAddresses(addresses, deps), mountMode(mode, deps), mountPeers(peers, deps), mountTimeline(timeline, deps), mountJobs(jobs, deps)];
  for (const name of ["peers", "jobs"]) store.addEventListener(name, showSummary, { signal });
  for (const name of ["status", "peers"]) store.addEventListener(name, showStatus, { signal });
  showSummary();
  showStatus();
  el.replaceChildren(
    h("div", { class: "orc-panel" },
      h("header", { class: "orc-panel-head" }, h("h2", {}, "Fleet"), summary),
      mode, notice, notices, addresses, peers, timeline, jobs, spoken,
    ),
  );
  store.refresh();

  return () => {
    controller.abort();
    for (const unmount of unmounts) unmount();
    el.replaceChildren();
  };
}
