// @ts-check
/** The peers as lines of a table: in what state each is, what it runs, what it did. Pure. */
import { t } from "../data/i18n.js";
import { HERE } from "../data/job_index.js";
import { peerState } from "../ui/format.js";

/** @typedef {import("../data/api.js").Peer} Peer @typedef {import("../data/api.js").Job} Job
 * @typedef {import("./work.js").PeerWork} PeerWork
 * @typedef {{id: string, name: string, tone: string, word: string, reason: string, rank: number, job: Job | null, isOthers: boolean,
 *   free: number, total: number, work: PeerWork | null}} PeerLine `free`, `total`: bytes, 0 while unknown
 * @typedef {{column: string, isUp: boolean} | null} Sort null: the usual order
 * @typedef {{peers: Peer[], queue: Job[], settings: import("../data/api.js").Settings | null}} Known */

const REACHED = new Set(["up", "suspect", "ejected", "zombie"]);
const [BUSY, OTHERS, IDLE, DRAINING, IN_TROUBLE, UNKNOWN, OFF] = [0, 1, 2, 3, 4, 5, 6];

/** @param {Known} known @param {(peerId: string) => PeerWork | null} workOf @returns {PeerLine[]} */
export function peerLines({ peers, queue, settings }, workOf) {
  const running = runningBy(queue);
  const lines = peers.map((peer) => lineOf(peer, running.get(peer.id) ?? null, workOf(peer.id)));
  if (settings?.fleet_mode && settings.this_machine) lines.push(hereLine(running.get(HERE) ?? null, workOf(HERE)));
  return lines;
}

/** What peers work on, by their ids. @param {Job[]} queue those that run come first @returns {Map<string, Job>} */
function runningBy(queue) {
  /** @type {Map<string, Job>} */
  const running = new Map();
  for (const job of queue) {
    if (job.state !== "running" || !job.begun_at) break;
    if (!running.has(job.peer_id)) running.set(job.peer_id, job);
  }
  return running;
}

/** @param {Peer} peer @param {Job | null} job @param {PeerWork | null} work @returns {PeerLine} */
function lineOf(peer, job, work) {
  const isReached = peer.enabled && REACHED.has(peer.health);
  const isOthers = !job && isReached && peer.running?.whose === "others";
  const [device] = isReached ? peer.devices : [];
  const known = device?.vram_total_bytes > 0 ? device : null;
  return {
    id: peer.id, name: peer.name, ...peerState(peer), reason: peer.enabled ? peer.reason : "",
    rank: rankOf(peer, Boolean(job), isOthers), job, isOthers,
    free: known?.vram_free_bytes ?? 0, total: known?.vram_total_bytes ?? 0, work,
  };
}

/** @param {Job | null} job @param {PeerWork | null} work @returns {PeerLine} */
const hereLine = (job, work) => ({
  id: HERE, name: t("this computer"), tone: "good", word: job ? t("busy") : t("idle"), reason: "", rank: job ? BUSY : IDLE,
  job, isOthers: false, free: 0, total: 0, work,
});

/** Busy first. @param {Peer} peer @param {boolean} isBusy @param {boolean} isOthers */
function rankOf(peer, isBusy, isOthers) {
  if (isBusy) return BUSY;
  if (!peer.enabled) return OFF;
  if (peer.health === "unknown") return UNKNOWN;
  if (peer.health !== "up") return IN_TROUBLE;
  if (isOthers) return OTHERS;
  return peer.draining ? DRAINING : peer.ours ? BUSY : IDLE;
}

/** @type {Record<string, (line: PeerLine) => number>} */
const KEYS = {
  state: (line) => line.rank,
  memory: (line) => line.free,
  done: (line) => line.work?.done ?? 0,
  failed: (line) => line.work?.failed ?? 0,
  busy: (line) => line.work?.busy_s ?? 0,
};

/**
 * @param {PeerLine[]} lines @param {Sort} sort
 * @param {string[]} [kept] ids in an order that holds for now, as somebody points at them
 * @returns {PeerLine[]}
 */
export function sortedLines(lines, sort, kept = []) {
  const key = KEYS[sort?.column ?? "state"] ?? (() => 0);
  const sign = sort?.isUp === false ? -1 : 1;
  const byName = sort?.column === "name" ? sign : 1;
  const places = new Map(kept.map((id, place) => [id, place]));
  const placeOf = (/** @type {PeerLine} */ line) => places.get(line.id) ?? kept.length;
  return [...lines].sort((a, b) =>
    (kept.length ? placeOf(a) - placeOf(b) : 0) || sign * (key(a) - key(b)) || byName * a.name.localeCompare(b.name));
}
