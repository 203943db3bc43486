// What may be linked to a Remote Dispatch node.

import assert from "node:assert/strict";
import test from "node:test";
import { watchLinks } from "../../web/fleet/host_page/travelling.js";

function box(name = "RemoteDispatch") {
  const made = new (class {
    static nodeData = { name, input: { optional: { value: ["*", { instead: { MODEL: "the IMAGE" } }], overrides: ["STRING", {}] } } };
    inputs = [{ name: "value" }, { name: "overrides" }];
  })();
  const told = [];
  watchLinks(made, (toast) => told.push(toast));
  return { made, told };
}

test("a link that cannot travel is refused, and says what to link instead", () => {
  const { made, told } = box();
  assert.equal(made.onConnectInput(0, "MODEL"), false);
  assert.match(`${told[0].summary}: ${told[0].detail}`, /MODEL cannot come back .*: Link the IMAGE/);
});

test("all else is linked as ever", () => {
  const { made, told } = box();
  assert.notEqual(made.onConnectInput(0, "IMAGE"), false);
  assert.notEqual(made.onConnectInput(1, "MODEL"), false, "another input");
  assert.deepEqual(told, []);
  assert.equal(box("Another").made.onConnectInput, undefined);
});

test("what the box itself says of a link counts", () => {
  const made = box().made;
  made.onConnectInput = () => false;
  watchLinks(made, () => {});
  assert.equal(made.onConnectInput(0, "IMAGE"), false);
});
