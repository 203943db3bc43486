// @ts-check
/** Where each attempt stands in the timeline: one lane a peer, waits, loads and runs as parts of a window. Pure. */
import { HERE } from "../data/job_index.js";

/** @typedef {import("../data/api.js").Job} Job @typedef {import("../data/api.js").Peer} Peer
 * @typedef {import("../data/api.js").Attempt} Attempt
 * @typedef {"queue" | "load" | "run"} Kind `load` lasts until the first step of a node
 * @typedef {{kind: Kind, from: number, to: number}} Part 0 is the window's begin, 1 its end
 * @typedef {{job: Job, attempt: Attempt, parts: Part[], failed: boolean}} Visit
 * @typedef {{id: string, name: string, visits: Visit[]}} Lane visits in the order of their begin
 * @typedef {{fromMs: number, toMs: number}} Span ms since 1970 */

const NOT_FAILED = new Set(["", "done", "taken_back", "overtaken", "cancelled"]);

/**
 * The lanes of all peers that are in use or have something in the window.
 * @param {Job[]} jobs @param {Peer[]} peers @param {Span} span its end is now
 * @returns {Lane[]}
 */
export function lanesOf(jobs, peers, span) {
  /** @type {Map<string, Lane>} */
  const lanes = new Map(peers.map((peer) => [peer.id, { id: peer.id, name: peer.name, visits: [] }]));
  // One that was removed and added again has another id, and goes on in the lane of its name.
  const named = new Map([...lanes.values()].map((lane) => [lane.name, lane]));
  const begin = new Date(span.fromMs).toISOString(); // moments of the server sort as text: nothing old is parsed
  for (const job of jobs) {
    for (const attempt of job.attempts) {
      if (attempt.ended_at !== null && attempt.ended_at < begin) continue;
      const parts = partsOf(attempt, span);
      if (!parts.length) continue;
      const lane = lanes.get(attempt.peer_id) ?? named.get(attempt.peer) ?? { id: attempt.peer_id, name: attempt.peer, visits: [] };
      lanes.set(lane.id, lane);
      named.set(lane.name, lane);
      lane.visits.push({ job, attempt, parts, failed: !NOT_FAILED.has(attempt.outcome) });
    }
  }
  const used = new Set(peers.filter((peer) => peer.enabled).map((peer) => peer.id));
  const shown = [...lanes.values()].filter((lane) => lane.visits.length > 0 || used.has(lane.id));
  for (const lane of shown) lane.visits.sort((a, b) => busyFrom(a) - busyFrom(b));
  return shown.sort((a, b) => Number(a.id === HERE) - Number(b.id === HERE));
}

/** When the peer began with it, or was handed it. @param {Visit} visit */
const busyFrom = (visit) => (visit.parts.find((part) => part.kind !== "queue") ?? visit.parts[0]).from;

/** Moments in ms of attempts that were read before: they are drawn many times. NaN for what was not told.
 * @type {WeakMap<Attempt, number[]>} */
const read = new WeakMap();

/** @param {Attempt} attempt @returns {number[]} started, begun, loaded, ended */
function momentsOf(attempt) {
  let moments = read.get(attempt);
  if (!moments) {
    moments = [attempt.started_at, attempt.begun_at, attempt.loaded_at, attempt.ended_at]
      .map((moment) => (moment === null ? Number.NaN : Date.parse(moment)));
    read.set(attempt, moments);
  }
  return moments;
}

/** @param {Attempt} attempt @param {Span} span @returns {Part[]} */
export function partsOf(attempt, { fromMs, toMs }) {
  const [started, toldBegun, toldLoaded, toldEnd] = momentsOf(attempt);
  const or = (/** @type {number} */ moment, /** @type {number} */ otherwise) => (Number.isNaN(moment) ? otherwise : moment);
  const end = or(toldEnd, toMs);
  const begun = Math.min(or(toldBegun, end), end);
  // Still without a step: it loads. Ended without one: its nodes have none, and nobody knows what was loading.
  const loaded = Math.min(or(toldLoaded, Number.isNaN(toldEnd) ? end : begun), end);
  const place = (/** @type {number} */ ms) => Math.min(1, Math.max(0, (ms - fromMs) / (toMs - fromMs)));
  /** @type {Part[]} */
  const parts = [];
  const add = (/** @type {Kind} */ kind, /** @type {number} */ from, /** @type {number} */ to) => {
    if (to > from && to > fromMs && from < toMs) parts.push({ kind, from: place(from), to: place(to) });
  };
  add("queue", started, begun);
  add("load", begun, loaded);
  add("run", loaded, end);
  return parts;
}

/**
 * What is worth drawing on that many pixels: of parts of a kind that fall on the same pixel, one.
 * @param {Lane} lane @param {number} width
 * @returns {{visit: Visit, part: Part}[]}
 */
export function drawn(lane, width) {
  /** @type {Record<string, number>} */
  const filled = {};
  const found = [];
  for (const visit of lane.visits) {
    for (const part of visit.parts) {
      const end = Math.ceil(part.to * width);
      if (end <= (filled[part.kind] ?? -1)) continue;
      filled[part.kind] = end;
      found.push({ visit, part });
    }
  }
  return found;
}

/**
 * What stands at a place; small ones can be hit a little beside them.
 * @param {Lane} lane @param {number} place 0..1 @param {boolean} inQueue in the lower strip, where waits are
 * @param {number} slack @returns {Visit | null}
 */
export function visitAt(lane, place, inQueue, slack) {
  let best = null;
  let least = slack;
  for (const visit of lane.visits) {
    for (const part of visit.parts) {
      if ((part.kind === "queue") !== inQueue) continue;
      const away = Math.max(part.from - place, place - part.to, 0);
      if (away > least || (away === least && best)) continue;
      best = visit;
      least = away;
    }
  }
  return best;
}

/**
 * The next one for an arrow key: left and right within a lane, up and down to the nearest of another.
 * @param {Lane[]} lanes @param {{job: Job, attempt: Attempt} | null} chosen @param {string} key @returns {Visit | null}
 */
export function step(lanes, chosen, key) {
  const filled = lanes.filter((lane) => lane.visits.length > 0);
  const row = filled.findIndex((lane) => lane.visits.some((visit) => isSame(visit, chosen)));
  if (row < 0) return filled[0]?.visits.at(-1) ?? null;
  const { visits } = filled[row];
  const column = visits.findIndex((visit) => isSame(visit, chosen));
  if (key === "ArrowLeft") return visits[Math.max(0, column - 1)];
  if (key === "ArrowRight") return visits[Math.min(visits.length - 1, column + 1)];
  if (key === "Home") return visits[0];
  if (key === "End") return visits[visits.length - 1];
  const other = filled[row + (key === "ArrowDown" ? 1 : -1)];
  if (!other) return visits[column];
  const from = busyFrom(visits[column]);
  return other.visits.reduce((a, b) => (Math.abs(busyFrom(b) - from) < Math.abs(busyFrom(a) - from) ? b : a));
}

/** The same attempt, whatever the server told of it since.
 * @param {{job: Job, attempt: Attempt}} a @param {{job: Job, attempt: Attempt} | null} b */
export const isSame = (a, b) =>
  b !== null && a.job.job_id === b.job.job_id && a.attempt.started_at === b.attempt.started_at;
