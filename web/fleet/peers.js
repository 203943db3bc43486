// @ts-check
/** The peers: one row each, with what its owner can do to it. */
import { h, keyedList, outsideLink, setAttribute, setChildren, setOptionalText, setText } from "./dom.js";
import { counted, deviceName, memory, peerState, percent, queueText, safeHref } from "./format.js";
import { mount as mountForm } from "./peer_form.js";

/** @typedef {import("./api.js").Peer} Peer @typedef {import("./panel.js").SectionDeps} SectionDeps */

/** @param {HTMLElement} el @param {SectionDeps} deps @returns {() => void} */
export function mount(el, deps) {
  const { store } = deps;
  const controller = new AbortController();
  const list = h("ul", { class: "orc-list" });
  const formPlace = h("div");
  const lesson = firstSteps(() => openForm());
  const add = h("button", { type: "button", class: "orc-button", onclick: () => openForm() }, "Add peer");
  const showPeers = keyedList(list, (/** @type {Peer} */ peer) => peer.id, (peer) => peerRow(peer, deps, () => add.focus()));

  const closeForm = () => {
    formPlace.replaceChildren();
    render();
    (lesson.hidden ? add : lesson.querySelector("button"))?.focus();
  };
  const openForm = () => {
    if (!formPlace.firstChild) mountForm(formPlace, { ...deps, peer: null, onClose: closeForm });
    render();
  };
  const render = () => {
    const formOpen = formPlace.firstChild !== null;
    lesson.hidden = store.peers.length > 0 || store.phase !== "ready";
    add.disabled = formOpen;
    add.hidden = !lesson.hidden;
    const button = lesson.querySelector("button");
    if (button) button.hidden = formOpen;
    showPeers(store.peers);
  };

  for (const name of ["peers", "status"]) store.addEventListener(name, render, { signal: controller.signal });
  el.replaceChildren(h("div", { class: "orc-section-head" }, h("h3", {}, "Peers"), add), lesson, formPlace, list);
  render();
  return () => controller.abort();
}

/** What to do when there is nothing yet. @param {() => void} onAdd */
function firstSteps(onAdd) {
  const code = (/** @type {string} */ text) => h("code", {}, text);
  return h("div", { class: "orc-lesson" },
    h("p", {}, "Run parts of your graphs on your other machines. Nothing is installed there."),
    h("ol", {},
      h("li", {}, "On the other machine, start ComfyUI with ", code("--listen"),
        ", so that this one can reach it. Do that in a network you trust."),
      h("li", {}, "Add it here by its address, such as ", code("192.168.1.20:8188"), ".",
        h("button", { type: "button", class: "orc-button orc-primary", onclick: onAdd }, "Add a peer")),
      h("li", {}, "Put a ", h("b", {}, "Remote Dispatch"),
        " node into your graph and link to it what should run there. Then press Run."),
    ));
}

