// @ts-check
/** What can be done about a job that did not end well: once more, elsewhere, or a report for somebody else. */
import { copyText, h, setAttribute, setChildren } from "./dom.js";
import { jobTitle, namesOf } from "./format.js";

/** @typedef {import("./api.js").Job} Job @typedef {import("./api.js").Peer} Peer */

/**
 * Everything about a job but its graph: no address, no key, nothing of the prompt.
 * @param {Job} job @param {Peer[]} peers @returns {string} JSON
 */
export function reportOf(job, peers) {
  const involved = new Set([job.peer_id, ...job.attempts.map((attempt) => attempt.peer_id)]);
  const about = peers
    .filter((peer) => involved.has(peer.id))
    .map(({ name, health, reason, version, devices, node_types }) => ({ name, health, reason, version, devices, node_types }));
  const { outputs, texts, ...rest } = job;
  return JSON.stringify({ job: { ...rest, files: outputs.length, texts: texts.length }, peers: about }, null, 2);
}

/**
 * @param {import("./panel.js").SectionDeps} deps
 * @param {(change: () => Promise<unknown>, done: string) => void} act
 */
export function jobActions({ api, store, say }, act) {
  /** @type {Job} */
  let job;
  const retry = (/** @type {{peer?: string}} */ wishes, /** @type {string} */ where) =>
    act(() => api.retryJob(job.job_id, wishes), `is queued once more${where}`);
  const again = h("button", { type: "button", class: "orc-button", onclick: () => retry({}, "") }, "Retry");
  const elsewhere = h("select", {
    class: "orc-choice",
    onchange: () => {
      const { value, selectedOptions } = elsewhere;
      if (value) retry({ peer: value === "any" ? "" : value }, ` on ${selectedOptions[0].textContent}`);
      elsewhere.value = "";
    },
  });
  const report = h("button", {
    type: "button", class: "orc-button", title: "Copy what is known of it, without its graph, keys or addresses",
    onclick: async () => say(await copyText(reportOf(job, store.peers)) ? "The report is copied." : "The browser did not let us copy."),
  }, "Copy report");
  const element = h("div", { class: "orc-actions" }, again, elsewhere, report);
  return {
    element,
    show(/** @type {Job} */ next) {
      job = next;
      element.hidden = !["failed", "cancelled", "set_aside"].includes(job.state);
      if (element.hidden) return;
      setChildren(elsewhere, namesOf(store.peers), () => [
        h("option", { value: "" }, "Retry on …"),
        ...store.peers.map((peer) => h("option", { value: peer.id }, peer.name)),
        h("option", { value: "any" }, "any peer"),
      ]);
      setAttribute(again, "aria-label", `Retry: ${jobTitle(job)}`);
      setAttribute(elsewhere, "aria-label", `Retry on: ${jobTitle(job)}`);
      setAttribute(report, "aria-label", `Copy report: ${jobTitle(job)}`);
    },
  };
}
