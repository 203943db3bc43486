// @ts-check
/** The switch of fleet mode in the tab's head. */
import { h, setAttribute, setOptionalText, setText } from "./dom.js";
import { hindrance, whereRunGoes } from "./mode_words.js";

/** @param {HTMLElement} el @param {import("./panel.js").SectionDeps} deps @returns {() => void} */
export function mount(el, { store }) {
  const controller = new AbortController();
  const toggle = h("button", { type: "button", role: "switch", class: "orc-switch", onclick: () => change() },
    h("i", { "aria-hidden": "true" }), h("span", {}, "Fleet mode"));
  const meaning = h("span", { class: "orc-muted" });
  const problem = h("p", { class: "orc-problem" });
  const failure = h("p", { class: "orc-error", role: "alert", hidden: true });

  const change = async () => {
    setOptionalText(failure, "");
    try {
      await store.change({ fleet_mode: !store.settings?.fleet_mode });
    } catch (error) {
      setOptionalText(failure, /** @type {Error} */ (error).message);
    }
  };
  const render = () => {
    const on = Boolean(store.settings?.fleet_mode);
    el.hidden = store.settings === null || (!on && !store.peers.length);
    setAttribute(toggle, "aria-checked", String(on));
    setText(meaning, whereRunGoes(on, store.peers));
    setOptionalText(problem, on && store.phase === "ready" ? hindrance(store.peers) : "");
  };
  for (const name of ["settings", "peers", "status"]) {
    store.addEventListener(name, render, { signal: controller.signal });
  }
  el.replaceChildren(h("div", { class: "orc-line" }, toggle, meaning), problem, failure);
  render();
  return () => controller.abort();
}
