// Which events raise a toast, and that each does so once.

import assert from "node:assert/strict";
import test from "node:test";
import { Notifications, jobNeeding, lostLately, peersNeeding } from "../../web/fleet/host_page/notifications.js";
import { job, peer } from "./stand_in.js";

const summaries = (before, now, lost = 0) => peersNeeding([peer(before)], [peer(now)], () => lost).map((toast) => toast.summary);

test("a peer that goes down is a person's matter when it has our jobs", () => {
  assert.deepEqual(summaries({ ours: 2 }, { health: "down", ours: 0 }), ["gpu-1 went offline while running 2 jobs of yours"]);
  assert.deepEqual(summaries({ health: "suspect", ours: 1 }, { health: "down", ours: 1 }), ["gpu-1 went offline while running 1 job of yours"]);
  assert.deepEqual(summaries({}, { health: "down" }), []);
  assert.deepEqual(summaries({ health: "down", ours: 1 }, { health: "down", ours: 1 }), [], "told already");
});

test("jobs that were lost before their peer was given up went away with it", () => {
  assert.deepEqual(summaries({ health: "suspect" }, { health: "down" }, 1), ["gpu-1 went offline while running 1 job of yours"]);
  const ended = "2026-01-01T12:00:00.000Z";
  const now = Date.parse(ended) + 5000;
  const tried = (changes) => job({ attempts: [{ peer_id: "a", outcome: "peer_died", ended_at: ended, ...changes }] });
  assert.equal(lostLately([tried({}), tried({ outcome: "lost" })], "a", now), 2);
  assert.equal(lostLately([tried({ outcome: "execution_error" }), tried({ peer_id: "b" }), job({ attempts: [] })], "a", now), 0);
  assert.equal(lostLately([tried({})], "a", now + 60_000), 0, "long ago");
});

test("a peer that needs a key is a person's matter, once, unless it is switched off or new here", () => {
  const [toast] = peersNeeding([peer()], [peer({ health: "needs_key" })], () => 0);
  assert.match(toast.detail, /Edit/);
  assert.deepEqual(summaries({}, { health: "needs_key", enabled: false }), []);
  assert.deepEqual(peersNeeding([], [peer({ health: "needs_key" })], () => 0), []);
});

test("a failed job is told unless ComfyUI itself tells it to the page that pressed Run", () => {
  const failed = (changes) => jobNeeding(job({ state: "failed", title: "Cat", error: { code: "x", message: "No model." }, ...changes }));
  assert.match(failed({ source: "http" }).detail, /^No model\. /);
  assert.match(failed({ source: "http", error: { code: "x", message: "it broke" } }).detail, /^it broke\. Details are in its row/);
  assert.equal(failed({ source: "fleet" }), null);
  assert.equal(failed({ source: "http", client_id: "page" }), null);
  assert.equal(jobNeeding(job({ state: "done", source: "http" })), null);
  assert.match(jobNeeding(job({ state: "set_aside", source: "fleet", title: "Cat" })).summary, /Cat was stopped: it crashed two peers/);
});

test("the same failure is told once, however often the server tells of the job", () => {
  const events = new EventTarget();
  const store = Object.assign(new EventTarget(), { peers: [], jobs: [], now: Date.now });
  const told = [];
  new Notifications(store, (toast) => told.push(toast)).listen(events);
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

test("a peer that is heard to be down before its job is heard to be lost went away with it all the same", () => {
  const store = Object.assign(new EventTarget(), { peers: [peer()], jobs: [], now: Date.now });
  const told = [];
  new Notifications(store, (toast) => told.push(toast.summary)).listen(new EventTarget());
  const hear = (what, changes) => {
    Object.assign(store, changes);
    store.dispatchEvent(new Event(what));
  };
  hear("peers", {});
  hear("peers", { peers: [peer({ health: "down" })] });
  hear("jobs", {});
  assert.deepEqual(told, []);
  const lost = job({ attempts: [{ peer_id: "p1", outcome: "peer_died", ended_at: new Date().toISOString() }] });
  hear("jobs", { jobs: [lost] });
  hear("jobs", {});
  assert.deepEqual(told, ["gpu-1 went offline while running 1 job of yours"]);
  hear("peers", { peers: [peer()], jobs: [] });
  hear("peers", { peers: [peer({ health: "down", ours: 1 })] });
  hear("jobs", { jobs: [lost] });
  assert.equal(told.length, 2, "told once each time");
});
