// Whom it tells that the fleet has nothing left to do, and how.

import assert from "node:assert/strict";
import test from "node:test";
import { DoneNotice, summaryOf } from "../../web/fleet/host_page/done_notice.js";
import { job } from "./stand_in.js";

function page({ wish = "notification", allowed = true, seen = false } = {}) {
  const told = [];
  const jobs = new Map();
  const store = Object.assign(new EventTarget(), { queue: [], unseen: { waiting: 0 }, job: (id) => jobs.get(id) });
  const means = {
    canNotify: () => allowed, isSeen: () => seen, ask: () => told.push("ask"),
    notify: (title, body) => told.push(`${title}: ${body}`), sound: () => told.push("sound"),
  };
  const notice = new DoneNotice(store, () => ({ setting: { get: () => wish } }), means);
  notice.start();
  const becomes = (...queue) => {
    for (const each of queue) jobs.set(each.job_id, each);
    store.queue = queue;
    store.dispatchEvent(new Event("jobs"));
  };
  const end = (id, state) => jobs.set(id, job({ job_id: id, state }));
  return { told, store, notice, becomes, end };
}

test("once the last job has ended it says what came of them", () => {
  const { told, becomes, end } = page();
  becomes();
  becomes(job({ job_id: "a" }), job({ job_id: "b" }));
  end("a", "done");
  becomes(job({ job_id: "b" }));
  end("b", "failed");
  assert.deepEqual(told, []);
  becomes();
  becomes();
  assert.deepEqual(told, ["The fleet is done: 1 job done, 1 failed"]);
});

test("jobs that the page has not read yet wait too", () => {
  const { told, store, becomes } = page();
  becomes(job());
  store.unseen = { waiting: 3 };
  becomes();
  assert.deepEqual(told, []);
});

for (const [what, options, expected] of [
  ["who wants none hears nothing", { wish: "off" }, []],
  ["who looks at the page hears nothing", { seen: true }, []],
  ["where the browser allows no notification there is a sound", { allowed: false }, ["sound"]],
  ["who wants a sound gets one", { wish: "sound" }, ["sound"]],
]) {
  test(what, () => {
    const { told, becomes } = page(options);
    becomes(job());
    becomes();
    assert.deepEqual(told, expected);
  });
}

test("only who chooses a notification is asked to allow it", () => {
  const { told, notice } = page();
  const [{ onChange }] = notice.settings;
  onChange("notification", undefined);
  onChange("sound", "off");
  assert.deepEqual(told, []);
  onChange("notification", "off");
  assert.deepEqual(told, ["ask"]);
});

test("the summary leaves out what did not happen", () => {
  const states = (...all) => all.map((state) => ({ state }));
  assert.equal(summaryOf(states("done", "done", "cancelled")), "2 jobs done, 1 cancelled");
  assert.equal(summaryOf(states("set_aside")), "0 jobs done, 1 failed");
});
