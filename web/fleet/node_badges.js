// @ts-check
/** The name of the peer on each node that runs there. Only drawn: nothing of it is saved with the graph. */
import { isFinal } from "./store.js";

/**
 * @typedef {{badges?: unknown[]}} GraphNode
 * @typedef {{getNodeById(id: any): GraphNode | null, setDirtyCanvas(front: boolean, back: boolean): void}} Graph
 */

export class NodeBadges {
  #store;
  #graph;
  #make;
  /** What each job shows: its badge, on these nodes. @type {Map<string, {badge: object, nodes: Set<GraphNode>}>} */
  #shown = new Map();

  /**
   * @param {import("./store.js").FleetStore} store
   * @param {() => Graph | undefined} graph the one that is open
   * @param {(text: string) => object | null} make the host's own badge; null where it has none
   */
  constructor(store, graph, make) {
    this.#store = store;
    this.#graph = graph;
    this.#make = make;
  }

  /** @param {EventTarget} events ComfyUI's api object */
  listen(events) {
    events.addEventListener("progress_state", (event) => this.#progress(/** @type {CustomEvent} */ (event).detail));
    this.#store.addEventListener("jobs", () => {
      const open = new Set(this.#store.jobs.filter((job) => !isFinal(job)).map((job) => job.job_id));
      for (const jobId of this.#shown.keys()) if (!open.has(jobId)) this.#take(jobId);
    });
  }

  /** @param {{prompt_id: string, nodes?: Record<string, {state?: string}>}} progress */
  #progress({ prompt_id: jobId, nodes = {} }) {
    const job = this.#store.jobs.find((each) => each.job_id === jobId);
    const graph = this.#graph();
    if (!job?.peer || isFinal(job) || !graph) return;
    // A node inside a subgraph is "12:5"; the open graph has the subgraph as 12.
    const running = Object.keys(nodes).filter((id) => nodes[id]?.state === "running").map((id) => id.split(":")[0]);
    this.#take(jobId);
    const badge = running.length ? this.#make(job.peer) : null;
    if (!badge) return;
    const marked = new Set(running.map((id) => graph.getNodeById(id)).filter((node) => node !== null));
    for (const node of marked) node.badges = [...(node.badges ?? []), badge];
    this.#shown.set(jobId, { badge, nodes: marked });
    graph.setDirtyCanvas(true, true);
  }

  /** @param {string} jobId */
  #take(jobId) {
    const shown = this.#shown.get(jobId);
    if (!shown) return;
    this.#shown.delete(jobId);
    for (const node of shown.nodes) node.badges = node.badges?.filter((badge) => badge !== shown.badge);
    this.#graph()?.setDirtyCanvas(true, true);
  }
}
