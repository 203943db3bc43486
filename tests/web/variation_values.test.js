// Tests of the page's variation_values. Run: node --test tests/web/
import assert from "node:assert/strict";
import { test } from "node:test";
import { axisOf, canVary, expectedText, firstWish, modesOf } from "../../web/fleet/variations/variation_values.js";

const parameter = (changes) => ({
  address: "4.steps", node_id: "4", input: "steps", title: "KSampler", class_type: "KSampler", type: "INT", value: 20,
  default: 20, min: 1, max: 100, step: 1, choices: null, multiline: false, ...changes,
});
const wish = (of, changes) => ({ ...firstWish(of), ...changes });

test("numbers are separated by commas or lines", () => {
  const steps = parameter({});
  assert.deepEqual(axisOf(steps, wish(steps, { text: "4, 8\n12," })), { address: "4.steps", values: [4, 8, 12] });
});

test("a prompt keeps its commas: one a line", () => {
  const text = parameter({ input: "text", type: "STRING", value: "", multiline: true, min: null, max: null });
  assert.deepEqual(axisOf(text, wish(text, { text: "a cat, red\n\n a dog " })).values, ["a cat, red", "a dog"]);
});

test("what is no number, or out of bounds, is said with the parameter's name", () => {
  const steps = parameter({});
  const say = (text) => () => axisOf(steps, wish(steps, { text }));
  assert.throws(say("4, x"), /steps: “x” is not a number/);
  assert.throws(say("4.5"), /not a whole number/);
  assert.throws(say("0"), /less than 1/);
  assert.throws(say("101"), /more than 100/);
  assert.throws(() => axisOf(steps, wish(steps, { mode: "seeds", seeds: "many" })), /whole number/);
});

test("a range goes by step or by number; its step has no bounds of the parameter", () => {
  const cfg = parameter({ input: "cfg", type: "FLOAT", address: "4.cfg" });
  const range = { mode: "range", from: "2", to: "8", amount: "0.5" };
  assert.deepEqual(axisOf(cfg, wish(cfg, range)), { address: "4.cfg", from: 2, to: 8, step: 0.5 });
  assert.deepEqual(axisOf(cfg, wish(cfg, { ...range, by: "count", amount: "3" })),
    { address: "4.cfg", from: 2, to: 8, count: 3, whole: false });
});

test("seeds are random first, choices are ticked, an object cannot be varied", () => {
  assert.equal(modesOf(parameter({ input: "seed" }))[0], "seeds");
  assert.deepEqual(modesOf(parameter({ type: "STRING" })), ["values"]);
  const flag = parameter({ type: "BOOLEAN", value: true });
  assert.deepEqual(axisOf(flag, wish(flag, { chosen: [true, false] })).values, [true, false]);
  assert.ok(canVary(parameter({ type: "COMBO", choices: ["a"] })));
  assert.ok(!canVary(parameter({ type: "JSON" })));
});

test("the expected time is shared by the peers, and unknown before any job", () => {
  assert.equal(expectedText(9, [8000, 8000]), "≈ 36 s on 2 peers");
  assert.equal(expectedText(1, [8000, null]), "≈ 8 s on 2 peers");
  assert.equal(expectedText(9, [null]), "time unknown on 1 peer");
  assert.equal(expectedText(9, []), "no peer is up");
});
