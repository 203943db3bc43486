// @ts-check
/** What was sent together stands in the lists as one entry, which opens; what ended is parted by days. Pure. */
import { isFinal } from "./job_index.js";

/**
 * @typedef {import("./api.js").Job} Job
 * @typedef {{id: string, name: string, jobs: Job[], isOpened: boolean}} Batch `jobs`: without those that were repeated
 * @typedef {{kind: "job", key: string, job: Job, isInside: boolean}} JobEntry `isInside` an opened batch
 * @typedef {{kind: "batch", key: string, batch: Batch}} BatchEntry
 * @typedef {{kind: "day", key: string, moment: string}} DayEntry `moment`: one of that day
 * @typedef {JobEntry | BatchEntry | DayEntry} Entry
 * @typedef {{waiting: number, running: number, held: number, done: number, failed: number, cancelled: number}} Tally
 */

const PARTED = " · "; //: between a workflow's name and what was changed in it
const BAD = new Set(["failed", "set_aside"]);

/** Lists of thousands are made again with each change. @type {WeakMap<Job, JobEntry>} */
const plain = new WeakMap();

/** @param {Job} job @returns {JobEntry} */
export function entryOf(job) {
  let entry = plain.get(job);
  if (!entry) plain.set(job, (entry = { kind: "job", key: job.job_id, job, isInside: false }));
  return entry;
}

/**
 * The two lists. A batch is in the queue, at the place of its first job, until all of it has ended.
 * @param {readonly Job[]} queue @param {readonly Job[]} ended the last that ended first
 * @param {ReadonlySet<string>} opened ids of batches @returns {{queue: Entry[], ended: Entry[]}}
 */
export function grouped(queue, ended, opened) {
  /** @type {Map<string, Job[]>} */
  const members = new Map();
  for (const jobs of [queue, ended]) {
    for (const job of jobs) {
      const id = job.batch?.id;
      if (!id) continue;
      const known = members.get(id);
      if (known) known.push(job);
      else members.set(id, [job]);
    }
  }
  const told = new Set();
  const entries = (/** @type {readonly Job[]} */ jobs) => {
    /** @type {Entry[]} */
    const found = [];
    for (const job of jobs) {
      const id = job.batch?.id ?? "";
      const all = id ? members.get(id) ?? [] : [];
      if (all.length < 2) found.push(entryOf(job));
      else if (!told.has(id)) {
        told.add(id);
        found.push(...entriesOf(id, all, opened.has(id)));
      }
    }
    return found;
  };
  return { queue: entries(queue), ended: entries(ended) };
}

/** @param {string} id @param {Job[]} all @param {boolean} isOpened @returns {Entry[]} */
function entriesOf(id, all, isOpened) {
  const jobs = withoutRepeated(all);
  const inside = isOpened ? all.map((job) => ({ ...entryOf(job), isInside: true })) : [];
  return [{ kind: "batch", key: `batch ${id}`, batch: { id, name: nameOf(jobs), jobs, isOpened } }, ...inside];
}

/** The days of jobs, which are asked for again with each change. @type {WeakMap<Job, number>} */
const days = new WeakMap();

/** With a heading before each day, where there is more than one. @param {Entry[]} entries
 * @param {(job: Job) => number} dayOf of a job that ended always the same @returns {Entry[]} */
export function partedByDays(entries, dayOf) {
  /** @type {Entry[]} */
  const parted = [];
  let last = 0;
  for (const entry of entries) {
    const job = entry.kind === "batch" ? entry.batch.jobs[0] : entry.kind === "job" && !entry.isInside ? entry.job : null;
    let day = job ? days.get(job) : last;
    if (day === undefined) days.set(/** @type {Job} */ (job), (day = dayOf(/** @type {Job} */ (job))));
    if (day !== last) parted.push({ kind: "day", key: `day ${day}`, moment: job?.ended_at ?? "" });
    last = day;
    parted.push(entry);
  }
  return parted.filter(({ kind }) => kind === "day").length > 1 ? parted : entries;
}

/** One that was repeated is done with. @param {readonly Job[]} jobs */
export function withoutRepeated(jobs) {
  const repeated = new Set(jobs.map((job) => job.retry_of));
  return jobs.filter((job) => !repeated.has(job.job_id));
}

/** What the titles of a batch have in common. @param {readonly Job[]} jobs */
export function nameOf(jobs) {
  const [first = [], ...others] = jobs.map(({ title }) => title.split(PARTED));
  let shared = first.length;
  for (const parts of others) {
    let alike = 0;
    while (alike < shared && parts[alike] === first[alike]) alike += 1;
    shared = alike;
  }
  return first.slice(0, shared).join(PARTED) || first[0] || "";
}

/** @param {readonly Job[]} jobs @returns {Tally} */
export function tallyOf(jobs) {
  const tally = { waiting: 0, running: 0, held: 0, done: 0, failed: 0, cancelled: 0 };
  for (const job of jobs) {
    if (job.state === "done" || job.state === "cancelled") tally[job.state] += 1;
    else if (BAD.has(job.state)) tally.failed += 1;
    else if (job.held) tally.held += 1;
    else tally[job.begun_at ? "running" : "waiting"] += 1;
  }
  return tally;
}

/**
 * How long the rest of a batch takes, by those of it that are done.
 * @param {readonly Job[]} jobs @returns {number | null} ms; null where none is done, or none runs
 */
export function restMs(jobs) {
  const took = jobs
    .flatMap((job) => (job.state === "done" && job.begun_at && job.ended_at ? [Date.parse(job.ended_at) - Date.parse(job.begun_at)] : []))
    .sort((a, b) => a - b);
  const running = jobs.filter((job) => job.state === "running" && job.begun_at);
  if (!took.length || !running.length) return null;
  const usual = took[took.length >> 1];
  const waiting = jobs.filter((job) => !isFinal(job) && !job.begun_at && !job.held).length;
  const lanes = new Set(running.map((job) => job.peer_id)).size;
  return usual * (waiting / lanes + (1 - running.reduce((sum, { progress }) => sum + progress, 0) / running.length));
}
