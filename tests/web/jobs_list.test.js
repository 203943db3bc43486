// The list of jobs: order, filter, rows that come and go.

import assert from "node:assert/strict";
import test from "node:test";
import { jobTime, peersOwnError, placeOf } from "../../web/fleet/ui/format.js";
import { dropTarget } from "../../web/fleet/jobs/job_drag.js";
import { isWanted, wordsOf } from "../../web/fleet/jobs/job_filter.js";
import { JobIndex } from "../../web/fleet/data/job_index.js";
import { offsetsOf, rowsWithin } from "../../web/fleet/ui/windowing.js";
import { job, peer } from "./stand_in.js";

test("rows begin where the ones before them end, measured or guessed", () => {
  assert.deepEqual([...offsetsOf(["a", "b", "c"], new Map([["b", 100]]), 60)], [0, 60, 160, 220]);
  assert.deepEqual([...offsetsOf([], new Map(), 60)], [0]);
});

test("in sight are the rows that touch the window, and a few more", () => {
  const offsets = offsetsOf(Array.from({ length: 5000 }, (_, n) => `${n}`), new Map(), 60);
  assert.deepEqual(rowsWithin(offsets, 6000, 6600, 0), { first: 100, end: 111 });
  assert.deepEqual(rowsWithin(offsets, 6000, 6600, 6), { first: 94, end: 117 });
  assert.deepEqual(rowsWithin(offsets, -900, 0, 6), { first: 0, end: 7 });
  assert.deepEqual(rowsWithin(offsets, 300_000, 301_000, 2), { first: 4998, end: 5000 });
  assert.deepEqual(rowsWithin(offsetsOf([], new Map(), 60), -100, 800, 6), { first: 0, end: 0 });
});

test("a dragged job goes before or behind the one it is dropped on", () => {
  const line = ["a", "b", "c", "d"];
  assert.equal(dropTarget(line, "d", "a", false), "a");
  assert.equal(dropTarget(line, "a", "b", true), "c");
  assert.equal(dropTarget(line, "a", "d", true), "", "the end");
  assert.equal(dropTarget(line, "b", "a", true), null, "it is there already");
  assert.equal(dropTarget(line, "b", "c", false), null);
  assert.equal(dropTarget(line, "b", "b", true), null);
  assert.equal(dropTarget(line, "b", "gone", true), null);
});

test("jobs are wanted by kind and by all the words", () => {
  const failed = job({ state: "failed", title: "A red House", peer: "gpu-7", error: { code: "x", message: "Out of memory." } });
  const wanted = (kind, text) => isWanted(failed, { kind, words: wordsOf(text) });
  assert.ok(wanted("all", "") && wanted("failed", "house RED") && wanted("all", "gpu-7 memory"));
  assert.ok(!wanted("done", "") && !wanted("failed", "house blue"));
  assert.ok(isWanted(job({ state: "set_aside" }), { kind: "failed", words: [] }));
});

test("what the peer said itself is told with its type and trace", () => {
  const error = { code: "execution_error", message: "m", exception_type: "RuntimeError", exception_message: "it broke", traceback: ["a\n", "b\n"] };
  assert.equal(peersOwnError(job({ error })), "RuntimeError: it broke\na\nb");
  const refused = { code: "prompt_refused", message: "m", error: { type: "t", message: "bad", details: "" }, node_errors: {} };
  assert.equal(peersOwnError(job({ error: refused })), "t: bad");
  assert.equal(peersOwnError(job({ error: { code: "lost", message: "m" } })), "");
  assert.equal(peersOwnError(job()), "");
});

test("a running job says how long it most likely takes", () => {
  const now = Date.parse("2026-01-01T10:00:14.000Z");
  assert.equal(jobTime(job({ expected_s: 40.4 }), now), "12 s of about 40 s");
  assert.equal(jobTime(job(), now), "12 s");
  assert.equal(jobTime(job({ expected_s: 11.9 }), now), "12 s");
  assert.equal(jobTime(job({ expected_s: 40, state: "done", ended_at: "2026-01-01T10:00:05.000Z" }), now), "3.0 s");
});

test("a failed job belongs to the peer that tried it last", () => {
  const attempts = [{ peer_id: "p1", peer: "gpu-1" }, { peer_id: "p2", peer: "gpu-2" }];
  assert.deepEqual(placeOf(job({ peer_id: "", peer: "", attempts })), { id: "p2", name: "gpu-2" });
  assert.deepEqual(placeOf(job({ attempts })), { id: "p1", name: "gpu-1" });
  assert.deepEqual(placeOf(job({ peer_id: "", peer: "" })), { id: "", name: "" });
});

test("there is a contact sheet once a job is one of several, until all are forgotten", () => {
  const index = new JobIndex(10);
  index.put(job({ job_id: "a" }));
  assert.equal(index.hasBatch, false);
  index.put(job({ job_id: "b", batch: { id: "s", index: 0, changes: {} } }));
  assert.equal(index.hasBatch, false, "one press of Run is one job");
  index.put(job({ job_id: "c", batch: { id: "s", index: 1, changes: {} } }));
  assert.equal(index.hasBatch, true);
  index.clear();
  assert.equal(index.hasBatch, false);
});
