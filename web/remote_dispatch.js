// Entry of the Fleet tab: the only module with side effects, and the only one that knows ComfyUI's page.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { FleetApi } from "./fleet/api.js";
import { FleetMode } from "./fleet/mode.js";
import { NodeBadges } from "./fleet/node_badges.js";
import { mount } from "./fleet/panel.js";
import { FleetStore } from "./fleet/store.js";

const fleetApi = new FleetApi(api);
const store = new FleetStore(fleetApi);
const mode = new FleetMode(store, () => app.extensionManager);
store.listen(api); // at once: the page complains of events that nobody listens to yet

const peerBadge = (text) =>
  window.LGraphBadge ? new window.LGraphBadge({ text, fgColor: "#fff", bgColor: "#2563eb" }) : null;
new NodeBadges(store, () => app.graph, peerBadge).listen(api);

function loadStyles() {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL("./fleet.css", import.meta.url).href;
  document.head.append(link);
}

app.registerExtension({
  name: "RemoteDispatch.Fleet",
  ...mode.parts,
  setup() {
    loadStyles();
    mode.start();
    let unmount = () => {};
    app.extensionManager.registerSidebarTab({
      id: "remote-dispatch.fleet",
      icon: "pi pi-server",
      title: "Fleet",
      tooltip: "Fleet: the machines that Remote Dispatch runs on",
      type: "custom",
      // Called with a new, detached element at each opening, and at times twice for the same one.
      render(el) {
        unmount();
        unmount = mount(el, { api: fleetApi, store });
      },
      destroy() {
        unmount();
        unmount = () => {};
      },
    });
  },
});
