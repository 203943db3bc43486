// Fleet mode in the host's own places.

import assert from "node:assert/strict";
import test from "node:test";
import { hindrance, whatChanged, whereRunGoes } from "../../web/fleet/host_page/mode_text.js";
import { peer } from "./stand_in.js";

const OFF = { fleet_mode: false, paused: false, this_machine: false };
const ON = { ...OFF, fleet_mode: true };
const two = [peer({ id: "a", name: "gpu-1" }), peer({ id: "b", name: "gpu-2" })];

test("switching it on says how many peers Run uses now", () => {
  assert.deepEqual(whatChanged(OFF, ON, two), [
    { severity: "success", summary: "Fleet mode is on", detail: "Run now uses your 2 peers." },
  ]);
  assert.equal(whatChanged(OFF, ON, two.slice(0, 1))[0].detail, "Run now uses your peer gpu-1.");
});

test("switching it off says that Run uses this computer again", () => {
  assert.equal(whatChanged(ON, OFF, two)[0].detail, "Run uses this computer again.");
});

test("switched on with no peer to use, it says what to do", () => {
  const [told] = whatChanged(OFF, ON, []);
  assert.equal(told.severity, "warn");
  assert.match(told.detail, /Add one in the Fleet tab/);
  assert.match(hindrance([peer({ enabled: false })]), /Enable one/);
  assert.match(hindrance([peer({ draining: true })]), /Resume one/);
  assert.match(hindrance([peer({ health: "down" })]), /is answering/);
  assert.equal(hindrance([peer({ health: "down" }), peer({ id: "b" })]), "");
});

test("disabled and draining peers are not counted", () => {
  const peers = [...two, peer({ id: "c", enabled: false }), peer({ id: "d", draining: true })];
  assert.equal(whereRunGoes(ON, peers), "Run: 2 peers");
  assert.equal(whereRunGoes(OFF, peers), "Run: this computer");
  assert.equal(whereRunGoes({ ...ON, this_machine: true }, peers), "Run: 2 peers + this computer");
  assert.equal(whereRunGoes(ON, []), "Run: no peer available");
});

test("a peer that is down is not counted while another one answers", () => {
  const lost = peer({ id: "c", name: "gpu-3", health: "down" });
  assert.equal(whereRunGoes(ON, [...two, lost]), "Run: 2 peers");
  assert.equal(whereRunGoes(ON, [two[0], lost]), "Run: peer gpu-1");
  assert.equal(whereRunGoes(ON, [lost]), "Run: peer gpu-3");
});

test("a pause is told, and nothing when nothing changed", () => {
  assert.equal(whatChanged(ON, { ...ON, paused: true }, two)[0].summary, "Queue paused");
  assert.equal(whatChanged({ ...ON, paused: true }, ON, two)[0].summary, "Queue resumed");
  assert.deepEqual(whatChanged(ON, { ...ON }, two), []);
});
