import assert from "node:assert/strict";
import test from "node:test";
import { Attention, jobNeeding, peersNeeding } from "../../web/fleet/attention.js";
import { job, peer } from "./stand_in.js";

const summaries = (before, now) => peersNeeding([peer(before)], [peer(now)]).map((toast) => toast.summary);

test("a peer that goes down is a person's matter when it has our jobs", () => {
  assert.deepEqual(summaries({ ours: 2 }, { health: "down", ours: 0 }), ["gpu-1 went away with 2 jobs of yours"]);
  assert.deepEqual(summaries({ health: "suspect", ours: 1 }, { health: "down", ours: 1 }), ["gpu-1 went away with 1 job of yours"]);
  assert.deepEqual(summaries({}, { health: "down" }), []);
  assert.deepEqual(summaries({ health: "down", ours: 1 }, { health: "down", ours: 1 }), [], "told already");
});

test("a peer that wants a key is a person's matter, once, unless it is switched off or new here", () => {
  const [toast] = peersNeeding([peer()], [peer({ health: "needs_key" })]);
  assert.match(toast.detail, /Edit/);
  assert.deepEqual(summaries({}, { health: "needs_key", enabled: false }), []);
  assert.deepEqual(peersNeeding([], [peer({ health: "needs_key" })]), []);
});

test("a failed job is told unless ComfyUI itself tells it to the page that pressed Run", () => {
  const failed = (changes) => jobNeeding(job({ state: "failed", title: "Cat", error: { code: "x", message: "No model." }, ...changes }));
  assert.match(failed({ source: "http" }).detail, /^No model\. /);
  assert.match(failed({ source: "http", error: { code: "x", message: "it broke" } }).detail, /^it broke\. Its row/);
  assert.equal(failed({ source: "fleet" }), null);
  assert.equal(jobNeeding(job({ state: "done", source: "http" })), null);
  assert.match(jobNeeding(job({ state: "set_aside", source: "fleet", title: "Cat" })).summary, /Cat was set aside/);
});

test("the same failure is told once, however often the server tells of the job", () => {
  const events = new EventTarget();
  const store = Object.assign(new EventTarget(), { peers: [] });
  const told = [];
  new Attention(store, (toast) => told.push(toast)).listen(events);
  for (let time = 0; time < 3; time += 1) {
    const jobs = [job({ state: "failed", source: "http" })];
    events.dispatchEvent(new CustomEvent("orchestrator.jobs", { detail: { jobs } }));
  }
  assert.equal(told.length, 1);
  store.peers = [peer({ ours: 1 })];
  store.dispatchEvent(new Event("peers"));
  store.peers = [peer({ ours: 1, health: "down" })];
  store.dispatchEvent(new Event("peers"));
  store.dispatchEvent(new Event("peers"));
  assert.equal(told.length, 2, "how the peers are at first is no news");
});
