// Where each attempt stands in the timeline.

import assert from "node:assert/strict";
import test from "node:test";
import { drawn, lanesOf, partsOf, step, visitAt } from "../../web/fleet/timeline/timeline_layout.js";
import { job, peer } from "./stand_in.js";

const START = Date.parse("2026-01-01T10:00:00.000Z");
const at = (seconds) => (seconds === null ? null : new Date(START + seconds * 1000).toISOString());
const SPAN = { fromMs: START, toMs: START + 100_000 };
const attempt = (started, begun, loaded, ended, changes = {}) => ({
  peer_id: "p1", peer: "gpu-1", prompt_id: "x", started_at: at(started), begun_at: at(begun), loaded_at: at(loaded),
  ended_at: at(ended), outcome: ended === null ? "" : "done", reason: "", ...changes,
});
const ran = (id, ...times) => job({ job_id: id, attempts: [attempt(...times)] });
const kinds = (parts) => parts.map(({ kind, from, to }) => [kind, from, to]);

test("an attempt waits on its peer, loads until the first step, and runs", () => {
  assert.deepEqual(kinds(partsOf(attempt(10, 20, 50, 80), SPAN)), [["queue", 0.1, 0.2], ["load", 0.2, 0.5], ["run", 0.5, 0.8]]);
});

test("what has not ended lasts until now, and loads until it told a step", () => {
  assert.deepEqual(kinds(partsOf(attempt(10, null, null, null), SPAN)), [["queue", 0.1, 1]]);
  assert.deepEqual(kinds(partsOf(attempt(10, 10, null, null), SPAN)), [["load", 0.1, 1]]);
  assert.deepEqual(kinds(partsOf(attempt(10, 10, 40, null), SPAN)), [["load", 0.1, 0.4], ["run", 0.4, 1]]);
});

test("what ended without a step ran; it is not said to have loaded", () => {
  assert.deepEqual(kinds(partsOf(attempt(10, 20, null, 30), SPAN)), [["queue", 0.1, 0.2], ["run", 0.2, 0.3]]);
});

test("the window cuts what sticks out of it and leaves out what is before", () => {
  assert.deepEqual(kinds(partsOf(attempt(-50, -40, -20, 30), SPAN)), [["run", 0, 0.3]]);
  assert.deepEqual(lanesOf([ran("old", -50, -40, -30, -1)], [peer()], SPAN)[0].visits, []);
});

test("every peer in use has a lane, and one that is gone as long as it shows something", () => {
  const peers = [peer({ id: "p1", name: "gpu-1" }), peer({ id: "off", name: "off", enabled: false })];
  const gone = job({ attempts: [attempt(1, 1, 2, 3, { peer_id: "gone", peer: "old box" })] });
  const here = job({ attempts: [attempt(1, 1, 2, 3, { peer_id: "this machine", peer: "this computer" })] });
  assert.deepEqual(lanesOf([here, gone], peers, SPAN).map((lane) => lane.name), ["gpu-1", "old box", "this computer"]);
});

test("a peer that was removed and added again goes on in its lane", () => {
  const before = job({ job_id: "a", attempts: [attempt(1, 1, 2, 3, { peer_id: "earlier" })] });
  const lanes = lanesOf([before, ran("b", 10, 10, 20, 30)], [peer({ id: "p1", name: "gpu-1" })], SPAN);
  assert.deepEqual(lanes.map(({ id, visits }) => [id, visits.length]), [["p1", 2]]);
});

test("an attempt that failed says so; one that was taken back did not fail", () => {
  const outcome = (word) => lanesOf([job({ attempts: [attempt(1, 1, 2, 3, { outcome: word })] })], [], SPAN)[0].visits[0].failed;
  assert.deepEqual(["done", "taken_back", "cancelled", "unreachable"].map(outcome), [false, false, false, true]);
});

test("of thousands on the same pixels only some are drawn", () => {
  const many = Array.from({ length: 5000 }, (_, n) => ran(`j${n}`, n / 50, n / 50, n / 50 + 0.005, n / 50 + 0.01));
  const [lane] = lanesOf(many, [peer()], SPAN);
  assert.equal(lane.visits.length, 5000);
  assert.ok(drawn(lane, 300).length <= 2 * 301);
});

test("the pointer finds what it is on, and small ones a little beside", () => {
  const [lane] = lanesOf([ran("a", 10, 20, 30, 40), ran("b", 15, 41, 50, 60)], [], SPAN);
  const id = (...where) => visitAt(lane, ...where)?.job.job_id ?? null;
  assert.equal(id(0.35, false, 0), "a");
  assert.equal(id(0.35, true, 0), "b", "it waits there below the one that runs");
  assert.equal(id(0.62, false, 0.03), "b");
  assert.equal(id(0.9, false, 0.03), null);
});

test("arrow keys go along a lane and to the nearest of the next", () => {
  const on = (id, peerId, begin) => job({ job_id: id, attempts: [attempt(begin, begin, begin + 1, begin + 5, { peer_id: peerId, peer: peerId })] });
  const peers = [peer({ id: "p1", name: "one" }), peer({ id: "idle", name: "idle" }), peer({ id: "p2", name: "two" })];
  const lanes = lanesOf([on("a", "p1", 10), on("b", "p1", 50), on("c", "p2", 12), on("d", "p2", 70)], peers, SPAN);
  const go = (visit, ...keys) => keys.reduce((from, key) => step(lanes, from, key), visit)?.job.job_id;
  assert.equal(go(null, "ArrowLeft"), "b", "first the latest");
  assert.equal(go(null, "ArrowLeft", "ArrowLeft"), "a");
  assert.equal(go(null, "ArrowLeft", "Home", "ArrowDown"), "c");
  assert.equal(go(null, "ArrowLeft", "ArrowDown", "ArrowDown"), "d", "there is no further lane");
  assert.equal(step([], null, "ArrowLeft"), null);
});
