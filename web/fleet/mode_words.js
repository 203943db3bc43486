// @ts-check
/** What fleet mode says of itself. Pure. */
import { counted } from "./format.js";
/** @typedef {import("./api.js").Peer} Peer @typedef {import("./api.js").Settings} Settings */

/** The peers that take jobs, whether they answer just now or not. @param {Peer[]} peers */
const inUse = (peers) => peers.filter((peer) => peer.enabled && !peer.draining);

/** @param {Peer[]} peers @returns {string} what stands in the way of fleet mode, and what to do; "" for nothing */
export function hindrance(peers) {
  if (!peers.length) return "There is no peer yet. Add one in the Fleet tab; until then Run has nowhere to go.";
  if (!peers.some((peer) => peer.enabled)) {
    return "No peer is enabled. Enable one in the Fleet tab; until then Run has nowhere to go.";
  }
  if (!inUse(peers).length) return "All peers are draining. Undrain one in the Fleet tab; until then prompts wait.";
  if (!inUse(peers).some((peer) => peer.health === "up" || peer.health === "unknown")) {
    return "No peer answers at the moment. Prompts wait until one does; the Fleet tab says why.";
  }
  return "";
}

/** @param {Peer[]} peers @returns {string} "2 peers", or "peer gpu-1" when there is one */
function usedPeers(peers) {
  const used = inUse(peers);
  return used.length === 1 ? `peer ${used[0].name}` : counted(used.length, "peer");
}

/** What the switches' present position means. @param {Settings | null} settings @param {Peer[]} peers */
export function whereRunGoes(settings, peers) {
  if (!settings?.fleet_mode) return "Run uses this machine";
  if (!inUse(peers).length) return "Run has no peer to use";
  return `Run uses your ${usedPeers(peers)}${settings.this_machine ? " and this machine" : ""}`;
}

/**
 * What to tell a person when something was switched.
 * @param {Settings} before @param {Settings} now @param {Peer[]} peers
 * @returns {{severity: "info" | "success" | "warn", summary: string, detail: string}[]}
 */
export function whatChanged(before, now, peers) {
  /** @type {ReturnType<typeof whatChanged>} */
  const told = [];
  if (before.fleet_mode !== now.fleet_mode) {
    const missing = now.fleet_mode ? hindrance(peers) : "";
    told.push({
      severity: missing ? "warn" : now.fleet_mode ? "success" : "info",
      summary: now.fleet_mode ? "Fleet mode is on" : "Fleet mode is off",
      detail: missing || (now.fleet_mode ? `Run now uses your ${usedPeers(peers)}.` : "Run uses this machine again."),
    });
  }
  if (before.paused !== now.paused) {
    told.push({
      severity: "info",
      summary: now.paused ? "The fleet's queue is paused" : "The fleet's queue goes on",
      detail: now.paused ? "What runs goes on; nothing else is started." : "Waiting jobs are started again.",
    });
  }
  return told;
}
