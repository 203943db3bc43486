// @ts-check
/** The peers: one row each, the form for a new one, and what to do while there is none. */
import { h, keyedList } from "./dom.js";
import { mount as mountForm } from "./peer_form.js";
import { peerRow } from "./peer_row.js";

/** @typedef {import("./api.js").Peer} Peer @typedef {import("./panel.js").SectionDeps} SectionDeps */

/** @param {HTMLElement} el @param {SectionDeps} deps @returns {() => void} */
export function mount(el, deps) {
  const { store } = deps;
  const controller = new AbortController();
  const list = h("ul", { class: "orc-list" });
  const formPlace = h("div");
  const lesson = firstSteps(() => openForm());
  const add = h("button", { type: "button", class: "orc-button", "data-orc-add": true, onclick: () => openForm() }, "Add peer");
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

  for (const name of ["peers", "status", "jobs"]) store.addEventListener(name, render, { signal: controller.signal });
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
