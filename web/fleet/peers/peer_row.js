// @ts-check
/** One peer: how it is, what runs there, what it did last, and what its owner can do to it. */
import { fillingBar } from "../ui/bar.js";
import { h, outsideLink, setAttribute, setChildren, setOptionalText, setText } from "../ui/dom.js";
import {
  deviceName, duration, jobDuration, jobTitle, jobWord, memory, peerRules, peerState, placeOf, queueText, safeHref,
} from "../ui/format.js";
import { plural, t } from "../data/i18n.js";
import { peerActions } from "./peer_actions.js";
import { nowLine } from "./now_line.js";
import { renamable } from "./rename.js";

/** @typedef {import("../data/api.js").Peer} Peer @typedef {import("../data/api.js").Job} Job
 * @typedef {import("../panel.js").SectionDeps} SectionDeps
 * @typedef {import("../data/store.js").FleetStore} FleetStore */

const LAST_SHOWN = 4;
const USUAL_FROM = 3; //: fewer jobs say nothing of the next

/** @param {Peer} first @param {SectionDeps} deps @param {() => void} onRemoved */
export function peerRow(first, deps, onRemoved) {
  const { store } = deps;
  const bodyId = `orc-peer-${first.id}`;
  const dot = h("span", { class: "orc-dot" });
  const name = h("span", { class: "orc-name", title: t("Double-click or press F2 to rename") });
  const word = h("span", { class: "orc-state" });
  const head = h("button", {
    type: "button", class: "orc-row-head", "aria-expanded": "false", "aria-controls": bodyId,
    onclick: () => expand(head.getAttribute("aria-expanded") !== "true"),
  }, dot, name, word);
  let called = first.name;
  renamable(head, () => called, (name) => actions.rename(name));
  const device = h("span", { class: "orc-clip" });
  const memoryText = h("span", { class: "orc-figure" });
  const bar = fillingBar("meter");
  const tags = h("span", { class: "orc-tags" });
  const queue = h("span", { class: "orc-figure" });
  const now = nowLine(deps);
  const problem = h("p", { class: "orc-problem" });
  const failure = h("p", { class: "orc-error", role: "alert", hidden: true });
  const found = h("p", { class: "orc-found", role: "status", hidden: true });
  const facts = h("p", { class: "orc-facts" });
  const last = h("ul", { class: "orc-tried" });
  const expand = (/** @type {boolean} */ open) => {
    body.hidden = !open;
    setAttribute(head, "aria-expanded", String(open));
    if (open) showLast();
  };
  const element = h("li", { class: "orc-row" });
  const actions = peerActions(deps, { element, failure, found, expand, onRemoved });
  const body = h("div", { id: bodyId, class: "orc-row-body", hidden: true }, facts, last, actions.element);
  const deviceLine = h("div", { class: "orc-line" }, device, memoryText);
  const loadLine = h("div", { class: "orc-line orc-wraps" }, tags, queue);
  element.append(head, deviceLine, bar.element, now.element, loadLine, problem, failure, found, body);

  const showLast = () => {
    /** @type {Job[]} */
    const jobs = [];
    for (const job of store.ended) {
      if (placeOf(job).id === first.id && jobs.push(job) === LAST_SHOWN) break;
    }
    last.hidden = !jobs.length;
    setChildren(last, jobs.map((job) => job.job_id).join(), () =>
      jobs.map((job) => h("li", {}, [jobTitle(job), jobWord(job), jobDuration(job, 0)].filter(Boolean).join(" · "))));
  };
  return {
    element,
    update(/** @type {Peer} */ peer) {
      const state = peerState(peer);
      const reached = ["up", "suspect", "ejected", "zombie"].includes(peer.health);
      setAttribute(dot, "data-tone", state.tone);
      called = peer.name;
      setText(name, peer.name);
      setText(word, state.word);
      showDevice(peer, reached, { deviceLine, device, memoryText, bar });
      setChildren(tags, peer.tags.join("\n"), () => peer.tags.map((tag) => h("span", { class: "orc-tag" }, tag)));
      setText(queue, reached || peer.ours ? queueText(peer) : "");
      loadLine.hidden = !tags.childElementCount && !queue.textContent;
      const busy = now.show(peer, reached);
      setOptionalText(problem, peer.enabled ? peer.reason : "");
      if (!reached && found.hasAttribute("data-ok")) setOptionalText(found, ""); // no longer true
      const speed = usualText(store.usual(first.id));
      setChildren(facts, [peer.url, peer.version, peer.node_types, peer.has_credentials, speed, ...peerRules(peer)].join("\n"), () => factsOf(peer, speed));
      actions.show(peer, busy);
      setAttribute(element, "data-off", !peer.enabled);
      if (!body.hidden) showLast();
    },
  };
}

/** @param {Peer} peer @param {boolean} reached
 * @param {{deviceLine: HTMLElement, device: HTMLElement, memoryText: HTMLElement, bar: ReturnType<typeof fillingBar>}} place */
function showDevice(peer, reached, { deviceLine, device, memoryText, bar }) {
  const [main, ...others] = peer.devices;
  const room = main && reached ? memory(main) : null; // of a peer that is away nobody knows it
  deviceLine.hidden = !main;
  bar.element.hidden = !room;
  if (!main) return;
  setText(device, deviceName(main.name) + (others.length ? ` ${t("and {count} more", { count: others.length })}` : ""));
  setAttribute(device, "title", peer.devices.map((each) => each.name).join("\n"));
  setText(memoryText, room?.text ?? "");
  if (!room) return;
  bar.show(t("Memory in use on {peer}", { peer: peer.name }), room.used);
  setAttribute(bar.element, "data-full", room.used > 0.9);
}

/** @param {ReturnType<FleetStore["usual"]>} usual */
const usualText = (usual) =>
  usual && usual.of >= USUAL_FROM
    ? t("usually {time} a job (last {count})", { time: duration(usual.ms / 1000), count: usual.of }) : "";

/** @param {Peer} peer @param {string} speed @returns {Node[]} */
function factsOf(peer, speed) {
  const parts = [outsideLink(safeHref(peer.url), peer.url, { title: t("Open this peer's own page") })];
  if (peer.version) parts.push(h("span", {}, `ComfyUI ${peer.version}`));
  if (speed) parts.push(h("span", { title: t("Median of the last jobs finished there, of any kind") }, speed));
  if (peer.node_types !== null) parts.push(h("span", {}, plural(peer.node_types, "{count} node type", "{count} node types")));
  if (peer.has_credentials) parts.push(h("span", {}, t("key saved")));
  for (const rule of peerRules(peer)) parts.push(h("span", { class: "orc-rule" }, rule));
  return parts;
}
