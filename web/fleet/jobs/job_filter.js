// @ts-check
/** Which jobs a person wants to see: a kind of state, and words. */
import { h, setAttribute } from "../ui/dom.js";
import { jobTitle } from "../ui/format.js";
import { t } from "../data/i18n.js";

/** @typedef {import("../data/api.js").Job} Job
 * @typedef {{kind: string, words: string[]}} Wanted `words` in lower case */

/** @type {Record<string, {label(): string, states: string[]}>} */
const KINDS = {
  all: { label: () => t("All"), states: [] },
  waiting: { label: () => t("Waiting"), states: ["waiting"] },
  running: { label: () => t("Running"), states: ["running"] },
  done: { label: () => t("Done"), states: ["done"] },
  failed: { label: () => t("Failed"), states: ["failed", "set_aside"] },
};

/** @type {WeakMap<Job, string>} */
const texts = new WeakMap();

/** @param {Job} job */
function textOf(job) {
  let text = texts.get(job);
  if (text === undefined) {
    text = [jobTitle(job), job.job_id, job.peer, job.pinned_to, job.error?.message ?? ""].join("\n").toLowerCase();
    texts.set(job, text);
  }
  return text;
}

/** @param {Job} job @param {Wanted} wanted */
export function isWanted(job, { kind, words }) {
  const states = KINDS[kind]?.states ?? [];
  return (!states.length || states.includes(job.state)) && words.every((word) => textOf(job).includes(word));
}

/** @param {string} text */
export const wordsOf = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);

/** The bar over the lists. @param {() => void} onChange */
export function jobFilter(onChange) {
  /** @type {Wanted} */
  const wanted = { kind: "all", words: [] };
  const buttons = Object.entries(KINDS).map(([kind, { label }]) => ({
    kind,
    button: h("button", {
      type: "button", class: "orc-chip",
      onclick: () => {
        wanted.kind = kind;
        show();
        onChange();
      },
    }, label()),
  }));
  const show = () => {
    for (const { kind, button } of buttons) setAttribute(button, "aria-pressed", String(kind === wanted.kind));
  };
  const search = h("input", {
    type: "search", class: "orc-input", placeholder: t("Search jobs"), "aria-label": t("Search jobs"), autocomplete: "off",
    spellcheck: "false",
    oninput: () => {
      wanted.words = wordsOf(search.value);
      onChange();
    },
    // ComfyUI listens for single keys on the whole page.
    onkeydown: (/** @type {KeyboardEvent} */ event) => event.stopPropagation(),
  });
  show();
  return {
    wanted,
    element: h("div", { class: "orc-filter" },
      h("div", { class: "orc-chips", role: "group", "aria-label": t("Show jobs") }, ...buttons.map(({ button }) => button)),
      search),
  };
}
