// Words and numbers as the page shows them.

import assert from "node:assert/strict";
import test from "node:test";
import {
  deviceName, duration, failedAttempts, isPicture, jobDuration, jobReason, jobTitle, memory, ownPath, peerRules, peerState,
  percent,
  queueText, safeHref,
} from "../../web/fleet/ui/format.js";
import { changesOf } from "../../web/fleet/peers/peer_form.js";
import { credentialsOf } from "../../web/fleet/peers/peer_keys.js";
import { job, peer } from "./stand_in.js";

const GIB = 1024 ** 3;
const keys = (changes = {}) => ({ way: "none", key: "", header: "", user: "", id: "", headers: [], ...changes });
const fields = (changes = {}) => ({
  url: "", name: "", tags: "", keys: keys(), tls: "", exclusive: false, onlyIdle: false, hours: "",
  ...changes,
});

test("durations are as exact as one can read", () => {
  assert.deepEqual([0.42, 9.96, 42.4, 61, 3599, 3661].map(duration), ["0.4 s", "10 s", "42 s", "1:01 min", "59:59 min", "1:01 h"]);
  assert.equal(duration(Number.NaN), "");
});

test("a running job counts whole seconds and never less than none", () => {
  const running = job({ started_at: "2026-01-01T09:50:00.000Z", begun_at: "2026-01-01T10:00:00.000Z" });
  assert.equal(jobDuration(running, Date.parse("2026-01-01T10:00:07.900Z")), "7 s");
  assert.equal(jobDuration(running, Date.parse("2026-01-01T09:59:00.000Z")), "0 s");
  assert.equal(jobDuration({ ...running, ended_at: "2026-01-01T10:00:02.500Z" }, 0), "2.5 s");
  assert.equal(jobDuration(job({ begun_at: null }), 0), "", "its peer works on another one");
  const kept = job({ state: "done", begun_at: null, ended_at: "2026-01-01T10:00:03.000Z" });
  assert.equal(jobDuration(kept, 0), "2.0 s", "of an earlier session only the start is known");
});

test("where a job is becomes where it ran", () => {
  const reason = (changes) => jobReason(job({ explanation: "on gpu-1 because it is free", ...changes }));
  assert.equal(reason({}), "on gpu-1 because it is free");
  assert.equal(reason({ state: "done" }), "ran on gpu-1 because it is free");
  assert.equal(reason({ state: "failed", explanation: "no peer has the model" }), "no peer has the model");
});

test("a peer's state is the owner's wish first, then what was measured", () => {
  const word = (changes) => peerState(peer(changes)).word;
  assert.deepEqual([word({}), word({ ours: 1 }), word({ queue_running: 1 })], ["idle", "busy", "busy for others"]);
  assert.equal(word({ draining: true }), "draining");
  assert.equal(word({ draining: true, health: "down" }), "down");
  assert.equal(word({ enabled: false, health: "down" }), "disabled");
  assert.equal(word({ health: "suspect" }), "not answering");
  assert.equal(word({ health: "needs_key" }), "needs a key");
  assert.equal(word({ health: "ejected" }), "paused after repeated failures");
  assert.equal(word({ health: "zombie" }), "no sign of work");
  assert.equal(word({ health: "unknown" }), "checking");
});

test("a queue says whose jobs are in it", () => {
  assert.equal(queueText(peer()), "");
  assert.equal(queueText(peer({ queue_running: 1, queue_pending: 2, ours: 1 })), "1 running, 2 waiting, 1 yours");
});

test("memory is free of total, and nothing where the device does not say", () => {
  const device = { name: "d", type: "cuda", vram_total_bytes: 24 * GIB, vram_free_bytes: 6 * GIB };
  assert.deepEqual(memory(device), { text: "6.0 of 24 GB free", used: 0.75 });
  assert.equal(memory({ ...device, vram_free_bytes: 99 * GIB }).used, 0);
  assert.equal(memory({ ...device, vram_total_bytes: 0 }), null);
});

test("a device's name is what the shop calls it", () => {
  assert.equal(deviceName("cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync"), "RTX 4090");
  assert.equal(deviceName("cuda:1 AMD Radeon RX 7900 XTX : native"), "AMD Radeon RX 7900 XTX");
  assert.equal(deviceName("cpu"), "cpu");
  assert.equal(deviceName("mps"), "mps");
  assert.equal(deviceName(""), "");
});

test("a job without a title is named by who asked", () => {
  assert.equal(jobTitle(job({ title: "Portrait" })), "Portrait");
  assert.equal(jobTitle(job()), "Remote Dispatch node");
  assert.equal(jobTitle(job({ source: "fleet", job_id: "0123456789" })), "Prompt 01234567");
  assert.equal(jobTitle(job({ source: "http", job_id: "0123456789" })), "Job 01234567");
});

test("attempts tell why a job went elsewhere, without repeating its error", () => {
  const failed = { peer: "attic", ended_at: "x", outcome: "unreachable", reason: "refused" };
  const last = { peer: "gpu-1", ended_at: "x", outcome: "execution_error", reason: "" };
  assert.deepEqual(failedAttempts(job({ attempts: [failed, { ...last, outcome: "done" }] })), ["attic: refused"]);
  assert.deepEqual(failedAttempts(job({ attempts: [failed, { ...last, ended_at: null }] })), ["attic: refused"]);
  assert.deepEqual(failedAttempts(job({ attempts: [failed, last], error: { code: "x", message: "y" } })), ["attic: refused"]);
  assert.deepEqual(failedAttempts(job({ attempts: [last, last] })), Array(2).fill("gpu-1: execution_error"));
  const away = { ...failed, reason: "attic went away with the job." };
  assert.deepEqual(failedAttempts(job({ attempts: [away, { ...last, ended_at: null }] })), ["attic went away with the job."]);
});

