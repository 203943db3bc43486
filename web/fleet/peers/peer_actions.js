// @ts-check
/** What the owner of a peer can do to it, and what came of it. */
import { h, setAttribute, setOptionalText, setText } from "../ui/dom.js";
import { t } from "../data/i18n.js";
import { mount as mountForm } from "./peer_form.js";

/** @typedef {import("../data/api.js").Peer} Peer @typedef {import("../panel.js").SectionDeps} SectionDeps
 * @typedef {{element: HTMLElement, failure: HTMLElement, found: HTMLElement, expand(open: boolean): void,
 *   onRemoved(): void}} Row
 * @typedef {{isOurs: boolean, promptId: string}} Now what runs there */

/** @param {SectionDeps} deps @param {Row} row */
export function peerActions(deps, { element, failure, found, expand, onRemoved }) {
  const { api, store, say } = deps;
  /** @type {Peer} */
  let peer;
  /** @type {Now | null} */
  let now = null;
  let editing = false;
  const actions = h("div", { class: "orc-actions" });
  const formPlace = h("div");

  const act = async (/** @type {() => Promise<unknown>} */ change, /** @type {string} */ done) => {
    setOptionalText(failure, "");
    setAttribute(element, "aria-busy", "true");
    try {
      await change();
      if (done) say(done);
      await store.refreshPeers();
    } catch (error) {
      setOptionalText(failure, /** @type {Error} */ (error).message);
    } finally {
      setAttribute(element, "aria-busy", null);
    }
  };
  const update = (/** @type {import("../data/api.js").PeerChanges} */ changes, /** @type {string} */ done) =>
    act(() => api.updatePeer(peer.id, changes), done);
  const button = (/** @type {string} */ text, /** @type {string} */ title, /** @type {() => void} */ onclick) =>
    h("button", { type: "button", class: "orc-button", title, onclick }, text);

  const test = button(t("Test"), t("Run a tiny workflow there and see what it has"), () => {
    setOptionalText(found, t("Testing {peer} …", { peer: peer.name }));
    act(async () => {
      const { ok, message } = await api.testPeer(peer.id).catch((error) => ({ ok: false, message: error.message }));
      setOptionalText(found, message);
      setAttribute(found, "data-ok", ok);
    }, "");
  });
  const check = button(t("Check now"), t("Ask the peer how it is"), () =>
    act(() => api.checkPeer(peer.id), t("{peer} was checked.", { peer: peer.name })));
  const edit = button(t("Edit"), t("Change address, name, tags or key"), () => openForm());
  const drain = button(t("Drain"), "", () =>
    update({ draining: !peer.draining }, peer.draining ? t("{peer} takes jobs again.", { peer: peer.name }) : t("{peer} takes no new jobs.", { peer: peer.name })));
  const enable = button(t("Disable"), "", () =>
    update({ enabled: !peer.enabled }, peer.enabled ? t("{peer} is disabled.", { peer: peer.name }) : t("{peer} is enabled.", { peer: peer.name })));
  const interrupt = button(t("Interrupt"), "", () => {
    if (!now) return;
    const { isOurs, promptId } = now; // another may run there by the time it is told
    const end = () =>
      act(() => api.interruptPeer(peer.id, { foreign: !isOurs, prompt_id: promptId }), t("The job on {peer} was stopped.", { peer: peer.name }));
    if (isOurs) end();
    else ask(t("Another user's job is running on {peer}. Stop it anyway?", { peer: peer.name }), t("Stop it"), interrupt, end);
  });
  const free = button(t("Free memory"), t("Unload its models once it is idle"), () =>
    act(() => api.freePeer(peer.id), t("{peer} was asked to free its memory.", { peer: peer.name })));
  const remove = button(t("Remove"), t("Remove this peer and its key"), () =>
    ask(t("Remove {peer}?", { peer: peer.name }), t("Remove"), remove, async () => {
      await act(() => api.removePeer(peer.id), t("{peer} is removed.", { peer: peer.name }));
      if (!element.isConnected) onRemoved();
    }));

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
  const showActions = () => actions.replaceChildren(test, check, edit, drain, enable, remove, free, interrupt);
  const ask = (
    /** @type {string} */ question, /** @type {string} */ yes, /** @type {HTMLElement} */ from, /** @type {() => unknown} */ go,
  ) => {
    const close = () => {
      showActions();
      from.focus();
    };
    const keep = button(t("Keep"), "", close);
    const sure = h("button", {
      type: "button", class: "orc-button orc-danger",
      onclick: async () => {
        await go();
        if (element.isConnected) showActions();
      },
    }, yes);
    actions.replaceChildren(h("span", {}, question), sure, keep);
    actions.onkeydown = (event) => {
      if (event.key === "Escape" && actions.contains(keep)) close();
    };
    keep.focus();
  };
  showActions();

  return {
    element: h("div", {}, actions, formPlace),
    rename: (/** @type {string} */ name) => update({ name }, t("{peer} is saved.", { peer: name })),
    /** @param {Peer} next @param {Now | null} running */
    show(next, running) {
      peer = next;
      now = running;
      setText(drain, peer.draining ? t("Resume") : t("Drain"));
      setAttribute(drain, "title", peer.draining ? t("Send it jobs again") : t("Let it finish its jobs, send no new ones"));
      setText(enable, peer.enabled ? t("Disable") : t("Enable"));
      setAttribute(enable, "title", peer.enabled ? t("Stop using and checking this peer") : t("Use this peer"));
      interrupt.hidden = !now;
      setAttribute(interrupt, "title", now?.isOurs ? t("Stop your job that is running there") : t("Stop another user's job there"));
      free.hidden = peer.health !== "up";
    },
  };
}
