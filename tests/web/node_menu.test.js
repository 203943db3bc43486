// "Run this on …" in a node's menu.

import assert from "node:assert/strict";
import test from "node:test";
import { stateOf } from "../../web/fleet/host_page/commands.js";
import { NodeMenu, targetsOf } from "../../web/fleet/host_page/node_menu.js";
import { job, peer } from "./stand_in.js";

/** A graph of `[from, to]` links; nodes named in `outputs` save or show something. */
function graphOf(links, outputs, modes = {}) {
  const nodes = new Map();
  const graph = { links: {}, getNodeById: (id) => nodes.get(id) ?? null };
  for (const id of new Set(links.flat())) {
    nodes.set(id, { id, graph, mode: modes[id] ?? 0, outputs: [{ links: [] }], constructor: { nodeData: { output_node: outputs.includes(id) } } });
  }
  links.forEach(([from, to], number) => {
    graph.links[number] = { target_id: to };
    nodes.get(from).outputs[0].links.push(number);
  });
  return graph;
}
const targets = (graph, id) => targetsOf(graph.getNodeById(id)).sort();

test("to run a node is to run what is saved or shown of it", () => {
  const graph = graphOf([[1, 2], [2, 3], [2, 4], [5, 4]], [3, 4]);
  assert.deepEqual(targets(graph, 1), ["3", "4"]);
  assert.deepEqual(targets(graph, 5), ["4"]);
  assert.deepEqual(targets(graph, 3), ["3"]);
  assert.deepEqual(targets(graphOf([[1, 2]], []), 1), []);
});

test("nothing behind a muted node, and circles end", () => {
  assert.deepEqual(targets(graphOf([[1, 2], [2, 3]], [3], { 2: 2 }), 1), []);
  assert.deepEqual(targets(graphOf([[1, 2], [2, 1], [2, 3]], [3]), 1), ["3"]);
});

function page(peers) {
  const graph = graphOf([[1, 3], [2, 4]], [3, 4]);
  const sent = [];
  const api = { fetchApi: async (route, options) => sent.push({ route, body: JSON.parse(options.body) }) };
  const post = (wanted) => api.fetchApi("/prompt", { method: "POST", body: JSON.stringify({ partial_execution_targets: wanted, extra_data: { kept: 1 } }) });
  const toasts = [];
  const app = { graph, extensionManager: { toast: { add: (toast) => toasts.push(toast) } }, queuePrompt: async (_, __, wanted) => { await post(wanted); return true; } };
  const menu = new NodeMenu(app, api, { peers });
  const choose = (id, name) => menu.itemsOf(graph.getNodeById(id)).at(-1).submenu.options.find((each) => each.content === name).callback();
  return { graph, menu, sent, toasts, post, choose };
}

test("Run this on a peer goes through the page's own Run, and only that prompt is placed", async () => {
  const { choose, sent, post } = page([peer({ id: "p1", name: "gpu-1" })]);
  choose(1, "gpu-1");
  await post(["3"]);
  await post(undefined);
  assert.deepEqual(sent.map((each) => each.body.extra_data), [
    { kept: 1, orchestrator: { run: "fleet", peer: "p1" } }, { kept: 1 }, { kept: 1 },
  ]);
});

test("any peer and this computer are places too", async () => {
  const { choose, sent } = page([peer()]);
  choose(1, "any peer");
  choose(2, "this computer");
  await null;
  assert.deepEqual(sent.map((each) => each.body.extra_data.orchestrator), [{ run: "fleet" }, { run: "local" }]);
});

test("the menu has nothing of ours without peers, on a dispatch node, and inside a subgraph", () => {
  assert.deepEqual(page([]).menu.itemsOf(page([]).graph.getNodeById(1)), []);
  const { menu, graph } = page([peer()]);
  assert.deepEqual(menu.itemsOf({ ...graph.getNodeById(1), type: "RemoteDispatch" }), []);
  assert.deepEqual(menu.itemsOf({ ...graph.getNodeById(1), graph: {} }), []);
});

test("a node that leads to nothing says what to do", async () => {
  const { menu, graph, toasts, sent } = page([peer()]);
  graph.getNodeById(3).constructor.nodeData.output_node = false;
  await menu.run(graph.getNodeById(1), { run: "local" });
  assert.match(toasts[0].detail, /Link it to a node that saves/);
  assert.deepEqual(sent, []);
});

test("the button says how many peers are up and how many jobs wait", () => {
  const settings = { fleet_mode: true, paused: false, this_machine: false };
  const peers = [peer(), peer({ id: "b", health: "down" })];
  const queue = [job(), job({ begun_at: null }), job({ state: "waiting", begun_at: null }), job({ state: "waiting", held: true, begun_at: null })];
  const says = (changes) => stateOf({ settings, peers, queue, unseen: { waiting: 10, ended: 0 }, ...changes });
  assert.equal(says({}), "on, 1 of 2 peers, 12 waiting, 1 on hold");
  assert.equal(says({ queue: [], unseen: { waiting: 0 }, peers: [], settings: { ...settings, fleet_mode: false } }), "off");
  assert.equal(says({ queue: [], unseen: { waiting: 0 }, settings: { ...settings, paused: true } }), "on, 1 of 2 peers, paused");
  assert.equal(says({ queue: [], unseen: { waiting: 0 }, settings: { ...settings, this_machine: true } }), "on, 1 of 2 peers + this computer");
  assert.equal(says({ settings: null }), "");
});

test("the button says when the queue is likely to be empty, unless it is paused or nearly is", () => {
  const settings = { fleet_mode: true, paused: false };
  const says = (restMs, changes = {}) => stateOf({ settings: { ...settings, ...changes }, peers: [], queue: [job()], unseen: { waiting: 0 }, restMs });
  assert.equal(says(90_000), "on, about 1:30 min left");
  assert.equal(says(90_000, { paused: true }), "on, paused");
  assert.equal(says(900), "on");
  assert.equal(says(null), "on");
});
