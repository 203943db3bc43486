// @ts-check
/** A message over the page with a way out of what it tells. */
import { h, openDialog } from "../ui/dom.js";
import { t } from "../data/i18n.js";

const NAMED_MAX = 3;

/**
 * @param {{title: string, text: string, run: string, details?: string, lines?: HTMLElement[], leave?: string}} said
 *   `run`: what the first button does; `details`: what the second one shows: the `lines`; `leave`: nothing is done
 * @returns {Promise<boolean>} whether a person wants that done
 */
export function offer({ title, text, run, details = "", lines = [], leave = t("Not now") }) {
  return new Promise((resolve) => {
    const list = h("ul", { id: "orc-offer-list", hidden: true }, ...lines);
    const show = h("button", {
      type: "button", class: "orc-button", "aria-expanded": "false", "aria-controls": list.id, hidden: !lines.length,
      onclick: () => {
        list.hidden = !list.hidden;
        show.setAttribute("aria-expanded", String(!list.hidden));
      },
    }, details);
    const dialog = h("dialog", {
      class: "orc-dialog", "aria-labelledby": "orc-offer-title", "aria-describedby": "orc-offer-text",
    },
    h("h2", { id: "orc-offer-title" }, title),
    h("p", { id: "orc-offer-text" }, text),
    list,
    h("div", { class: "orc-actions" },
      h("button", { type: "button", class: "orc-button orc-primary", autofocus: true, onclick: () => dialog.close("run") }, run),
      show,
      h("button", { type: "button", class: "orc-button", onclick: () => dialog.close("") }, leave)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "run");
    });
    openDialog(dialog);
  });
}

/** A class as the page's menus call it; all else as it is. @param {string} name @returns {string} */
export const titleOf = (name) =>
  /** @type {any} */ (globalThis).LiteGraph?.registered_node_types?.[name]?.title ?? name;

/** @param {string[]} all @returns {string} the first of them, and how many more there are */
export function few(all) {
  const names = [...new Set(all)];
  if (names.length <= NAMED_MAX) return names.join(", ");
  return `${names.slice(0, NAMED_MAX - 1).join(", ")} ${t("and {count} more", { count: names.length - NAMED_MAX + 1 })}`;
}
