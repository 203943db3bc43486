// @ts-check
/** What the page knows of the fleet. */
/** @typedef {import("./api.js").Peer} Peer @typedef {import("./api.js").Job} Job
 * @typedef {import("./api.js").Jobs} Jobs @typedef {import("./api.js").Settings} Settings */
import { isFinal, JobIndex } from "./job_index.js";
import { paced } from "./pace.js";
import { inWords } from "./said.js";

export { isFinal };

export const JOBS_KEPT = 5000; //: of the waiting ones, and as many of the ended ones
const QUEUE_SOON_MS = 200; //: after a change in the queue, which mostly is not alone
const QUEUE_EVERY_MS = 1500; //: of a queue that changes all the time
export const TOLD_EVERY_MS = 250; //: however many events come; the server sends no more of a job either

/**
 * It outlives the panel and is kept live by the server's events.
 * Dispatches "peers", "jobs", "settings" and "status" (phase, problem, connected) after that changed.
 */
export class FleetStore extends EventTarget {
  /** @type {Peer[]} */
  peers = [];
  /** How many more there are than `jobs` holds. */
  unseen = { waiting: 0, ended: 0 };
  /** What is switched on; null until the server said. @type {Settings | null} */
  settings = null;
  /** @type {"idle" | "loading" | "ready" | "failed"} */
  phase = "idle";
  /** @type {Error | null} */
  problem = null;
  connected = true;
  /** @type {import("../peers/addresses.js").Known | null} */ addresses = null;

  #api;
  /** Counts peer events: an answer asked for before one is older than it. */
  #peerEvents = 0;
  /** Jobs told by events while /jobs is asked: newer than its answer. @type {Map<string, Job> | null} */
  #meanwhile = null;
  #refreshes = 0;
  /** @type {Set<string>} */
  #dismissed = new Set();
  #watchers = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #lineTimer;
  #lineReadAt = -Infinity;
  #settingsEvents = 0;
  #index = new JobIndex(JOBS_KEPT);
  /** The first change is told at once, those that follow it closely together. */
  #tellJobs = paced(() => this.dispatchEvent(new CustomEvent("jobs")), TOLD_EVERY_MS);

  /**
   * @param {{peers(): Promise<Peer[]>, jobs(limit: number): Promise<Jobs>, line(limit: number): Promise<Jobs>,
   *   settings(): Promise<Settings>, changeSettings(changes: Partial<Settings>): Promise<Settings>, clockOffsetMs?: number, notices?: string[], isShutOut?: boolean,
   *   doneAt?: number | null, hear(told: {notices?: string[], rest_s?: number | null}): void}} api
   */
  constructor(api) {
    super();
    this.#api = api;
  }

