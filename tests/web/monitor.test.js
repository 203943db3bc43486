// The monitor: which lines, in which order, of which jobs, and since when.

import assert from "node:assert/strict";
import test from "node:test";
import { chosenColumns } from "../../web/fleet/monitor/column_choice.js";
import { HostEvents } from "../../web/fleet/monitor/host_events.js";
import { groupsOf, isAnything, isShown, JOB_COLUMNS, sortedJobs } from "../../web/fleet/monitor/job_columns.js";
import { peerLines, sortedLines } from "../../web/fleet/monitor/peer_lines.js";
import { fitting, nextSort } from "../../web/fleet/monitor/table.js";
import { beginOf, followWork, shareOf, TODAY } from "../../web/fleet/monitor/work.js";
import { job, later, peer } from "./stand_in.js";

const nothing = () => null;
const lines = (peers, queue = [], workOf = nothing, settings = null) => peerLines({ peers, queue, settings }, workOf);
const names = (some, ...rest) => sortedLines(some, ...rest).map(({ name }) => name);
const others = { job_id: null, prompt_id: "x", whose: "others", title: "", node: "", progress: null };

test("busy peers come first, those that are off last, alike ones by name", () => {
  const peers = [
    peer({ id: "off", name: "a", enabled: false }), peer({ id: "down", name: "b", health: "down" }),
    peer({ id: "drain", name: "c", draining: true }), peer({ id: "idle2", name: "d2" }), peer({ id: "idle1", name: "d1" }),
    peer({ id: "others", name: "e", running: others, queue_running: 1 }), peer({ id: "busy", name: "f", ours: 1 }),
    peer({ id: "new", name: "g", health: "unknown" }),
  ];
  const found = lines(peers, [job({ peer_id: "busy" })]);
  assert.deepEqual(names(found, null), ["f", "e", "d1", "d2", "c", "b", "g", "a"]);
  const words = Object.fromEntries(found.map(({ id, word }) => [id, word]));
  assert.deepEqual(words, {
    off: "disabled", down: "down", drain: "draining", idle1: "idle", idle2: "idle", others: "busy for others", busy: "busy", new: "checking",
  });
});

test("a line tells the job that runs there, and not one that only waits there", () => {
  const runs = job({ job_id: "a", peer_id: "p1" });
  const waits = job({ job_id: "b", peer_id: "p2", begun_at: null });
  const found = lines([peer(), peer({ id: "p2", name: "gpu-2" })], [runs, waits]);
  assert.deepEqual(found.map((line) => line.job?.job_id ?? null), ["a", null]);
});

test("memory is told of a peer that answers, and only where it tells it", () => {
  const device = { name: "x", type: "cuda", vram_total_bytes: 8, vram_free_bytes: 2 };
  const of = (changes) => {
    const [{ free, total }] = lines([peer({ devices: [device], ...changes })]);
    return [free, total];
  };
  assert.deepEqual(of({}), [2, 8]);
  assert.deepEqual(of({ health: "down" }), [0, 0]);
  assert.deepEqual(of({ devices: [] }), [0, 0]);
});

test("this computer has a line while it takes jobs of the fleet", () => {
  const on = { fleet_mode: true, this_machine: true };
  assert.deepEqual(lines([], [], nothing, on).map(({ name }) => name), ["this computer"]);
  assert.deepEqual(lines([], [], nothing, { ...on, fleet_mode: false }), []);
});

test("peers are sorted by a column, up and down, and stay where somebody points at them", () => {
  const done = { a: 3, b: 9, c: 5 };
  const found = lines(Object.keys(done).map((id) => peer({ id, name: id })), [], (id) => ({ done: done[id], failed: 0, busy_s: 0 }));
  assert.deepEqual(names(found, { column: "done", isUp: true }), ["a", "c", "b"]);
  assert.deepEqual(names(found, { column: "done", isUp: false }), ["b", "c", "a"]);
  assert.deepEqual(names(found, { column: "name", isUp: false }), ["c", "b", "a"]);
  assert.deepEqual(names(found, null, ["c", "a"]), ["c", "a", "b"]);
});

