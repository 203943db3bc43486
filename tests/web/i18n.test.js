import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import test from "node:test";
import { t, useLanguage } from "../../web/fleet/i18n.js";

const LOCALES = new URL("../../web/locales/", import.meta.url);
const CODE = new URL("../../web/fleet/", import.meta.url);
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
  assert.equal(t("{peer} wants a key", { peer: "{peer}$1" }), "{peer}$1 wants a key");
});

test("a language that is not there, or is damaged, leaves English", async () => {
  for (const get of [answering({}, false), async () => { throw new TypeError("offline"); }]) {
    await useLanguage("xx", get);
    assert.equal(t("Timeline"), "Timeline");
  }
  await useLanguage(undefined);
});

test("every language has the same sentences with the same places, and all of them are used", async () => {
  const code = (await Promise.all((await readdir(CODE)).map((file) => read(new URL(file, CODE))))).join("\n");
  const files = await readdir(LOCALES);
  const [first, ...others] = await Promise.all(files.map(async (file) => JSON.parse(await read(new URL(file, LOCALES)))));
  for (const other of others) assert.deepEqual(Object.keys(other), Object.keys(first));
  const places = (text) => (text.match(/\{\w+\}/g) ?? []).sort();
  for (const words of [first, ...others]) {
    for (const [english, said] of Object.entries(words)) {
      assert.deepEqual(places(said), places(english), said);
      assert.ok(code.includes(`t(${JSON.stringify(english)}`), `nothing says ${english}`);
    }
  }
});
