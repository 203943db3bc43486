// What the page knows of the fleet, kept live by events.

import assert from "node:assert/strict";
import test from "node:test";
import { FleetStore, JOBS_KEPT, TOLD_EVERY_MS } from "../../web/fleet/data/store.js";
import { job, later, listing, peer } from "./stand_in.js";

const at = (minute) => `2026-01-01T10:${String(minute).padStart(2, "0")}:00.000Z`;
const SETTINGS = { fleet_mode: false, paused: false, this_machine: false };
const tell = (events, name, detail) => events.dispatchEvent(new CustomEvent(`orchestrator.${name}`, { detail }));

function live(answers) {
  const events = new EventTarget();
  const store = new FleetStore({ peers: async () => [], jobs: async () => listing([]), line: async () => listing([]), settings: async () => SETTINGS, hear() {}, ...answers });
  return { events, store, stop: store.listen(events) };
}

test("a refresh reads peers and jobs", async () => {
  const { store } = live({ peers: async () => [peer()], jobs: async () => listing([job()]) });
  await store.refresh();
  assert.deepEqual([store.phase, store.peers.length, store.jobs.length], ["ready", 1, 1]);
});

test("peers are listed by name", async () => {
  const { store } = live({ peers: async () => [peer({ id: "b", name: "zoo" }), peer({ id: "a", name: "ant" })] });
  await store.refresh();
  assert.deepEqual(store.peers.map((each) => each.name), ["ant", "zoo"]);
});

test("an event of jobs changes those it names and leaves the others", async () => {
  const { store, events } = live({ jobs: async () => listing([job({ job_id: "a" }), job({ job_id: "b" })]) });
  await store.refresh();
  tell(events, "jobs", { jobs: [job({ job_id: "b", state: "done" })] });
  assert.deepEqual(Object.fromEntries(store.jobs.map((each) => [each.job_id, each.state])), { a: "running", b: "done" });
});

test("an event of peers replaces all of them", async () => {
  const { store, events } = live({ peers: async () => [peer({ id: "gone" })] });
  await store.refresh();
  tell(events, "peers", { peers: [peer({ id: "new" })] });
  assert.deepEqual(store.peers.map((each) => each.id), ["new"]);
});

test("an answer that was asked for before an event does not undo it", async () => {
  const peers = later();
  const jobs = later();
  const { store, events } = live({ peers: () => peers.promise, jobs: () => jobs.promise });
  const refresh = store.refresh();
  tell(events, "peers", { peers: [peer({ draining: true })] });
  tell(events, "jobs", { jobs: [job({ state: "done" })] });
  peers.resolve([peer({ draining: false })]);
  jobs.resolve(listing([job({ state: "running" }), job({ job_id: "older" })]));
  await refresh;
  assert.equal(store.peers[0].draining, true);
  assert.equal(store.jobs.find((each) => each.job_id === "j1").state, "done");
  assert.equal(store.jobs.length, 2);
});

test("jobs the server no longer knows go away at a refresh", async () => {
  const answers = [[job({ job_id: "old" })], [job({ job_id: "new" })]];
  const { store } = live({ jobs: async () => listing(answers.shift()) });
  await store.refresh();
  await store.refresh();
  assert.deepEqual(store.jobs.map((each) => each.job_id), ["new"]);
});

for (const order of [["first", "second"], ["second", "first"]]) {
  test(`of two refreshes the later one counts, when the ${order[0]} ends first`, async () => {
    const answers = { first: later(), second: later() };
    const waiting = [answers.first.promise, answers.second.promise];
    const { store } = live({ peers: () => waiting.shift() });
    const refreshes = { first: store.refresh(), second: store.refresh() };
    for (const name of order) {
      answers[name].resolve([peer({ id: name })]);
      await refreshes[name];
    }
    assert.deepEqual([store.phase, store.peers.map((each) => each.id)], ["ready", ["second"]]);
  });
}

test("a failed refresh keeps what was known and says why", async () => {
  const { store, events } = live({ peers: async () => Promise.reject(new Error("Refused.")) });
  tell(events, "peers", { peers: [peer()] });
  await store.refresh();
  assert.deepEqual([store.phase, store.problem.message, store.peers.length], ["failed", "Refused.", 1]);
});

