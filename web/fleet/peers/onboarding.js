// @ts-check
/** The first peer in three steps: start ComfyUI there, paste its address, test it. Then what to press next. */
import { h, outsideLink, setAttribute, setOptionalText, setText } from "../ui/dom.js";
import { t } from "../data/i18n.js";
import { credentialsOf, keyFields } from "./peer_keys.js";

/** @typedef {import("../data/api.js").Peer} Peer @typedef {import("../panel.js").SectionDeps} SectionDeps */

const START = "python main.py --listen";
const HELP = new URL("../../docs/help.html", import.meta.url).href;

/** A link to the help page. @param {string} [text] */
export const helpLink = (text = t("Help")) => outsideLink(HELP, text, { class: "orc-help" });

/**
 * @param {SectionDeps} deps
 * @param {() => void} changed when it shows something else, or nothing any more
 * @returns {{element: HTMLElement, isUnderWay(): boolean, follow(): void}} under way: begun in here, and not closed;
 *   `follow`: the peers have changed
 */
export function onboarding({ api, store, say }, changed) {
  /** @type {Peer | null} */
  let peer = null;
  let closed = false;
  let works = false;

  const address = h("input", {
    type: "text", class: "orc-input", placeholder: "192.168.1.20:8188", autocomplete: "off", spellcheck: "false", required: true,
    "aria-label": t("Address of the other computer"),
  });
  const add = h("button", { type: "submit", class: "orc-button orc-primary" }, t("Add"));
  const keys = keyFields(false);
  const form = h("form", {
    "aria-label": t("The first peer"),
    onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      busy(add, tryAddress);
    },
    onkeydown: (/** @type {KeyboardEvent} */ event) => event.stopPropagation(), // ComfyUI listens for single keys
  }, h("div", { class: "orc-inline" }, address, add), keys.element);
  const found = h("p", { class: "orc-found", "data-ok": true, role: "status" });
  const wrong = h("p", { class: "orc-error", role: "alert", hidden: true });
  const test = h("button", { type: "button", class: "orc-button", onclick: () => busy(test, tryOut) }, t("Test"));
  const tested = h("p", { class: "orc-found", "data-ok": true, role: "status" });
  const failed = h("p", { class: "orc-error", role: "alert", hidden: true });
  const copied = h("span", { class: "orc-muted", role: "status" });
  const copy = h("button", { type: "button", class: "orc-button", onclick: () => copyCommand() }, t("Copy"));
  const use = h("button", { type: "button", class: "orc-button orc-primary", onclick: () => busy(use, useIt) }, t("Turn on fleet mode"));
  const close = h("button", { type: "button", class: "orc-button", onclick: () => end() }, t("Close"));
  const next = h("div", { class: "orc-next" },
    h("p", {}, t("All set. Turn on fleet mode to make Run use your peers, or use the Remote Dispatch node to offload part of a workflow.")),
    h("div", { class: "orc-actions" }, use, close));

  const tryAddress = async () => {
    setOptionalText(wrong, "");
    const url = address.value.trim();
    try {
      peer = await (peer ? tryAgain(peer, url) : api.addPeer({ url }));
      if (peer.health === "unknown") peer = await api.checkPeer(peer.id);
      if (peer.health !== "up") setOptionalText(wrong, peer.reason || t("{address} has not answered yet.", { address: url }));
    } catch (error) {
      setOptionalText(wrong, /** @type {Error} */ (error).message);
      address.focus();
    }
    show();
    if (peer?.health === "needs_key") {
      keys.answered(peer.has_credentials, true);
      keys.ask();
    }
    if (peer?.health === "up") {
      say(t("{peer} is added.", { peer: peer.name }));
      test.focus();
    }
    store.refreshPeers().catch(() => {}); // the server's event tells it as well
  };
  const tryAgain = (/** @type {Peer} */ known, /** @type {string} */ url) => {
    const credentials = credentialsOf(keys.entered());
    if (url === known.url && !credentials) return api.checkPeer(known.id);
    return api.updatePeer(known.id, {
      ...(url === known.url ? {} : { url, name: nameOf(url) }), ...(credentials ? { credentials } : {}),
    });
  };
  // It was named after an address that was wrong.
  const nameOf = (/** @type {string} */ url) => url.replace(/^https?:\/\//, "");
  const tryOut = async () => {
    if (!peer) return;
    setOptionalText(failed, "");
    setText(tested, t("Running a tiny workflow there …"));
    try {
      const { ok, message } = await api.testPeer(peer.id);
      works = ok;
      setText(tested, ok ? message : "");
      setOptionalText(failed, ok ? "" : message);
    } catch (error) {
      setText(tested, "");
      setOptionalText(failed, /** @type {Error} */ (error).message);
    }
    show();
    if (works) use.focus();
  };
  const useIt = async () => {
    try {
      await store.change({ fleet_mode: true });
      end();
    } catch (error) {
      setOptionalText(failed, /** @type {Error} */ (error).message);
    }
  };
  const copyCommand = async () => {
    const done = await navigator.clipboard?.writeText(START).then(() => true, () => false);
    setText(copied, done ? t("Copied") : t("Select the line and copy it by hand."));
  };
  const end = () => {
    closed = true;
    changed();
  };

  const step = (/** @type {string} */ text, /** @type {(Node | string)[]} */ ...more) => h("li", {}, h("p", {}, text), ...more.flat());
  const steps = [
    step(t("Start ComfyUI on the other computer with this command. Anyone on that network can then use it, so only do this on a network you trust."),
      [h("div", { class: "orc-inline" }, h("code", {}, START), copy), copied]),
    step(t("Enter its address."), [form, found, wrong]),
    step(t("Test it."), [test, tested, failed]),
  ];
  const element = h("div", { class: "orc-lesson" },
    h("p", {}, t("Run your workflows on your other computers. Nothing to install on them."), " ", helpLink()),
    h("ol", {}, ...steps), next);

  const show = () => {
    const up = peer?.health === "up";
    setText(found, up && peer ? t("{peer} answers: ComfyUI {version}.", { peer: peer.name, version: peer.version || "?" }) : "");
    setText(add, peer && !up ? t("Try again") : t("Add"));
    form.hidden = Boolean(up);
    keys.element.hidden = peer?.health !== "needs_key";
    test.disabled = !up;
    setAttribute(test, "class", works || !up ? "orc-button" : "orc-button orc-primary");
    next.hidden = !works;
    for (const done of steps.slice(0, 2)) setAttribute(done, "data-done", Boolean(up));
    setAttribute(steps[2], "data-done", works);
    changed();
  };
  const busy = async (/** @type {HTMLButtonElement} */ button, /** @type {() => Promise<void>} */ work) => {
    if (button.getAttribute("aria-busy")) return;
    setAttribute(button, "aria-busy", "true");
    await work();
    setAttribute(button, "aria-busy", null);
  };
  /** It may answer, or stop answering, after this was told. */
  const follow = () => {
    const now = store.peers.find(({ id }) => id === peer?.id);
    if (!now || now.health === peer?.health) return;
    peer = now;
    setOptionalText(wrong, now.health === "up" ? "" : now.reason);
    show();
  };
  next.hidden = test.disabled = keys.element.hidden = true;
  return { element, isUnderWay: () => peer !== null && !closed, follow };
}