  /** See JobIndex for what these are and how they are ordered. */
  get jobs() { return this.#index.jobs; }
  get queue() { return this.#index.queue; }
  /** @returns {readonly Job[]} */
  get ended() { return this.#index.ended; }
  get line() { return this.#index.line; }
  get hasBatch() { return this.#index.hasBatch; }

  job(/** @type {string} */ id) { return this.#index.get(id); }

  /** @param {string} peerId */
  usual(peerId) { return this.#index.usual(peerId); }

  /** @param {string} peerId */
  typicalMs(peerId) { return this.usual(peerId)?.ms ?? null; }

  /** The server's time. @returns {number} ms since 1970 */
  now() { return Date.now() + (this.#api.clockOffsetMs ?? 0); }

  /** Until all that the fleet has should be done; null while nobody can tell. @returns {number | null} ms */
  get restMs() { return this.#api.doneAt == null ? null : Math.max(0, this.#api.doneAt - performance.now()); }

  /** What the server has to say and nobody dismissed yet. @returns {string[]} */
  get notices() {
    return (this.#api.notices ?? []).filter((notice) => !this.#dismissed.has(notice));
  }

  /** Whether the server takes this page for another site's: the fleet is off here. */
  get isShutOut() { return Boolean(this.#api.isShutOut); }

  /** @param {string} notice */
  dismiss(notice) {
    this.#dismissed.add(notice);
    this.#setStatus({});
  }

  /**
   * Follows the server's events until the returned function is called.
   * @param {EventTarget} events ComfyUI's api object
   */
  listen(events) {
    const controller = new AbortController();
    const on = (/** @type {string} */ name, /** @type {(detail: any) => void} */ handle) =>
      events.addEventListener(name, (event) => handle(/** @type {CustomEvent} */ (event).detail), {
        signal: controller.signal,
      });
    on("orchestrator.peers", (told) => {
      this.#peerEvents += 1;
      this.#api.hear(told);
      this.#setPeers(inWords(told).peers);
    });
    on("orchestrator.jobs", ({ jobs }) => {
      const moved = jobs.some(
        (/** @type {Job} */ job) => job.state === "waiting" || this.#index.get(job.job_id)?.state === "waiting");
      this.#mergeJobs(jobs);
      if (moved) this.#readLineSoon();
    });
    on("orchestrator.settings", (settings) => {
      this.#settingsEvents += 1;
      this.#setSettings(settings);
    });
    on("orchestrator.addresses", (known) => {
      this.addresses = known;
      this.dispatchEvent(new CustomEvent("addresses"));
    });
    on("reconnecting", () => this.#setStatus({ connected: false }));
    on("reconnected", () => {
      this.#setStatus({ connected: true });
      this.readSettings();
      if (this.phase !== "idle") this.refresh(); // events sent meanwhile are lost
    });
    return () => controller.abort();
  }

  /** While somebody looks, the queue is read again when jobs enter or leave it. @returns {() => void} ends it */
  watch() {
    this.#watchers += 1;
    return () => {
      this.#watchers -= 1;
      clearTimeout(this.#lineTimer);
      this.#lineTimer = undefined;
    };
  }

  /** Reads what is switched on. A server that does not answer leaves what was known. */
  async readSettings() {
    const events = this.#settingsEvents;
    const settings = await this.#api.settings().catch(() => null);
    if (settings && events === this.#settingsEvents) this.#setSettings(settings);
  }

  /** Switches something. @param {Partial<Settings>} changes @throws {Error} the server refused */
  async change(changes) {
    const events = this.#settingsEvents;
    const settings = await this.#api.changeSettings(changes);
    if (events === this.#settingsEvents) this.#setSettings(settings);
  }

  /** Reads everything again. Never throws: a failure is `phase` and `problem`. */
  async refresh() {
    const turn = ++this.#refreshes;
    this.#meanwhile = new Map();
    if (this.phase !== "ready") this.#setStatus({ phase: "loading", problem: null });
    const peerEvents = this.#peerEvents;
    try {
      const [peers, { jobs, line, counts }] = await Promise.all([this.#api.peers(), this.#api.jobs(JOBS_KEPT)]);
      if (turn !== this.#refreshes) return;
      const newer = this.#meanwhile;
      this.#meanwhile = null;
      this.#index.clear();
      this.#index.line = line;
      this.unseen = {
        waiting: Math.max(0, counts.waiting - line.length),
        ended: Math.max(0, counts.ended - jobs.filter(isFinal).length),
      };
      this.#mergeJobs([...jobs, ...newer.values()]);
      if (peerEvents === this.#peerEvents) this.#setPeers(peers);
      this.#setStatus({ phase: "ready", problem: null });
    } catch (error) {
      if (turn !== this.#refreshes) return;
      this.#meanwhile = null;
      this.#setStatus({ phase: "failed", problem: /** @type {Error} */ (error) });
    }
  }

  /** Reads the order of the queue again. A server that does not answer leaves what was known. */
  async readLine() {
    const turn = this.#refreshes;
    const answer = await this.#api.line(JOBS_KEPT).catch(() => null);
    if (!answer || turn !== this.#refreshes || this.#meanwhile) return; // all of it is being read
    if (answer.line.some((id) => !this.#index.get(id))) return this.refresh(); // events were lost
    this.#index.line = answer.line;
    this.unseen = { ...this.unseen, waiting: Math.max(0, answer.counts.waiting - answer.line.length) };
    this.#tellJobs();
  }

  /** Reads the peers again, after we changed one. */
  async refreshPeers() {
    const peerEvents = this.#peerEvents;
    const peers = await this.#api.peers();
    if (peerEvents === this.#peerEvents) this.#setPeers(peers);
  }

  /** @param {Peer[]} peers */
  #setPeers(peers) {
    this.peers = [...peers].sort((a, b) => a.name.localeCompare(b.name) || a.id.localeCompare(b.id));
    this.dispatchEvent(new CustomEvent("peers"));
  }

  /** @param {Settings} settings */
  #setSettings(settings) {
    this.settings = settings;
    this.dispatchEvent(new CustomEvent("settings"));
  }

  #readLineSoon() {
    if (!this.#watchers || this.#lineTimer !== undefined) return;
    const wait = Math.max(QUEUE_SOON_MS, this.#lineReadAt + QUEUE_EVERY_MS - performance.now());
    this.#lineTimer = setTimeout(() => {
      this.#lineTimer = undefined;
      this.#lineReadAt = performance.now();
      if (this.connected) this.readLine();
    }, wait);
  }

  /** @param {Job[]} changed */
  #mergeJobs(changed) {
    for (const job of changed) {
      this.#index.put(job);
      if (job.state === "waiting" && !this.unseen.waiting) this.#index.lineUp(job.job_id);
      this.#meanwhile?.set(job.job_id, job);
    }
    this.unseen.ended += this.#index.trim();
    this.#tellJobs();
  }

  /** @param {{phase?: FleetStore["phase"], problem?: Error | null, connected?: boolean}} changes */
  #setStatus(changes) {
    Object.assign(this, changes);
    this.dispatchEvent(new CustomEvent("status"));
  }
}
