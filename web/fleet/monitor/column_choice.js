// @ts-check
/** Which columns a person wants to see, kept in this browser. */
import { h } from "../ui/dom.js";
import { t } from "../data/i18n.js";

const KEY = "orc.monitor.columns";

/** @param {string} kept what was kept, "" for nothing @param {{id: string, isUsual?: boolean}[]} columns @returns {string[]} */
export function chosenColumns(kept, columns) {
  const names = kept.split(",");
  const known = columns.map(({ id }) => id).filter((id) => names.includes(id));
  return known.length ? known : columns.filter(({ isUsual }) => isUsual).map(({ id }) => id);
}

/** @param {{id: string, label(): string, isUsual?: boolean}[]} columns @param {() => void} onChange */
export function columnChoice(columns, onChange) {
  let chosen = chosenColumns(read(), columns);
  const boxes = columns.map(({ id, label }) => {
    const box = h("input", {
      type: "checkbox", checked: chosen.includes(id),
      onchange: () => {
        const next = columns.map((column) => column.id).filter((other) => (other === id ? box.checked : chosen.includes(other)));
        if (!next.length) box.checked = true; // one has to stay
        else chosen = next;
        write(chosen.join(","));
        onChange();
      },
    });
    return h("label", { class: "orc-check" }, box, label());
  });
  const summary = h("summary", { class: "orc-button" }, t("Columns"));
  const element = h("details", {
    class: "orc-columns",
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Escape" || !element.open) return;
      event.stopPropagation();
      element.open = false;
      summary.focus();
    },
    onfocusout: (/** @type {FocusEvent} */ event) => {
      if (event.relatedTarget instanceof Node && !element.contains(event.relatedTarget)) element.open = false;
    },
  }, summary, h("div", { class: "orc-column-list", role: "group", "aria-label": t("Columns") }, ...boxes));
  return { element, get chosen() { return chosen; } };
}

function read() {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} text */
function write(text) {
  try {
    localStorage.setItem(KEY, text);
  } catch {
    // A page without storage forgets it.
  }
}
