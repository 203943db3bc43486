// @ts-check
/** Where the graph on the canvas would run and by when it would be done, asked of the server before it is sent. */
import { partsOf, traitsOf } from "./outlook_parts.js";

/** @typedef {import("../data/api.js").Explained} Explained @typedef {import("./outlook_parts.js").Part} Part
 * @typedef {Part & {key: string, change: number} & Explained} Told `key`: the same for the same question; `change`: how
 *   often the graph had changed by then
 * @typedef {{graph?: any, rootGraph?: any, canvas?: any, graphToPrompt(): Promise<{output: any}>}} App */

export const SETTLED_MS = 500; //: after the last change of the graph
export const ASK_EVERY_MS = 1500; //: of a graph that changes all the time
export const SAME_EVERY_MS = 5000; //: of one that does not, while the fleet changes

/** Dispatches "told" after `told` changed. Never throws: what cannot be found out is not told. */
export class Outlook extends EventTarget {
  /** For the whole graph, or for each Remote Dispatch node. @type {Told[]} */
  told = [];
  /** How often the graph changed since the page was opened. */
  changes = 0;

  #app;
  #api;
  #store;
  #isVisible;
  #now;
  #watchers = 0;
  #graphChanged = true; //: since its prompt was made
  #fleetChanged = true; //: since it was asked
  /** @type {Part[]} */
  #parts = [];
  #change = 0; //: the last one that is in the parts
  #key = ""; //: what the parts were when they were asked for
  #askedAt = -Infinity;
  #asking = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #jobs = "";
  #fleetMode = false;

  /**
   * @param {App} app the host's
   * @param {{explain(question: import("./outlook_parts.js").Question): Promise<Explained>}} api
   * @param {import("../data/store.js").FleetStore} store
   * @param {() => boolean} isVisible whether anybody can see the page
   * @param {() => number} [now] in ms
   */
  constructor(app, api, store, isVisible, now = () => performance.now()) {
    super();
    this.#app = app;
    this.#api = api;
    this.#store = store;
    this.#isVisible = isVisible;
    this.#now = now;
  }

  /** @param {EventTarget} events ComfyUI's api object */
  listen(events) {
    events.addEventListener("graphChanged", () => this.graphChanged());
    this.#store.addEventListener("peers", () => this.#fleetHasChanged());
    this.#store.addEventListener("settings", () => {
      const fleetMode = Boolean(this.#store.settings?.fleet_mode);
      const isOther = fleetMode !== this.#fleetMode; // then other parts of the graph are sent
      this.#fleetMode = fleetMode;
      this.#graphChanged ||= isOther;
      this.#fleetHasChanged(isOther);
    });
    this.#store.addEventListener("jobs", () => {
      const jobs = `${this.#store.queue.length} ${this.#store.ended[0]?.job_id}`;
      if (jobs !== this.#jobs) this.#fleetHasChanged(); // all else is progress
      this.#jobs = jobs;
    });
  }

  /** While somebody looks at what it tells. @returns {() => void} ends it */
  watch() {
    this.#watchers += 1;
    this.look();
    return () => void (this.#watchers -= 1);
  }

  /** The host does not say so when it opens another graph. */
  graphChanged() {
    this.changes += 1;
    this.#graphChanged = true;
    this.#lookIn(SETTLED_MS, true);
  }

  /** Somebody may see now what nobody saw before. */
  look() {
    this.#lookIn(0);
  }

  #fleetHasChanged(later = false) {
    this.#fleetChanged = true;
    this.#lookIn(0, later);
  }

  /** @param {number} wait in ms @param {boolean} [later] whether one that is due already is put off */
  #lookIn(wait, later = false) {
    if (this.#timer !== undefined && !later) return;
    clearTimeout(this.#timer);
    const gap = this.#graphChanged ? ASK_EVERY_MS : SAME_EVERY_MS;
    const due = Math.max(wait, this.#askedAt + gap - this.#now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#look().catch(() => this.#tell([]));
    }, due);
  }

  async #look() {
    if (this.#asking) return; // it looks again when it has its answer
    const graph = this.#app.rootGraph ?? this.#app.graph;
    const { isRemote, acts } = this.#store.peers.length && this.#isVisible() ? traitsOf(graph) : { isRemote: false, acts: true };
    const seen = isRemote || (this.#watchers > 0 && this.#store.settings?.fleet_mode);
    if (!seen || acts) return this.#isVisible() ? this.#tell([]) : undefined;
    if (this.#graphChanged && this.#app.canvas?.pointer?.isDown) return this.#lookIn(SETTLED_MS);
    this.#asking = true;
    try {
      await this.#ask();
    } finally {
      this.#asking = false;
    }
    if (this.#graphChanged || this.#fleetChanged) this.#lookIn(0);
  }

  async #ask() {
    if (this.#graphChanged) {
      this.#graphChanged = false;
      this.#parts = [];
      this.#change = this.changes;
      const { output } = await this.#app.graphToPrompt();
      this.#parts = partsOf(output, this.#fleetMode);
    }
    const change = this.#change;
    const keys = this.#parts.map((part) => JSON.stringify(part.question));
    const key = keys.join("\n");
    if (key === this.#key && !this.#fleetChanged) return; // only moved about
    if (key === this.#key && this.#now() < this.#askedAt + SAME_EVERY_MS) return;
    this.#key = key;
    this.#fleetChanged = false;
    this.#askedAt = this.#now();
    const told = await Promise.all(this.#parts.map(async (part, at) => {
      const explained = await this.#api.explain(part.question).catch(() => null);
      return explained?.peers.length || explained?.here ? [{ ...part, key: keys[at], change, ...explained }] : [];
    }));
    this.#tell(told.flat());
  }

  /** @param {Told[]} told */
  #tell(told) {
    if (!told.length) this.#key = "";
    if (!told.length && !this.told.length) return;
    this.told = told;
    this.dispatchEvent(new CustomEvent("told"));
  }
}
