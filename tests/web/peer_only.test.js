// Models and nodes that only some machines have, on the boxes and in the lists.

import assert from "node:assert/strict";
import test from "node:test";
import { onlyOn, PeerOnly } from "../../web/fleet/host_page/peer_only.js";

/** A host whose reading of its node definitions ends when the test says so. */
function host() {
  const readings = [];
  const looks = [];
  const app = {
    reloadNodeDefs: () => new Promise((resolve, reject) => readings.push({ resolve, reject })),
    refreshMissingModels: async (how) => void looks.push({ ...how, after: readings.length }),
  };
  const events = new EventTarget();
  new PeerOnly({}, app, () => null, () => 0, () => false).listen(events);
  const tell = () => events.dispatchEvent(new Event("orchestrator.node_lists"));
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { readings, looks, tell, settle };
}

test("a change that comes while the page reads the nodes is read once it has done so", async () => {
  const { readings, tell, settle } = host();
  tell();
  tell();
  tell();
  assert.equal(readings.length, 1);
  readings[0].resolve();
  await settle();
  assert.equal(readings.length, 2);
  readings[1].resolve();
  await settle();
  assert.equal(readings.length, 2);
});

test("a reading that failed does not keep the next change from being read", async () => {
  const { readings, tell, settle } = host();
  tell();
  readings[0].reject(new Error("the host told it"));
  await settle();
  tell();
  assert.equal(readings.length, 2);
});

test("once the page has read the nodes it looks again for what the open graph lacked", async () => {
  const { readings, looks, tell, settle } = host();
  tell();
  await settle();
  assert.deepEqual(looks, []);
  readings[0].resolve();
  await settle();
  assert.deepEqual(looks, [{ silent: true, reloadDefs: false, after: 1 }]);
});

test("the badge counts the peers that have a node, unless all do", () => {
  assert.equal(onlyOn(["gpu-1"], 3), "only on gpu-1");
  assert.equal(onlyOn(["gpu-1"], 1), "only on gpu-1");
  assert.equal(onlyOn(["gpu-1", "gpu-2"], 3), "only on 2 peers");
  assert.equal(onlyOn(["gpu-1", "gpu-2", "gpu-3"], 3), "only on the peers");
});
