// @ts-check
/** A peer's name, changed where it stands: by a double click, or by F2. */
import { input } from "../ui/form_fields.js";
import { t } from "../data/i18n.js";

/** @param {HTMLElement} head what shows the name @param {() => string} nameOf
 * @param {(name: string) => Promise<unknown>} save tells what goes wrong itself */
export function renamable(head, nameOf, save) {
  const begin = () => {
    if (head.hidden) return;
    const before = nameOf();
    const field = input({ class: "orc-input orc-rename", value: before, maxlength: 64, "aria-label": t("Name of {peer}", { peer: before }) });
    let isOver = false;
    const end = async (/** @type {boolean} */ keep) => {
      if (isOver) return;
      isOver = true;
      const name = field.value.trim();
      if (keep && name && name !== before) await save(name);
      const hadFocus = document.activeElement === field;
      field.remove();
      head.hidden = false;
      if (hadFocus) head.focus();
    };
    field.addEventListener("blur", () => end(true));
    field.addEventListener("keydown", (event) => {
      event.stopPropagation(); // ComfyUI listens for single keys
      if (event.isComposing) return; // Enter takes what an input method offers
      if (event.key === "Enter" || event.key === "Escape") end(event.key === "Enter");
    });
    head.before(field);
    head.hidden = true;
    field.select();
    field.focus();
  };
  head.setAttribute("aria-keyshortcuts", "F2");
  head.addEventListener("dblclick", begin);
  head.addEventListener("keydown", (event) => event.key === "F2" && begin());
}
