// When the server is asked where the graph on the canvas would run.

import assert from "node:assert/strict";
import test from "node:test";
import { ASK_EVERY_MS, Outlook, SAME_EVERY_MS, SETTLED_MS } from "../../web/fleet/outlook/outlook.js";
import { FleetStore } from "../../web/fleet/data/store.js";
import { job, peer } from "./stand_in.js";

const GPU = { id: "p1", name: "gpu-1", eligible: true, reason: "idle", finish_s: null };
const told = (peers, more = {}) => ({ peers, paused: false, held: "", waiting: 0, ...more });
const REMOTE = { type: "RemoteDispatch" };
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A page with a graph in fleet mode, whose clock is moved by `pass`. */
async function page(t, { fleetMode = true, nodes = [{ type: "A" }], peers = [peer()] } = {}) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const events = new EventTarget();
  const at = { ms: 0 };
  const made = { prompts: 0, asked: [], told: [] };
  const app = {
    graph: { nodes }, canvas: { pointer: { isDown: false } }, output: { 1: { class_type: "A", inputs: { seed: 1 } } },
    async graphToPrompt() {
      made.prompts += 1;
      return { output: this.output };
    },
  };
  const api = { explain: async (question) => (made.asked.push(question), told([GPU])) };
  const view = { isVisible: true };
  const store = new FleetStore({ hear() {} });
  store.listen(events);
  const outlook = new Outlook(app, { explain: (question) => api.explain(question) }, store, () => view.isVisible, () => at.ms);
  outlook.listen(events);
  outlook.addEventListener("told", () => made.told.push(outlook.told.map(({ peers: [first] }) => first.name)));
  const tell = (name, detail) => events.dispatchEvent(new CustomEvent(name, { detail }));
  tell("orchestrator.settings", { fleet_mode: fleetMode });
  tell("orchestrator.peers", { peers });
  const pass = async (ms) => {
    at.ms += ms;
    t.mock.timers.tick(ms);
    await settle();
  };
  await pass(0);
  return {
    app, api, view, made, outlook, pass,
    changes: (seed) => {
      if (seed) app.output = { 1: { class_type: "A", inputs: { seed } } };
      tell("graphChanged");
    },
    fleetMode: (on) => tell("orchestrator.settings", { fleet_mode: on }),
    peersChange: () => tell("orchestrator.peers", { peers }),
    ends: (job_id, state = "done") => tell("orchestrator.jobs", { jobs: [job({ job_id, state, ended_at: "2026-01-01T10:00:09.000Z" })] }),
  };
}

test("while the tab is open it is told where the graph would run", async (t) => {
  const { outlook, made, pass } = await page(t);
  await pass(60_000);
  assert.deepEqual([made.prompts, made.asked.length], [0, 0]);
  outlook.watch();
  await pass(0);
  assert.deepEqual(made.asked, [{ prompt: { 1: { class_type: "A", inputs: { seed: 1 } } }, run: true }]);
  assert.deepEqual(made.told, [["gpu-1"]]);
});

test("what keeps all jobs back is told with it", async (t) => {
  const { api, outlook, pass } = await page(t);
  api.explain = async () => told([GPU], { paused: true, waiting: 3 });
  outlook.watch();
  await pass(0);
  assert.deepEqual(outlook.told.map(({ paused, held, waiting }) => ({ paused, held, waiting })), [{ paused: true, held: "", waiting: 3 }]);
});

test("nobody is asked while nobody can see it, and at once when somebody can", async (t) => {
  const { outlook, made, view, pass, changes } = await page(t);
  view.isVisible = false;
  const unwatch = outlook.watch();
  changes(2);
  await pass(60_000);
  assert.equal(made.prompts, 0);
  view.isVisible = true;
  outlook.look();
  await pass(0);
  assert.equal(made.asked.length, 1);
  unwatch();
  changes(3);
  await pass(60_000);
  assert.equal(made.asked.length, 1);
});

test("a Remote Dispatch node on the canvas is enough", async (t) => {
  const { app, made, pass, changes } = await page(t, { fleetMode: false, nodes: [REMOTE] });
  app.output = { 1: { class_type: "A", inputs: {} }, 7: { class_type: "RemoteDispatch", inputs: { value: ["1", 0] } } };
  changes();
  await pass(ASK_EVERY_MS);
  assert.deepEqual(made.asked, [{ prompt: { 1: app.output[1] }, result: ["1", 0] }]);
});

test("without fleet mode no prompt is made of a graph that stays here", async (t) => {
  const { outlook, made, pass, changes } = await page(t, { fleetMode: false });
  outlook.watch();
  changes(2);
  await pass(60_000);
  assert.equal(made.prompts, 0);
});

test("of several Remote Dispatch nodes one that the server refuses hides none of the others", async (t) => {
  const { app, api, outlook, made, pass, changes } = await page(t, { fleetMode: false, nodes: [REMOTE] });
  const wants = (id, peer) => ({ class_type: "RemoteDispatch", inputs: { value: [id, 0], peer } });
  app.output = { 1: { class_type: "A", inputs: {} }, 7: wants("1", "gone"), 8: wants("1", "gpu-1") };
  api.explain = async ({ peer }) => (peer === "gone" ? Promise.reject(new Error("refused")) : told([GPU]));
  changes();
  await pass(ASK_EVERY_MS);
  assert.deepEqual(outlook.told.map(({ id }) => id), ["8"]);
  assert.deepEqual(made.told, [["gpu-1"]]);
});

