// @ts-check
/** "Run this on …" in a node's menu: the page's own Run, of one branch, on a machine of one's choice. */
import { t } from "../data/i18n.js";

/**
 * @typedef {{id: number | string, outputs?: {links?: number[] | null}[], mode?: number, graph?: any,
 *   constructor: {nodeData?: {output_node?: boolean}}}} GraphNode
 * @typedef {{run: "fleet", peer: string} | {run: "local"}} Place
 */

const ORDER_MS = 30_000; //: how long a prompt that was asked for may take to leave the page
const NEVER = 2; //: a muted node; 4 is a bypassed one, which passes on
const DISPATCH = "RemoteDispatch";

/** The output nodes that make something of this node: itself, or what depends on it. @param {GraphNode} node
 * @returns {string[]} ids, empty when nothing comes of it */
export function targetsOf(node) {
  const found = new Set();
  const seen = new Set();
  const todo = [node];
  for (let next = todo.pop(); next; next = todo.pop()) {
    if (seen.has(next.id) || next.mode === NEVER) continue;
    seen.add(next.id);
    if (next.constructor.nodeData?.output_node && next.mode !== 4) {
      found.add(String(next.id));
      if (next === node) continue; // it is what was asked for; what depends on it was not
    }
    for (const output of next.outputs ?? []) {
      for (const linkId of output.links ?? []) {
        const link = next.graph?.getLink?.(linkId) ?? next.graph?.links?.[linkId];
        const target = link && next.graph.getNodeById(link.target_id);
        if (target) todo.push(target);
      }
    }
  }
  return [...found];
}

export class NodeMenu {
  #app;
  #api;
  #store;
  /** Prompts that are on their way, and where they shall run. @type {{targets: string, place: Place, at: number}[]} */
  #orders = [];
  #isListening = false;

  /**
   * @param {{queuePrompt(number: number, count: number, targets: string[]): Promise<unknown>, graph: any,
   *   extensionManager: any}} app the host's app
   * @param {{fetchApi(route: string, options?: RequestInit): Promise<Response>}} api the host's api
   * @param {import("../data/store.js").FleetStore} store
   */
  constructor(app, api, store) {
    this.#app = app;
    this.#api = api;
    this.#store = store;
  }

  /** @param {GraphNode & {type?: string}} node @returns {object[]} the entries for the host's menu */
  itemsOf(node) {
    const peers = this.#store.peers.filter((peer) => peer.enabled);
    // A node within a subgraph has no target of its own; a dispatch node says itself where it runs.
    if (!peers.length || node.type === DISPATCH || node.graph !== (this.#app.rootGraph ?? this.#app.graph)) return [];
    const entry = (/** @type {string} */ content, /** @type {Place} */ place, disabled = false) => ({
      content, disabled, callback: () => void this.run(node, place),
    });
    const options = peers.map((peer) =>
      entry(peer.health === "up" ? peer.name : t("{peer} (waits: it is not up)", { peer: peer.name }), { run: "fleet", peer: peer.id }));
    options.push(entry(t("any peer"), { run: "fleet", peer: "" }), entry(t("this computer"), { run: "local" }));
    return [null, { content: t("Run this on …"), has_submenu: true, submenu: { options } }];
  }

  /** @param {GraphNode} node @param {Place} place */
  async run(node, place) {
    const targets = targetsOf(node);
    if (!targets.length) {
      this.#app.extensionManager.toast.add({
        severity: "warn", summary: t("This node produces no output"), life: 6000,
        detail: t("Link it to a node that saves or shows something, then run it again."),
      });
      return;
    }
    this.#listen();
    const order = { targets: JSON.stringify(targets), place, at: Date.now() };
    this.#orders.push(order);
    const sent = await this.#app.queuePrompt(0, 1, targets);
    // false also means that another press is being sent, and ours after it.
    if (sent) this.#orders = this.#orders.filter((each) => each !== order);
  }

  /** The host's api takes none of our options for a prompt; they are put into the one that was ordered. */
  #listen() {
    if (this.#isListening) return;
    this.#isListening = true;
    const send = this.#api.fetchApi;
    this.#api.fetchApi = (route, options) => send.call(this.#api, route, this.#placed(route, options));
  }

  /** @param {string} route @param {RequestInit} [options] */
  #placed(route, options) {
    if (route !== "/prompt" || options?.method !== "POST" || typeof options.body !== "string") return options;
    this.#orders = this.#orders.filter((order) => Date.now() - order.at < ORDER_MS);
    if (!this.#orders.length) return options;
    const body = JSON.parse(options.body);
    const order = this.#orders.find((each) => each.targets === JSON.stringify(body.partial_execution_targets));
    if (!order) return options;
    this.#orders.splice(this.#orders.indexOf(order), 1);
    const place = Object.fromEntries(Object.entries(order.place).filter(([, value]) => value));
    return { ...options, body: JSON.stringify({ ...body, extra_data: { ...body.extra_data, orchestrator: { ...body.extra_data?.orchestrator, ...place } } }) };
  }
}
