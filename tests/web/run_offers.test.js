// What a refused Run offers: the fleet, or this computer.

import assert from "node:assert/strict";
import test from "node:test";
import { offerPlaces } from "../../web/fleet/host_page/run_offers.js";
import { Availability } from "../../web/fleet/data/availability.js";

const PROMPT = { output: { 1: { class_type: "Stamp", inputs: {} }, 2: { class_type: "Loader", inputs: { file: "x.pt" } } } };
const MISSING = { error: { type: "invalid_prompt" }, node_errors: [] };
const OF_PEERS = {
  error: { type: "no_peer", details: "gpu-1, gpu-2: it lacks the file y.pt", extra_info: { runs_here: true, peer: "" } },
  node_errors: { 2: { class_type: "Loader", errors: [{ type: "value_not_in_list", extra_info: { received_value: "y.pt" } }] } },
};
const NOT_IN_LIST = { error: { type: "prompt_outputs_failed_validation" }, node_errors: { 2: { errors: [{ type: "value_not_in_list" }] } } };

/** The host's api, whose server takes a prompt only for one place. */
class Host {
  asked = [];
  clientId = "page";
  onQueued = () => {};
  #refusal;
  #place;
  constructor(refusal, place) {
    this.#refusal = refusal;
    this.#place = place;
  }
  addEventListener(type, heard) {
    if (type === "promptQueued") this.onQueued = heard;
  }
  async fetchApi(route, options) {
    const body = JSON.parse(options.body);
    this.asked.push(body);
    return body.extra_data.orchestrator?.run === this.#place ? { prompt_id: "p" } : { refused: this.#refusal };
  }
  async queuePrompt(number, { output }) {
    const body = JSON.stringify({ number, client_id: this.clientId, prompt: output, extra_data: { orchestrator: { tags: ["a"] } } });
    const answer = await this.fetchApi("/prompt", { method: "POST", body });
    if (answer.refused) throw Object.assign(new Error("refused"), { response: answer.refused });
    return answer;
  }
}

async function page(refusal, { yes = true, fleet = false, name = "" } = {}) {
  const host = new Host(refusal, fleet ? "local" : "fleet");
  const table = new Availability(async () => ({
    known: true, places: [{ here: false, peers: ["gpu"] }], classes: { Stamp: 0 }, values: { Loader: { file: { "x.pt": 0 } } },
  }));
  await table.refresh();
  const shown = [];
  const clock = { ms: 0 };
  const ask = (what) => {
    shown.push(what);
    return Promise.resolve(yes);
  };
  offerPlaces(host, table, () => fleet, () => name, {
    fleet: (lacks) => ask(lacks.map(({ what }) => what)),
    here: (refusal) => ask(refusal),
  }, () => clock.ms);
  return { host, shown, clock };
}

test("a refused prompt goes to the fleet when a person says so, and the host goes on with its answer", async () => {
  const { host, shown } = await page(MISSING);
  assert.deepEqual(await host.queuePrompt(3, PROMPT), { prompt_id: "p" });
  assert.deepEqual(shown, [["Stamp", "x.pt"]]);
  const [first, second] = host.asked;
  const { batch, batch_index: index, ...said } = second.extra_data.orchestrator;
  assert.deepEqual(said, { tags: ["a"], run: "fleet" });
  assert.deepEqual([typeof batch, index], ["string", 0]);
  assert.deepEqual({ ...second, extra_data: {} }, { ...first, extra_data: {} });
});

test("only what the host refuses is asked about", async () => {
  const { host, shown } = await page(NOT_IN_LIST);
  await host.queuePrompt(0, PROMPT);
  assert.deepEqual(shown, [["x.pt"]]);
});

test("who says no gets the host's own error", async () => {
  const { host } = await page(MISSING, { yes: false });
  await assert.rejects(host.queuePrompt(0, PROMPT), /refused/);
  assert.equal(host.asked.length, 1);
});

