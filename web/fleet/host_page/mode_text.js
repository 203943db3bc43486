// @ts-check
/** What fleet mode says of itself. Pure. */
import { plural, t } from "../data/i18n.js";
/** @typedef {import("../data/api.js").Peer} Peer @typedef {import("../data/api.js").Settings} Settings */

/** The peers that take jobs, whether they answer just now or not. @param {Peer[]} peers */
const inUse = (peers) => peers.filter((peer) => peer.enabled && !peer.draining);

/** @param {Peer[]} peers @returns {string} what stands in the way of fleet mode, and what to do; "" for nothing */
export function hindrance(peers) {
  if (!peers.length) return t("There is no peer yet. Add one in the Fleet tab; until then Run has nowhere to go.");
  if (!peers.some((peer) => peer.enabled)) {
    return t("No peer is enabled. Enable one in the Fleet tab; until then Run has nowhere to go.");
  }
  if (!inUse(peers).length) return t("All peers are draining. Resume one in the Fleet tab; until then jobs wait.");
  if (!inUse(peers).some((peer) => peer.health === "up" || peer.health === "unknown")) {
    return t("No peer is answering. Jobs wait until one does; the Fleet tab says why.");
  }
  return "";
}

/** @param {Peer[]} peers @returns {string} "2 peers", or "peer gpu-1" when there is one */
function usedPeers(peers) {
  const answering = inUse(peers).filter(({ health }) => health === "up" || health === "unknown");
  const used = answering.length ? answering : inUse(peers); // what stands in the way is told beside it
  return used.length === 1 ? t("peer {name}", { name: used[0].name }) : plural(used.length, "{count} peer", "{count} peers");
}

/** What the switches' present position means. @param {Settings | null} settings @param {Peer[]} peers */
export function whereRunGoes(settings, peers) {
  if (!settings?.fleet_mode) return t("Run: this computer");
  if (!inUse(peers).length) return t("Run: no peer available");
  const used = usedPeers(peers);
  return settings.this_machine ? t("Run: {peers} + this computer", { peers: used }) : t("Run: {peers}", { peers: used });
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
      summary: now.fleet_mode ? t("Fleet mode is on") : t("Fleet mode is off"),
      detail: missing || (now.fleet_mode ? t("Run now uses your {peers}.", { peers: usedPeers(peers) }) : t("Run uses this computer again.")),
    });
  }
  if (before.paused !== now.paused) {
    told.push({
      severity: "info",
      summary: now.paused ? t("Queue paused") : t("Queue resumed"),
      detail: now.paused ? t("Running jobs finish, new ones wait.") : t("Waiting jobs start again."),
    });
  }
  return told;
}