test("progress stays between 0 and 100", () => {
  assert.deepEqual([-1, 0, 0.355, 2, null].map(percent), [0, 0, 36, 100, 0]);
});

test("only http addresses and our own result files become links", () => {
  assert.equal(safeHref("http://gpu-1:8188"), "http://gpu-1:8188/");
  for (const hostile of ["javascript:alert(1)", "data:text/html,x", "//evil", "", "gpu-1"]) {
    assert.equal(safeHref(hostile), null, hostile);
  }
  assert.equal(ownPath("/view?filename=a.png"), "/view?filename=a.png");
  for (const hostile of ["//evil/view?x", "http://evil/", "javascript:alert(1)", "/viewer?x"]) {
    assert.equal(ownPath(hostile), null, hostile);
  }
});

test("pictures are known by their ending, but not SVG, which can hold scripts", () => {
  assert.deepEqual(["a.PNG", "b.jpeg", "c.svg", "d.flac", "png"].map(isPicture), [true, true, false, false, false]);
});

test("a new peer is sent with what was filled in", () => {
  assert.deepEqual(changesOf(null, fields({ url: " gpu-1 " })), { url: "gpu-1" });
  assert.deepEqual(changesOf(null, fields({ url: "g", name: "n", tags: "a, b,,a", keys: keys({ way: "header", key: "Bearer x" }) })), {
    url: "g", name: "n", tags: ["a", "b"], credentials: { header: "Authorization", value: "Bearer x" },
  });
});

test("whom to trust is sent when it is new, and when it is taken away", () => {
  assert.deepEqual(changesOf(null, fields({ url: "https://g", tls: " sha256:ab \n" })), { url: "https://g", tls: "sha256:ab" });
  const known = peer({ tls: "sha256:ab" });
  const same = fields({ url: known.url, name: known.name, tags: known.tags.join(), tls: "sha256:ab" });
  assert.deepEqual(changesOf(known, same), {});
  assert.deepEqual(changesOf(known, { ...same, tls: "" }), { tls: "" });
});

test("of when to use a peer only what changed is sent, and its row says briefly what is set", () => {
  assert.deepEqual(changesOf(null, fields({ url: "g", exclusive: true, hours: " 22:00-07:00 " })), {
    url: "g", exclusive: true, hours: "22:00-07:00",
  });
  const known = peer({ exclusive: true, only_idle: false, hours: "22:00-07:00" });
  const same = fields({ url: known.url, name: known.name, exclusive: true, hours: "22:00-07:00" });
  assert.deepEqual(changesOf(known, same), {});
  assert.deepEqual(changesOf(known, { ...same, exclusive: false, onlyIdle: true, hours: "" }), {
    exclusive: false, only_idle: true, hours: "",
  });
  assert.deepEqual(peerRules(known), ["only for jobs assigned to it", "22:00-07:00"]);
  assert.deepEqual(peerRules({ ...known, exclusive: false, only_idle: true, hours: "" }), ["only while idle"]);
  assert.deepEqual(peerRules(peer()), []);
});

test("of a known peer only what changed is sent; its key is kept until another is entered or it is forgotten", () => {
  const known = peer({ tags: ["a"], has_credentials: true });
  const same = fields({ url: known.url, name: known.name, tags: "a", keys: keys({ way: "kept" }) });
  assert.deepEqual(changesOf(known, same), {});
  assert.deepEqual(changesOf(known, { ...same, tags: "" }), { tags: [] });
  assert.deepEqual(changesOf(known, { ...same, keys: keys({ way: "header" }) }), {});
  assert.deepEqual(changesOf(known, { ...same, keys: keys() }), { credentials: null });
  assert.deepEqual(changesOf({ ...known, has_credentials: false }, { ...same, keys: keys() }), {});
  assert.deepEqual(changesOf(known, { ...same, keys: keys({ way: "header", key: "k", header: "X-Key" }) }), {
    credentials: { header: "X-Key", value: "k" },
  });
});

test("a key is sent in the way that was chosen, also as it was copied from elsewhere", () => {
  const access = { "CF-Access-Client-Id": "i.access", "CF-Access-Client-Secret": "s" };
  const ways = [
    [{ way: "bearer", key: " k " }, { bearer: "k" }],
    [{ way: "bearer", key: "Authorization: Bearer k" }, { bearer: "k" }],
    [{ way: "basic", user: "me", key: " p " }, { user: "me", password: " p " }],
    [{ way: "cookie", key: "Cookie: a=b; c=d" }, { cookie: "a=b; c=d" }],
    [{ way: "access", id: "CF-Access-Client-Id: i.access", key: "s" }, { headers: access }],
    [{ way: "headers", headers: [["X-A", "1"], ["X-B", "2"]] }, { headers: { "X-A": "1", "X-B": "2" } }],
    [{ way: "bearer", key: " " }, undefined],
    [{ way: "headers" }, undefined],
  ];
  for (const [entered, sent] of ways) assert.deepEqual(credentialsOf(keys(entered)), sent, JSON.stringify(entered));
});