test("a lost connection is told; when it is back everything is read again", async () => {
  let reads = 0;
  const { store, events } = live({ peers: async () => (reads++, []) });
  await store.refresh();
  events.dispatchEvent(new CustomEvent("reconnecting"));
  assert.equal(store.connected, false);
  const ready = new Promise((done) => store.addEventListener("peers", done, { once: true }));
  events.dispatchEvent(new CustomEvent("reconnected"));
  await ready;
  assert.deepEqual([store.connected, reads], [true, 2]);
});

test("a page whose tab was never opened asks for nothing when it reconnects", () => {
  let reads = 0;
  const { events } = live({ peers: async () => (reads++, []) });
  events.dispatchEvent(new CustomEvent("reconnected"));
  assert.equal(reads, 0);
});

test("a store that no longer listens hears nothing", () => {
  const { store, events, stop } = live({});
  stop();
  tell(events, "peers", { peers: [peer()] });
  assert.deepEqual(store.peers, []);
});

test("at most so many ended jobs are kept, and every one that is not ended", async () => {
  const { store, events } = live({ jobs: async () => listing([job({ job_id: "oldest", created_at: at(1) })]) });
  await store.refresh();
  const many = Array.from({ length: JOBS_KEPT + 50 }, (_, n) => job({ job_id: `e${n}`, state: "done", created_at: at(30) }));
  tell(events, "jobs", { jobs: many });
  assert.equal(store.jobs.length, JOBS_KEPT + 1);
  assert.ok(store.jobs.some((each) => each.job_id === "oldest"));
  assert.equal(store.unseen.ended, 50);
});

test("of a long line the page knows the head and how many come after", async () => {
  let limit = 0;
  const answer = listing([job({ job_id: "a", state: "waiting" })], { waiting: 4800, ended: 7 });
  const { store } = live({ jobs: async (most) => ((limit = most), answer) });
  await store.refresh();
  assert.deepEqual([limit, store.line, store.unseen], [JOBS_KEPT, ["a"], { waiting: 4800, ended: 7 }]);
});

test("a new job goes to the end of a line that is known whole", async () => {
  const waiting = (id) => job({ job_id: id, state: "waiting" });
  const { store, events } = live({ jobs: async () => listing([waiting("a")]) });
  await store.refresh();
  tell(events, "jobs", { jobs: [waiting("b"), waiting("a")] });
  assert.deepEqual(store.line, ["a", "b"]);
  const { store: long, events: more } = live({ jobs: async () => listing([waiting("a")], { waiting: 9 }) });
  await long.refresh();
  tell(more, "jobs", { jobs: [waiting("b")] });
  assert.deepEqual(long.line, ["a"]);
});

test("what runs comes first, then what was handed over, then the queue, then what it does not name yet", async () => {
  const answer = listing(
    [
      job({ job_id: "ended early", state: "done", created_at: at(1), ended_at: at(20) }),
      job({ job_id: "second in line", state: "waiting", created_at: at(4) }),
      job({ job_id: "ended late", state: "failed", created_at: at(2), ended_at: at(30) }),
      job({ job_id: "just came", state: "waiting", created_at: at(3) }),
      job({ job_id: "first in line", state: "waiting", created_at: at(9) }),
      job({ job_id: "handed over", begun_at: null, created_at: at(3) }),
      job({ job_id: "running", created_at: at(7) }),
    ],
    { line: ["first in line", "second in line"] },
  );
  const { store } = live({ jobs: async () => answer });
  await store.refresh();
  assert.deepEqual(
    store.queue.map((each) => each.job_id),
    ["running", "handed over", "first in line", "second in line", "just came"],
  );
  assert.deepEqual(store.ended.map((each) => each.job_id), ["ended late", "ended early"]);
});

test("while somebody looks, the queue is read again once after jobs entered it", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let reads = 0;
  const { store, events } = live({ line: async () => (reads++, listing([])) });
  const unwatch = store.watch();
  tell(events, "jobs", { jobs: [job({ job_id: "a", state: "waiting" })] });
  tell(events, "jobs", { jobs: [job({ job_id: "b", state: "waiting" })] });
  t.mock.timers.tick(5000);
  assert.equal(reads, 1);
  unwatch();
  tell(events, "jobs", { jobs: [job({ job_id: "c", state: "waiting" })] });
  t.mock.timers.tick(5000);
  assert.equal(reads, 1);
});

