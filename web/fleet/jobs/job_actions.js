// @ts-check
/** What can be done with a job that ended: once more, elsewhere; of one that failed, a report for somebody else. */
import { copyText, h, setAttribute, setText } from "../ui/dom.js";
import { jobTitle } from "../ui/format.js";
import { t } from "../data/i18n.js";
import { isFinal } from "../data/job_index.js";
import { peerChoice } from "../ui/peer_choice.js";

/** @typedef {import("../data/api.js").Job} Job @typedef {import("../data/api.js").Peer} Peer */

/**
 * Everything about a job but its graph: no address, no key, nothing of the prompt.
 * @param {Job} job @param {Peer[]} peers @returns {string} JSON
 */
export function reportOf(job, peers) {
  const involved = new Set([job.peer_id, ...job.attempts.map((attempt) => attempt.peer_id)]);
  const about = peers
    .filter((peer) => involved.has(peer.id))
    .map(({ name, health, reason, version, devices, node_types }) => ({ name, health, reason, version, devices, node_types }));
  const { inputs, outputs, texts, notes, ...rest } = job;
  return JSON.stringify({ job: { ...rest, files: outputs.length, texts: texts.length, notes: notes?.length ?? 0 }, peers: about }, null, 2);
}

/**
 * @param {import("../panel.js").SectionDeps} deps
 * @param {(change: () => Promise<unknown>, done: string) => void} act
 * @param {HTMLElement} calm where they stand for a job that ended well
 */
export function jobActions({ api, store, say }, act, calm) {
  /** @type {Job} */
  let job;
  const retry = (/** @type {{peer?: string}} */ wishes, /** @type {string} */ done) =>
    act(() => api.retryJob(job.job_id, wishes), done);
  const again = h("button", {
    type: "button", class: "orc-button",
    onclick: () => retry({}, t("{job} is queued once more.", { job: jobTitle(job) })),
  });
  const prompting = () => ({ value: "", label: job.state === "done" ? t("on …") : t("Retry on …") });
  const elsewhere = peerChoice(
    () => [prompting(), ...store.peers.map(({ id, name }) => ({ value: id, label: name })), { value: "any", label: t("any peer") }],
    ({ value, label }) => {
      const names = { job: jobTitle(job), peer: label };
      if (value) retry({ peer: value === "any" ? "" : value }, t("{job} is queued once more on {peer}.", names));
      elsewhere.show(prompting());
    });
  const report = h("button", {
    type: "button", class: "orc-button", title: t("Copy what is known of it, without its graph, keys or addresses"),
    onclick: async () => say(await copyText(reportOf(job, store.peers)) ? t("The report is copied.") : t("The browser did not let us copy.")),
  }, t("Copy report"));
  const element = h("div", { class: "orc-actions" }, report);
  return {
    element,
    show(/** @type {Job} */ next) {
      job = next;
      const well = job.state === "done";
      again.hidden = elsewhere.element.hidden = !isFinal(job);
      element.hidden = well || !isFinal(job);
      calm.hidden = !well;
      if (again.hidden) return;
      const place = well ? calm : element;
      if (again.parentElement !== place) place.prepend(again, elsewhere.element);
      elsewhere.show(prompting());
      const label = (/** @type {HTMLElement} */ control, /** @type {string} */ action) =>
        setAttribute(control, "aria-label", t("{action}: {job}", { action, job: jobTitle(job) }));
      setText(again, well ? t("Run again") : t("Retry"));
      label(again, well ? t("Run again") : t("Retry"));
      label(elsewhere.element, well ? t("Run again on") : t("Retry on"));
      label(report, t("Copy report"));
    },
  };
}
