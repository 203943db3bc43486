// @ts-check
/** The tab's language. The English sentence is the key: what nobody translated stays English. */

/** @type {Record<string, string>} */
let words = {};

/**
 * A sentence in the page's language; `{name}` in it takes the value of that name.
 * @param {string} english @param {Record<string, string | number>} [values] @returns {string}
 */
export function t(english, values = {}) {
  return (words[english] ?? english).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/**
 * Takes the sentences of a language from `locales/<language>.json` beside this folder. Never throws: a language
 * that is not there leaves English.
 * @param {string | undefined} language such as "de" or "de-AT"
 * @param {(url: URL) => Promise<Response>} [get]
 */
export async function useLanguage(language, get = fetch) {
  words = {};
  const code = /^[a-z]{2,3}/.exec(language ?? "")?.[0] ?? "en";
  if (code === "en") return;
  try {
    const answer = await get(new URL(`../locales/${code}.json`, import.meta.url));
    if (answer.ok) words = await answer.json();
  } catch {
    words = {};
  }
}
