// Where a Remote Dispatch node would run, and where it did.

import assert from "node:assert/strict";
import test from "node:test";
import { redrawOf } from "../../web/fleet/host_page/badge_slot.js";
import { NodeOutlook, outlookBadge } from "../../web/fleet/host_page/node_outlook.js";

const able = (name, finish_s, origin = "here") => ({ name, eligible: true, finish_s, origin, is_guess: origin !== "here" });
const told = (changes = {}) => ({ id: "7", upstream: ["1", "2"], key: "a", change: 1, peers: [able("gpu-2", 14.2)], ...changes });

function page() {
  const events = new EventTarget();
  const outlook = Object.assign(new EventTarget(), { told: [], changes: 1 });
  const nodes = new Map([["7", { badges: ["own"] }], ["12", {}]]);
  const graph = { id: "g", getNodeById: (id) => nodes.get(id) ?? null, setDirtyCanvas() {} };
  new NodeOutlook(() => graph, (text) => ({ text }), (text) => ({ text: `ran: ${text}` }), redrawOf(() => null)).listen(outlook, events);
  return {
    outlook,
    tells: (...parts) => {
      outlook.told = parts;
      outlook.dispatchEvent(new Event("told"));
    },
    runs: (peer, nodes, graph_id = "g") =>
      events.dispatchEvent(new CustomEvent("orchestrator.node_peers", { detail: { graph_id, job_id: "j", peer, nodes } })),
    on: (id) => (nodes.get(id).badges ?? []).map((badge) => (typeof badge === "function" ? badge().text : badge)).filter(Boolean),
  };
}

test("the badge says where and by when, where that is known", () => {
  const badge = (peers, more = {}) => outlookBadge({ peers, ...more });
  assert.equal(badge([able("gpu-2", 14.2), able("gpu-1", 20)]), "gpu-2 ≈ 14 s");
  assert.equal(badge([able("gpu-2", 0.1)]), "gpu-2 ≈ 1 s");
  assert.equal(badge([able("gpu-2", null, "nothing")]), "gpu-2 ≈ ?");
  assert.equal(badge([{ name: "gpu-1", eligible: false, finish_s: null }], { paused: true }), "no peer now");
  assert.equal(badge([{ name: "gpu-1", eligible: false }, { name: "gpu-3", eligible: false, awaits: true }]), "waits for gpu-3");
  assert.equal(badge([able("gpu-2", 14.2)], { paused: true, held: "" }), "paused; then gpu-2 ≈ 14 s");
  assert.equal(badge([able("gpu-2", 14.2)], { paused: true, held: "Many were lost." }), "held; then gpu-2 ≈ 14 s");
});

test("the badge does not hide a guess, and tells no time that is taken from other graphs", () => {
  const badge = (origin) => outlookBadge({ peers: [able("gpu-2", 14.2, origin)] });
  assert.deepEqual(["here", "elsewhere", "shape"].map(badge), ["gpu-2 ≈ 14 s", "gpu-2 roughly 14 s", "gpu-2 roughly 14 s"]);
  assert.deepEqual(["peer", "fleet", "nothing"].map(badge), Array(3).fill("gpu-2 ≈ ?"));
  assert.equal(outlookBadge({ peers: [able("gpu-2", 14.2, "shape")], paused: true }), "paused; then gpu-2 roughly 14 s");
});

test("it is on the node that wants it, or on the subgraph's box, beside the badges that are there", () => {
  const { tells, on } = page();
  tells(told(), told({ id: "12:3" }), told({ id: "" }), told({ id: "gone" }));
  assert.deepEqual([on("7"), on("12")], [["own", "gpu-2 ≈ 14 s"], ["gpu-2 ≈ 14 s"]]);
  tells(told({ peers: [able("gpu-1", 3)] }));
  assert.deepEqual([on("7"), on("12")], [["own", "gpu-1 ≈ 3 s"], []]);
  tells();
  assert.deepEqual(on("7"), ["own"]);
});

test("it gives way to the peer that runs it, until the node wants something else", () => {
  const { outlook, tells, runs, on } = page();
  tells(told());
  runs("gpu-1", { 9: "running" });
  runs("gpu-1", { 2: "running" }, "another graph");
  assert.deepEqual(on("7"), ["own", "gpu-2 ≈ 14 s"]);
  runs("gpu-1", { 2: "running" });
  assert.deepEqual(on("7"), ["own", "ran: gpu-1"]);
  outlook.changes = 2;
  tells(told({ change: 2, peers: [able("gpu-2", 4)] })); // moved about
  assert.deepEqual(on("7"), ["own", "ran: gpu-1"]);
  tells(told({ change: 2, key: "b", peers: [able("gpu-2", 4)] }));
  assert.deepEqual(on("7"), ["own", "gpu-2 ≈ 4 s"]);
});

test("a seed that Run itself draws for the next time leaves the name of the peer", () => {
  const { outlook, tells, runs, on } = page();
  tells(told());
  outlook.changes = 2; // Run drew it, and asks only now
  runs("gpu-1", { 2: "finished" });
  tells(told({ change: 2, key: "b" }));
  assert.deepEqual(on("7"), ["own", "ran: gpu-1"]);
  outlook.changes = 3; // moved about
  tells(told({ change: 3, key: "b" }));
  assert.deepEqual(on("7"), ["own", "ran: gpu-1"]);
  outlook.changes = 4;
  tells(told({ change: 4, key: "c" }));
  assert.deepEqual(on("7"), ["own", "gpu-2 ≈ 14 s"]);
});
