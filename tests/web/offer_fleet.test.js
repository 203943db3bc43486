// What Run says when this machine lacks what a peer has.

import assert from "node:assert/strict";
import test from "node:test";
import { offerFleet } from "../../web/fleet/host_page/offer_fleet.js";
import { Availability } from "../../web/fleet/data/availability.js";

const PROMPT = { output: { 1: { class_type: "Stamp", inputs: {} }, 2: { class_type: "Loader", inputs: { file: "x.pt" } } } };
const MISSING = { error: { type: "invalid_prompt" }, node_errors: [] };
const NOT_IN_LIST = { error: { type: "prompt_outputs_failed_validation" }, node_errors: { 2: { errors: [{ type: "value_not_in_list" }] } } };

/** The host's api, whose server takes a prompt only for the fleet. */
class Host {
  asked = [];
  clientId = "page";
  #refusal;
  constructor(refusal) {
    this.#refusal = refusal;
  }
  async fetchApi(route, options) {
    const body = JSON.parse(options.body);
    this.asked.push(body);
    return body.extra_data.orchestrator?.run === "fleet" ? { prompt_id: "p" } : { refused: this.#refusal };
  }
  async queuePrompt(number, { output }) {
    const body = JSON.stringify({ number, client_id: this.clientId, prompt: output, extra_data: { orchestrator: { tags: ["a"] } } });
    const answer = await this.fetchApi("/prompt", { method: "POST", body });
    if (answer.refused) throw Object.assign(new Error("refused"), { response: answer.refused });
    return answer;
  }
}

async function page(refusal, { yes = true, fleet = false } = {}) {
  const host = new Host(refusal);
  const table = new Availability(async () => ({
    known: true, places: [{ here: false, peers: ["gpu"] }], classes: { Stamp: 0 }, values: { Loader: { file: { "x.pt": 0 } } },
  }));
  await table.refresh();
  const shown = [];
  offerFleet(host, table, () => fleet, async (lacks) => {
    shown.push(lacks.map(({ what }) => what));
    return yes;
  });
  return { host, shown };
}

test("a refused prompt goes to the fleet when a person says so, and the host goes on with its answer", async () => {
  const { host, shown } = await page(MISSING);
  assert.deepEqual(await host.queuePrompt(3, PROMPT), { prompt_id: "p" });
  assert.deepEqual(shown, [["Stamp", "x.pt"]]);
  const [first, second] = host.asked;
  assert.deepEqual(second, { ...first, extra_data: { orchestrator: { tags: ["a"], run: "fleet" } } });
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

for (const [what, refusal, options] of [
  ["in fleet mode", MISSING, { fleet: true }],
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
