// The lists of what runs on this computer, the menu entry and the toast.

import assert from "node:assert/strict";
import test from "node:test";
import { outlookBadge } from "../../web/fleet/host_page/node_outlook.js";
import { outlookText } from "../../web/fleet/outlook/outlook_lines.js";
import { listsFor, namesIn, RunsHere } from "../../web/fleet/host_page/runs_here.js";
import { peer } from "./stand_in.js";

const KNOWN = new Set(["PreviewBridge"]);

function page(settings = { runs_here: [], runs_on_peers: [] }) {
  const toasts = [];
  const values = new Map();
  const store = Object.assign(new EventTarget(), {
    settings, peers: [peer()], changes: [],
    async change(changes) {
      store.changes.push(changes);
      store.settings = { ...store.settings, ...changes };
      store.dispatchEvent(new Event("settings"));
    },
  });
  const setting = { get: (id) => values.get(id), set: (id, text) => { values.set(id, text); onChange(id, text); } };
  const manager = { toast: { add: (toast) => toasts.push(toast) }, setting };
  const here = new RunsHere(store, () => manager, async () => [...KNOWN]);
  const onChange = (id, text) => here.settings.find((each) => each.id === id).onChange(text);
  const events = new EventTarget();
  here.start(events);
  const node = (type, data = {}) => ({ type, constructor: { nodeData: data } });
  return { here, store, toasts, values, events, node, onChange };
}
const contents = (items) => items.map((item) => item.content);

test("the menu puts a node's class on the list, and takes it off", async () => {
  const { here, store, node, toasts, values } = page();
  const [entry] = here.itemsOf(node("MyChooser"));
  assert.equal(entry.content, "Run this node here");
  entry.callback();
  await null;
  assert.deepEqual(store.settings.runs_here, ["MyChooser"]);
  assert.equal(values.get("RemoteDispatch.RunsHere"), "MyChooser");
  assert.match(toasts[0].summary, /MyChooser runs on this computer/);
  const [back] = here.itemsOf(node("MyChooser"));
  assert.equal(back.content, "Let this node run on peers");
  back.callback();
  await null;
  assert.deepEqual(store.settings.runs_here, []);
  assert.equal(store.changes.length, 2); // the host's setting was only written, not typed
});

test("a known class is let go by the second list, and kept again without the first", async () => {
  const { here, node } = page();
  await null; // what is known has arrived
  assert.deepEqual(contents(here.itemsOf(node("PreviewBridge"))), ["Let this node run on peers"]);
  const free = listsFor("PreviewBridge", false, { runs_here: ["Mine"], runs_on_peers: [] }, KNOWN);
  assert.deepEqual(free, { runs_here: ["Mine"], runs_on_peers: ["PreviewBridge"] });
  assert.deepEqual(listsFor("PreviewBridge", true, free, KNOWN), { runs_here: ["Mine"], runs_on_peers: [] });
});

test("a paid partner node only says that it runs here", () => {
  const { here, node } = page();
  const [entry] = here.itemsOf(node("GeminiImageNode", { api_node: true }));
  assert.equal(entry.disabled, true);
});

test("nothing for a Remote Dispatch node, a subgraph, a note, and without peers", () => {
  const { here, node, store } = page();
  assert.deepEqual(here.itemsOf(node("RemoteDispatch")), []);
  assert.deepEqual(here.itemsOf({ ...node("uuid"), subgraph: {} }), []);
  assert.deepEqual(here.itemsOf({ type: "Note", constructor: {} }), []);
  store.peers = [];
  assert.deepEqual(here.itemsOf(node("MyChooser")), []);
});

test("what is typed among the settings is sent once it rests", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { store, onChange } = page();
  onChange("RemoteDispatch.RunsHere", "My Ch");
  onChange("RemoteDispatch.RunsHere", "My Chooser, Other,, Other");
  t.mock.timers.tick(1000);
  assert.deepEqual(store.changes, [{ runs_here: ["My Chooser", "Other"] }]);
  assert.deepEqual(namesIn(" a , b\nc,, a"), ["a", "b", "c"]);
});

test("a prompt that ran here is told of with the server's reason", () => {
  const { events, toasts } = page();
  const detail = { runs: true, message: "ReportChooser (node 2) runs on this computer only.", nodes: [] };
  events.dispatchEvent(new CustomEvent("orchestrator.runs_here", { detail }));
  assert.deepEqual([toasts[0].severity, toasts[0].detail], ["info", detail.message]);
});

test("the outlook says before Run what runs here", () => {
  const here = "Chooser (node 2) runs on this computer only.";
  const first = { name: "gpu-1", eligible: true, reason: "about 4 s", finish_s: 3, origin: "here" };
  assert.equal(outlookText({ id: "", peers: [first], here }), here);
  assert.equal(outlookText({ id: "9", peers: [first], here }), `Remote Dispatch #9: gpu-1, about 4 s. ${here}`);
  assert.equal(outlookText({ id: "9", peers: [], here }), `Remote Dispatch #9: ${here}`);
  assert.equal(outlookBadge({ peers: [], here }), "this computer");
});
