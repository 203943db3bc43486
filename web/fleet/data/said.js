// @ts-check
/**
 * What the server says, in the page's language. Its sentences are English wherever they are kept or sent, and are
 * composed of others; `locales/server/<language>.json` has what they are made of, as it stands in the server's code.
 */

/** @typedef {{literal: string, weight: number, shape: RegExp, places: string[], words: string}} Pattern its longest
 *   literal part, and how many characters all of them have */

const KEPT = 2000; //: of what was put together already
const JOINED = 6; //: pieces that are one sentence of the server's at most
const PARTS = new Set(["said", "clause"]); //: places that hold sentences, or a part of one, of the server's own
/** What a place may hold; a clause ends with its sentence. @type {Record<string, string>} */
const HELD = { said: "(.+?)", clause: "((?:(?![.?!] ).)+?)", url: "(\\S+?)", host: "(\\S+?)", count: "(\\d+)", size: "(\\S+?)", time: "([\\d.]+ \\w+)" };
const STOPS = /** @type {Record<string, string>} */ ({ ja: "。", zh: "。" });
const ENDED = /[.?!。？！]$/;
/** Between the pieces of what was composed: sentences, and what is listed. */
const SEAMS = /((?<=[.?!])\s+(?=\S)|;\s+)/;

/** The most particular first. @type {Pattern[]} */
let patterns = [];
/** @type {Map<string, string>} */
const known = new Map();
let stop = ".";

/** @param {string} language @param {Record<string, string>} sentences English to that language; none for English */
export function learn(language, sentences) {
  patterns = Object.entries(sentences).map(patternOf).sort((a, b) => b.weight - a.weight);
  stop = STOPS[language] ?? ".";
  known.clear();
}

/** A sentence of the server's, or several; what nobody translated stays English. @param {string} english @returns {string} */
export function said(english) {
  if (!patterns.length || !english) return english;
  let words = known.get(english);
  if (words === undefined) {
    words = english.split("\n").map(composed).join("\n");
    if (known.size >= KEPT) known.clear();
    known.set(english, words);
  }
  return words;
}

const TOLD = ["reason", "message", "caution", "held", "here"];

/** An answer of the server with its sentences put into the page's language; jobs are left, as few of them are shown.
 * @template T @param {T} answer @returns {T} */
export function inWords(answer) {
  const { peers, refused } = /** @type {any} */ (answer ?? {});
  for (const each of patterns.length ? [answer, peers, refused].flat() : []) {
    for (const name of TOLD) if (typeof each?.[name] === "string") each[name] = said(each[name]);
  }
  return answer;
}

/** @param {string} line @returns {string} */
function composed(line) {
  const bracketed = /^(.*?) \((.+)\)$/.exec(line);
  if (bracketed && !SEAMS.test(bracketed[1]) && whole(line) === null) return `${composed(bracketed[1])} (${said(bracketed[2])})`;
  const pieces = line.split(SEAMS); // every second one is a seam
  let words = "";
  for (let from = 0; from < pieces.length; ) {
    let to = Math.min(from + 2 * JOINED - 1, pieces.length);
    let told = null;
    for (; to > from && (told = whole(pieces.slice(from, to).join(""))) === null; to -= 2);
    if (told === null) to = from + 1;
    words += (told ?? listed(pieces[from])) + (pieces[to] ?? "");
    from = to + 1;
  }
  return words;
}

/** What one pattern says, alone or after a name; null where there is none. @param {string} text @returns {string | null} */
function whole(text) {
  const ends = text.endsWith(".");
  const exact = matched(ends ? text.slice(0, -1) : text);
  if (exact !== null) return ends && !ENDED.test(exact) ? exact + stop : exact;
  const named = /^([^:]{1,200}): (.+)$/.exec(text);
  const after = named && !SEAMS.test(named[1]) && whole(named[2]);
  return after ? `${named[1]}: ${after}` : null;
}

/** Short remarks in a row. @param {string} text */
const listed = (text) => text.split(", ").map((part) => whole(part) ?? part).join(", ");

/** @param {string} text @returns {string | null} */
function matched(text) {
  for (const { literal, shape, places, words } of patterns) {
    const found = text.includes(literal) && shape.exec(text);
    if (!found) continue;
    const values = Object.fromEntries(places.map((name, at) => [name, PARTS.has(name) ? said(found[at + 1]) : found[at + 1]]));
    return words.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
  }
  return null;
}

/** @param {[string, string]} entry @returns {Pattern} */
function patternOf([sentence, translated]) {
  const english = sentence.replace(/\.$/, "");
  const words = english === sentence ? translated : translated.replace(/[.。]$/, "");
  const literals = english.split(/\{\w+\}/);
  const places = [...english.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
  const shape = literals.map((text, at) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&") + (at < places.length ? (HELD[places[at]] ?? "(.+?)") : ""));
  const literal = literals.reduce((longest, text) => (text.length > longest.length ? text : longest), "");
  return { literal, weight: literals.join("").length, shape: new RegExp(`^${shape.join("")}$`), places, words };
}
