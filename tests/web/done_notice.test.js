// Whom it tells that the fleet has nothing left to do, and how.

import assert from "node:assert/strict";
import test from "node:test";
import { DoneNotice, summaryOf } from "../../web/fleet/host_page/done_notice.js";
import { markTab } from "../../web/fleet/host_page/tab_mark.js";
import { job } from "./stand_in.js";

function page(t, { wish = "notification", allowed = true, seen = false, when = "queue" } = {}) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const [told, marks] = [[], []];
  const store = Object.assign(new EventTarget(), { queue: [], unseen: { waiting: 0 }, ended: [job({ ended_at: "2026-01-01T09:00:00Z" })] });
  const means = {
    canNotify: () => allowed, isSeen: () => seen, ask: () => told.push("ask"),
    notify: (title, body) => told.push(`${title}: ${body}`), sound: () => told.push("sound"), mark: () => marks.push(1),
  };
  const notice = new DoneNotice(store, () => ({ setting: { get: (id) => (id.endsWith("When") ? when : wish) } }), means);
  notice.start();
  const becomes = (...queue) => {
    store.queue = queue;
    for (let n = 0; n < 3; n += 1) store.dispatchEvent(new Event("jobs"));
    t.mock.timers.tick(300);
  };
  const end = (id, state) => store.ended.unshift(job({ job_id: id, state, ended_at: "2026-01-01T11:00:00Z" }));
  return { told, marks, store, notice, becomes, end };
}

test("once the last job has ended it says what came of them", (t) => {
  const { told, becomes, end } = page(t);
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

test("jobs that the page has not read yet wait too", (t) => {
  const { told, store, becomes } = page(t);
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
  test(what, (t) => {
    const { told, becomes } = page(t, options);
    becomes(job());
    becomes();
    assert.deepEqual(told, expected);
  });
}

test("who wants it is told of each batch, and of the queue once", (t) => {
  const { told, becomes, store } = page(t, { when: "batch" });
  const nine = (state) => ["a", "b"].map((id) => job({ job_id: id, state, title: `nine · seed ${id}`, batch: { id: "nine", index: 0, changes: {} }, ended_at: "2026-01-01T11:00:00Z" }));
  becomes(...nine("waiting"), job({ job_id: "c" }));
  store.ended.unshift(...nine("done"));
  becomes(job({ job_id: "c" }));
  assert.deepEqual(told, ["nine × 2 is done: 2 jobs done"]);
  store.ended.unshift(job({ job_id: "c", state: "done", ended_at: "2026-01-01T11:00:01Z" }));
  becomes();
  assert.deepEqual(told.slice(1), ["The fleet is done: 3 jobs done"]);
});

test("the browser's tab shows it whatever else is wanted, unless somebody looks", (t) => {
  for (const [options, count] of [[{ wish: "off" }, 1], [{ wish: "off", seen: true }, 0]]) {
    const { marks, becomes } = page(t, options);
    becomes(job());
    becomes();
    assert.equal(marks.length, count);
    t.mock.timers.reset();
  }
});

test("title and icon of the tab are as before once it is looked at, and the host's own stay", () => {
  const icon = { href: "comfy.ico" };
  const document = { title: "portrait", querySelector: () => icon };
  const tab = new EventTarget();
  markTab(document, tab);
  markTab(document, tab);
  assert.equal(document.title, "✓ portrait");
  assert.notEqual(icon.href, "comfy.ico");
  tab.dispatchEvent(new Event("focus"));
  assert.deepEqual([document.title, icon.href], ["portrait", "comfy.ico"]);
  markTab(document, tab);
  document.title = "[10%] portrait";
  tab.dispatchEvent(new Event("focus"));
  assert.equal(document.title, "[10%] portrait");
});

test("only who chooses a notification is asked to allow it", (t) => {
  const { told, notice } = page(t);
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
