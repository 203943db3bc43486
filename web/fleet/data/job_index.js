// @ts-check
/** The jobs that the page knows, in the orders that it shows them. Never sorts thousands for one that changed. */
/** @typedef {import("./api.js").Job} Job */

export const HERE = "this machine"; //: the master's id where a peer's stands
const TYPICAL_OF = 9; //: this many of a peer's last runs say how long the next one takes
const FINAL = new Set(["done", "failed", "cancelled", "set_aside"]);

/** @param {Job} job */
export const isFinal = (job) => FINAL.has(job.state);

/** @param {Job} job */
const endOf = (job) => job.ended_at ?? job.created_at;

/** By code units: moments need no language, and thousands of them are compared. @param {string} a @param {string} b */
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** @param {Job} a @param {Job} b */
const oldestFirst = (a, b) => compare(a.created_at, b.created_at);

export class JobIndex {
  /** The last that ended first. @type {Job[]} */
  ended = [];
  /** Whether any of them is one of several that were sent together. */
  hasBatch = false;

  #kept;
  /** @type {Map<string, Job>} */
  #byId = new Map();
  /** @type {Set<string>} */
  #open = new Set();
  /** @type {string[]} */
  #line = [];
  /** @type {Set<string>} */
  #inLine = new Set();
  /** What is made of these when it is asked for. @type {{jobs?: Job[], queue?: Job[]}} */
  #made = {};
  /** @type {Map<string, {ms: number, of: number} | null>} */
  #typical = new Map();
  /** By batch, the first job of it. @type {Map<string, string>} */
  #firstOf = new Map();

  /** @param {number} kept how many that ended */
  constructor(kept) {
    this.#kept = kept;
  }

  /** The waiting jobs as the server last told their order. @returns {string[]} */
  get line() {
    return this.#line;
  }

  set line(ids) {
    this.#line = ids;
    this.#inLine = new Set(ids);
    this.#made = {};
  }

  /** @param {string} id */
  get(id) {
    return this.#byId.get(id);
  }

  /** All of them, newest first. @returns {Job[]} */
  get jobs() {
    return (this.#made.jobs ??= [...this.#byId.values()].sort((a, b) => oldestFirst(b, a)));
  }

  /**
   * What runs or waits. First what a peer works on, then what was handed to one, then the queue, then those it
   * does not name yet, as they came.
   * @returns {Job[]}
   */
  get queue() {
    return (this.#made.queue ??= this.#queue());
  }

  clear() {
    this.#byId.clear();
    this.#open.clear();
    this.#typical.clear();
    this.ended = [];
    this.#firstOf.clear();
    this.hasBatch = false;
    this.line = [];
  }

  /** Takes in a new job, or what became of a known one. @param {Job} job */
  put(job) {
    const id = job.job_id;
    const known = this.#byId.get(id);
    if (known && isFinal(known)) this.ended[this.ended.indexOf(known)] = job;
    else if (isFinal(job)) {
      this.#open.delete(id);
      insert(this.ended, job);
      this.#typical.delete(job.peer_id);
    } else this.#open.add(id);
    this.#byId.set(id, job);
    if (job.batch && !this.hasBatch) {
      const first = this.#firstOf.get(job.batch.id) ?? id;
      this.#firstOf.set(job.batch.id, first);
      this.hasBatch = first !== id || Object.keys(job.batch.changes).length > 0;
    }
    this.#made = {};
  }

  /** A new one most likely goes behind the others; reading the queue again will tell. @param {string} id */
  lineUp(id) {
    if (this.#inLine.has(id)) return;
    this.#line.push(id);
    this.#inLine.add(id);
    this.#made = {};
  }

  /** Forgets the oldest that ended, where there are too many. @returns {number} how many */
  trim() {
    const forgotten = this.ended.splice(this.#kept);
    for (const job of forgotten) this.#byId.delete(job.job_id);
    return forgotten.length;
  }

  /** How long the peer's last jobs took: the median in ms, `of` how many; null for none.
   * @param {string} peerId @returns {{ms: number, of: number} | null} */
  usual(peerId) {
    let typical = this.#typical.get(peerId);
    if (typical === undefined) {
      const took = [];
      for (const job of this.ended) {
        const began = job.begun_at ?? job.started_at;
        if (job.peer_id === peerId && job.state === "done" && began) took.push(Date.parse(endOf(job)) - Date.parse(began));
        if (took.length === TYPICAL_OF) break;
      }
      typical = took.length ? { ms: took.sort((a, b) => a - b)[took.length >> 1], of: took.length } : null;
      this.#typical.set(peerId, typical);
    }
    return typical;
  }

  #queue() {
    const open = [...this.#open].flatMap((id) => this.#byId.get(id) ?? []);
    const running = open.filter((job) => job.state === "running").sort(oldestFirst);
    const line = this.#line.flatMap((id) => this.#byId.get(id) ?? []).filter((job) => job.state === "waiting");
    return [
      ...running.filter((job) => job.begun_at),
      ...running.filter((job) => !job.begun_at),
      ...line,
      ...open.filter((job) => job.state === "waiting" && !this.#inLine.has(job.job_id)).sort(oldestFirst),
    ];
  }
}

/** Puts a job where its end belongs: mostly to the front. @param {Job[]} ended @param {Job} job */
function insert(ended, job) {
  const at = endOf(job);
  let low = 0;
  let high = ended.length;
  if (high && endOf(ended[0]) <= at) high = 0;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (endOf(ended[middle]) > at) low = middle + 1;
    else high = middle;
  }
  ended.splice(low, 0, job);
}
