// @ts-check
/** What can be done to a job that no peer has begun: another peer and, while it waits here, another place. */
import { h, setAttribute } from "../ui/dom.js";
import { jobTitle } from "../ui/format.js";
import { t } from "../data/i18n.js";
import { peerChoice } from "../ui/peer_choice.js";

/** @typedef {import("../data/api.js").Job} Job @typedef {import("../data/api.js").Peer} Peer */

/**
 * @param {import("../data/store.js").FleetStore} store
 * @param {(id: string, to: import("../data/api.js").Move, done: string) => void} move
 */
export function queueControls(store, move) {
  /** @type {Job} */
  let job;
  let line = { first: "", above: "", below: "" };
  const anyPeer = () => ({ value: "", label: t("any peer") });
  const choice = peerChoice(() => [anyPeer(), ...store.peers.map(({ id, name }) => ({ value: id, label: name }))],
    ({ value }) => move(job.job_id, { peer: value }, value
      ? t("{job} is assigned.", { job: jobTitle(job) }) : t("{job} may run on any peer.", { job: jobTitle(job) })));
  // Not disabled at the ends of the queue: the focus would be lost.
  const button = (/** @type {string} */ icon, /** @type {() => void} */ onclick) =>
    h("button", {
      type: "button", class: "orc-button orc-icon",
      onclick: (/** @type {MouseEvent} */ event) => {
        if (/** @type {HTMLElement} */ (event.currentTarget).getAttribute("aria-disabled") !== "true") onclick();
      },
    }, h("i", { class: `pi ${icon}`, "aria-hidden": "true" }));
  const top = button("pi-angle-double-up", () => move(job.job_id, { before: line.first }, t("{job} is first in the queue.", { job: jobTitle(job) })));
  const up = button("pi-angle-up", () => move(job.job_id, { before: line.above }, t("{job} went up.", { job: jobTitle(job) })));
  const down = button("pi-angle-down", () => move(line.below, { before: job.job_id }, t("{job} went down.", { job: jobTitle(job) })));
  const places = h("span", { class: "orc-places" }, top, up, down);
  const element = h("span", { class: "orc-moves" }, choice.element, places);

  const label = (/** @type {HTMLElement} */ control, /** @type {string} */ text, /** @type {boolean} */ able) => {
    setAttribute(control, "aria-label", t("{action}: {job}", { action: text, job: jobTitle(job) }));
    setAttribute(control, "title", text);
    setAttribute(control, "aria-disabled", able ? null : "true");
  };
  return {
    element,
    show(/** @type {Job} */ next, /** @type {typeof line | null} */ neighbours) {
      job = next;
      const isNext = job.state === "running" && !job.begun_at; // on a peer
      element.hidden = neighbours === null && !isNext;
      places.hidden = neighbours === null;
      if (element.hidden) return;
      line = neighbours ?? line;
      const pinned = pinnedTo(job, store.peers);
      choice.show(pinned ? { value: pinned.id, label: pinned.name } : anyPeer());
      setAttribute(choice.element, "aria-label", t("{action}: {job}", { action: t("Run on"), job: jobTitle(job) }));
      setAttribute(choice.element, "title", t("Run on"));
      label(top, t("To the top"), line.first !== "");
      label(up, t("Up"), line.above !== "");
      label(down, t("Down"), line.below !== "");
    },
  };
}

/** By id, or by name in upper or lower case, as the server finds it. @param {Job} job @param {Peer[]} peers */
function pinnedTo({ pinned_to: pin }, peers) {
  if (!pin) return undefined;
  return peers.find((peer) => peer.id === pin)
    ?? peers.find((peer) => peer.name.toLowerCase() === pin.toLowerCase());
}
