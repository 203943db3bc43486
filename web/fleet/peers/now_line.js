// @ts-check
/** What runs on a machine now, and whose it is. */
import { fillingBar } from "../ui/bar.js";
import { h, setText } from "../ui/dom.js";
import { jobTitle, progressOf } from "../ui/format.js";
import { t } from "../data/i18n.js";
import { previewPicture } from "../ui/preview_picture.js";

/** @typedef {import("../data/api.js").Job} Job @typedef {import("../panel.js").SectionDeps} SectionDeps
 * @typedef {import("../data/store.js").FleetStore} FleetStore
 * @typedef {Pick<import("../data/api.js").Peer, "id" | "name" | "running">} Place */

/** @param {SectionDeps} deps */
export function nowLine({ api, store }) {
  const preview = previewPicture(api);
  const text = h("span", { class: "orc-clip" });
  const whose = h("span", { class: "orc-tag orc-whose" });
  const bar = fillingBar("progressbar");
  const element = h("div", { class: "orc-now" }, preview.element,
    h("div", { class: "orc-now-text" }, h("div", { class: "orc-line" }, text, whose), bar.element));
  return {
    element,
    /** @param {Place} peer @param {boolean} reached @returns {import("./peer_actions.js").Now | null} */
    show(peer, reached) {
      const job = runningOn(store, peer);
      const running = peer.running;
      const others = !job && reached && running?.whose === "others";
      element.hidden = !job && !others;
      preview.show(job ?? null);
      if (element.hidden) return null;
      setText(text, job ? [progressOf(job), jobTitle(job)].filter(Boolean).join(" · ") : t("another user's job"));
      setText(whose, job ? t("yours") : t("other user"));
      bar.element.hidden = !job;
      if (job) bar.show(t("Progress on {peer}", { peer: peer.name }), job.progress);
      const attempt = job?.attempts[job.attempts.length - 1];
      return { isOurs: Boolean(job), promptId: attempt?.prompt_id ?? running?.prompt_id ?? "" };
    },
  };
}

/** Events of jobs come before those of peers. @param {FleetStore} store @param {Place} peer @returns {Job | undefined} */
function runningOn(store, peer) {
  for (const job of store.queue) {
    if (job.state !== "running" || !job.begun_at) return undefined; // these come first
    if (job.peer_id === peer.id) return job;
  }
  return undefined;
}