test("what the peers cannot run runs here when a person says so", async () => {
  const { host, shown } = await page(OF_PEERS, { fleet: true });
  assert.deepEqual(await host.queuePrompt(3, PROMPT), { prompt_id: "p" });
  assert.deepEqual(shown, [{ peer: "", lacking: ["y.pt"], details: "gpu-1, gpu-2: it lacks the file y.pt" }]);
  const { batch, ...said } = host.asked[1].extra_data.orchestrator;
  assert.deepEqual(said, { tags: ["a"], batch_index: 0, run: "local" });
  assert.equal(batch, host.asked[0].extra_data.orchestrator.batch);
});

test("the fleet hears what the workflow is called, and nobody else does", async () => {
  const [away, here] = [await page(OF_PEERS, { fleet: true, name: "portrait" }), await page(MISSING, { yes: false, name: "portrait" })];
  await away.host.queuePrompt(0, PROMPT);
  assert.deepEqual(away.host.asked.map((body) => body.extra_data.orchestrator).map(({ name, run }) => ({ name, run })), [
    { name: "portrait", run: undefined }, { name: "portrait", run: "local" },
  ]);
  await assert.rejects(here.host.queuePrompt(0, PROMPT));
  assert.deepEqual(here.host.asked[0].extra_data.orchestrator, { tags: ["a"] });
});

test("what a pack asks for on the way is sent as it is", async () => {
  const { host } = await page(OF_PEERS, { fleet: true, name: "portrait" });
  const asked = [];
  const other = Object.create(host, { fetchApi: { value: async (...request) => (asked.push(request), { ok: true }) } });
  const form = new FormData();
  other.queuePrompt = async function queuePrompt() {
    return this.fetchApi("/upload", { method: "POST", body: form });
  };
  offerPlaces(other, new Availability(async () => ({})), () => true, () => "portrait");
  await other.queuePrompt(0, PROMPT);
  assert.deepEqual(asked, [["/upload", { method: "POST", body: form }]]);
});

test("a batch is asked about once, and a later press again", async () => {
  const { host, shown, clock } = await page(OF_PEERS, { fleet: true });
  for (const ms of [0, 5000, 9000]) {
    clock.ms = ms;
    await host.queuePrompt(0, PROMPT);
  }
  assert.equal(shown.length, 1);
  host.onQueued();
  await host.queuePrompt(0, PROMPT);
  assert.equal(shown.length, 2);
});

test("the prompts of one press are a batch in their order, and the next press is another one", async () => {
  const { host } = await page(undefined, { fleet: true });
  host.fetchApi = async (route, { body }) => (host.asked.push(JSON.parse(body)), { prompt_id: "p" });
  for (let n = 0; n < 2; n += 1) await host.queuePrompt(0, PROMPT);
  host.onQueued();
  await host.queuePrompt(0, PROMPT);
  const [first, second, third] = host.asked.map((body) => body.extra_data.orchestrator);
  assert.deepEqual([first.batch_index, second.batch_index, third.batch_index], [0, 1, 0]);
  assert.equal(first.batch, second.batch);
  assert.notEqual(first.batch, third.batch);
});

test("a caller that tells no end of its batch is asked again after a while", async () => {
  const { host, shown, clock } = await page(OF_PEERS, { fleet: true });
  await host.queuePrompt(0, PROMPT);
  clock.ms = 11_000;
  await host.queuePrompt(0, PROMPT);
  assert.equal(shown.length, 2);
});

for (const [what, refusal, options] of [
  ["where this computer cannot run it either", { ...OF_PEERS, error: { ...OF_PEERS.error, extra_info: { runs_here: false } } }, { fleet: true }],
  ["in fleet mode about what the host refuses", MISSING, { fleet: true }],
  ["for another error", { error: { type: "no_prompt" }, node_errors: {} }, {}],
  ["beside another error", { ...NOT_IN_LIST, node_errors: { ...NOT_IN_LIST.node_errors, 5: { errors: [{ type: "required_input_missing" }] } } }, {}],
  ["for a value nobody has", { ...NOT_IN_LIST, node_errors: { 7: { errors: [{ type: "value_not_in_list" }] } } }, {}],
  ["without an answer", undefined, {}],
]) {
  test(`nobody is asked ${what}`, async () => {
    const { host, shown } = await page(refusal ?? "text", options);
    await assert.rejects(host.queuePrompt(0, PROMPT), /refused/);
    assert.deepEqual(shown, []);
  });
}
