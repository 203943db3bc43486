// @ts-check
/** What Run tells the fleet, and what a refused one offers: the prompt once more, in the place that can run it. */
import { lacksOf, offerFleet } from "./offer_fleet.js";
import { offerHere, refusalOf } from "./offer_here.js";

/**
 * @typedef {import("../data/availability.js").Lack} Lack
 * @typedef {import("./offer_here.js").Refusal} Refusal
 * @typedef {{output: Record<string, import("../data/availability.js").PromptNode>}} PromptData
 * @typedef {(number: number, data: PromptData, options?: object) => Promise<any>} QueuePrompt
 * @typedef {{queuePrompt: QueuePrompt, fetchApi(route: string, options?: RequestInit): Promise<Response>,
 *   addEventListener(type: string, heard: () => void): void}} HostApi
 * @typedef {{fleet(lacks: Lack[]): Promise<boolean>, here(refusal: Refusal): Promise<boolean>}} Ask whether a person
 *   wants it run there
 * @typedef {{batch: string, sent: number, agreedTo: string, at: number}} Press of Run; `at`: its last prompt, in ms
 */

//: The prompts of one press of Run are a batch, and are asked about once. The host tells its end; a caller that tells
//: none has pressed again when this much time has passed.
const AGAIN_MS = 10_000;

/**
 * Stands before the host's way of sending a prompt; all that does not concern us goes through as ever.
 * @param {HostApi} api
 * @param {import("../data/availability.js").Availability} table
 * @param {() => boolean} fleetMode whether Run goes to the fleet anyway
 * @param {() => string} name of the open workflow, "" for none
 * @param {Ask} ask
 * @param {() => number} now in ms
 */
export function offerPlaces(api, table, fleetMode, name, ask = { fleet: offerFleet, here: offerHere }, now = Date.now) {
  const send = api.queuePrompt;
  /** @type {Press | null} */
  let press = null;
  api.addEventListener("promptQueued", () => (press = null));
  const pressed = () => {
    if (!press || now() - press.at > AGAIN_MS) press = { batch: newId(), sent: 0, agreedTo: "", at: now() };
    return press;
  };

  /** @param {any} error @param {PromptData} data @returns {{run: "fleet" | "local", about: string, offer(): Promise<boolean>} | null} */
  const placeFor = (error, data) => {
    const refusal = refusalOf(error);
    if (refusal) return { run: "local", about: refusal.details, offer: () => ask.here(refusal) };
    const lacks = fleetMode() ? [] : lacksOf(error, table.lacking(data.output));
    return lacks.length ? { run: "fleet", about: JSON.stringify(lacks), offer: () => ask.fleet(lacks) } : null;
  };

  api.queuePrompt = async function queuePrompt(number, data, options) {
    const run = pressed();
    const called = { ...(name() ? { name: name() } : {}), batch: run.batch, batch_index: run.sent };
    const toFleet = fleetMode() ? wishing(this, called) : this;
    const sent = (/** @type {any} */ answer) => {
      run.sent += 1;
      run.at = now();
      return answer;
    };
    try {
      return sent(await send.call(toFleet, number, data, options));
    } catch (error) {
      const place = placeFor(error, data);
      if (!place) throw error;
      const to = `${place.run} ${place.about}`;
      if (run.agreedTo !== to && !(await place.offer())) throw error;
      run.agreedTo = to;
      return sent(await send.call(wishing(this, { ...called, run: place.run }), number, data, options));
    }
  };
}

const newId = () => `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 12)}`;

/** The host's api, whose prompts say this to the fleet. @param {HostApi} api
 * @param {{run?: string, name?: string, batch: string, batch_index: number}} wishes
 * @returns {HostApi} */
function wishing(api, wishes) {
  return Object.create(api, {
    fetchApi: {
      value: (/** @type {string} */ route, /** @type {RequestInit} */ options) => {
        // Packs stand in this way too, and may ask for other things on it.
        if (route !== "/prompt" || typeof options?.body !== "string") return api.fetchApi(route, options);
        const body = JSON.parse(options.body);
        body.extra_data = { ...body.extra_data, orchestrator: { ...body.extra_data?.orchestrator, ...wishes } };
        return api.fetchApi(route, { ...options, body: JSON.stringify(body) });
      },
    },
  });
}
