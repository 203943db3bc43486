// Sentences in the page's language, with their values and plurals.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import test from "node:test";
import { decimal, plural, t, useLanguage } from "../../web/fleet/data/i18n.js";

const LOCALES = new URL("../../web/locales/", import.meta.url);
const CODE = new URL("../../web/fleet/", import.meta.url);
const modules = async () => (await readdir(CODE, { recursive: true })).filter((file) => file.endsWith(".js"));
const LITERAL = '"(?:[^"\\\\]|\\\\.)*"';
const answering = (body, ok = true) => async () => ({ ok, json: async () => body });
const read = async (url) => readFile(url, "utf-8");

test("a sentence is in the page's language, with its values in their places", async () => {
  await useLanguage("de-AT", answering({ "{up} of {count} peers": "{up} von {count} Peers" }));
  assert.equal(t("{up} of {count} peers", { up: 1, count: 2 }), "1 von 2 Peers");
  assert.equal(t("Nobody translated {this}", { this: "one" }), "Nobody translated one");
  await useLanguage("en", answering({}));
  assert.equal(t("{up} of {count} peers", { up: 1, count: 2 }), "1 of 2 peers");
});

test("what a value holds is not read as a place", () => {
  assert.equal(t("{peer} needs a key", { peer: "{peer}$1" }), "{peer}$1 needs a key");
});

test("a language that is not there, or is damaged, leaves English", async () => {
  for (const get of [answering({}, false), async () => { throw new TypeError("offline"); }]) {
    await useLanguage("xx", get);
    assert.equal(t("Timeline"), "Timeline");
  }
  await useLanguage(undefined);
});

test("a number of things takes the form that the language has for it", async () => {
  const jobs = (count) => plural(count, "{count} job", "{count} jobs");
  assert.deepEqual([0, 1, 2].map(jobs), ["0 jobs", "1 job", "2 jobs"]);
  await useLanguage("fr", answering({ "{count} jobs": { one: "{count} tâche", other: "{count} tâches" } }));
  assert.deepEqual([0, 1, 2, 1_000_000].map(jobs), ["0 tâche", "1 tâche", "2 tâches", "1000000 tâches"]);
  assert.equal(decimal(3.46, 1), "3,5");
  await useLanguage("en");
  assert.equal(decimal(3.46, 1), "3.5");
});

test("every sentence that the code says is translated, and nothing else is", async () => {
  const said = new Map();
  for (const file of [...await modules(), "../remote_dispatch.js"]) {
    const code = await read(new URL(file, CODE));
    const asked = file === "data/i18n.js" ? 0 : code.match(/\b(?:t|plural)\(/g)?.length ?? 0;
    const found = [
      ...code.matchAll(new RegExp(`\\bt\\(\\s*(${LITERAL})`, "g")),
      ...code.matchAll(new RegExp(`\\bplural\\([^"]*${LITERAL},\\s*(${LITERAL})`, "g")),
    ];
    assert.equal(found.length, asked, `${file}: what is translated stands there as a literal`);
    for (const [call, sentence] of found) said.set(JSON.parse(sentence), call.startsWith("plural"));
  }
  const places = (text) => [...new Set(text.match(/\{\w+\}/g))].sort();
  for (const language of (await readdir(LOCALES)).filter((name) => name.endsWith(".json"))) {
    const words = JSON.parse(await read(new URL(language, LOCALES)));
    const kinds = new Set(new Intl.PluralRules(language.replace(".json", "")).resolvedOptions().pluralCategories);
    assert.deepEqual(Object.keys(words).sort(), [...said.keys()].sort(), language);
    for (const [sentence, isPlural] of said) {
      const forms = isPlural ? words[sentence] : { other: words[sentence] };
      const asked = isPlural ? ["one", "other"].filter((kind) => kinds.has(kind)) : ["other"];
      assert.deepEqual(Object.keys(forms), asked, `${language}: ${sentence}`);
      for (const form of Object.values(forms)) assert.deepEqual(places(form), places(sentence), `${language}: ${form}`);
    }
  }
});

test("no sentence stands in the code untranslated", async () => {
  for (const file of await modules()) {
    const code = (await read(new URL(file, CODE)))
      .replace(/\/\*[\s\S]*?\*\/|^import .*$|(?<=^|\s)\/\/.*$/gm, "")
      .replace(new RegExp(`\\bplural\\([^"]*${LITERAL},\\s*${LITERAL}|\\bt\\(\\s*${LITERAL}`, "g"), "");
    const sentences = (code.match(new RegExp(LITERAL, "g")) ?? []).filter((text) => /^"[A-Z][a-z]+( [a-z].*|[.?!])"$/.test(text));
    assert.deepEqual(sentences, [], file);
  }
});
