// @ts-check
/** What somebody typed for a parameter, as the server takes it; and what many jobs will cost. Pure. */
import { wholeDuration } from "../ui/format.js";
import { plural, t } from "../data/i18n.js";

/**
 * @typedef {import("../data/api.js").Parameter} Parameter @typedef {import("../data/api.js").Axis} Axis
 * @typedef {"values" | "range" | "seeds"} Mode
 * @typedef {{mode: Mode, text: string, chosen: unknown[], from: string, to: string, by: "step" | "count", amount: string,
 *   seeds: string}} Wish what stands in a parameter's fields
 */

const SEEDS = new Set(["seed", "noise_seed"]);
const SIMPLE = new Set(["INT", "FLOAT", "STRING", "BOOLEAN"]);

/** @param {Parameter} parameter */
export const isNumber = ({ type }) => type === "INT" || type === "FLOAT";

/** @param {Parameter} parameter @returns {unknown[] | null} what it must be one of */
export const choicesOf = ({ type, choices }) => (type === "BOOLEAN" ? [true, false] : choices);

/** Whether this form can vary it. @param {Parameter} parameter */
export const canVary = (parameter) => parameter.choices !== null || SIMPLE.has(parameter.type);

/** @param {Parameter} parameter @returns {Mode[]} the first is the most likely wish */
export function modesOf(parameter) {
  if (parameter.type === "INT" && SEEDS.has(parameter.input.split(".").pop() ?? "")) return ["seeds", "values", "range"];
  return isNumber(parameter) ? ["values", "range"] : ["values"];
}

/** @param {Parameter} parameter @returns {Wish} */
export function firstWish(parameter) {
  const value = String(parameter.value ?? "");
  const step = parameter.step ?? 1;
  return {
    mode: modesOf(parameter)[0], text: value, chosen: [parameter.value], from: value, to: value, by: "step",
    amount: String(step), seeds: "3",
  };
}

/** @param {Parameter} parameter @param {Wish} wish @returns {Axis} @throws {Error} says what is wrong */
export function axisOf(parameter, wish) {
  const { address } = parameter;
  const count = (/** @type {string} */ text) => {
    if (!/^\s*\d{1,9}\s*$/.test(text)) throw new Error(t("{name}: give a whole number.", { name: parameter.input }));
    return Number(text);
  };
  if (wish.mode === "seeds") return { address, seeds: count(wish.seeds) };
  if (wish.mode === "range") {
    const from = numberOf(parameter, wish.from);
    const to = numberOf(parameter, wish.to);
    if (wish.by === "count") return { address, from, to, count: count(wish.amount), whole: parameter.type === "INT" };
    return { address, from, to, step: numberOf({ ...parameter, min: null, max: null }, wish.amount) };
  }
  if (choicesOf(parameter)) return { address, values: wish.chosen };
  return { address, values: valuesOf(parameter, wish.text) };
}

/** @param {Parameter} parameter @param {string} text @returns {(string | number)[]} */
function valuesOf(parameter, text) {
  // A prompt has commas of its own.
  const parts = text.split(parameter.multiline ? /\n/ : /[\n,]/).map((part) => part.trim()).filter(Boolean);
  return isNumber(parameter) ? parts.map((part) => numberOf(parameter, part)) : parts;
}

/** @param {Parameter} parameter @param {string} text @returns {number} */
function numberOf({ input: name, type, min, max }, text) {
  const value = Number(text);
  if (!text.trim() || !Number.isFinite(value)) throw new Error(t("{name}: “{text}” is not a number.", { name, text }));
  if (type === "INT" && !Number.isInteger(value)) throw new Error(t("{name}: “{text}” is not a whole number.", { name, text }));
  if (!Number.isSafeInteger(value) && type === "INT") throw new Error(t("{name}: {text} is too large for a page.", { name, text }));
  if (min !== null && value < min) throw new Error(t("{name}: {value} is less than {min}.", { name, value, min }));
  if (max !== null && value > max) throw new Error(t("{name}: {value} is more than {max}.", { name, value, max }));
  return value;
}

/**
 * How long that many jobs take by what the peers' last ones took. A peer that has done none yet is as fast as
 * the others together on average.
 * @param {number} count @param {(number | null)[]} typicalMs of each peer that can run something
 */
export function expectedText(count, typicalMs) {
  if (!typicalMs.length) return t("no peer is up");
  const peers = plural(typicalMs.length, "{count} peer", "{count} peers");
  const known = typicalMs.filter((each) => each !== null && each > 0);
  if (!known.length) return t("time unknown on {peers}", { peers });
  const perSecond = (known.reduce((sum, each) => sum + 1000 / Number(each), 0) * typicalMs.length) / known.length;
  const fastest = Math.min(...known.map(Number)) / 1000; // however few they are
  const text = wholeDuration(Math.max(count / perSecond, fastest));
  return t("≈ {text} on {peers}", { text, peers });
}
