// @ts-check
/** The dialog where one chooses what to vary: the graph's parameters, their values, how many jobs that makes. */
import { h, setAttribute, setChildren, setOptionalText, setText } from "../ui/dom.js";
import { plural, t } from "../data/i18n.js";
import { labelOf } from "./sheet_layout.js";
import { valueFields } from "./variation_fields.js";
import { axisOf, canVary, expectedText, firstWish } from "./variation_values.js";

/**
 * @typedef {import("../data/api.js").Parameter} Parameter @typedef {import("../data/api.js").Axis} Axis
 * @typedef {import("./variation_values.js").Wish} Wish
 * @typedef {{parameter: Parameter, wish: Wish, on: boolean}} Item
 */

const FIRST_SHOWN = 10;
const ASK_AFTER_MS = 200;

/**
 * @param {{parameters: Parameter[], expand(wish: {axes: Axis[], combine: string}): Promise<Record<string, unknown>[]>,
 *   fleet: EventTarget, typicalMs(): (number | null)[], send(variations: Record<string, unknown>[]): Promise<void>}} deps
 * `fleet` tells "peers" and "jobs" when `typicalMs` may have changed
 * @returns {HTMLDialogElement} not yet shown; it removes itself when it closes
 */
export function variationsDialog({ parameters, expand, fleet, typicalMs, send }) {
  /** @type {Item[]} */
  const items = parameters.filter(canVary).map((parameter) => ({ parameter, wish: firstWish(parameter), on: false }));
  /** @type {Record<string, unknown>[]} */
  let variations = [];
  let turn = 0;
  let all = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  const count = h("p", { class: "orc-count", role: "status" });
  const failure = h("p", { class: "orc-error", role: "alert", hidden: true });
  const submit = h("button", { type: "submit", class: "orc-button orc-primary", disabled: true }, t("Queue variations"));
  const search = h("input", {
    type: "search", class: "orc-input", placeholder: t("Find a parameter"), "aria-label": t("Find a parameter"),
    oninput: () => showItems(),
  });
  const combine = h("select", { class: "orc-choice", "aria-label": t("Combine"), onchange: () => changed() },
    h("option", { value: "grid" }, t("Every combination")),
    h("option", { value: "side_by_side" }, t("Pair values (1st with 1st …)")));
  const how = h("label", { class: "orc-combine" }, t("Combine"), combine);
  const list = h("ul", { class: "orc-parameters", "aria-label": t("Parameters") });
  const more = h("button", { type: "button", class: "orc-button orc-more", onclick: () => { all = true; showItems(); } });

  const chosen = () => items.filter((item) => item.on);
  const shown = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = ({ parameter: { title, input, address } }) =>
      words.every((word) => `${title} ${input} ${address}`.toLowerCase().includes(word));
    const found = words.length ? items.filter((item) => item.on || fits(item)) : items;
    return all || words.length ? found : found.filter((item, place) => item.on || place < FIRST_SHOWN);
  };
  const showItems = () => {
    const visible = shown();
    setChildren(list, visible.map(({ parameter }) => parameter.address).join("\n"), () => visible.map(rowOf));
    more.hidden = all || Boolean(search.value) || visible.length === items.length;
    setText(more, t("Show all {count}", { count: items.length }));
  };
  /** @type {Map<Item, HTMLElement>} */
  const rows = new Map();
  const rowOf = (/** @type {Item} */ item) => {
    const known = rows.get(item);
    if (known) return known;
    const { title, input, value, address } = item.parameter;
    const fields = h("div", { class: "orc-values", hidden: true });
    const box = h("input", { type: "checkbox", onchange: () => {
      item.on = box.checked;
      fields.hidden = !item.on;
      if (item.on && !fields.childElementCount) fields.append(valueFields(item.parameter, item.wish, changed));
      if (item.on) /** @type {HTMLElement | null} */ (fields.querySelector("textarea, input:not([type=checkbox])"))?.focus();
      changed();
    } });
    const row = h("li", {},
      h("label", { class: "orc-parameter", title: address }, box,
        h("span", { class: "orc-name" }, input), h("span", { class: "orc-clip" }, title),
        h("span", { class: "orc-value-now", title: String(value) }, labelOf(value))),
      fields);
    rows.set(item, row);
    return row;
  };

  const changed = () => {
    turn += 1;
    variations = [];
    submit.disabled = true;
    how.hidden = chosen().length < 2;
    clearTimeout(timer);
    timer = setTimeout(ask, ASK_AFTER_MS);
  };
  const ask = async () => {
    const mine = turn;
    setOptionalText(failure, "");
    if (!chosen().length) return showCount();
    try {
      const axes = chosen().map(({ parameter, wish }) => axisOf(parameter, wish));
      const found = await expand({ axes, combine: combine.value });
      if (mine === turn) variations = found;
    } catch (error) {
      if (mine === turn) setOptionalText(failure, /** @type {Error} */ (error).message);
    }
    if (mine === turn) showCount();
  };
  const showCount = () => {
    const jobs = plural(variations.length, "{count} job", "{count} jobs");
    setOptionalText(count, variations.length ? `${jobs}, ${expectedText(variations.length, typicalMs())}`
      : chosen().length ? "" : t("Choose what to vary."));
    setText(submit, variations.length ? t("Queue {jobs}", { jobs }) : t("Queue variations"));
    submit.disabled = !variations.length;
  };
  const queue = async () => {
    if (submit.disabled) return;
    submit.disabled = true;
    setAttribute(dialog, "aria-busy", "true");
    try {
      await send(variations);
      dialog.close();
    } catch (error) {
      setOptionalText(failure, /** @type {Error} */ (error).message);
      submit.disabled = false;
    } finally {
      setAttribute(dialog, "aria-busy", null);
    }
  };

  const controller = new AbortController();
  const timeChanged = () => {
    if (variations.length && !dialog.hasAttribute("aria-busy")) showCount();
  };
  for (const name of ["peers", "jobs"]) fleet.addEventListener(name, timeChanged, { signal: controller.signal });
  const dialog = h("dialog", {
    class: "orc-panel orc-variations", "aria-label": t("Queue variations"),
    onclose: () => { clearTimeout(timer); controller.abort(); dialog.remove(); },
  }, h("form", { class: "orc-sheet-form", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); queue(); } },
    h("header", { class: "orc-panel-head" }, h("h2", {}, t("Queue variations"))),
    h("div", { class: "orc-scroll" }, search, list, more),
    h("footer", { class: "orc-foot" }, how, count, failure,
      h("div", { class: "orc-actions" }, submit,
        h("button", { type: "button", class: "orc-button", onclick: () => dialog.close() }, t("Cancel"))))));
  showItems();
  how.hidden = true;
  showCount();
  return dialog;
}
