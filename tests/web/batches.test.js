// What was sent together in one row, what ended by days, and what several picked jobs are.

import assert from "node:assert/strict";
import test from "node:test";
import { dayNumber } from "../../web/fleet/data/i18n.js";
import { entryOf, grouped, partedByDays, restMs, tallyOf } from "../../web/fleet/data/batches.js";
import { Selection } from "../../web/fleet/jobs/selection.js";

const job = (job_id, state, details = {}) => ({
  job_id, state, title: `portrait · seed ${job_id}`, peer_id: "a", progress: 0, begun_at: null, ended_at: null,
  batch: { id: "s", index: 0, changes: {} }, ...details,
});
const keys = (entries) => entries.map(({ key }) => key);

test("a batch stands in the queue at its first job, with those of it that ended", () => {
  const other = job("x", "waiting", { batch: null });
  const found = grouped([job("1", "running"), other, job("2", "waiting")], [job("3", "done")], new Set());
  assert.deepEqual(keys(found.queue), ["batch s", "x"]);
  assert.deepEqual(found.ended, []);
  const { batch } = found.queue[0];
  assert.deepEqual([batch.name, batch.jobs.length], ["portrait", 3]);
});

test("once all of it has ended it is among what ended, and opened it shows each job", () => {
  const jobs = [job("1", "done"), job("2", "failed")];
  assert.deepEqual(keys(grouped([], jobs, new Set(["s"])).ended), ["batch s", "1", "2"]);
  assert.ok(grouped([], jobs, new Set(["s"])).ended[1].isInside);
});

test("a single one is a job as ever", () => {
  assert.deepEqual(keys(grouped([job("1", "waiting")], [], new Set()).queue), ["1"]);
});

test("one that was repeated is told once", () => {
  const jobs = [job("3", "done", { retry_of: "2" }), job("2", "failed"), job("1", "done")];
  const [{ batch }] = grouped([], jobs, new Set()).ended;
  assert.deepEqual(tallyOf(batch.jobs), { waiting: 0, running: 0, held: 0, done: 2, failed: 0, cancelled: 0 });
});

test("jobs on hold, on their way and running are told apart", () => {
  const begun_at = "2026-01-01T00:00:00Z";
  const jobs = [job("1", "running", { begun_at }), job("2", "running"), job("3", "waiting", { held: true }), job("4", "set_aside")];
  assert.deepEqual(tallyOf(jobs), { waiting: 1, running: 1, held: 1, done: 0, failed: 1, cancelled: 0 });
});

test("the rest of a batch is told by what is done of it, and not before", () => {
  const done = job("1", "done", { begun_at: "2026-01-01T00:00:00Z", ended_at: "2026-01-01T00:00:10Z" });
  const running = (id, peer_id) => job(id, "running", { begun_at: "2026-01-01T00:00:00Z", peer_id, progress: 0.5 });
  const waiting = [job("5", "waiting"), job("6", "waiting")];
  assert.equal(restMs([running("2", "a"), ...waiting]), null);
  assert.equal(restMs([done, ...waiting]), null);
  assert.equal(restMs([done, running("2", "a"), ...waiting]), 25_000);
  assert.equal(restMs([done, running("2", "a"), running("3", "b"), ...waiting]), 15_000);
});

test("what ended on several days has a heading for each, what ended today has none", () => {
  const ended = (id, ended_at) => entryOf(job(id, "done", { ended_at, batch: null }));
  const dayOf = ({ ended_at }) => ended_at.slice(0, 10);
  const [a, b, c] = [ended("1", "2026-01-02T10:00:00Z"), ended("2", "2026-01-02T09:00:00Z"), ended("3", "2026-01-01T09:00:00Z")];
  assert.deepEqual(keys(partedByDays([a, b], dayOf)), ["1", "2"]);
  assert.deepEqual(keys(partedByDays([a, b, c], dayOf)), ["day 2026-01-02", "1", "2", "day 2026-01-01", "3"]);
});

test("a day is the same from midnight to midnight here, and a number that is found at once", () => {
  const at = (hours, minutes = 0) => new Date(2026, 0, 2, hours, minutes).toISOString();
  assert.equal(dayNumber(at(0)), dayNumber(at(23, 59)));
  assert.notEqual(dayNumber(at(0)), dayNumber(at(24)));
  const moments = Array.from({ length: 30_000 }, (_, n) => new Date(2026, 0, 1, 0, n).toISOString());
  assert.equal(new Set(moments.map(dayNumber)).size, 21);
});

test("picking reaches from the last one to this one, in either direction", () => {
  const selection = new Selection(() => {});
  selection.toggle("c");
  selection.reach(["a", "b", "c", "d"], "a");
  assert.deepEqual([...selection.ids].sort(), ["a", "b", "c"]);
  selection.toggle("b");
  assert.deepEqual([...selection.ids].sort(), ["a", "c"]);
});
