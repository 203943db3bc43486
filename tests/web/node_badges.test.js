import assert from "node:assert/strict";
import test from "node:test";
import { NodeBadges } from "../../web/fleet/node_badges.js";
import { FleetStore, TOLD_EVERY_MS } from "../../web/fleet/store.js";
import { job } from "./stand_in.js";

function page() {
  const events = new EventTarget();
  const nodes = new Map([["4", { badges: ["own"] }], ["9", {}]]);
  const graph = { getNodeById: (id) => nodes.get(id) ?? null, setDirtyCanvas() {} };
  const store = new FleetStore({});
  store.listen(events);
  new NodeBadges(store, () => graph, (text) => ({ text })).listen(events);
  const tell = (name, detail) => events.dispatchEvent(new CustomEvent(name, { detail }));
  return {
    jobs: (...jobs) => tell("orchestrator.jobs", { jobs }),
    progress: (id, states) =>
      tell("progress_state", { prompt_id: id, nodes: Object.fromEntries(Object.entries(states).map(([n, state]) => [n, { state }])) }),
    on: (id) => (nodes.get(id).badges ?? []).map((badge) => badge.text ?? badge),
  };
}

test("a running node tells its peer, and no other does", () => {
  const { jobs, progress, on } = page();
  jobs(job({ job_id: "a", peer: "gpu-1" }));
  progress("a", { 4: "running", 9: "pending" });
  assert.deepEqual([on("4"), on("9")], [["own", "gpu-1"], []]);
  progress("a", { 4: "finished", 9: "running" });
  assert.deepEqual([on("4"), on("9")], [["own"], ["gpu-1"]]);
});

test("two jobs at one node tell both peers, and the one that ends takes its name away", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { jobs, progress, on } = page();
  jobs(job({ job_id: "a", peer: "gpu-1" }), job({ job_id: "b", peer: "gpu-2" }));
  progress("a", { 4: "running" });
  progress("b", { 4: "running" });
  assert.deepEqual(on("4"), ["own", "gpu-1", "gpu-2"]);
  jobs(job({ job_id: "a", peer: "gpu-1", state: "done" }));
  t.mock.timers.tick(TOLD_EVERY_MS); // changes that follow closely are told together
  assert.deepEqual(on("4"), ["own", "gpu-2"]);
  progress("a", { 4: "running" });
  assert.deepEqual(on("4"), ["own", "gpu-2"], "what comes late counts no more");
});

test("a node inside a subgraph marks the subgraph", () => {
  const { jobs, progress, on } = page();
  jobs(job({ job_id: "a", peer: "gpu-1" }));
  progress("a", { "9:3": "running", "9:5": "running", gone: "running" });
  assert.deepEqual(on("9"), ["gpu-1"]);
});

test("the progress of a local prompt marks nothing", () => {
  const { progress, on } = page();
  progress("local", { 4: "running" });
  assert.deepEqual(on("4"), ["own"]);
});