test("where there is no room, columns that can be spared go, in their order", () => {
  const columns = [{ id: "a", px: 100 }, { id: "b", px: 100, spare: 2 }, { id: "c", px: 100, spare: 1 }];
  const fit = (width) => fitting(columns, width).map(({ id }) => id).join("");
  assert.deepEqual([344, 343, 234, 233, 50, 0].map(fit), ["abc", "ab", "ab", "a", "a", "abc"]);
});

test("a header's clicks sort up, down, and as usual", () => {
  const up = nextSort(null, "peer");
  assert.deepEqual(up, { column: "peer", isUp: true });
  assert.deepEqual(nextSort(up, "peer"), { column: "peer", isUp: false });
  assert.equal(nextSort(nextSort(up, "peer"), "peer"), null);
  assert.deepEqual(nextSort(up, "state"), { column: "state", isUp: true });
});

const ids = (jobs) => jobs.map((each) => each.job_id);

test("jobs are sorted by every column that says so, and alike ones keep their order", () => {
  const jobs = [
    job({ job_id: "a", title: "Zebra", state: "done", ended_at: "2026-01-01T10:00:09.000Z" }),
    job({ job_id: "b", title: "apple", state: "waiting", begun_at: null, started_at: null }),
    job({ job_id: "c", title: "Apple", state: "failed", begun_at: null, started_at: null, ended_at: "2026-01-01T10:00:03.000Z", error: { code: "x", message: "m" } }),
  ];
  assert.equal(sortedJobs(jobs, null), jobs);
  assert.deepEqual(ids(sortedJobs(jobs, { column: "title", isUp: true })), ["b", "c", "a"]);
  assert.deepEqual(ids(sortedJobs(jobs, { column: "title", isUp: false })), ["a", "b", "c"]);
  assert.deepEqual(ids(sortedJobs(jobs, { column: "took", isUp: false })), ["a", "b", "c"]);
  assert.deepEqual(ids(sortedJobs(jobs, { column: "state", isUp: true })), ["b", "c", "a"]);
  assert.equal(sortedJobs(jobs, { column: "result", isUp: true }), jobs);
  for (const { id, key } of JOB_COLUMNS) if (key) assert.equal(sortedJobs(jobs, { column: id, isUp: true }).length, 3);
});

test("jobs of a batch stand in its order", () => {
  const of = (index) => job({ job_id: `${index}`, batch: { id: "x", index, changes: {} } });
  assert.deepEqual(ids(sortedJobs([of(10), of(2), of(0)], { column: "batch", isUp: true })), ["0", "2", "10"]);
});

test("jobs are filtered by state, peer, batch, client and words, all at once", () => {
  const any = { kind: "all", words: [], peer: "", batch: "", client: "" };
  const one = job({ state: "failed", title: "a cat", peer_id: "p1", client_id: "page", batch: { id: "b", index: 0, changes: {} } });
  assert.ok(isAnything(any) && isShown(one, any));
  const fitting = { kind: "failed", words: ["cat"], peer: "p1", batch: "b", client: "page" };
  assert.ok(isShown(one, fitting) && !isAnything(fitting));
  for (const other of [{ kind: "done" }, { words: ["dog"] }, { peer: "p2" }, { batch: "c" }, { client: "else" }]) {
    assert.ok(!isShown(one, { ...fitting, ...other }), JSON.stringify(other));
  }
});

test("a job that no peer has any more is its last peer's", () => {
  const attempt = { peer_id: "p7", peer: "gpu-7", prompt_id: "", started_at: "", begun_at: null, loaded_at: null, ended_at: "", outcome: "failed", reason: "" };
  const lost = job({ state: "failed", peer_id: "", peer: "", attempts: [attempt] });
  assert.ok(isShown(lost, { kind: "all", words: [], peer: "p7", batch: "", client: "" }));
});

