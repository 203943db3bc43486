// @ts-check
/** The name of the peer on each node that runs there, or ran there in the last run. Only drawn, never saved. */

import { BadgeSlot } from "./badge_slot.js";

/**
 * @typedef {import("./badge_slot.js").GraphNode} GraphNode
 * @typedef {{id?: string, getNodeById(id: any): GraphNode | null, setDirtyCanvas(front: boolean, back: boolean): void}} Graph
 * @typedef {{graph_id: string, job_id: string, peer: string, nodes: Record<string, string>}} News
 * @typedef {{running: Map<string, string>, last: string, text: string}} Mark `running`: job to peer
 */

export class NodeBadges {
  #graph;
  #make;
  #slot;
  #graphId = "";
  /** @type {Map<GraphNode, Mark>} */
  #marks = new Map();

  /**
   * @param {() => Graph | undefined} graph the one that is open
   * @param {(text: string) => object | null} make the host's own badge; null where it has none
   * @param {import("./badge_slot.js").Redraw} redraw
   */
  constructor(graph, make, redraw) {
    this.#graph = graph;
    this.#make = make;
    this.#slot = new BadgeSlot(() => make(""), redraw);
  }

  /** @param {GraphNode} node */
  nodeCreated(node) {
    this.#slot.open(node);
  }

  /** @param {EventTarget} events ComfyUI's api object */
  listen(events) {
    events.addEventListener("orchestrator.node_peers", (event) => this.#told(/** @type {CustomEvent} */ (event).detail));
    events.addEventListener("execution_start", (event) => {
      if (!(/** @type {CustomEvent} */ (event).detail?.remote)) this.#beginsHere(); // the server says that of the fleet's
    });
  }

  /** @param {News} news */
  #told({ graph_id: graphId, job_id: jobId, peer, nodes }) {
    const graph = this.#graph();
    if (!graph || graph.id !== graphId) return; // another one was opened since
    if (graphId !== this.#graphId) this.#marks.clear();
    this.#graphId = graphId;
    for (const [id, state] of Object.entries(nodes)) {
      const node = boxOf(graph, id);
      if (!node) continue;
      const mark = this.#marks.get(node) ?? { running: new Map(), last: "", text: "" };
      // A node inside a subgraph counts as its own job: the box runs as long as one of them does.
      if (state === "running") mark.running.set(`${jobId} ${id}`, peer);
      else mark.running.delete(`${jobId} ${id}`);
      mark.last = peer;
      this.#show(node, mark);
    }
    graph.setDirtyCanvas(true, true);
  }

  /** A run on this machine begins: where the one before it ran says nothing of it. */
  #beginsHere() {
    for (const [node, mark] of this.#marks) {
      mark.last = "";
      this.#show(node, mark);
      if (!mark.running.size) this.#marks.delete(node);
    }
    this.#graph()?.setDirtyCanvas(true, true);
  }

  /** @param {GraphNode} node @param {Mark} mark */
  #show(node, mark) {
    const text = [...new Set(mark.running.values())].sort().join(", ") || mark.last;
    if (text !== mark.text) this.#slot.show(node, text ? this.#make(text) : null);
    mark.text = text;
    this.#marks.set(node, mark);
  }
}

/** A node inside a subgraph is "12:5"; the open graph has the subgraph as 12. @param {Graph} graph @param {string} id */
const boxOf = (graph, id) => graph.getNodeById(id.split(":")[0]);
