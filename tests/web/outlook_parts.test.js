// What of the open graph would be sent to a peer.

import assert from "node:assert/strict";
import test from "node:test";
import { otherLines, outlookText } from "../../web/fleet/outlook/outlook_lines.js";
import { partsOf, traitsOf } from "../../web/fleet/outlook/outlook_parts.js";

const node = (class_type, inputs = {}) => ({ class_type, inputs });
const PLAIN = { 1: node("Load"), 2: node("Sample", { model: ["1", 0] }), 3: node("Save", { images: ["2", 0] }) };
const REMOTE = { ...PLAIN, 4: node("Noise"), 7: node("RemoteDispatch", { value: ["2", 1], peer: "automatic" }), 8: node("Save", { images: ["7", 0] }) };

test("in fleet mode the whole graph is asked about, without it nothing, and of an empty one nothing ever", () => {
  assert.deepEqual(partsOf(PLAIN, true), [{ id: "", upstream: [], question: { prompt: PLAIN, run: true } }]);
  assert.deepEqual(partsOf(PLAIN, false), []);
  assert.deepEqual(partsOf({}, true), []);
});

test("of a graph with a Remote Dispatch node, its upstream and the link that it wants are asked about", () => {
  const [part, ...others] = partsOf(REMOTE, true);
  assert.deepEqual(others, []);
  assert.deepEqual([part.id, part.upstream], ["7", ["1", "2"]]);
  assert.deepEqual(part.question, { prompt: { 1: PLAIN[1], 2: PLAIN[2] }, result: ["2", 1] });
});

test("a node's own wish for a peer goes along", () => {
  const wishing = (peer) => partsOf({ ...REMOTE, 7: node("RemoteDispatch", { value: ["2", 0], peer }) }, false)[0].question;
  assert.equal(wishing("gpu-2").peer, "gpu-2");
  assert.deepEqual(wishing("tag: fast").tags, ["fast"]);
  assert.deepEqual(Object.keys(wishing("automatic")), ["prompt", "result"]);
});

test("the changes that a node makes go along, as it would make them", () => {
  const changing = (overrides) => partsOf({ ...REMOTE, 7: node("RemoteDispatch", { value: ["2", 0], overrides }) }, false)[0].question;
  assert.equal(changing("KSampler.steps = 40").overrides, "KSampler.steps = 40");
  for (const none of ["", " \n", ["4", 0], undefined]) assert.deepEqual(Object.keys(changing(none)), ["prompt", "result"]);
});

test("with nothing linked the whole graph is asked about, no value of it", () => {
  const prompt = { ...PLAIN, 7: node("RemoteDispatch") };
  assert.deepEqual(partsOf(prompt, false), [{ id: "7", upstream: ["1", "2", "3"], question: { prompt } }]);
  assert.deepEqual(partsOf({ 7: node("RemoteDispatch") }, false), []);
});

test("a node behind another Remote Dispatch node, or behind one that is not there, tells nothing", () => {
  const prompt = { ...REMOTE, 9: node("Blur", { images: ["7", 0] }), 10: node("RemoteDispatch", { value: ["9", 0] }), 11: node("RemoteDispatch", { value: ["gone", 0] }) };
  assert.deepEqual(partsOf(prompt, false).map(({ id }) => id), ["7"]);
});

test("a circle ends", () => {
  const prompt = { 1: node("A", { x: ["2", 0] }), 2: node("B", { x: ["1", 0] }), 3: node("RemoteDispatch", { value: ["1", 0] }) };
  assert.deepEqual(partsOf(prompt, false)[0].upstream, ["1", "2"]);
});

test("boxes inside subgraphs count, and a widget that would do something to tell its value is seen", () => {
  assert.deepEqual(traitsOf(undefined), { isRemote: false, acts: false });
  const inside = (box) => ({ nodes: [{ type: "A", widgets: [{ serializeValue: () => 1 }, {}] }, { type: "B", subgraph: { nodes: [box] } }] });
  assert.deepEqual(traitsOf(inside({ type: "RemoteDispatch" })), { isRemote: true, acts: false });
  assert.deepEqual(traitsOf(inside({ type: "WebcamCapture", widgets: [{ serializeValue: async () => "" }] })), { isRemote: false, acts: true });
});

test("the line names the first peer and its reason, or says that there is none", () => {
  const able = { name: "gpu-2", eligible: true, reason: "about 14 s, model loaded" };
  const not = { name: "gpu-1", eligible: false, reason: "it is outside its hours" };
  assert.equal(outlookText({ id: "", peers: [able, not] }), "Next run: gpu-2, about 14 s, model loaded");
  assert.equal(outlookText({ id: "7", peers: [able] }), "Remote Dispatch #7: gpu-2, about 14 s, model loaded");
  assert.equal(outlookText({ id: "", peers: [not] }), "No peer can run this workflow right now");
  assert.equal(outlookText({ id: "7", peers: [not] }), "Remote Dispatch #7: no peer available");
  assert.deepEqual(otherLines({ peers: [able, not] }), ["gpu-1: it is outside its hours"]);
  assert.deepEqual(otherLines({ peers: [not] }), ["gpu-1: it is outside its hours"]);
});

test("a peer that has all and is away is waited for, and the line says so", () => {
  const unfit = { name: "gpu-1", eligible: false, awaits: false, reason: "it lacks the node A" };
  const away = { name: "gpu-2", eligible: false, awaits: true, reason: "it is draining and takes no new jobs" };
  const said = "gpu-2: it is draining and takes no new jobs";
  assert.equal(outlookText({ id: "", peers: [unfit, away] }), `The next run would wait. ${said}`);
  assert.equal(outlookText({ id: "7", peers: [unfit, away], paused: true }), `Remote Dispatch #7 would wait. ${said}`);
  assert.deepEqual(otherLines({ peers: [unfit, away] }), ["gpu-1: it lacks the node A"]);
});

test("while nothing is started the line says so, and what will be then", () => {
  const able = { name: "gpu-2", eligible: true, reason: "about 14 s" };
  const not = { name: "gpu-1", eligible: false, reason: "it is outside its hours" };
  const said = "Next run: gpu-2, about 14 s";
  const paused = { id: "", peers: [able], paused: true, held: "", waiting: 0 };
  assert.equal(outlookText(paused), `Paused; once resumed: ${said}`);
  assert.equal(outlookText({ ...paused, peers: [not] }), "No peer can run this workflow right now");
  assert.equal(outlookText({ ...paused, held: "Many were lost." }), `Many were lost. ${said}`);
  assert.equal(outlookText({ ...paused, paused: false }), said);
});
