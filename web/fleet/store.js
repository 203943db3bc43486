// @ts-check
/** What the page knows of the fleet, kept live by the server's events. */
/** @typedef {import("./api.js").Peer} Peer @typedef {import("./api.js").Job} Job */

const JOBS_KEPT = 200;
const FINAL = new Set(["done", "failed", "cancelled", "set_aside"]);

/** @param {Job} job */
export const isFinal = (job) => FINAL.has(job.state);

/** Running first, then waiting in the order they came, then the ended ones, newest first. @param {Job[]} jobs */
export function inViewingOrder(jobs) {
  const rank = (/** @type {Job} */ job) => (job.state === "running" ? 0 : job.state === "waiting" ? 1 : 2);
  const ended = (/** @type {Job} */ job) => job.ended_at ?? job.created_at;
  return [...jobs].sort((a, b) => {
    if (rank(a) !== rank(b)) return rank(a) - rank(b);
    if (rank(a) === 2) return ended(b).localeCompare(ended(a));
    return a.created_at.localeCompare(b.created_at);
  });
}

/**
 * What the page knows of the fleet. It outlives the panel and is kept live by the server's events.
 * Dispatches "peers", "jobs" and "status" after the field of that name (phase, problem, connected) changed.
 */
export class FleetStore extends EventTarget {
  /** @type {Peer[]} */
  peers = [];
  /** @type {Job[]} newest first */
  jobs = [];
  /** @type {"idle" | "loading" | "ready" | "failed"} */
  phase = "idle";
  /** @type {Error | null} */
  problem = null;
  connected = true;

  #api;
  /** Counts peer events: an answer asked for before one is older than it. */
  #peerEvents = 0;
  /** Jobs told by events while /jobs is asked: newer than its answer. @type {Map<string, Job> | null} */
  #meanwhile = null;
  #refreshes = 0;
  /** @type {Set<string>} */
  #dismissed = new Set();

  /** @param {{peers(): Promise<Peer[]>, jobs(): Promise<Job[]>, clockOffsetMs?: number, notices?: string[]}} api */
  constructor(api) {
    super();
    this.#api = api;
  }

  /** The server's time. @returns {number} ms since 1970 */
  now() {
    return Date.now() + (this.#api.clockOffsetMs ?? 0);
  }

  /** What the server has to say and nobody dismissed yet. @returns {string[]} */
  get notices() {
    return (this.#api.notices ?? []).filter((notice) => !this.#dismissed.has(notice));
  }

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
    on("orchestrator.peers", ({ peers }) => {
      this.#peerEvents += 1;
      this.#setPeers(peers);
    });
    on("orchestrator.jobs", ({ jobs }) => this.#mergeJobs(jobs));
    on("reconnecting", () => this.#setStatus({ connected: false }));
    on("reconnected", () => {
      this.#setStatus({ connected: true });
      if (this.phase !== "idle") this.refresh(); // events sent meanwhile are lost
    });
    return () => controller.abort();
  }

  /** Reads everything anew. Never throws: a failure is `phase` and `problem`. */
  async refresh() {
    const turn = ++this.#refreshes;
    this.#meanwhile = new Map();
    if (this.phase !== "ready") this.#setStatus({ phase: "loading", problem: null });
    const peerEvents = this.#peerEvents;
    try {
      const [peers, jobs] = await Promise.all([this.#api.peers(), this.#api.jobs()]);
      if (turn !== this.#refreshes) return;
      const newer = this.#meanwhile;
      this.#meanwhile = null;
      this.jobs = [];
      this.#mergeJobs([...jobs, ...newer.values()]);
      if (peerEvents === this.#peerEvents) this.#setPeers(peers);
      this.#setStatus({ phase: "ready", problem: null });
    } catch (error) {
      if (turn !== this.#refreshes) return;
      this.#meanwhile = null;
      this.#setStatus({ phase: "failed", problem: /** @type {Error} */ (error) });
    }
  }

  /** Reads the peers anew, after we changed one. */
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

  /** @param {Job[]} changed */
  #mergeJobs(changed) {
    const byId = new Map(this.jobs.map((job) => [job.job_id, job]));
    for (const job of changed) {
      byId.set(job.job_id, job);
      this.#meanwhile?.set(job.job_id, job);
    }
    this.jobs = [...byId.values()]
      .sort((a, b) => b.created_at.localeCompare(a.created_at))
      .filter((job, place) => place < JOBS_KEPT || !isFinal(job));
    this.dispatchEvent(new CustomEvent("jobs"));
  }

  /** @param {{phase?: FleetStore["phase"], problem?: Error | null, connected?: boolean}} changes */
  #setStatus(changes) {
    Object.assign(this, changes);
    this.dispatchEvent(new CustomEvent("status"));
  }
}