test("a line that somebody moved is read at once, one that never stands still now and then", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let reads = 0;
  const { store, events } = live({ line: async () => (reads++, listing([])) });
  store.watch();
  const move = () => tell(events, "jobs", { jobs: [job({ job_id: "a", state: "waiting" })] });
  move();
  t.mock.timers.tick(250);
  assert.equal(reads, 1);
  move();
  t.mock.timers.tick(250);
  assert.equal(reads, 1);
  t.mock.timers.tick(1500);
  assert.equal(reads, 2);
});

test("what is switched on is read once and followed by events", async () => {
  const { store, events } = live({});
  assert.equal(store.settings, null);
  await store.readSettings();
  tell(events, "settings", { ...SETTINGS, paused: true });
  assert.deepEqual(store.settings, { ...SETTINGS, paused: true });
});

test("an answer about settings that is older than an event does not undo it", async () => {
  const answer = later();
  const { store, events } = live({ settings: () => answer.promise });
  const reading = store.readSettings();
  tell(events, "settings", { ...SETTINGS, fleet_mode: true });
  answer.resolve(SETTINGS);
  await reading;
  assert.equal(store.settings.fleet_mode, true);
});

test("a switch is thrown once the server agreed", async () => {
  const { store } = live({ changeSettings: async (changes) => ({ ...SETTINGS, ...changes }) });
  await store.change({ fleet_mode: true });
  assert.equal(store.settings.fleet_mode, true);
  const { store: refused } = live({ changeSettings: async () => Promise.reject(new Error("Refused.")) });
  await assert.rejects(refused.change({ fleet_mode: true }), /Refused/);
  assert.equal(refused.settings, null);
});

test("what the server has to say is shown until it is dismissed, also over later reads", async () => {
  const { store } = live({ notices: ["The journal was damaged.", "The keys were damaged."] });
  await store.refresh();
  let told = 0;
  store.addEventListener("status", () => told++);
  store.dismiss("The journal was damaged.");
  assert.equal(told, 1);
  await store.refresh();
  assert.deepEqual(store.notices, ["The keys were damaged."]);
});

test("a line that names a job which the page missed makes it read everything", async () => {
  const waiting = (id) => job({ job_id: id, state: "waiting" });
  const answers = [[waiting("a")], [waiting("a"), waiting("b")]];
  const { store } = live({
    jobs: async () => listing(answers.shift()),
    line: async () => listing([], { line: ["b", "a"] }),
  });
  await store.refresh();
  await store.readLine();
  assert.deepEqual(new Set(store.queue.map((each) => each.job_id)), new Set(["a", "b"]));
});

test("a queue read while everything is being read does not make it start over", async () => {
  const everything = later();
  let asked = 0;
  const { store } = live({
    jobs: () => {
      asked += 1;
      return everything.promise;
    },
    line: async () => listing([], { line: ["a"] }),
  });
  const refreshed = store.refresh();
  await store.readLine();
  everything.resolve(listing([job({ job_id: "a", state: "waiting" })]));
  await refreshed;
  assert.deepEqual([asked, store.phase], [1, "ready"]);
});

test("of many events that follow closely the first is told at once and the others together", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { store, events } = live({});
  let told = 0;
  store.addEventListener("jobs", () => told++);
  for (let n = 0; n < 50; n++) tell(events, "jobs", { jobs: [job({ job_id: `j${n}` })] });
  assert.equal(told, 1);
  t.mock.timers.tick(TOLD_EVERY_MS);
  assert.equal(told, 2);
  assert.equal(store.queue.length, 50);
});

test("how long a job takes is the middle of what the same peer's last ones took", async () => {
  const ran = (id, seconds, changes = {}) => job({
    job_id: id, state: "done", begun_at: "2026-01-01T10:00:00.000Z", ended_at: `2026-01-01T10:00:${seconds}.000Z`, ...changes,
  });
  const { store, events } = live({});
  tell(events, "jobs", { jobs: [ran("a", "10"), ran("b", "50"), ran("c", "20"), ran("d", "59", { state: "failed" })] });
  assert.deepEqual([store.typicalMs("p1"), store.typicalMs("other")], [20_000, null]);
  tell(events, "jobs", { jobs: [ran("e", "10", { peer_id: "other" })] });
  assert.equal(store.typicalMs("other"), 10_000);
});
