// @ts-check
/** The tab's language. The English sentence is the key: what nobody translated stays English. */
import { learn } from "./said.js";

/** @typedef {Record<string, string | number>} Values
 * @typedef {Record<string, string>} Forms by the language's plural categories ("one", "few", "other" …) */

const ENGLISH = "en";

let language = ENGLISH;
/** @type {Record<string, string | Forms>} */
let words = {};
let categories = new Intl.PluralRules(ENGLISH);
/** By their digits: making one takes longer than drawing a row. @type {Map<number, Intl.NumberFormat>} */
const decimals = new Map();
/** The same, by what they show. @type {Map<string, Intl.DateTimeFormat>} */
const clocks = new Map();

/** @param {string} sentence @param {Values} values */
const filled = (sentence, values) =>
  sentence.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));

/**
 * A sentence in the page's language; `{name}` in it takes the value of that name.
 * @param {string} english @param {Values} [values] @returns {string}
 */
export function t(english, values = {}) {
  const said = words[english];
  return filled(typeof said === "string" ? said : english, values);
}

/**
 * A sentence about a number of things; `{count}` in it takes their number. Its key is the sentence about several.
 * @param {number} count @param {string} one @param {string} several @param {Values} [values] @returns {string}
 */
export function plural(count, one, several, values = {}) {
  const said = words[several];
  const forms = typeof said === "object" ? said : { one, other: several };
  const kind = typeof said === "object" ? categories.select(count) : count === 1 ? "one" : "other";
  return filled(forms[kind] ?? forms.other, { count, ...values });
}

/** With the language's own comma. @param {number} value @param {number} digits behind it @returns {string} */
export function decimal(value, digits) {
  let format = decimals.get(digits);
  if (!format) {
    format = new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false });
    decimals.set(digits, format);
  }
  return format.format(value);
}

/** The time of day. @param {string | number} moment @param {Intl.DateTimeFormatOptions} [shown] @returns {string} */
export function clock(moment, shown = { timeStyle: "medium" }) {
  const key = JSON.stringify(shown);
  let format = clocks.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat(language === ENGLISH ? [] : language, shown);
    clocks.set(key, format);
  }
  return format.format(new Date(moment));
}

/** The day of a moment: by its word where it is near. @param {string} moment @returns {string} */
export function day(moment) {
  const then = new Date(moment);
  const days = Math.round((midnight(then) - midnight(new Date())) / 86_400_000);
  if (days > -2) return new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(days, "day");
  return then.toLocaleDateString(language === ENGLISH ? [] : language, { weekday: "short", day: "numeric", month: "short" });
}

/** Which day here a moment is on. Thousands are asked for at once, so nothing is put into words. @param {string} moment ISO 8601 */
export const dayNumber = (moment) => midnight(new Date(moment));

/** @param {Date} moment */
const midnight = (moment) => new Date(moment).setHours(0, 0, 0, 0);

/**
 * Takes the sentences of a language, the page's and the server's, from `locales` beside this folder. Never throws: a language
 * that is not there leaves English.
 * @param {string | undefined} wanted such as "de" or "de-AT"
 * @param {(url: URL) => Promise<Response>} [get]
 */
export async function useLanguage(wanted, get = fetch) {
  speak(ENGLISH, {});
  learn(ENGLISH, {});
  const code = /^[a-z]{2,3}/.exec(wanted ?? "")?.[0] ?? ENGLISH;
  if (code === ENGLISH) return;
  try {
    const [page, server] = await Promise.all(
      [`${code}.json`, `server/${code}.json`].map((file) => get(new URL(`../../locales/${file}`, import.meta.url))));
    if (page.ok) speak(code, await page.json());
    if (page.ok && server.ok) learn(code, await server.json());
  } catch {
    // What is shown is English.
  }
}

/** @param {string} code @param {Record<string, string | Forms>} sentences */
function speak(code, sentences) {
  [language, words, categories] = [code, sentences, new Intl.PluralRules(code)];
  decimals.clear();
  clocks.clear();
}
