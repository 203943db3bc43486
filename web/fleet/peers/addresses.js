// @ts-check
/** Addresses under which ComfyUI is opened: those that were refused lately, and those that a person accepted. */
import { h, keyedList, setAttribute, setOptionalText, setText } from "../ui/dom.js";
import { plural, t } from "../data/i18n.js";

/** @typedef {{name: string, last_at: string, times: number}} Refused
 * @typedef {{accepted: string[], refused: Refused[]}} Known */

/** @type {Set<string>} */
const dismissed = new Set(); // for as long as the page is open

/** What a page says that is taken for another site's. @param {string} address */
export const whyOff = (address) =>
  t("The fleet is off at {address}: ComfyUI does not recognise this address as its own, and a false one could use your computers. If it is yours, open ComfyUI on its own computer (http://127.0.0.1 with its port) and accept the address in the Fleet tab there. Until then Run uses only this ComfyUI.", { address });

/** What a person is asked about. @param {Known} known @returns {string[]} the last refused first */
export const askedAbout = ({ accepted, refused }) =>
  refused.map(({ name }) => name).filter((name) => !accepted.includes(name) && !dismissed.has(name));

/** @param {HTMLElement} el @param {import("../panel.js").SectionDeps} deps @returns {() => void} */
export function mount(el, { api, store, say }) {
  const controller = new AbortController();
  /** @type {Known} */
  let known = { accepted: [], refused: [] };
  /** @type {string[]} */
  let justNow = [];
  const failure = h("p", { class: "orc-error", role: "alert", hidden: true });

  const button = (/** @type {string} */ text, /** @type {() => unknown} */ act, props = {}) =>
    h("button", { type: "button", class: "orc-button", onclick: act, ...props }, text);
  const change = async (/** @type {string[]} */ hosts) => {
    setOptionalText(failure, "");
    try {
      await store.change({ accepted_hosts: hosts });
      await read();
    } catch (error) {
      setOptionalText(failure, /** @type {Error} */ (error).message);
    }
  };
  const accept = async (/** @type {string} */ name) => {
    justNow = [...justNow, name];
    await change([...known.accepted, name]);
    say(t("{address} is accepted.", { address: name }));
  };
  const remove = async (/** @type {string} */ name) => {
    justNow = justNow.filter((each) => each !== name);
    await change(known.accepted.filter((each) => each !== name));
    say(t("{address} is no longer accepted.", { address: name }));
  };
  const dismiss = (/** @type {string} */ name) => {
    dismissed.add(name);
    render();
  };

  const asked = h("div");
  const showAsked = keyedList(asked, (/** @type {string} */ name) => name, (name) => ({
    element: h("div", { class: "orc-notice orc-address", role: "status" },
      h("p", {}, h("b", {}, name), " ",
        t("was refused: a page or script used this address for ComfyUI. Accept it only if you open ComfyUI at this address yourself.")),
      h("div", { class: "orc-actions" },
        button(t("Accept this address"), () => accept(name)), button(t("It is not mine"), () => dismiss(name)))),
    update() {},
  }));
  const done = h("div");
  const showDone = keyedList(done, (/** @type {string} */ name) => name, (name) => ({
    element: h("div", { class: "orc-notice", role: "status", "data-good": true },
      h("span", {}, t("{address} is accepted. Reload the page there.", { address: name })), button(t("Undo"), () => remove(name))),
    update() {},
  }));
  const list = h("ul");
  const showAccepted = keyedList(list, (/** @type {string} */ name) => name, (name) => ({
    element: h("li", { class: "orc-line" }, h("span", { class: "orc-clip" }, name),
      button(t("Remove"), () => remove(name), { "aria-label": t("Remove {address}", { address: name }) })),
    update() {},
  }));
  const count = h("summary");
  const all = h("details", { class: "orc-accepted", hidden: true }, count, list);

  const render = () => {
    showAsked(askedAbout(known));
    showDone(justNow.filter((name) => known.accepted.includes(name)));
    showAccepted(known.accepted);
    setText(count, plural(known.accepted.length, "{count} accepted address", "{count} accepted addresses"));
    all.hidden = !known.accepted.length;
    setAttribute(el, "hidden", !all.hidden || asked.firstChild || !failure.hidden ? null : true);
  };
  const read = async () => {
    known = await api.addresses().catch(() => known);
    render();
  };
  store.addEventListener("addresses", () => {
    known = store.addresses ?? known;
    render();
  }, { signal: controller.signal });
  el.replaceChildren(asked, done, failure, all);
  render();
  read();
  return () => controller.abort();
}
