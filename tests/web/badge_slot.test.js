// A badge that changes, on a box that is drawn once.

import assert from "node:assert/strict";
import test from "node:test";
import { BadgeSlot, redrawOf } from "../../web/fleet/host_page/badge_slot.js";

/** A page whose state tells what of it was read, as Nodes 2.0 notice it. */
function page() {
  const read = [];
  const state = new Proxy({}, {
    set(target, key, value) {
      target[key] = new Proxy(value, { get: (of, name) => (read.push(name), of[name]) });
      return true;
    },
  });
  const redraw = redrawOf(() => ({ config: { globalProperties: { $pinia: { state: { value: state } } } } }));
  return { state, read, redraw, slot: new BadgeSlot(() => ({ text: "" }), redraw) };
}

test("a node has its place for a badge from the start, beside those that are there", () => {
  const { slot } = page();
  const node = { badges: ["own"] };
  slot.open(node);
  slot.open(node);
  assert.equal(node.badges.length, 2);
  assert.equal(node.badges[1]().text, "");
  slot.show(node, { text: "gpu-1" });
  assert.equal(node.badges[1]().text, "gpu-1");
  slot.show(node, null);
  assert.equal(node.badges[1]().text, "");
});

test("what draws it reads what changes with it", () => {
  const { state, read, redraw, slot } = page();
  const node = {};
  slot.show(node, { text: "a" });
  const before = state.remoteDispatchBadges.changes;
  read.length = 0;
  node.badges[0]();
  assert.deepEqual(read, ["changes"]);
  slot.show(node, { text: "b" });
  assert.notEqual(redraw.read(), before);
});

test("a host without badges gets none", () => {
  const slot = new BadgeSlot(() => null, redrawOf(() => null));
  const node = {};
  slot.show(node, { text: "gpu-1" });
  assert.equal(node.badges, undefined);
});
