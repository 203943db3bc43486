// @ts-check
/** What can be done with a job that ended: once more, elsewhere; of one that failed, a report for somebody else. */
import { copyText, h, setAttribute, setText } from "../ui/dom.js";
import { jobTitle } from "../ui/format.js";
import { t } from "../data/i18n.js";
import { isFinal } from "../data/job_index.js";
import { peerChoice } from "../ui/peer_choice.js";

/** @typedef {import("../data/api.js").Job} Job @typedef {import("../data/api.js").Peer} Peer */

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
    type: "button", class: "orc-button", title: t("Copy a report about this job, without its workflow, keys or addresses"),
    onclick: () => act(async () => {
      const copied = await copyText(JSON.stringify(await api.reportOf(job.job_id), null, 2));
      if (!copied) throw new Error(t("The browser did not allow copying."));
    }, t("The report is copied.")),
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