test("what can be chosen is told with how many jobs it has", () => {
  const jobs = [job({ client_id: "b" }), job({ client_id: "a" }), job({ client_id: "b" }), job({ client_id: "" })];
  assert.deepEqual(groupsOf(jobs, (each) => each.client_id, (each) => `page ${each.client_id}`),
    [{ value: "b", label: "page b × 2" }, { value: "a", label: "page a × 1" }]);
});

test("kept columns come back in the table's order; without any, or with none known, the usual ones", () => {
  const columns = [{ id: "a", isUsual: true }, { id: "b" }, { id: "c", isUsual: true }];
  assert.deepEqual(chosenColumns("b,a", columns), ["a", "b"]);
  assert.deepEqual(chosenColumns("", columns), ["a", "c"]);
  assert.deepEqual(chosenColumns("of,an,older,version", columns), ["a", "c"]);
});

test("today begins at midnight here, and is never empty", () => {
  const noon = new Date(2026, 2, 1, 12).getTime();
  const midnight = new Date(2026, 2, 1).getTime();
  assert.equal(beginOf(TODAY, noon), midnight);
  assert.equal(beginOf(TODAY, midnight + 1000), midnight + 1000 - 60_000);
  assert.equal(beginOf(6, noon), noon - 6 * 3_600_000);
});

test("a share is of the whole while, and at most all of it", () => {
  const work = { since: "2026-01-01T00:00:00Z", until: "2026-01-01T01:00:00Z", peers: [] };
  assert.equal(shareOf({ busy_s: 900 }, work), 0.25);
  assert.equal(shareOf({ busy_s: 9000 }, work), 1);
  assert.equal(shareOf(null, work), 0);
  assert.equal(shareOf({ busy_s: 1 }, null), 0);
});

test("an answer about an earlier choice does not overwrite the later one", async () => {
  const asked = [];
  const api = {
    work(since) {
      const answer = later();
      asked.push({ since, answer });
      return answer.promise;
    },
  };
  const store = Object.assign(new EventTarget(), { ended: [], now: () => Date.parse("2026-01-01T12:00:00Z") });
  let told = 0;
  const work = followWork(api, store, () => (told += 1));
  work.setHours(1);
  const answer = (n, done) => asked[n].answer.resolve({ since: "", until: "", peers: [{ peer_id: "p", done }] });
  answer(1, 5);
  answer(0, 99);
  await new Promise(setImmediate);
  assert.deepEqual([told, work.of("p").done, work.of("q"), asked[1].since], [1, 5, null, "2026-01-01T11:00:00.000Z"]);
  work.close();
});

test("the page's own event stream tells ours alone, and says when it is lost and back", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const opened = [];
  const events = new HostEvents("ws://host/ws", (url) => {
    const socket = new EventTarget();
    opened.push({ url, socket });
    return socket;
  });
  const heard = [];
  for (const name of ["orchestrator.jobs", "status", "reconnecting", "reconnected"]) {
    events.addEventListener(name, ({ detail }) => heard.push([name, detail]));
  }
  const say = (n, data) => opened[n].socket.dispatchEvent(Object.assign(new Event("message"), { data }));
  events.connect();
  opened[0].socket.dispatchEvent(new Event("open"));
  say(0, JSON.stringify({ type: "orchestrator.jobs", data: { jobs: [] } }));
  say(0, JSON.stringify({ type: "status", data: {} }));
  say(0, new ArrayBuffer(8));
  opened[0].socket.dispatchEvent(new Event("close"));
  context.mock.timers.tick(500);
  opened[1].socket.dispatchEvent(new Event("close"));
  context.mock.timers.tick(1000);
  opened[2].socket.dispatchEvent(new Event("open"));
  assert.deepEqual(heard, [["orchestrator.jobs", { jobs: [] }], ["reconnecting", null], ["reconnected", null]]);
  assert.match(opened[0].url, /^ws:\/\/host\/ws\?clientId=[0-9a-f]{32}$/);
  assert.equal(opened[2].url, opened[0].url);
});
