// @ts-check
/** The switches of fleet mode in the tab's head. */
import { h, setAttribute, setOptionalText, setText } from "../ui/dom.js";
import { t } from "../data/i18n.js";
import { hindrance, whereRunGoes } from "./mode_text.js";
import { outlookLines } from "../outlook/outlook_lines.js";

/** @param {HTMLElement} el @param {import("../panel.js").SectionDeps} deps @returns {() => void} */
export function mount(el, { store, outlook }) {
  const controller = new AbortController();
  const button = (/** @type {string} */ text, /** @type {"fleet_mode" | "this_machine"} */ name) =>
    h("button", { type: "button", role: "switch", class: "orc-switch", onclick: () => change(name) },
      h("i", { "aria-hidden": "true" }), h("span", {}, text));
  const toggle = button(t("Fleet mode"), "fleet_mode");
  const here = button(t("Include this computer"), "this_machine");
  setAttribute(here, "title", t("This computer also runs jobs whenever its own queue is empty"));
  const meaning = h("span", { class: "orc-muted" });
  const problem = h("p", { class: "orc-problem" });
  const failure = h("p", { class: "orc-error", role: "alert", hidden: true });

  const change = async (/** @type {"fleet_mode" | "this_machine"} */ name) => {
    setOptionalText(failure, "");
    try {
      await store.change({ [name]: !store.settings?.[name] });
    } catch (error) {
      setOptionalText(failure, /** @type {Error} */ (error).message);
    }
  };
  const render = () => {
    const on = Boolean(store.settings?.fleet_mode);
    el.hidden = store.settings === null || (!on && !store.peers.length);
    setAttribute(toggle, "aria-checked", String(on));
    setAttribute(here, "aria-checked", String(Boolean(store.settings?.this_machine)));
    here.hidden = !on;
    setText(meaning, whereRunGoes(store.settings, store.peers));
    setOptionalText(problem, on && store.phase === "ready" ? hindrance(store.peers) : "");
  };
  for (const name of ["settings", "peers", "status"]) {
    store.addEventListener(name, render, { signal: controller.signal });
  }
  const lines = outlookLines(outlook);
  el.replaceChildren(h("div", { class: "orc-line" }, toggle, meaning), lines.element, here, problem, failure);
  render();
  return () => {
    controller.abort();
    lines.close();
  };
}