/** @param {Peer} first @param {SectionDeps} deps @param {() => void} onRemoved */
function peerRow(first, deps, onRemoved) {
  const { api, store, say } = deps;
  let peer = first;
  let editing = false;
  const bodyId = `orc-peer-${first.id}`;

  const dot = h("span", { class: "orc-dot" });
  const name = h("span", { class: "orc-name" });
  const word = h("span", { class: "orc-state" });
  const head = h("button", {
    type: "button", class: "orc-row-head", "aria-expanded": "false", "aria-controls": bodyId,
    onclick: () => expand(head.getAttribute("aria-expanded") !== "true"),
  }, dot, name, word);
  const device = h("span", { class: "orc-clip" });
  const memoryText = h("span", { class: "orc-figure" });
  const bar = h("div", { class: "orc-bar orc-meter", role: "meter", "aria-valuemin": 0, "aria-valuemax": 100 }, h("i"));
  const tags = h("span", { class: "orc-tags" });
  const queue = h("span", { class: "orc-figure" });
  const problem = h("p", { class: "orc-problem" });
  const facts = h("p", { class: "orc-facts" });
  const failure = h("p", { class: "orc-error", role: "alert", hidden: true });
  const actions = h("div", { class: "orc-actions" });
  const formPlace = h("div");
  const body = h("div", { id: bodyId, class: "orc-row-body", hidden: true }, facts, actions, formPlace);
  const deviceLine = h("div", { class: "orc-line" }, device, memoryText);
  const loadLine = h("div", { class: "orc-line orc-wraps" }, tags, queue);
  const element = h("li", { class: "orc-row" }, head, deviceLine, bar, loadLine, problem, failure, body);

  const expand = (/** @type {boolean} */ open) => {
    body.hidden = !open;
    setAttribute(head, "aria-expanded", String(open));
  };

  const act = async (/** @type {() => Promise<unknown>} */ change, /** @type {string} */ done) => {
    setOptionalText(failure, "");
    setAttribute(element, "aria-busy", "true");
    try {
      await change();
      say(done);
      await store.refreshPeers();
    } catch (error) {
      setOptionalText(failure, /** @type {Error} */ (error).message);
    } finally {
      setAttribute(element, "aria-busy", null);
    }
  };
  const update = (/** @type {import("./api.js").PeerChanges} */ changes, /** @type {string} */ done) =>
    act(() => api.updatePeer(peer.id, changes), `${peer.name} ${done}.`);
  const button = (/** @type {string} */ text, /** @type {string} */ title, /** @type {() => void} */ onclick) =>
    h("button", { type: "button", class: "orc-button", title, onclick }, text);

  const check = button("Check now", "Ask the peer how it is", () =>
    act(() => api.checkPeer(peer.id), `${peer.name} was asked.`));
  const edit = button("Edit", "Change address, name, tags or key", () => openForm());
  const drain = button("Drain", "", () =>
    update({ draining: !peer.draining }, peer.draining ? "takes jobs again" : "takes no new jobs"));
  const enable = button("Disable", "", () =>
    update({ enabled: !peer.enabled }, peer.enabled ? "is disabled" : "is enabled"));
  const remove = button("Remove", "Forget this peer and its key", () => askToRemove());

  const openForm = () => {
    expand(true);
    if (editing) return;
    editing = true;
    actions.hidden = true;
    mountForm(formPlace, {
      ...deps,
      peer,
      onClose: () => {
        editing = false;
        formPlace.replaceChildren();
        actions.hidden = false;
        edit.focus();
      },
    });
  };

  const showActions = () => actions.replaceChildren(check, edit, drain, enable, remove);
  const askToRemove = () => {
    const keep = button("Keep", "", () => {
      showActions();
      remove.focus();
    });
    const sure = h("button", {
      type: "button", class: "orc-button orc-danger",
      onclick: async () => {
        await act(() => api.removePeer(peer.id), `${peer.name} is removed.`);
        if (element.isConnected) showActions();
        else onRemoved();
      },
    }, "Remove");
    const question = h("span", {}, `Remove ${peer.name}?`);
    actions.replaceChildren(question, sure, keep);
    actions.onkeydown = (event) => {
      if (event.key === "Escape" && actions.contains(keep)) keep.click();
    };
    keep.focus();
  };
  showActions();

  return {
    element,
    update(/** @type {Peer} */ next) {
      peer = next;
      const state = peerState(peer);
      const reached = peer.health === "up" || peer.health === "suspect";
      setAttribute(dot, "data-tone", state.tone);
      setText(name, peer.name);
      setText(word, state.word);
      showDevice(peer, { deviceLine, device, memoryText, bar });
      setChildren(tags, peer.tags.join("\n"), () => peer.tags.map((tag) => h("span", { class: "orc-tag" }, tag)));
      setText(queue, reached || peer.ours ? queueText(peer) : "");
      loadLine.hidden = !tags.childElementCount && !queue.textContent;
      setOptionalText(problem, peer.enabled ? peer.reason : "");
      setChildren(facts, [peer.url, peer.version, peer.node_types, peer.has_credentials].join("\n"), () => factsOf(peer));
      setText(drain, peer.draining ? "Undrain" : "Drain");
      setAttribute(drain, "title", peer.draining ? "Give it jobs again" : "Let it finish what it has, send nothing new");
      setText(enable, peer.enabled ? "Disable" : "Enable");
      setAttribute(enable, "title", peer.enabled ? "Do not use or ask this peer at all" : "Use this peer");
      setAttribute(element, "data-off", !peer.enabled);
    },
  };
}

/** @param {Peer} peer
 * @param {{deviceLine: HTMLElement, device: HTMLElement, memoryText: HTMLElement, bar: HTMLElement}} place */
function showDevice(peer, { deviceLine, device, memoryText, bar }) {
  const [main, ...others] = peer.devices;
  const room = main ? memory(main) : null;
  deviceLine.hidden = !main;
  bar.hidden = !room;
  if (!main) return;
  setText(device, deviceName(main.name) + (others.length ? ` and ${others.length} more` : ""));
  setAttribute(device, "title", peer.devices.map((each) => each.name).join("\n"));
  setText(memoryText, room?.text ?? "");
  if (!room) return;
  setAttribute(bar, "aria-valuenow", percent(room.used));
  setAttribute(bar, "aria-label", `Memory in use on ${peer.name}`);
  setAttribute(bar, "data-full", room.used > 0.9);
  /** @type {HTMLElement} */ (bar.firstElementChild).style.width = `${percent(room.used)}%`;
}

/** @param {Peer} peer @returns {Node[]} */
function factsOf(peer) {
  const parts = [outsideLink(safeHref(peer.url), peer.url, { title: "Open this peer's own page" })];
  if (peer.version) parts.push(h("span", {}, `ComfyUI ${peer.version}`));
  if (peer.node_types !== null) parts.push(h("span", {}, counted(peer.node_types, "node type")));
  if (peer.has_credentials) parts.push(h("span", {}, "a key is stored"));
  return parts;
}
