// @ts-check
/** Toasts for what needs a person, each once: a peer that went away with jobs, one that wants a key, a job that failed. */
import { errorOf, jobTitle } from "../ui/format.js";
import { plural, t } from "../data/i18n.js";

/**
 * @typedef {import("../data/api.js").Peer} Peer @typedef {import("../data/api.js").Job} Job
 * @typedef {{severity: "warn" | "error", summary: string, detail: string}} Toast
 */

const LOST = new Set(["lost", "peer_died", "outage"]);
const LATELY_MS = 60_000;

/** Jobs that went away with a peer may be lost before the peer itself is given up.
 * @param {Iterable<Job>} jobs @param {string} peerId @param {number} nowMs @returns {number} */
export function lostLately(jobs, peerId, nowMs) {
  let count = 0;
  for (const { attempts } of jobs) {
    count += Number(attempts.some(({ peer_id, outcome, ended_at }) =>
      peer_id === peerId && LOST.has(outcome) && ended_at !== null && nowMs - Date.parse(ended_at) < LATELY_MS));
  }
  return count;
}

/** What another sentence follows. @param {string} text */
const sentence = (text) => (text ? `${text}${/[.!?…]$/.test(text) ? "" : "."} ` : "");

/** How many of our jobs a peer had when it went down.
 * @param {Peer} earlier @param {Peer} now @param {(peerId: string) => number} lostThere */
const takenAlong = (earlier, now, lostThere) => Math.max(earlier.ours, now.ours, lostThere(now.id));

/** @param {Peer} peer @param {number} ours jobs that went with it @returns {Toast} */
const wentAway = (peer, ours) => ({
  severity: "warn",
  summary: plural(ours, "{peer} went offline while running {count} job of yours", "{peer} went offline while running {count} jobs of yours",
    { peer: peer.name }),
  detail: `${sentence(peer.reason)}${t("The job moves to another peer. Check whether that computer is still on.")}`,
});

/**
 * What is new and needs a person among the peers.
 * @param {Peer[]} before @param {Peer[]} now @param {(peerId: string) => number} lostThere our jobs that were lost there lately
 * @returns {Toast[]}
 */
export function peersNeeding(before, now, lostThere) {
  const known = new Map(before.map((peer) => [peer.id, peer]));
  /** @type {Toast[]} */
  const told = [];
  for (const peer of now) {
    const earlier = known.get(peer.id);
    if (!earlier || !peer.enabled || earlier.health === peer.health) continue;
    const ours = peer.health === "down" ? takenAlong(earlier, peer, lostThere) : 0;
    if (ours) {
      told.push(wentAway(peer, ours));
    } else if (peer.health === "needs_key") {
      told.push({
        severity: "warn",
        summary: t("{peer} needs a key", { peer: peer.name }),
        detail: t("Open the Fleet tab, choose the peer, press Edit, and enter its key."),
      });
    }
  }
  return told;
}

/** What a job that has just ended needs of a person. The page that sent it hears of its own jobs from ComfyUI.
 * @param {Job} job @returns {Toast | null} */
export function jobNeeding(job) {
  if (job.state === "set_aside") {
    return {
      severity: "error",
      summary: t("{job} was stopped: it crashed two peers", { job: jobTitle(job) }),
      detail: t("Peers went down while running it. Check its row in the Fleet tab before you run it again."),
    };
  }
  if (job.state !== "failed" || job.source !== "http" || job.client_id) return null;
  return {
    severity: "error",
    summary: t("{job} failed", { job: jobTitle(job) }),
    detail: `${sentence(errorOf(job))}${t("Details are in its row in the Fleet tab.")}`,
  };
}

export class Notifications {
  #toast;
  /** @type {Peer[] | null} */
  #peers = null;
  /** @type {Set<string>} */
  #told = new Set();
  /** @type {Set<string>} peers that are down, with none of our jobs as far as was heard */
  #downAlone = new Set();

  /** @param {import("../data/store.js").FleetStore} store @param {(toast: Toast) => void} toast */
  constructor(store, toast) {
    this.#toast = toast;
    const lostThere = (/** @type {string} */ peerId) => lostLately(store.jobs, peerId, store.now());
    store.addEventListener("peers", () => {
      const known = new Map(this.#peers?.map((peer) => [peer.id, peer]));
      for (const each of this.#peers ? peersNeeding(this.#peers, store.peers, lostThere) : []) this.#toast(each);
      for (const peer of store.peers) {
        const earlier = known.get(peer.id);
        if (!peer.enabled || peer.health !== "down") this.#downAlone.delete(peer.id);
        else if (earlier && earlier.health !== "down" && !takenAlong(earlier, peer, lostThere)) this.#downAlone.add(peer.id);
      }
      this.#peers = store.peers;
    });
    store.addEventListener("jobs", () => {
      for (const peer of store.peers) {
        const ours = this.#downAlone.has(peer.id) ? lostThere(peer.id) : 0;
        if (ours && this.#downAlone.delete(peer.id)) this.#toast(wentAway(peer, ours));
      }
    });
  }

  /** Only what is told live is new: what a reload finds was told before. @param {EventTarget} events ComfyUI's api object */
  listen(events) {
    events.addEventListener("orchestrator.jobs", (event) => {
      for (const job of /** @type {CustomEvent} */ (event).detail.jobs) {
        const toast = this.#told.has(job.job_id) ? null : jobNeeding(job);
        if (!toast) continue;
        this.#told.add(job.job_id);
        this.#toast(toast);
      }
    });
  }
}
