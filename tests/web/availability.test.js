// Where nodes and models are, and what of a prompt this computer lacks.

import assert from "node:assert/strict";
import test from "node:test";
import { Availability } from "../../web/fleet/data/availability.js";

const WHERE = {
  known: true,
  places: [
    { here: false, peers: ["gpu-1"] }, { here: false, peers: ["gpu-1", "gpu-2"] }, { here: true, peers: [] },
    { here: true, peers: ["gpu-2"] }, { here: false, peers: ["a", "b", "c", "d"] },
  ],
  classes: { Stamp: 0, Mine: 2 },
  values: { Loader: { file: { "one.pt": 0, "sd/both.pt": 1, "mine.pt": 2, "some.pt": 3, "many.pt": 4 } } },
};

async function table(where = WHERE) {
  const made = new Availability(async () => where);
  await made.refresh();
  return made;
}

test("a value is shown with the machines that have it", async () => {
  const places = await table();
  assert.equal(places.label("Loader", "file", "one.pt"), "one.pt · on gpu-1");
  assert.equal(places.label("Loader", "file", "mine.pt"), "mine.pt · only on this computer");
  assert.equal(places.label("Loader", "file", "some.pt"), "some.pt · here, gpu-2");
  assert.equal(places.label("Loader", "file", "many.pt"), "many.pt · on a, b, 2 more");
  assert.equal(places.label("Loader", "file", "everywhere.pt"), "everywhere.pt");
  assert.equal(places.label("Loader", "file", "sd\\both.pt"), "sd\\both.pt · on gpu-1, gpu-2");
});

test("a value that every peer has needs no names", async () => {
  const places = await table({ ...WHERE, places: WHERE.places.slice(0, 4), values: { Loader: { file: { "x.pt": 1 } } } });
  assert.equal(places.label("Loader", "file", "x.pt"), "x.pt · all peers");
});

test("only a class that this computer lacks counts as the peers'", async () => {
  const places = await table();
  assert.deepEqual([places.peersOf("Stamp"), places.peersOf("Mine"), places.peersOf("KSampler")], [["gpu-1"], [], []]);
});

test("names that are no data of the table are in no place", async () => {
  const places = await table();
  for (const name of ["__proto__", "constructor", "toString"]) {
    assert.deepEqual(places.peersOf(name), []);
    assert.equal(places.label(name, name, name), name);
    assert.equal(places.label("Loader", "file", name), name);
  }
});

test("what a prompt wants and this computer lacks is told node by node", async () => {
  const places = await table();
  const prompt = {
    1: { class_type: "Stamp", inputs: { seed: 1 } },
    2: { class_type: "Loader", inputs: { file: "one.pt", model: ["1", 0] } },
    3: { class_type: "Loader", inputs: { file: "mine.pt" } },
    4: { class_type: "Mine" },
  };
  assert.deepEqual(places.lacking(prompt), [
    { nodeId: "1", what: "Stamp", peers: ["gpu-1"] }, { nodeId: "2", what: "one.pt", peers: ["gpu-1"] },
  ]);
});

test("a server that does not answer leaves what was known", async () => {
  const answers = [WHERE];
  const places = new Availability(async () => answers.pop() ?? Promise.reject(new Error("away")));
  await places.refresh();
  await places.refresh();
  assert.deepEqual(places.peersOf("Stamp"), ["gpu-1"]);
});
