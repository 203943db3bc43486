// @ts-check
/** "Queue variations" and contact sheets on the host's page: its command, key and menus, and what they do. */
import { h, openDialog } from "../ui/dom.js";
import { t } from "../data/i18n.js";
import { workflowName } from "../data/workflow_name.js";
import { contactSheet } from "./contact_sheet.js";
import { placesOf } from "./saved_places.js";
import { batchesOf } from "./sheet_layout.js";
import { saveSheet } from "./sheet_picture.js";
import { variationsDialog } from "./variations_form.js";

/** @typedef {import("./contact_sheet.js").Graph} Graph */

const COMMAND = "RemoteDispatch.QueueVariations";
export const SHEET_COMMAND = "RemoteDispatch.ContactSheet";
const BASES_KEPT = 8; //: graphs as they were before they were varied

/** The buttons of the Fleet tab's queue. They reach the page's commands through the document.
 * The second is there once there is a sheet: `show` tells. */
export function variationButtons() {
  const button = (/** @type {string} */ text, /** @type {string} */ name, /** @type {string} */ title) =>
    h("button", { type: "button", class: "orc-button", title, onclick: () => document.dispatchEvent(new CustomEvent(name)) }, text);
  const sheet = button(t("Contact sheet"), SHEET_COMMAND, t("The results of variations side by side"));
  const element = h("span", { class: "orc-head-buttons" },
    button(t("Variations"), COMMAND, t("Queue the open workflow several times with different values (Alt+Shift+V)")), sheet);
  return { element, show: (/** @type {boolean} */ hasSheet) => void (sheet.hidden = !hasSheet) };
}

export class Variations {
  #app;
  #api;
  #store;
  #openGraph;
  /** @type {Map<string, Graph>} */
  #bases = new Map();

  /** @param {any} app the host's @param {import("../data/api.js").FleetApi} api @param {import("../data/store.js").FleetStore} store
   * @param {(graph: Graph, name: string) => Promise<void>} openGraph on the canvas */
  constructor(app, api, store, openGraph) {
    this.#app = app;
    this.#api = api;
    this.#store = store;
    this.#openGraph = openGraph;
  }

  /** What an extension's definition gains. */
  get parts() {
    return {
      commands: [
        { id: COMMAND, icon: "pi pi-th-large", label: t("Fleet: Queue Variations"), function: () => this.choose() },
        { id: SHEET_COMMAND, icon: "pi pi-images", label: t("Fleet: Show the Contact Sheet"), function: () => this.showLast() },
      ],
      keybindings: [{ combo: { key: "v", alt: true, shift: true }, commandId: COMMAND }],
      getCanvasMenuItems: () => [null, { content: t("Queue variations …"), callback: () => void this.choose() }],
    };
  }

  start() {
    document.addEventListener(COMMAND, () => this.choose());
    document.addEventListener(SHEET_COMMAND, (event) => this.showLast(/** @type {CustomEvent} */ (event).detail ?? ""));
  }

  /** Opens the dialog for the graph that stands in the page. */
  choose() {
    return this.#attempt(async () => {
      if (document.querySelector(".orc-variations")) return;
      if (this.#store.phase === "idle") this.#store.refresh(); // for the expected time
      const { output: prompt, workflow } = await this.#app.graphToPrompt();
      if (!Object.keys(prompt).length) throw new Error(t("The workflow is empty. Add nodes first."));
      const parameters = await this.#api.inspect(prompt);
      if (document.querySelector(".orc-variations")) return; // asked for twice
      openDialog(variationsDialog({
        parameters,
        expand: (wish) => this.#api.variations(wish),
        fleet: this.#store,
        typicalMs: () => this.#store.peers
          .filter((peer) => peer.enabled && !peer.draining && peer.health === "up")
          .map((peer) => this.#store.typicalMs(peer.id)),
        send: (variations) => this.#send({ prompt, workflow }, variations),
      }));
    });
  }

  /** Opens the contact sheet of a batch, "" for the newest. */
  showLast(batchId = "") {
    return this.#attempt(async () => {
      if (document.querySelector(".orc-contact")) return;
      if (this.#store.phase !== "ready") await this.#store.refresh();
      const [newest] = batchesOf(this.#store.jobs);
      if (!newest) throw new Error(t("No contact sheet yet. Queue variations first."));
      this.#showSheet(batchId || newest.id);
    });
  }

  /** @param {Graph} graph @param {Record<string, unknown>[]} variations */
  async #send(graph, variations) {
    const { prompt, workflow } = graph;
    const places = placesOf(workflow, this.#app.rootGraph ?? this.#app.graph, Object.keys(variations[0] ?? {}));
    const { job_ids: ids } = await this.#api.submit({
      prompt, variations, name: workflowName(this.#app), metadata: { workflow, places },
    });
    const known = this.#store.job(ids[0]);
    if (!known?.batch) await this.#store.refresh(); // its event may be on its way
    const batch = this.#store.job(ids[0])?.batch;
    if (!batch) return;
    this.#bases.set(batch.id, graph);
    if (this.#bases.size > BASES_KEPT) this.#bases.delete([...this.#bases.keys()][0]);
    this.#showSheet(batch.id);
  }

  /** @param {string} batchId */
  #showSheet(batchId) {
    openDialog(contactSheet({
      api: this.#api, store: this.#store, batchId,
      baseOf: (id) => this.#bases.get(id),
      openGraph: this.#openGraph,
      save: (sheet, names, base, look) => saveSheet(this.#api, sheet, names, base, look),
    }));
  }

  /** @param {() => Promise<void>} act */
  async #attempt(act) {
    try {
      await act();
    } catch (error) {
      this.#app.extensionManager.toast.add({
        severity: "warn", summary: t("Variations"), detail: /** @type {Error} */ (error).message, life: 6000,
      });
    }
  }
}
