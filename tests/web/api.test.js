// The page's one way to the server: token, errors, time limits.

import assert from "node:assert/strict";
import test from "node:test";
import { FleetApi } from "../../web/fleet/data/api.js";
import { RequestError } from "../../web/fleet/data/request_error.js";
import { comfy, json, peer } from "./stand_in.js";

const SESSION = "GET /orchestrator/session";
const ADD = "POST /orchestrator/peers";

test("a change carries the token of the session, which is asked for once", async () => {
  const server = comfy({ [SESSION]: () => json({ token: "t1" }), [ADD]: () => json(peer(), 201) });
  const api = new FleetApi(server);
  await api.addPeer({ url: "gpu-1" });
  await api.addPeer({ url: "gpu-2" });
  assert.deepEqual(server.asked.map((each) => each.line), [SESSION, ADD, ADD]);
  assert.equal(server.asked[0].headers["X-Orchestrator-Page"], "1");
  assert.equal(server.asked[1].headers["X-Orchestrator-Token"], "t1");
  assert.equal(server.asked[1].headers["Content-Type"], "application/json");
  assert.deepEqual(server.asked[2].body, { url: "gpu-2" });
});

test("two changes at once share one session", async () => {
  const server = comfy({ [SESSION]: () => json({ token: "t1" }), [ADD]: () => json(peer(), 201) });
  const api = new FleetApi(server);
  await Promise.all([api.addPeer({}), api.addPeer({})]);
  assert.equal(server.asked.filter((each) => each.line === SESSION).length, 1);
});

test("a read needs no token", async () => {
  const server = comfy({ "GET /orchestrator/peers": () => json({ peers: [] }) });
  assert.deepEqual(await new FleetApi(server).peers(), []);
  assert.equal(server.asked.length, 1);
});

test("after a restart of ComfyUI the session is asked for again, and the change repeated once", async () => {
  const tokens = ["old", "new"];
  const server = comfy({
    [SESSION]: () => json({ token: tokens.shift() }),
    [ADD]: ({ headers }) =>
      headers["X-Orchestrator-Token"] === "new" ? json(peer(), 201) : json({ error: "bad_token", message: "old" }, 403),
  });
  assert.equal((await new FleetApi(server).addPeer({})).id, "p1");
  assert.deepEqual(server.asked.map((each) => each.line), [SESSION, ADD, SESSION, ADD]);
});

test("a token that stays wrong is an error, not a loop", async () => {
  const server = comfy({
    [SESSION]: () => json({ token: "t" }),
    [ADD]: () => json({ error: "bad_token", message: "The token is wrong." }, 403),
  });
  await assert.rejects(new FleetApi(server).addPeer({}), { code: "bad_token", message: "The token is wrong." });
  assert.equal(server.asked.length, 4);
});

test("another refusal is told in the server's words and not repeated", async () => {
  const server = comfy({
    [SESSION]: () => json({ token: "t" }),
    [ADD]: () => json({ error: "bad_request", message: "Port 0 is not between 1 and 65535.", field: "url" }, 400),
  });
  await assert.rejects(new FleetApi(server).addPeer({}), (error) => {
    assert.ok(error instanceof RequestError);
    assert.deepEqual([error.code, error.status, error.field], ["bad_request", 400, "url"]);
    assert.equal(error.message, "Port 0 is not between 1 and 65535.");
    return true;
  });
  assert.equal(server.asked.length, 2);
});

test("a session that failed is asked for anew at the next change", async () => {
  const sessions = [json({ error: "not_running", message: "Starting." }, 503), json({ token: "t" })];
  const server = comfy({ [SESSION]: () => sessions.shift(), [ADD]: () => json(peer(), 201) });
  const api = new FleetApi(server);
  await assert.rejects(api.addPeer({}), { message: "Starting." });
  assert.equal((await api.addPeer({})).id, "p1");
});

test("no answer, and an answer that is not ours, become sentences", async () => {
  await assert.rejects(new FleetApi(comfy({})).peers(), { message: /ComfyUI does not answer/ });
  const page = comfy({ "GET /orchestrator/peers": () => new Response("<html>", { status: 502 }) });
  await assert.rejects(new FleetApi(page).peers(), { message: /HTTP 502/, status: 502 });
});

test("an id is one part of the route, whatever is in it", async () => {
  const route = "DELETE /orchestrator/peers/a%2F..%2Fb";
  const server = comfy({ [SESSION]: () => json({ token: "t" }), [route]: () => json({}) });
  await new FleetApi(server).removePeer("a/../b");
  assert.equal(server.asked.at(-1).line, route);
});

test("the server's clock is known from its answers", async () => {
  const ahead = new Date(Date.now() + 3_600_000).toUTCString();
  const api = new FleetApi(comfy({ "GET /orchestrator/peers": () => json({ peers: [] }, 200, { Date: ahead }) }));
  await api.peers();
  assert.ok(Math.abs(api.clockOffsetMs - 3_600_000) < 60_000);
});

test("what the server has to say comes with the peers", async () => {
  const api = new FleetApi(comfy({ "GET /orchestrator/peers": () => json({ peers: [peer()], notices: ["Damaged."], rest_s: 60 }) }));
  assert.equal((await api.peers()).length, 1);
  assert.deepEqual(api.notices, ["Damaged."]);
  assert.ok(Math.abs(api.doneAt - performance.now() - 60_000) < 5_000);
  api.hear({ rest_s: null });
  assert.deepEqual([api.notices, api.doneAt], [["Damaged."], null]);
});

test("a waiting job is moved, and what is switched on changed, with the token", async () => {
  const server = comfy({
    "GET /orchestrator/session": () => json({ token: "t" }),
    "POST /orchestrator/jobs/a%2Fb/move": () => json({}),
    "PATCH /orchestrator/settings": () => json({ fleet_mode: true }),
  });
  const api = new FleetApi(server);
  await api.moveJob("a/b", { before: "c" });
  await api.changeSettings({ fleet_mode: true });
  const changes = server.asked.slice(1);
  assert.deepEqual(changes.map(({ body }) => body), [{ before: "c" }, { fleet_mode: true }]);
  assert.ok(changes.every(({ headers }) => headers["X-Orchestrator-Token"] === "t"));
});
