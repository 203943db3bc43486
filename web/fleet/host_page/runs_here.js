// @ts-check
/** Nodes that run on this machine alone: the entry in a node's menu, the two lists among the host's settings,
 * and word of a prompt that ran here because of one. The server knows which they are. */
import { t } from "../data/i18n.js";

/** @typedef {import("../data/api.js").Settings} Settings
 * @typedef {{type?: string, subgraph?: unknown, isVirtualNode?: boolean,
 *   constructor: {nodeData?: {api_node?: boolean}}}} GraphNode
 * @typedef {"runs_here" | "runs_on_peers"} ListName
 * @typedef {{runs: boolean, message: string, nodes: {class_type: string}[]}} News */

const DISPATCH = "RemoteDispatch";
const TYPED_MS = 800; //: a list that is being typed is not sent letter by letter
const TOAST_MS = 12_000; //: a sentence to be read
/** @type {{id: string, key: ListName, words(): {name: string, tooltip: string}}[]} */
const LISTS = [
  {
    id: "RemoteDispatch.RunsHere", key: "runs_here",
    words: () => ({
      name: t("Nodes that run only on this computer"),
      tooltip: t("Node class names, separated by commas. In fleet mode a workflow with one of them runs here; upstream of a Remote Dispatch node they stay here and their values are sent. Paid partner nodes and nodes that ask you something on this page always run here."),
    }),
  },
  {
    id: "RemoteDispatch.RunsOnPeers", key: "runs_on_peers",
    words: () => ({
      name: t("Exceptions: known nodes of this kind that may run on peers"),
      tooltip: t("Node class names, separated by commas, that Remote Dispatch would otherwise keep on this computer."),
    }),
  },
];

/** @param {string} text @returns {string[]} the names in it, each once */
export const namesIn = (text) => [...new Set(text.split(/[,\n]/).map((name) => name.trim()).filter(Boolean))];

/** How the lists change for a class to run here, or to run on peers too.
 * @param {string} name @param {boolean} here @param {Pick<Settings, ListName>} lists @param {Set<string>} known
 * @returns {Partial<Settings>} */
export function listsFor(name, here, lists, known) {
  const without = (/** @type {ListName} */ key) => (lists[key] ?? []).filter((each) => each !== name);
  const [added, released] = [without("runs_here"), without("runs_on_peers")];
  if (here && !known.has(name)) added.push(name);
  if (!here && known.has(name)) released.push(name);
  return { runs_here: added, runs_on_peers: released };
}

export class RunsHere {
  #store;
  #manager;
  #fetchKnown;
  /** Classes that the server knows to have to run on it. @type {Set<string>} */
  #known = new Set();
  #following = false;
  /** @type {Map<ListName, ReturnType<typeof setTimeout>>} */
  #typed = new Map();

  /**
   * @param {import("../data/store.js").FleetStore} store
   * @param {() => any} manager the host's extensionManager, which is there once the page is set up
   * @param {() => Promise<string[]>} fetchKnown
   */
  constructor(store, manager, fetchKnown) {
    this.#store = store;
    this.#manager = manager;
    this.#fetchKnown = fetchKnown;
  }

  /** For an extension's definition, in the page's language. */
  get settings() {
    return LISTS.map(({ id, key, words }, place) => {
      const { name, tooltip } = words();
      return {
        id, name, tooltip,
        category: ["Remote Dispatch", t("Nodes and models"), name],
        sortOrder: -place,
        type: "text",
        defaultValue: "",
        onChange: (/** @type {string} */ text) => this.#typing(key, text ?? ""),
      };
    });
  }

  /** Once the page is set up. @param {EventTarget} events ComfyUI's api object */
  start(events) {
    events.addEventListener("orchestrator.runs_here", (event) => this.#tell(/** @type {CustomEvent} */ (event).detail));
    this.#store.addEventListener("settings", () => this.#follow());
    this.#follow();
    this.#fetchKnown().then((names) => (this.#known = new Set(names)), () => {}); // the menu then knows the user's list alone
  }

  /** @param {string} name @returns {boolean} */
  isHere(name) {
    const { runs_here: added = [], runs_on_peers: released = [] } = this.#store.settings ?? {};
    return added.includes(name) || (this.#known.has(name) && !released.includes(name));
  }

  /** @param {GraphNode} node @returns {object[]} the entries for the host's menu */
  itemsOf(node) {
    const name = node.type;
    const data = node.constructor.nodeData;
    if (!name || !data || !this.#store.settings || !this.#store.peers.length) return [];
    if (name === DISPATCH || node.subgraph || node.isVirtualNode) return [];
    if (data.api_node) return [{ content: t("Runs here: a paid partner node"), disabled: true }];
    const here = this.isHere(name);
    const content = here ? t("Let this node run on peers") : t("Run this node here");
    return [{ content, callback: () => void this.choose(name, !here) }];
  }

  /** Puts a class on the list, or takes it off. @param {string} name @param {boolean} here */
  async choose(name, here) {
    const lists = /** @type {Settings} */ (this.#store.settings);
    try {
      await this.#store.change(listsFor(name, here, lists, this.#known));
    } catch (error) {
      return this.#toast("error", t("The setting was not changed"), /** @type {Error} */ (error).message);
    }
    const detail = here
      ? t("In fleet mode a workflow with it runs here; upstream of a Remote Dispatch node it stays here and its value is sent. The same menu undoes this.")
      : t("It goes to peers like any other node.");
    this.#toast("info", here ? t("{name} runs on this computer", { name }) : t("{name} may run on peers", { name }), detail);
  }

  /** @param {News} news */
  #tell({ runs, message }) {
    const summary = runs ? t("This run stays on this computer") : t("This workflow cannot run on this computer");
    this.#toast(runs ? "info" : "warn", summary, message);
  }

  /** @param {ListName} key @param {string} text */
  #typing(key, text) {
    if (this.#following || !this.#store.settings) return;
    clearTimeout(this.#typed.get(key));
    this.#typed.set(key, setTimeout(() => void this.#change(key, namesIn(text)), TYPED_MS));
  }

  /** @param {ListName} key @param {string[]} names */
  async #change(key, names) {
    this.#typed.delete(key);
    if (names.join() === (this.#store.settings?.[key] ?? []).join()) return;
    try {
      await this.#store.change({ [key]: names });
    } catch (error) {
      this.#toast("error", t("The setting was not changed"), /** @type {Error} */ (error).message);
      this.#follow();
    }
  }

  /** The host's settings show what the server keeps; one that is being typed is left alone. */
  #follow() {
    const now = this.#store.settings;
    if (!now) return;
    const { setting } = this.#manager();
    for (const { id, key } of LISTS) {
      const text = (now[key] ?? []).join(", ");
      if (this.#typed.has(key) || namesIn(setting.get(id) ?? "").join(", ") === text) continue;
      this.#following = true; // its onChange is called before `set` returns
      try {
        Promise.resolve(setting.set(id, text)).catch(() => {});
      } finally {
        this.#following = false;
      }
    }
  }

  /** @param {string} severity @param {string} summary @param {string} detail */
  #toast(severity, summary, detail) {
    this.#manager().toast.add({ severity, summary, detail, life: TOAST_MS });
  }
}
