// Entry of the Fleet tab: the only module with side effects, and the only one that knows ComfyUI's page.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { FleetApi } from "./fleet/data/api.js";
import { Notifications } from "./fleet/host_page/notifications.js";
import { commandsOf, MONITOR_ID, TAB_ID } from "./fleet/host_page/commands.js";
import { t, useLanguage } from "./fleet/data/i18n.js";
import { DoneNotice } from "./fleet/host_page/done_notice.js";
import { FleetMode } from "./fleet/host_page/mode.js";
import { redrawOf } from "./fleet/host_page/badge_slot.js";
import { NodeBadges } from "./fleet/host_page/node_badges.js";
import { JobGraphs, openGraph } from "./fleet/host_page/job_graphs.js";
import { workflowName } from "./fleet/data/workflow_name.js";
import { NodeMenu } from "./fleet/host_page/node_menu.js";
import { NodeOutlook } from "./fleet/host_page/node_outlook.js";
import { Outlook } from "./fleet/outlook/outlook.js";
import { mount as mountMonitor } from "./fleet/monitor/monitor.js";
import { mount } from "./fleet/panel.js";
import { PeerOnly } from "./fleet/host_page/peer_only.js";
import { watchLinks } from "./fleet/host_page/travelling.js";
import { offerPlaces } from "./fleet/host_page/run_offers.js";
import { RunsHere } from "./fleet/host_page/runs_here.js";
import { FleetStore } from "./fleet/data/store.js";
import { Variations } from "./fleet/variations/variations.js";
import { Availability } from "./fleet/data/availability.js";

const fleetApi = new FleetApi(api);
const store = new FleetStore(fleetApi);
const mode = new FleetMode(store, () => app.extensionManager);
const menu = new NodeMenu(app, api, store);
const doneNotice = new DoneNotice(store, () => app.extensionManager);
const runsHere = new RunsHere(store, () => app.extensionManager, async () =>
  (await (await api.fetchApi("/orchestrator/runs_here")).json()).known);
const host = new JobGraphs(app, fleetApi);
const variations = new Variations(app, fleetApi, store, (graph, name) => openGraph(app, graph, name));
const TOAST_MS = 20_000; //: long enough to be read by somebody who was not looking
new Notifications(store, (toast) => app.extensionManager.toast.add({ ...toast, life: TOAST_MS })).listen(api);
store.listen(api); // at once: the page complains of events that nobody listens to yet

const badge = (bgColor) => (text) =>
  window.LGraphBadge ? new window.LGraphBadge({ text, fgColor: "#fff", bgColor }) : null;
const [RAN, QUIET] = ["#2563eb", "#475569"];
const redraw = redrawOf(() => document.querySelector("#vue-app")?.__vue_app__);
const nodeBadges = new NodeBadges(() => app.graph, badge(RAN), redraw);
nodeBadges.listen(api);

const outlook = new Outlook(app, fleetApi, store, () => document.visibilityState === "visible");
outlook.listen(api);
document.addEventListener("visibilitychange", () => outlook.look());
const nodeOutlook = new NodeOutlook(() => app.rootGraph ?? app.graph, badge(QUIET), badge(RAN), redraw);
nodeOutlook.listen(outlook, api);

const places = new Availability(() => fleetApi.where());
const isKnown = (type) => type in (window.LiteGraph?.registered_node_types ?? {});
const peerOnly = new PeerOnly(places, app, badge(QUIET), () => store.peers.length, isKnown);
peerOnly.listen(api);
offerPlaces(api, places, () => Boolean(store.settings?.fleet_mode), () => workflowName(app));

function loadStyles() {
  for (const name of ["fleet.css", "fleet_dialog.css", "fleet_variations.css", "fleet_monitor.css"]) {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = new URL(`./${name}`, import.meta.url).href;
    document.head.append(link);
  }
}

// Before anything is registered: an older host forgets the words that it took from `locales/` for definitions.
await useLanguage(app.extensionManager?.setting?.get("Comfy.Locale"));

app.registerExtension({ name: "RemoteDispatch.PeerOnly", ...peerOnly.parts });

app.registerExtension({ name: "RemoteDispatch.Variations", ...variations.parts });

/** What the host opens and closes. It calls `render` with a new, detached element at each opening, and at times twice
 * for the same one. @param {(el: HTMLElement) => () => void} show */
function closable(show) {
  let unmount = () => {};
  return {
    render(el) {
      unmount();
      unmount = show(el);
    },
    destroy() {
      unmount();
      unmount = () => {};
    },
  };
}

app.registerExtension({
  name: "RemoteDispatch.Fleet",
  ...mode.parts,
  settings: [...mode.parts.settings, ...runsHere.settings, ...doneNotice.settings],
  commands: [...mode.parts.commands, ...commandsOf({ api: fleetApi, store, manager: () => app.extensionManager })],
  bottomPanelTabs: [{
    id: MONITOR_ID,
    title: t("Fleet monitor"),
    type: "custom",
    ...closable((el) => {
      el.classList.add("orc-fills");
      return mountMonitor(el, { api: fleetApi, store });
    }),
  }],
  afterConfigureGraph: () => outlook.graphChanged(),
  nodeCreated: (node) => {
    watchLinks(node, (toast) => app.extensionManager.toast.add(toast));
    nodeBadges.nodeCreated(node);
    nodeOutlook.nodeCreated(node);
    outlook.graphChanged(); // a graph in API format is opened by this alone
  },
  getNodeMenuItems: (node) => [...menu.itemsOf(node), ...runsHere.itemsOf(node)],
  async setup() {
    loadStyles();
    mode.start();
    runsHere.start(api);
    doneNotice.start();
    variations.start();
    store.refreshPeers().catch(() => {}); // the tab says what is wrong
    store.readLine(); // the button counts what waits
    app.extensionManager.registerSidebarTab({
      id: TAB_ID,
      icon: "pi pi-server",
      title: "Fleet",
      tooltip: t("Fleet: the computers that Remote Dispatch uses"),
      type: "custom",
      ...closable((el) => mount(el, { api: fleetApi, store, outlook, host })),
    });
  },
});
