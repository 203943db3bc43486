// Where a saved workflow keeps the value of each parameter.

import assert from "node:assert/strict";
import test from "node:test";
import { placesOf } from "../../web/fleet/variations/saved_places.js";

test("a parameter's place is its widget's, or that of the primitive that feeds it", () => {
  const nodes = {
    4: { widgets: [{ name: "seed" }, { name: "control" }, { name: "steps" }], inputs: [{ widget: { name: "steps" }, link: 7 }] },
    9: { id: 9, type: "PrimitiveNode", widgets: [{ name: "value" }] },
  };
  const graph = { getNodeById: (id) => nodes[id], links: { 7: { origin_id: 9 } } };
  const workflow = { nodes: [{ id: 4, widgets_values: [1, "fixed", 20] }, { id: 9, widgets_values: [20] }] };
  assert.deepEqual(placesOf(workflow, graph, ["4.seed", "4.steps", "57:8.seed"]), { "4.seed": ["4", 0], "4.steps": ["9", 0] });
});

const INNER = "b1b8-inner";

/** A sampler in a subgraph, whose steps come through an input of the subgraph. */
function withSubgraph(moreSaved = []) {
  const sampler = {
    id: 4, widgets: [{ name: "seed" }, { name: "control" }, { name: "steps" }, { name: "cfg" }],
    inputs: [{ name: "model", link: 1 }, { widget: { name: "steps" }, link: 5 }, { widget: { name: "cfg" }, link: 6 }],
  };
  const subgraph = {
    getNodeById: (id) => (id === 4 ? sampler : undefined), inputs: [{ name: "model" }, { name: "cfg" }, { name: "how many" }],
    links: { 5: { origin_id: -10, origin_slot: 2 }, 6: { origin_id: "-10", origin_slot: 1 } },
  };
  const host = {
    id: 9, type: INNER, subgraph, widgets: [{ name: "4: seed" }, { name: "how many" }, { name: "cfg" }],
    inputs: [{ name: "model", link: 2 }, { widget: { name: "cfg" }, link: 3 }, { widget: { name: "how many" }, link: null }],
  };
  const graph = {
    getNodeById: (id) => ({ 9: host, 8: { id: 8, type: "Float" } })[id], links: { 3: { origin_id: 8 } },
  };
  const workflow = {
    nodes: [{ id: 9, type: INNER, widgets_values: [7, 20] }, ...moreSaved],
    definitions: { subgraphs: [{ id: INNER, nodes: [{ id: 4, type: "KSampler", widgets_values: [1, "fixed", 20, 7] }] }] },
  };
  return { graph, workflow };
}

test("in a subgraph it is the inner widget's, or the instance's where that shows it", () => {
  const { graph, workflow } = withSubgraph();
  assert.deepEqual(placesOf(workflow, graph, ["9:4.seed", "9:4.steps", "9:4.cfg", "9:5.seed"]), {
    "9:4.seed": ["9:4", 0], "9:4.steps": ["9", 1],
  });
});

test("what several instances of a subgraph share is left as it is", () => {
  const { graph, workflow } = withSubgraph([{ id: 10, type: INNER, widgets_values: [7, 20] }]);
  assert.deepEqual(placesOf(workflow, graph, ["9:4.seed", "9:4.steps"]), { "9:4.steps": ["9", 1] });
});
