// @ts-check
/** The fields for one parameter's values: a list, choices to tick, a range, or random seeds. */
import { h, setText } from "../ui/dom.js";
import { t } from "../data/i18n.js";
import { choicesOf, isNumber, modesOf } from "./variation_values.js";

/** @typedef {import("../data/api.js").Parameter} Parameter @typedef {import("./variation_values.js").Wish} Wish */

const CHOICES_SHOWN = 100;
const MODES = { values: () => t("Values"), range: () => t("Range"), seeds: () => t("Random seeds") };

/** @param {Parameter} parameter @param {Wish} wish changed in place @param {() => void} changed @returns {HTMLElement} */
export function valueFields(parameter, wish, changed) {
  const choices = choicesOf(parameter);
  if (choices) return choiceBoxes(parameter, choices, wish, changed);
  const field = h("div", { class: "orc-value-fields" });
  const show = () => field.replaceChildren(...fieldsOf(parameter, wish, changed));
  const modes = modesOf(parameter);
  const kind = h("select", {
    class: "orc-choice", "aria-label": t("How {name} is varied", { name: parameter.input }),
    onchange: () => {
      wish.mode = /** @type {import("./variation_values.js").Mode} */ (kind.value);
      show();
      changed();
    },
  }, ...modes.map((mode) => h("option", { value: mode }, MODES[mode]())));
  show();
  return h("div", { class: "orc-value-row" }, modes.length > 1 && kind, field);
}

/** @param {Parameter} parameter @param {Wish} wish @param {() => void} changed @returns {Node[]} */
function fieldsOf(parameter, wish, changed) {
  const input = (/** @type {"text" | "from" | "to" | "amount" | "seeds"} */ key, /** @type {string} */ label) => {
    const box = h("input", {
      type: "text", class: "orc-input", inputmode: isNumber(parameter) ? "decimal" : null, autocomplete: "off",
      "aria-label": `${parameter.input}: ${label}`, value: wish[key],
      oninput: () => { wish[key] = box.value; changed(); },
    });
    return box;
  };
  if (wish.mode === "seeds") return [labelled(t("How many"), input("seeds", t("How many")))];
  if (wish.mode === "range") {
    const by = h("select", {
      class: "orc-choice", "aria-label": t("Step or number of values"),
      onchange: () => { wish.by = by.value === "count" ? "count" : "step"; changed(); },
    }, h("option", { value: "step" }, t("step")), h("option", { value: "count" }, t("number")));
    by.value = wish.by;
    return [
      labelled(t("From"), input("from", t("From"))), labelled(t("To"), input("to", t("To"))),
      h("span", { class: "orc-labelled" }, by, input("amount", t("step"))),
    ];
  }
  const lines = parameter.multiline;
  const area = h("textarea", {
    class: "orc-input", rows: lines ? 4 : 2, spellcheck: "false",
    "aria-label": `${parameter.input}: ${t("Values")}`,
    placeholder: lines ? t("one a line") : t("4, 8, 12"),
    oninput: () => { wish.text = area.value; changed(); },
  });
  area.value = wish.text;
  return [area, h("span", { class: "orc-muted" }, lines ? t("One value a line.") : t("Separate with commas or new lines."))];
}

/** @param {string} text @param {HTMLElement} field */
const labelled = (text, field) => h("label", { class: "orc-labelled" }, text, field);

/** @param {Parameter} parameter @param {unknown[]} choices @param {Wish} wish @param {() => void} changed */
function choiceBoxes(parameter, choices, wish, changed) {
  const rest = h("p", { class: "orc-muted" });
  const boxes = h("div", { class: "orc-choices", role: "group", "aria-label": parameter.input });
  const show = (/** @type {string} */ word) => {
    const found = choices.filter((choice) => wish.chosen.includes(choice) || String(choice).toLowerCase().includes(word));
    boxes.replaceChildren(...found.slice(0, CHOICES_SHOWN).map((choice) => {
      const box = h("input", {
        type: "checkbox", checked: wish.chosen.includes(choice),
        onchange: () => {
          const wanted = new Set(wish.chosen);
          if (box.checked) wanted.add(choice);
          else wanted.delete(choice);
          wish.chosen = choices.filter((each) => wanted.has(each));
          changed();
        },
      });
      return h("label", { class: "orc-check" }, box, String(choice));
    }));
    setText(rest, found.length > CHOICES_SHOWN ? t("and {count} more: find them above", { count: found.length - CHOICES_SHOWN }) : "");
  };
  show("");
  const find = choices.length > 12 && h("input", {
    type: "search", class: "orc-input", placeholder: t("Find"), "aria-label": t("Find in {name}", { name: parameter.input }),
    oninput: (/** @type {Event} */ event) => show(/** @type {HTMLInputElement} */ (event.target).value.toLowerCase()),
  });
  return h("div", { class: "orc-value-fields" }, find, boxes, rest);
}
