// The name of the peer on the nodes that run there.

import assert from "node:assert/strict";
import test from "node:test";
import { redrawOf } from "../../web/fleet/host_page/badge_slot.js";
import { NodeBadges } from "../../web/fleet/host_page/node_badges.js";

function page() {
  const events = new EventTarget();
  const nodes = new Map([["4", { badges: ["own"] }], ["9", {}]]);
  const graph = { id: "g", getNodeById: (id) => nodes.get(id) ?? null, setDirtyCanvas() {} };
  new NodeBadges(() => graph, (text) => ({ text }), redrawOf(() => null)).listen(events);
  const tell = (name, detail) => events.dispatchEvent(new CustomEvent(name, { detail }));
  return {
    graph,
    told: (job, peer, states, graphId = "g") =>
      tell("orchestrator.node_peers", { graph_id: graphId, job_id: job, peer, nodes: states }),
    begins: (remote) => tell("execution_start", { prompt_id: "p", ...(remote && { remote }) }),
    on: (id) => (nodes.get(id).badges ?? []).map((badge) => (typeof badge === "function" ? badge().text : badge)).filter(Boolean),
  };
}

test("a node tells its peer while it runs there and afterwards, and no other does", () => {
  const { told, on } = page();
  told("a", "gpu-1", { 4: "running" });
  assert.deepEqual([on("4"), on("9")], [["own", "gpu-1"], []]);
  told("a", "gpu-1", { 4: "finished", 9: "running" });
  assert.deepEqual([on("4"), on("9")], [["own", "gpu-1"], ["gpu-1"]]);
});

test("two jobs at one node tell both peers, and then the one that was there last", () => {
  const { told, on } = page();
  told("a", "gpu-1", { 4: "running" });
  told("b", "gpu-2", { 4: "running" });
  assert.deepEqual(on("4"), ["own", "gpu-1, gpu-2"]);
  told("a", "gpu-1", { 4: "finished" });
  assert.deepEqual(on("4"), ["own", "gpu-2"]);
  told("b", "gpu-2", { 4: "finished" });
  assert.deepEqual(on("4"), ["own", "gpu-2"]);
});

test("a node inside a subgraph marks the subgraph, as long as one of them runs", () => {
  const { told, on } = page();
  told("a", "gpu-1", { "9:3": "running", "9:5": "running", gone: "running" });
  told("b", "gpu-2", { "9:3": "running" });
  told("a", "gpu-1", { "9:3": "finished" });
  assert.deepEqual(on("9"), ["gpu-1, gpu-2"]);
});

test("a run on this computer takes away what ran elsewhere before it, and nothing that runs there now", () => {
  const { told, begins, on } = page();
  told("a", "gpu-1", { 4: "finished", 9: "running" });
  begins(true);
  assert.deepEqual([on("4"), on("9")], [["own", "gpu-1"], ["gpu-1"]]);
  begins(false);
  assert.deepEqual([on("4"), on("9")], [["own"], ["gpu-1"]]);
});

test("what happens to another graph marks nothing", () => {
  const { told, on } = page();
  told("a", "gpu-1", { 4: "running" }, "another");
  assert.deepEqual(on("4"), ["own"]);
});