test("a graph that changes is asked about when it has settled, and no more than so often", async (t) => {
  const { outlook, made, pass, changes } = await page(t);
  outlook.watch();
  await pass(0);
  for (let seed = 2; seed < 12; seed++) {
    changes(seed);
    await pass(SETTLED_MS / 2);
  }
  assert.equal(made.prompts, 1);
  await pass(SETTLED_MS);
  assert.deepEqual([made.prompts, made.asked.length], [2, 2]);
  changes(20);
  await pass(ASK_EVERY_MS / 3);
  assert.equal(made.asked.length, 2);
  await pass(ASK_EVERY_MS);
  assert.equal(made.asked.length, 3);
});

test("no prompt is made while a box is dragged", async (t) => {
  const { app, outlook, made, pass, changes } = await page(t);
  app.canvas.pointer.isDown = true;
  outlook.watch();
  changes(2);
  for (let turn = 0; turn < 20; turn++) await pass(SETTLED_MS);
  assert.equal(made.prompts, 0);
  app.canvas.pointer.isDown = false;
  await pass(SETTLED_MS);
  assert.equal(made.prompts, 1);
});

test("a graph that was only moved about is not asked about again", async (t) => {
  const { outlook, made, pass, changes } = await page(t);
  outlook.watch();
  await pass(0);
  changes();
  await pass(60_000);
  assert.deepEqual([made.prompts, made.asked.length], [2, 1]);
});

test("peers that change and jobs that end are asked after, of the same graph no more than so often", async (t) => {
  const { outlook, made, pass, peersChange, ends } = await page(t);
  outlook.watch();
  await pass(0);
  for (let turn = 0; turn < 10; turn++) {
    peersChange();
    await pass(SAME_EVERY_MS / 11);
  }
  assert.equal(made.asked.length, 1);
  await pass(SAME_EVERY_MS);
  assert.equal(made.asked.length, 2);
  await pass(60_000);
  assert.equal(made.asked.length, 2);
  ends("a");
  await pass(SAME_EVERY_MS);
  assert.deepEqual([made.asked.length, made.prompts], [3, 1]);
});

test("moved about while the fleet changes, it is asked about no more often either", async (t) => {
  const { outlook, made, pass, changes, peersChange } = await page(t);
  outlook.watch();
  await pass(0);
  peersChange();
  changes();
  await pass(ASK_EVERY_MS);
  assert.deepEqual([made.prompts, made.asked.length], [2, 1]);
  await pass(SAME_EVERY_MS);
  assert.equal(made.asked.length, 2);
});

test("progress of a job is no reason to ask", async (t) => {
  const { outlook, made, pass, ends } = await page(t);
  outlook.watch();
  await pass(0);
  ends("a", "running");
  await pass(60_000);
  const before = made.asked.length;
  ends("a", "running");
  await pass(60_000);
  assert.equal(made.asked.length, before);
});

test("fleet mode switched off takes the line away, and on again brings it back", async (t) => {
  const { outlook, made, pass, fleetMode } = await page(t);
  outlook.watch();
  await pass(0);
  fleetMode(false);
  await pass(ASK_EVERY_MS);
  assert.deepEqual(made.told, [["gpu-1"], []]);
  fleetMode(true);
  await pass(ASK_EVERY_MS);
  assert.deepEqual(made.told, [["gpu-1"], [], ["gpu-1"]]);
});

test("a graph that makes no prompt, and a server that refuses, tell nothing, and it goes on afterwards", async (t) => {
  const { app, api, outlook, made, pass, changes } = await page(t);
  const { explain } = api;
  outlook.watch();
  await pass(0);
  api.explain = async () => Promise.reject(new Error("refused"));
  changes(2);
  await pass(ASK_EVERY_MS);
  assert.deepEqual(made.told.at(-1), []);
  api.explain = explain;
  changes(3);
  await pass(ASK_EVERY_MS);
  assert.deepEqual(made.told.at(-1), ["gpu-1"]);
  const { graphToPrompt } = app;
  app.graphToPrompt = async () => Promise.reject(new Error("no prompt"));
  changes(4);
  await pass(ASK_EVERY_MS);
  assert.deepEqual(made.told.at(-1), []);
  app.graphToPrompt = graphToPrompt;
  changes(5);
  await pass(ASK_EVERY_MS);
  assert.deepEqual(made.told.at(-1), ["gpu-1"]);
});

test("a graph whose widgets would record or upload is left alone", async (t) => {
  const { outlook, made, pass } = await page(t, { nodes: [{ type: "RecordAudio", widgets: [{ serializeValue: async () => "" }] }] });
  outlook.watch();
  await pass(60_000);
  assert.equal(made.prompts, 0);
});

test("a page without peers asks nobody", async (t) => {
  const { outlook, made, pass } = await page(t, { peers: [] });
  outlook.watch();
  await pass(60_000);
  assert.equal(made.prompts, 0);
});
