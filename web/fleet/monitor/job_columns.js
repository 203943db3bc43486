// @ts-check
/** What a table of jobs can tell, and the order and choice of its rows. Pure. */
import { errorOf, jobTitle, placeOf } from "../ui/format.js";
import { t } from "../data/i18n.js";
import { isWanted } from "../jobs/job_filter.js";

/** @typedef {import("../data/api.js").Job} Job @typedef {import("./peer_lines.js").Sort} Sort
 * @typedef {import("../jobs/job_filter.js").Wanted & {peer: string, batch: string, client: string}} JobsWanted ids; "" for any
 * @typedef {{id: string, label(): string, px: number, share: number, spare?: number, isUsual?: boolean, key?(job: Job): string | number}} JobColumn
 *   `px`: at least that wide, `share`: of what is left; without `key` it cannot be sorted by */

const STATES = ["running", "waiting", "set_aside", "failed", "cancelled", "done"];

/** How long it took, or takes by now, in ms. @param {Job} job @returns {number} -1 for one that never began */
function tookMs(job) {
  const began = job.begun_at ?? (job.ended_at ? job.started_at : null);
  return began ? (job.ended_at ? Date.parse(job.ended_at) : Date.now()) - Date.parse(began) : -1;
}

/** @type {JobColumn[]} */
export const JOB_COLUMNS = [
  { id: "state", label: () => t("State"), px: 88, share: 0.6, isUsual: true, key: (job) => STATES.indexOf(job.state) },
  { id: "title", label: () => t("Job"), px: 140, share: 2.2, isUsual: true, key: (job) => jobTitle(job).toLowerCase() },
  { id: "peer", label: () => t("Peer"), px: 90, share: 0.9, isUsual: true, key: (job) => placeOf(job).name.toLowerCase() },
  { id: "progress", label: () => t("Progress"), px: 110, share: 1, isUsual: true, key: (job) => (job.state === "running" ? job.progress : -1) },
  { id: "took", label: () => t("Time"), px: 70, share: 0.6, isUsual: true, key: tookMs },
  { id: "created", label: () => t("Sent"), px: 84, share: 0.5, spare: 2, isUsual: true, key: (job) => job.created_at },
  { id: "ended", label: () => t("Ended"), px: 84, share: 0.5, key: (job) => job.ended_at ?? "" },
  { id: "batch", label: () => t("Batch"), px: 80, share: 0.5, key: (job) => (job.batch ? `${job.batch.id} ${String(job.batch.index).padStart(6, "0")}` : "") },
  { id: "client", label: () => t("Client"), px: 80, share: 0.5, key: (job) => job.client_id ?? "" },
  { id: "note", label: () => t("Note"), px: 110, share: 1.6, spare: 1, isUsual: true, key: errorOf },
  { id: "result", label: () => t("Results"), px: 72, share: 0.5, isUsual: true },
];

/** @param {Job} job @param {JobsWanted} wanted */
export const isShown = (job, wanted) =>
  (!wanted.peer || placeOf(job).id === wanted.peer)
  && (!wanted.batch || job.batch?.id === wanted.batch)
  && (!wanted.client || job.client_id === wanted.client)
  && isWanted(job, wanted);

/** @param {JobsWanted} wanted */
export const isAnything = ({ kind, words, peer, batch, client }) => kind === "all" && !words.length && !peer && !batch && !client;

/**
 * @param {readonly Job[]} jobs in their usual order, which stays among those that are alike
 * @param {Sort} sort @returns {readonly Job[]}
 */
export function sortedJobs(jobs, sort) {
  const key = JOB_COLUMNS.find(({ id }) => id === sort?.column)?.key;
  if (!sort || !key) return jobs;
  const sign = sort.isUp ? 1 : -1;
  const keyed = jobs.map((job) => ({ job, key: key(job) }));
  keyed.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : 0));
  return keyed.map(({ job }) => job);
}

/**
 * What jobs have in common, for a choice: those with the most recent job first.
 * @param {Iterable<Job>} jobs newest first @param {(job: Job) => string | undefined} idOf @param {(job: Job) => string} nameOf
 * @param {number} least smaller groups are none @returns {{value: string, label: string}[]}
 */
export function groupsOf(jobs, idOf, nameOf, least = 1) {
  /** @type {Map<string, {name: string, count: number}>} */
  const groups = new Map();
  for (const job of jobs) {
    const id = idOf(job);
    if (!id) continue;
    const group = groups.get(id);
    if (group) group.count += 1;
    else groups.set(id, { name: nameOf(job), count: 1 });
  }
  return [...groups].filter(([, { count }]) => count >= least).map(([value, { name, count }]) => ({ value, label: `${name} × ${count}` }));
}

/** @param {string} id of a client or a batch @returns {string} as much of it as a table holds */
export const shortId = (id) => id.slice(0, 8);
