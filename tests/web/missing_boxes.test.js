// Boxes of classes that no machine had when the graph was opened.

import assert from "node:assert/strict";
import test from "node:test";
import { mendBoxes } from "../../web/fleet/host_page/missing_boxes.js";

const BOX = { type: "", has_errors: false, last_serialization: { type: "PeerOnly" } };
const HERE = { type: "KSampler" };

/** A page whose graph holds these boxes; `hands` is what the user has hold of. */
function page(...nodes) {
  const hands = { isDown: false };
  globalThis.document = { activeElement: { matches: () => hands.isTyping ?? false } };
  const put = [];
  const tracker = {
    activeState: "before",
    captureCanvasState: () => (tracker.activeState = "with the last change"),
    updateState: async (from) => void put.push(...from),
  };
  const app = {
    rootGraph: { nodes },
    canvas: { pointer: hands },
    extensionManager: { workflow: { activeWorkflow: { changeTracker: tracker } } },
  };
  return { app, hands, put };
}

const known = (...types) => (type) => types.includes(type);

test("a graph with a box whose class has come is put back, with the last change in it", async () => {
  const { app, put } = page(HERE, BOX);
  await mendBoxes(app, known("PeerOnly"));
  assert.deepEqual(put, ["with the last change"]);
});

test("so is one whose box the host marks as an error", async () => {
  const { app, put } = page({ ...BOX, has_errors: true });
  await mendBoxes(app, known("PeerOnly"));
  assert.equal(put.length, 1);
});

test("so is one that has the box in a subgraph", async () => {
  const { app, put } = page({ type: "a-subgraph", subgraph: { nodes: [BOX] } });
  await mendBoxes(app, known("PeerOnly"));
  assert.equal(put.length, 1);
});

test("a graph is left alone when nothing is missing, or is missing still", async () => {
  for (const nodes of [[HERE], [HERE, BOX]]) {
    const { app, put } = page(...nodes);
    await mendBoxes(app, known("KSampler"));
    assert.deepEqual(put, []);
  }
});

test("nothing is put back under the user's hands", async () => {
  for (const busy of ["isDown", "isTyping"]) {
    const { app, hands, put } = page(BOX);
    hands[busy] = true;
    const mending = mendBoxes(app, known("PeerOnly"), 1);
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual(put, []);
    hands[busy] = false;
    await mending;
    assert.equal(put.length, 1);
  }
});

test("a host without such a tracker is left alone", async () => {
  const { app } = page(BOX);
  app.extensionManager = {};
  await mendBoxes(app, known("PeerOnly"));
});
