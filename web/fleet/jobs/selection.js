// @ts-check
/** The jobs that a person has picked, and what can be done to all of them at once. */
import { h, setOptionalText, setText } from "../ui/dom.js";
import { plural, t } from "../data/i18n.js";
import { peerChoice } from "../ui/peer_choice.js";

/** @typedef {import("../data/api.js").Action} Action @typedef {import("../panel.js").SectionDeps} SectionDeps */

export class Selection {
  /** @type {Set<string>} */
  ids = new Set();
  #anchor = "";
  #onChange;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** One more, or one less. @param {string} id */
  toggle(id) {
    if (!this.ids.delete(id)) this.ids.add(id);
    this.#anchor = id;
    this.#onChange();
  }

  /** All from the one that was picked last. @param {string[]} order ids as they stand @param {string} id */
  reach(order, id) {
    const [from, to] = [order.indexOf(this.#anchor), order.indexOf(id)].sort((a, b) => a - b);
    if (from < 0) return this.toggle(id);
    for (const each of order.slice(from, to + 1)) this.ids.add(each);
    this.#onChange();
  }

  clear() {
    this.ids.clear();
    this.#onChange();
  }
}

/** What stands over the lists while something is picked.
 * @param {SectionDeps} deps @param {Selection} selection @param {() => string[]} order ids as they stand */
export function selectionBar({ api, store, say }, selection, order) {
  const count = h("span", { class: "orc-name", role: "status" });
  const failure = h("p", { class: "orc-error", role: "alert", hidden: true });
  const act = async (/** @type {Action} */ action, peer = "") => {
    setOptionalText(failure, "");
    const ids = order().filter((id) => selection.ids.has(id));
    try {
      const { done, refused } = await api.act(action, { job_ids: ids, peer });
      say(plural(done.length, "{count} job changed", "{count} jobs changed"));
      setOptionalText(failure, refused[0]?.message ?? "");
      if (!refused.length) selection.clear();
      await store.readLine();
    } catch (error) {
      setOptionalText(failure, /** @type {Error} */ (error).message);
    }
  };
  const button = (/** @type {string} */ text, /** @type {() => void} */ onclick) =>
    h("button", { type: "button", class: "orc-button", onclick }, text);
  const prompting = () => ({ value: "", label: t("Run on") });
  const choice = peerChoice(
    () => [prompting(), ...store.peers.map(({ id, name }) => ({ value: id, label: name })), { value: "any", label: t("any peer") }],
    ({ value }) => {
      if (value) act("pin", value === "any" ? "" : value);
      choice.show(prompting());
    });
  choice.element.setAttribute("aria-label", t("Run the selected jobs on"));
  choice.show(prompting());
  const element = h("div", { class: "orc-selection", role: "group", "aria-label": t("Selected jobs"), hidden: true },
    h("div", { class: "orc-line" }, count, button(t("Clear selection"), () => selection.clear())),
    h("div", { class: "orc-actions" },
      button(t("Cancel jobs"), () => act("cancel")),
      button(t("Hold"), () => act("hold")), button(t("Resume"), () => act("release")),
      button(t("To the top"), () => act("first")), button(t("To the end"), () => act("last")),
      button(t("Retry"), () => act("retry")), choice.element),
    failure);
  return {
    element,
    show() {
      element.hidden = !selection.ids.size;
      setText(count, plural(selection.ids.size, "{count} job selected", "{count} jobs selected"));
    },
  };
}
