// @ts-check
/** What the command palette offers of the fleet. */
import { tallyOf } from "../data/batches.js";
import { plural, t } from "../data/i18n.js";
import { restText } from "../ui/format.js";
import { offer } from "./offer.js";

export const TAB_ID = "remote-dispatch.fleet";
export const MONITOR_ID = "remote-dispatch.monitor";
const AT_ONCE = 10_000; //: that the server takes in one request

/** Opens the Fleet tab, and leaves an open one. @param {any} manager the host's extensionManager */
export function openTab(manager) {
  if (manager.sidebarTab.activeSidebarTabId !== TAB_ID) manager.sidebarTab.toggleSidebarTab(TAB_ID);
}

/**
 * @param {{api: import("../data/api.js").FleetApi, store: import("../data/store.js").FleetStore, manager(): any}} deps
 * @returns {{id: string, icon: string, label: string, function(): Promise<void>}[]} for an extension's definition
 */
export function commandsOf({ api, store, manager }) {
  const tell = (/** @type {string} */ severity, /** @type {string} */ summary, detail = "") =>
    manager().toast.add({ severity, summary, detail, life: 5000 });
  const command = (
    /** @type {string} */ name, /** @type {string} */ icon, /** @type {string} */ label, /** @type {() => any} */ act,
  ) => ({
    id: `RemoteDispatch.${name}`,
    icon: `pi ${icon}`,
    label,
    async function() {
      try {
        await act();
      } catch (error) {
        tell("error", t("That did not work"), /** @type {Error} */ (error).message);
      }
    },
  });

  return [
    command("OpenFleetTab", "pi-server", t("Fleet: Open the Tab"), () => openTab(manager())),
    command("ToggleMonitor", "pi-table", t("Fleet: Show or Hide the Monitor"), () =>
      manager().command.execute(`Workspace.ToggleBottomPanelTab.${MONITOR_ID}`)),
    command("OpenMonitor", "pi-external-link", t("Fleet: Open the Monitor in a New Tab"), () =>
      void window.open(api.fileUrl("/orchestrator/monitor"), "_blank", "noopener")),
    command("AddPeer", "pi-plus", t("Fleet: Add a Peer"), async () => {
      openTab(manager());
      const place = await appearing(".orc-panel [data-orc-add]");
      place?.click();
      place?.focus();
    }),
    command("TogglePause", "pi-pause", t("Fleet: Pause or Resume the Queue"), async () => {
      if (!store.settings) await store.readSettings();
      await store.change({ paused: !store.settings?.paused });
    }),
    command("CancelWaiting", "pi-times", t("Fleet: Cancel All Waiting Jobs"), async () => {
      const ids = await waiting(api);
      const count = ids.length;
      if (!count) return tell("info", t("No waiting jobs"));
      const sure = await offer({
        title: t("Cancel all waiting jobs?"),
        text: plural(count, "{count} waiting job will be cancelled. Running jobs finish.", "{count} waiting jobs will be cancelled. Running jobs finish."),
        run: plural(count, "Cancel {count} job", "Cancel {count} jobs"),
        leave: t("Keep waiting"),
      });
      if (!sure) return;
      for (let end = count; end > 0; end -= AT_ONCE) { // the last ones first: none starts meanwhile
        await api.act("cancel", { job_ids: ids.slice(Math.max(0, end - AT_ONCE), end) });
      }
      tell("info", plural(count, "{count} waiting job cancelled", "{count} waiting jobs cancelled"));
    }),
  ];
}

/** The ids of all jobs that have not begun, the next first: a peer may have one in its queue already.
 * @param {import("../data/api.js").FleetApi} api @returns {Promise<string[]>} */
async function waiting(api) {
  const [{ jobs }, { line }] = await Promise.all([api.jobs(1), api.line(100_000)]);
  const handedOver = jobs.filter((job) => job.state === "running" && !job.begun_at).map((job) => job.job_id);
  return [...handedOver, ...line];
}

/** An element that is drawn within the next moments. @param {string} selector @returns {Promise<HTMLElement | null>} */
async function appearing(selector) {
  for (let frame = 0; frame < 120; frame += 1) {
    const found = document.querySelector(selector);
    if (found instanceof HTMLElement && found.offsetParent) return found;
    await new Promise((done) => requestAnimationFrame(done));
  }
  return null;
}

/** What the button in the action bar says. @param {import("../data/store.js").FleetStore} store @returns {string} */
export function stateOf(store) {
  const { settings, peers } = store;
  if (store.isShutOut) return t("off at this address");
  if (!settings) return "";
  const up = peers.filter((peer) => peer.enabled && peer.health === "up").length;
  const { held, ...found } = tallyOf(store.queue);
  const waiting = found.waiting + store.unseen.waiting;
  const parts = [settings.fleet_mode ? t("on") : t("off")];
  const here = settings.fleet_mode && settings.this_machine ? ` ${t("+ this computer")}` : "";
  if (peers.length) parts.push(plural(peers.length, "{up} of {count} peer", "{up} of {count} peers", { up }) + here);
  if (waiting) parts.push(t("{count} waiting", { count: waiting }));
  if (held) parts.push(t("{count} on hold", { count: held }));
  if (settings.paused) parts.push(t("paused"));
  return [...parts, restText(store)].filter(Boolean).join(", ");
}
