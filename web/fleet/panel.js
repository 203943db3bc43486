// @ts-check
/** The Fleet tab as a whole: header, notices, and the two sections. */
import { mount as mountAddresses } from "./peers/addresses.js";
import { h, outsideLink, setOptionalText, setText } from "./ui/dom.js";
import { t } from "./data/i18n.js";
import { fleetNotices } from "./peers/notices.js";
import { fleetSummary } from "./peers/summary.js";
import { mount as mountJobs } from "./jobs/jobs.js";
import { mount as mountMode } from "./host_page/mode_switch.js";
import { mount as mountPeers } from "./peers/peers.js";
import { mount as mountTimeline } from "./timeline/timeline.js";

/**
 * @typedef {{api: import("./data/api.js").FleetApi, store: import("./data/store.js").FleetStore,
 *   outlook: import("./outlook/outlook.js").Outlook, host: Host | null}} Deps `host`: where there is a canvas
 * @typedef {import("./host_page/job_graphs.js").JobGraphs} Host
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
  const notices = fleetNotices(store);
  const monitor = outsideLink(api.fileUrl("/orchestrator/monitor"), t("Monitor"),
    { class: "orc-muted", title: t("All peers and jobs in tables, on a page of their own") });
  const addresses = h("section", { "aria-label": t("Addresses") });
  const mode = h("section", { class: "orc-mode", "aria-label": t("Fleet mode") });
  const peers = h("section", { class: "orc-section", "aria-label": t("Peers") });
  const timeline = h("section", { class: "orc-section", "aria-label": t("Timeline") });
  const jobs = h("section", { class: "orc-section", "aria-label": t("Jobs") });

  const showSummary = () => setOptionalText(summary, fleetSummary(store));
  const showStatus = () => {
    notices.show();
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
      h("header", { class: "orc-panel-head" }, h("h2", {}, "Fleet"), summary, monitor),
      mode, ...notices.elements, addresses, peers, timeline, jobs, spoken,
    ),
  );
  store.refresh();

  return () => {
    controller.abort();
    for (const unmount of unmounts) unmount();
    el.replaceChildren();
  };
}
