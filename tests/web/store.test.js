import assert from "node:assert/strict";
import test from "node:test";
import { FleetStore, inViewingOrder } from "../../web/fleet/store.js";
import { job, later, peer } from "./stand_in.js";

const at = (minute) => `2026-01-01T10:${String(minute).padStart(2, "0")}:00.000Z`;
const tell = (events, name, detail) => events.dispatchEvent(new CustomEvent(`orchestrator.${name}`, { detail }));

function live(answers) {
  const events = new EventTarget();
  const store = new FleetStore({ peers: async () => [], jobs: async () => [], ...answers });
  return { events, store, stop: store.listen(events) };
}

test("a refresh reads peers and jobs", async () => {
  const { store } = live({ peers: async () => [peer()], jobs: async () => [job()] });
  await store.refresh();
  assert.deepEqual([store.phase, store.peers.length, store.jobs.length], ["ready", 1, 1]);
});

test("peers are listed by name", async () => {
  const { store } = live({ peers: async () => [peer({ id: "b", name: "zoo" }), peer({ id: "a", name: "ant" })] });
  await store.refresh();
  assert.deepEqual(store.peers.map((each) => each.name), ["ant", "zoo"]);
});

test("an event of jobs changes those it names and leaves the others", async () => {
  const { store, events } = live({ jobs: async () => [job({ job_id: "a" }), job({ job_id: "b" })] });
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
  jobs.resolve([job({ state: "running" }), job({ job_id: "older" })]);
  await refresh;
  assert.equal(store.peers[0].draining, true);
  assert.equal(store.jobs.find((each) => each.job_id === "j1").state, "done");
  assert.equal(store.jobs.length, 2);
});

test("jobs the server no longer knows go away at a refresh", async () => {
  const answers = [[job({ job_id: "old" })], [job({ job_id: "new" })]];
  const { store } = live({ jobs: async () => answers.shift() });
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

test("at most 200 ended jobs are kept, and every one that is not ended", async () => {
  const many = Array.from({ length: 250 }, (_, n) => job({ job_id: `e${n}`, state: "done", created_at: at(30) }));
  const { store } = live({ jobs: async () => [job({ job_id: "oldest", created_at: at(1) }), ...many] });
  await store.refresh();
  assert.equal(store.jobs.length, 201);
  assert.ok(store.jobs.some((each) => each.job_id === "oldest"));
});

test("running jobs come first, then waiting ones as they came, then the ended ones, last first", () => {
  const ids = inViewingOrder([
    job({ job_id: "ended early", state: "done", created_at: at(1), ended_at: at(20) }),
    job({ job_id: "second waiting", state: "waiting", created_at: at(9) }),
    job({ job_id: "ended late", state: "failed", created_at: at(2), ended_at: at(30) }),
    job({ job_id: "first waiting", state: "waiting", created_at: at(8) }),
    job({ job_id: "running", created_at: at(7) }),
  ]).map((each) => each.job_id);
  assert.deepEqual(ids, ["running", "first waiting", "second waiting", "ended late", "ended early"]);
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
