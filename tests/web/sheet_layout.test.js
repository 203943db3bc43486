// Tests of the page's sheet_layout. Run: node --test tests/web/
import assert from "node:assert/strict";
import { test } from "node:test";
import { batchesOf, captionOf, labelOf, namesOf, sheetOf, tallyOf } from "../../web/fleet/variations/sheet_layout.js";

const job = (index, changes, more = {}) => ({
  job_id: `j${index}`, created_at: `2026-01-01T00:00:0${index}Z`, batch: { id: "b", index, changes }, ...more,
});
const grid = [1, 2].flatMap((seed, s) => [4, 8, 12].map((steps, n) => job(s * 3 + n, { "4.seed": seed, "4.steps": steps })));

test("the tally tells what came of them, and what is not there is not told", () => {
  const states = (...all) => ({ cells: all.map((state) => ({ job: { state } })) });
  assert.equal(tallyOf(states("done", "running", "waiting")), "1 of 3 done");
  assert.equal(tallyOf(states("done", "cancelled", "cancelled", "failed", "set_aside")), "1 of 5 done, 2 failed, 2 cancelled");
});

test("two parameters make rows and columns, in the order of the request", () => {
  const sheet = sheetOf([...grid].reverse(), "b");
  assert.deepEqual(sheet.rows, { address: "4.seed", values: [1, 2] });
  assert.deepEqual(sheet.columns, { address: "4.steps", values: [4, 8, 12] });
  assert.deepEqual(sheet.cells.map(({ index }) => index), [0, 1, 2, 3, 4, 5]);
});

test("an incomplete grid, side by side, and one or three parameters flow", () => {
  assert.equal(sheetOf(grid.slice(1), "b").rows, null);
  assert.equal(sheetOf([job(0, { a: 1, b: 1 }), job(1, { a: 2, b: 2 })], "b").rows, null);
  assert.equal(sheetOf([job(0, { a: 1, b: 5 }), job(1, { a: 2, b: 5 })], "b").varied.length, 1);
});

test("of a repeated job the newest counts, and other requests are left out", () => {
  const again = job(0, { a: 1 }, { job_id: "again", created_at: "2026-01-01T00:01:00Z" });
  const other = { job_id: "x", created_at: "", batch: null };
  assert.deepEqual(sheetOf([again, job(0, { a: 1 }), other], "b").cells.map((cell) => cell.job.job_id), ["again"]);
});

test("batches are told newest first, with their first job's time", () => {
  const other = job(0, {}, { batch: { id: "c", index: 0, changes: {} }, created_at: "2026-01-02T00:00:00Z" });
  assert.deepEqual(batchesOf([other, ...grid]).map(({ id, count, at }) => [id, count, at]),
    [["c", 1, "2026-01-02T00:00:00Z"], ["b", 6, "2026-01-01T00:00:00Z"]]);
});

test("names are short unless two inputs are called alike", () => {
  const prompt = { 4: { class_type: "KSampler", _meta: { title: "First" } }, 5: { class_type: "KSampler" } };
  assert.deepEqual(namesOf(["4.seed", "5.seed", "4.steps"], prompt),
    { "4.seed": "First · seed", "5.seed": "KSampler · seed", "4.steps": "steps" });
});

test("labels are one short line; files go without their folder", () => {
  assert.equal(labelOf("sd\\xl\\base.safetensors"), "base.safetensors");
  assert.equal(labelOf("a\n b"), "a b");
  assert.equal(labelOf(0.5), "0.5");
  assert.equal(labelOf("x".repeat(100)).length, 48);
  const sheet = sheetOf([job(0, { "4.seed": 1 }), job(1, { "4.seed": 2 })], "b");
  assert.equal(captionOf(sheet, sheet.cells[1], { "4.seed": "seed" }), "seed 2");
});
