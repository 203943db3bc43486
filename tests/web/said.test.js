// The server's sentences in the page's language, alone and composed of others.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import test from "node:test";
import { inWords, learn, said } from "../../web/fleet/data/said.js";

const SERVER = new URL("../../web/locales/server/", import.meta.url);
const read = async (name) => JSON.parse(await readFile(new URL(name, SERVER), "utf-8"));
const places = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

/** As if each sentence were translated by putting it into brackets. */
function bracket(...sentences) {
  learn("xx", Object.fromEntries(sentences.map((sentence) => [sentence, `[${sentence}]`])));
}

test("a sentence is translated with its values in their places", () => {
  learn("de", { "{url} refused the connection. Is ComfyUI running there with --listen?": "Läuft ComfyUI dort mit --listen? {url} nimmt keine Verbindung an." });
  assert.equal(
    said("http://gpu-1:8188 refused the connection. Is ComfyUI running there with --listen?"),
    "Läuft ComfyUI dort mit --listen? http://gpu-1:8188 nimmt keine Verbindung an.");
});

test("what nobody translated stays as it is", () => {
  bracket("it is outside its hours");
  for (const text of ["", "idle", "A {sentence} of $& nobody's. (Really.)", "perhaps it is outside its hours"]) assert.equal(said(text), text);
});

test("sentences in a row, lists and remarks behind a name are translated each", () => {
  bracket("No peer can run this. {said}", "it lacks the node {node}", "{url} refused the connection. Is ComfyUI running there with --listen?");
  assert.equal(
    said("No peer can run this. gpu-1, gpu-2: http://a refused the connection. Is ComfyUI running there with --listen?; gpu-3: it lacks the node Odd."),
    "[No peer can run this. gpu-1, gpu-2: [http://a refused the connection. Is ComfyUI running there with --listen?]; gpu-3: [it lacks the node Odd]].");
});

test("a clause ends with its sentence", () => {
  bracket("waiting for {peer}, which {clause}", "is down", "gone for good");
  assert.equal(said("waiting for gpu-1, which is down. gone for good"), "[waiting for gpu-1, which [is down]]. [gone for good]");
});

test("why a job is where it is, with what the others would do", () => {
  bracket("on {peer} because it is {said}", "idle", "{size} GB free", "{count} in its queue", "and {count} more");
  assert.equal(
    said("on peer-1 because it is idle, 20.5 GB free (peer-2: 3 in its queue, 20.4 GB free; and 3 more)"),
    "[on peer-1 because it is [idle], [20.5 GB free] (peer-2: [3 in its queue], [20.4 GB free]; [and 3 more])]");
});

test("Chinese and Japanese sentences end their own way", () => {
  learn("ja", { "{peer} was done before": "{peer} が先に完了しました" });
  assert.equal(said("a was done before."), "a が先に完了しました。");
});

test("what a value holds is not read as a place or a pattern", () => {
  learn("de", { "it lacks the node {node}": "der Node {node} fehlt" });
  assert.equal(said("it lacks the node {node}$1.*"), "der Node {node}$1.* fehlt");
});

test("a very long or odd text is soon done with", () => {
  bracket("on {peer}: {said}", "{said}; it runs a second time where a peer is free", "{said}, or {count} other peers");
  const odd = "on a: (; on b: (, ".repeat(400);
  assert.equal(typeof said(odd), "string");
});

test("of an answer the sentences are translated, and nothing else", () => {
  bracket("is down");
  const answer = { message: "is down", name: "is down", peers: [{ name: "is down", reason: "is down" }], refused: [{ job_id: "1", message: "is down" }] };
  assert.deepEqual(inWords(answer), { message: "[is down]", name: "is down", peers: [{ name: "is down", reason: "[is down]" }], refused: [{ job_id: "1", message: "[is down]" }] });
  for (const odd of [null, [], "text", { peers: [null], refused: 3 }]) assert.deepEqual(inWords(odd), odd);
});

test("every language has the same sentences, with the same places", async () => {
  const files = await readdir(SERVER);
  assert.deepEqual(files.sort(), (await readdir(new URL("..", SERVER))).filter((name) => name.endsWith(".json")).sort());
  const first = Object.keys(await read(files[0]));
  for (const file of files) {
    const words = await read(file);
    assert.deepEqual(Object.keys(words), first, file);
    for (const [english, translated] of Object.entries(words)) assert.deepEqual(places(translated), places(english), `${file}: ${english}`);
  }
});
