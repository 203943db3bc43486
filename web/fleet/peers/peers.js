// @ts-check
/** The peers: one row each, the form for a new one, and what to do while there is none. */
import { atNextFrame, h, keyedList, setAttribute } from "../ui/dom.js";
import { hereRow } from "./here_row.js";
import { helpLink, onboarding } from "./onboarding.js";
import { t } from "../data/i18n.js";
import { drawnWhenVisible } from "../ui/visibility.js";
import { mount as mountForm } from "./peer_form.js";
import { peerRow } from "./peer_row.js";

/** @typedef {import("../data/api.js").Peer} Peer @typedef {import("../panel.js").SectionDeps} SectionDeps */

const NEW_ROWS_A_FRAME = 4; //: fifty at once would hold up the page
const WHOLE_ROWS_MAX = 4; //: of more peers each is one line until it is opened, so that the queue stays in sight

/** @param {HTMLElement} el @param {SectionDeps} deps @returns {() => void} */
export function mount(el, deps) {
  const { store } = deps;
  const controller = new AbortController();
  const list = h("ul", { class: "orc-list orc-peers", "aria-label": t("Peers") });
  const formPlace = h("div");
  const lesson = onboarding(deps, () => render());
  const add = h("button", { type: "button", class: "orc-button", "data-orc-add": true, onclick: () => openForm() }, t("Add peer"));
  /** @type {ReturnType<typeof drawnWhenVisible<Peer>>} */
  const inSight = drawnWhenVisible();
  const here = hereRow(deps);
  const ourList = h("ul", { class: "orc-list", "aria-label": t("this computer") }, here.element);
  const showPeers = keyedList(list, (/** @type {Peer} */ peer) => peer.id, (peer) =>
    inSight.row(peerRow(peer, deps, () => add.focus())));

  const closeForm = () => {
    // It may close by itself while a person is elsewhere.
    const focused = formPlace.contains(document.activeElement) || document.activeElement === document.body;
    formPlace.replaceChildren();
    render();
    if (focused) add.focus();
  };
  const openForm = () => {
    if (!formPlace.firstChild) mountForm(formPlace, { ...deps, peer: null, onClose: closeForm });
    render();
  };
  const render = () => {
    const formOpen = formPlace.firstChild !== null;
    lesson.element.hidden = (store.peers.length > 0 && !lesson.isUnderWay()) || store.phase !== "ready" || formOpen;
    add.disabled = formOpen;
    const shown = store.peers.slice(0, list.childElementCount + NEW_ROWS_A_FRAME);
    showPeers(shown);
    setAttribute(list, "data-compact", store.peers.length > WHOLE_ROWS_MAX);
    here.update();
    ourList.hidden = here.element.hidden;
    if (shown.length < store.peers.length) frame.soon();
  };

  const frame = atNextFrame(render);
  for (const name of ["peers", "status", "jobs", "settings"]) store.addEventListener(name, frame.soon, { signal: controller.signal });
  store.addEventListener("peers", lesson.follow, { signal: controller.signal });
  el.replaceChildren(h("div", { class: "orc-section-head" }, h("h3", {}, t("Peers")), h("span", { class: "orc-head-buttons" }, helpLink(), add)), lesson.element, formPlace, list, ourList);
  render();
  return () => {
    controller.abort();
    frame.cancel();
    inSight.close();
  };
}
