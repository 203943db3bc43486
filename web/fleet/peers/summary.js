// @ts-check
/** The fleet in one line: how many peers are up, and how many jobs run and wait. */
import { tallyOf } from "../data/batches.js";
import { plural, t } from "../data/i18n.js";

/** @param {import("../data/store.js").FleetStore} store @returns {string} "" without a peer */
export function fleetSummary(store) {
  const up = store.peers.filter((peer) => peer.enabled && peer.health === "up").length;
  const { running, held, ...found } = tallyOf(store.queue);
  const waiting = found.waiting + store.unseen.waiting;
  const parts = [plural(store.peers.length, "{up} of {count} peer up", "{up} of {count} peers up", { up })];
  if (running) parts.push(t("{count} running", { count: running }));
  if (waiting) parts.push(t("{count} waiting", { count: waiting }));
  if (held) parts.push(t("{count} on hold", { count: held }));
  if (store.settings?.paused) parts.push(t("paused"));
  return store.peers.length ? parts.join(" · ") : "";
}
