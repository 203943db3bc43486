// Long lists of jobs are read piece by piece.

import assert from "node:assert/strict";
import test from "node:test";
import { inPieces } from "../../web/fleet/data/paging.js";
import { job } from "./stand_in.js";

test("many jobs are read in pieces, and none is missed that moves up in the queue meanwhile", async () => {
  const line = Array.from({ length: 1200 }, (_, number) => `w${number}`);
  const asked = [];
  const read = async (skip, count) => {
    asked.push(count);
    const ids = line.slice(skip, skip + count);
    const counts = { waiting: line.length, running: 0, ended: 0 };
    line.splice(0, 20); // these begin
    return { jobs: ids.map((id) => job({ job_id: id, state: "waiting" })), line: ids, counts };
  };
  const all = await inPieces(read, 5000);
  assert.deepEqual([all.jobs.length, all.line.length, all.line.at(-1)], [1200, 1200, "w1199"]);
  assert.ok(asked.length > 1 && Math.max(...asked) <= 500);
});

test("no more jobs are read than wanted", async () => {
  const asked = [];
  const read = async (...wanted) => {
    asked.push(wanted);
    return { jobs: [job()], line: [], counts: { waiting: 0, running: 1, ended: 9000 } };
  };
  await inPieces(read, 700);
  assert.deepEqual(asked, [[0, 500], [450, 250]]);
});
