// @ts-check
/** Words and numbers for what the server sends, in the page's language. */
import { decimal, t } from "../data/i18n.js";
import { said } from "../data/said.js";
/** @typedef {import("../data/api.js").Peer} Peer @typedef {import("../data/api.js").Job} Job
 * @typedef {import("../data/api.js").Device} Device */

const REST_TOLD_MS = 5000; //: less changes faster than anybody reads it
const GIB = 1024 ** 3;

/** @param {number} bytes @returns {string} in GB of 2^30 bytes, as ComfyUI and the drivers count them */
export function gigabytes(bytes) {
  const value = bytes / GIB;
  return decimal(value, value >= 10 ? 0 : 1);
}

/** @param {number} seconds */
export function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  if (seconds < 9.95) return `${decimal(seconds, 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (/** @type {number} */ part) => String(part).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}:${two(whole % 60)} min`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)} h`;
}

/** Where tenths are only noise. @param {number} seconds @returns {string} at least "1 s" */
export const wholeDuration = (seconds) => runningClock(Math.max(1, Math.round(seconds)));

/** How long the fleet has still work, where it can tell and goes on. @param {import("../data/store.js").FleetStore} store */
export const restText = ({ restMs: rest, settings }) =>
  rest !== null && rest >= REST_TOLD_MS && !settings?.paused ? t("about {time} left", { time: wholeDuration(rest / 1000) }) : "";

/** @param {number} whole seconds */
const runningClock = (whole) => (whole < 10 ? `${whole} s` : duration(whole));

/** @param {Job} job */
const isOver = (job) => job.state !== "waiting" && job.state !== "running";

/** How long its peer worked on a job, or works by now. @param {Job} job @param {number} nowMs */
export function jobDuration(job, nowMs) {
  const began = job.begun_at ?? (isOver(job) ? job.started_at : null);
  if (!began) return "";
  const start = Date.parse(began);
  if (job.ended_at) return duration((Date.parse(job.ended_at) - start) / 1000);
  return runningClock(Math.max(0, Math.floor((nowMs - start) / 1000)));
}

/**
 * @typedef {{tone: "good" | "warn" | "bad" | "key" | "off", word: string}} PeerState
 * @param {Peer} peer @returns {PeerState} what its owner wishes goes before what was measured
 */
export function peerState(peer) {
  if (!peer.enabled) return { tone: "off", word: t("disabled") };
  switch (peer.health) {
    case "up":
      return peer.draining ? { tone: "off", word: t("draining") } : { tone: "good", word: workOf(peer) };
    case "suspect":
      return { tone: "warn", word: t("not answering") };
    case "down":
      return { tone: "bad", word: t("down") };
    case "ejected":
      return { tone: "warn", word: t("paused after repeated failures") };
    case "zombie":
      return { tone: "warn", word: t("no sign of work") };
    case "needs_key":
      return { tone: "key", word: t("needs a key") };
    default:
      return { tone: "off", word: t("checking") };
  }
}

/** @param {Peer} peer @returns {string} */
function workOf({ ours, queue_running: running }) {
  if (ours) return t("busy");
  return running ? t("busy for others") : t("idle");
}

/** @param {Peer} peer @returns {string} "1 running, 2 waiting, 1 ours", or "" */
export function queueText(peer) {
  const parts = [];
  if (peer.queue_running) parts.push(t("{count} running", { count: peer.queue_running }));
  if (peer.queue_pending) parts.push(t("{count} waiting", { count: peer.queue_pending }));
  if (peer.ours) parts.push(t("{count} yours", { count: peer.ours }));
  return parts.join(", ");
}

/** When its owner lets it be used, briefly. @param {Peer} peer @returns {string[]} none for always */
export function peerRules({ exclusive, only_idle: onlyIdle, hours }) {
  return [exclusive && t("only for jobs assigned to it"), onlyIdle && t("only while idle"), hours].flatMap((rule) => rule || []);
}

/** @param {Device} device @returns {{text: string, used: number} | null} `used` is 0..1 */
export function memory(device) {
  const { vram_total_bytes: total, vram_free_bytes: free } = device;
  if (!(total > 0)) return null;
  const used = Math.min(1, Math.max(0, 1 - free / total));
  return { text: t("{free} of {total} GB free", { free: gigabytes(free), total: gigabytes(total) }), used };
}

/** "cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync" is more than a row can hold. @param {string} name */
export function deviceName(name) {
  return name
    .replace(/^(cuda|xpu|mps|npu|privateuseone)(:\d+)?\s+(?=\S)/i, "")
    .replace(/\s+:\s+\S+$/, "")
    .replace(/^NVIDIA (GeForce )?/i, "")
    .trim() || name;
}

/** @param {Job} job @returns {string} how it is told from others of the same title */
export function jobId({ source, job_id: whole }) {
  const id = whole.slice(0, 8);
  return source === "fleet" ? t("Prompt {id}", { id }) : t("Job {id}", { id });
}

/** @param {Job} job */
export function jobTitle(job) {
  return job.title || (job.source === "node" ? t("Remote Dispatch node") : jobId(job));
}

/** How long it runs, and how long it most likely will, unless that is over. @param {Job} job @param {number} nowMs */
export function jobTime(job, nowMs) {
  const elapsed = jobDuration(job, nowMs);
  if (job.state !== "running" || !elapsed || !job.expected_s) return elapsed;
  if (nowMs - Date.parse(job.begun_at ?? "") > 1000 * job.expected_s) return elapsed;
  return t("{elapsed} of about {usual}", { elapsed, usual: wholeDuration(job.expected_s) });
}

/** What the peer itself said of a failure. @param {Job} job @returns {string} "" where it said nothing */
export function peersOwnError({ error }) {
  if (!error) return "";
  const refused = error.error && typeof error.error === "object" ? error.error : {};
  const nodes = error.node_errors && Object.keys(error.node_errors).length ? JSON.stringify(error.node_errors, null, 2) : "";
  const parts = [
    [error.exception_type, error.exception_message].filter((part) => typeof part === "string" && part).join(": "),
    Array.isArray(error.traceback) ? error.traceback.join("") : "",
    [refused.type, refused.message, refused.details].filter((part) => typeof part === "string" && part).join(": "),
    nodes,
  ];
  return parts.map((part) => part.trim()).filter(Boolean).join("\n");
}

/** @type {Record<string, () => string>} */
const JOB_WORDS = {
  waiting: () => t("waiting"),
  running: () => t("running"),
  done: () => t("done"),
  failed: () => t("failed"),
  cancelled: () => t("cancelled"),
  set_aside: () => t("stopped: it crashed two peers"),
  taken_back: () => t("moved to another peer"),
  overtaken: () => t("finished by a duplicate"),
};

/** What an attempt came to. @param {string} outcome its code, "" where it has none yet */
export const outcomeWord = (outcome) => JOB_WORDS[outcome]?.() ?? outcome;

/** @param {Job} job @returns {string} why it is, or ran, where it is */
export const jobReason = (job) =>
  isOver(job) && job.explanation.startsWith("on ") ? t("ran {where}", { where: said(job.explanation) }) : said(job.explanation);

/** Why it failed. @param {Job} job @returns {string} */
export const errorOf = (job) => said(job.error?.message ?? "");

/** A master of an earlier version has none. @param {Job} job @returns {string[]} */
export const notesOf = (job) => (job.notes ?? []).map(said);

/** What is being done with it: once it began, by the node. @param {Job} job @returns {string} */
export const progressOf = (job) => (job.begun_at ? job.progress_text : said(job.progress_text));

/** Where it is, or was tried last. @param {Job} job @returns {{id: string, name: string}} "" for nowhere */
export function placeOf(job) {
  const tried = job.attempts[job.attempts.length - 1];
  return job.peer_id || !tried ? { id: job.peer_id, name: job.peer } : { id: tried.peer_id, name: tried.peer };
}

/** @param {Job} job */
export const jobWord = (job) => outcomeWord(job.state);

/** With the peer's name before it, unless it begins with that. @param {string} peer @param {string} words */
export const saidOf = (peer, words) => (words.startsWith(`${peer} `) ? words : `${peer}: ${words}`);

/** The peer that would run it, or that it would wait for. @param {import("../data/api.js").Forecast[]} peers soonest first */
export const spokenOf = (peers) => (peers[0]?.eligible ? peers[0] : peers.find(({ awaits }) => awaits));

/** Why the job went elsewhere, attempt by attempt; the last failure of a failed job is its `error`.
 * @param {Job} job @returns {string[]} */
export function failedAttempts(job) {
  return (job.error ? job.attempts.slice(0, -1) : job.attempts)
    .filter((attempt) => attempt.ended_at && attempt.outcome !== "done")
    .map(({ peer, reason, outcome }) => saidOf(peer, reason ? said(reason) : outcomeWord(outcome)));
}

/** @param {number} progress 0..1 @returns {number} whole percent, 0..100 */
export const percent = (progress) => Math.round(Math.min(1, Math.max(0, progress || 0)) * 100);

/** An address that may become a link: http(s) only. @param {string} url @returns {string | null} */
export function safeHref(url) {
  try {
    const parsed = new URL(url);
    return parsed.protocol === "http:" || parsed.protocol === "https:" ? parsed.href : null;
  } catch {
    return null;
  }
}

/** A path on our own server. @param {string} path @returns {string | null} null for anything else */
export const ownPath = (path) => (path.startsWith("/view?") ? path : null);

/** @param {string} filename */
export const isPicture = (filename) => /\.(png|jpe?g|webp|gif|avif)$/i.test(filename);
