// @ts-check
/** A menu at a place of the page: by pointer, by touch and by keys. */
import { h } from "./dom.js";

/** @typedef {{label: string, icon: string, run(): unknown}} MenuItem */

const KEYS = new Map([["ArrowDown", 1], ["ArrowUp", -1]]);

/**
 * Shows it until one is chosen, or somebody turns to something else; the focus goes back to where it was.
 * @param {{x: number, y: number}} at where its corner stands, as far as there is room
 * @param {string} label what it is about @param {MenuItem[]} items
 */
export function openMenu({ x, y }, label, items) {
  const before = document.activeElement;
  const close = (isDone = true) => {
    window.removeEventListener("pointerdown", leave, true);
    window.removeEventListener("scroll", leave, true);
    element.remove();
    if (isDone && before instanceof HTMLElement) before.focus({ preventScroll: true });
  };
  const leave = (/** @type {Event} */ event) => {
    if (!(event.target instanceof Node && element.contains(event.target))) close(event.type === "scroll");
  };
  const buttons = items.map(({ label: text, icon, run }) => h("button", {
    type: "button", role: "menuitem", tabindex: "-1", class: "orc-menu-item",
    onclick: () => {
      close();
      run();
    },
  }, h("i", { class: `pi ${icon}`, "aria-hidden": "true" }), text));
  const element = h("div", {
    class: "orc-panel orc-menu", role: "menu", "aria-label": label,
    // ComfyUI listens for single keys on the whole page.
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      event.stopPropagation();
      const place = buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
      const step = KEYS.get(event.key);
      if (step) buttons[(place + step + buttons.length) % buttons.length].focus();
      else if (event.key === "Home") buttons[0].focus();
      else if (event.key === "End") buttons[buttons.length - 1].focus();
      else if (event.key === "Escape" || event.key === "Tab") close();
      else return;
      event.preventDefault();
    },
    oncontextmenu: (/** @type {Event} */ event) => event.preventDefault(),
  }, ...buttons);
  document.body.append(element);
  const { width, height } = element.getBoundingClientRect();
  element.style.left = `${Math.max(0, Math.min(x, window.innerWidth - width - 4))}px`;
  element.style.top = `${Math.max(0, Math.min(y, window.innerHeight - height - 4))}px`;
  window.addEventListener("pointerdown", leave, true);
  window.addEventListener("scroll", leave, true);
  buttons[0]?.focus({ preventScroll: true });
}
