// @ts-check
/** On each Remote Dispatch node: where what it wants would run, and after a run where it did. Only drawn, never saved. */
import { spokenOf, wholeDuration } from "../ui/format.js";
import { t } from "../data/i18n.js";
import { REMOTE } from "../outlook/outlook_parts.js";
import { BadgeSlot } from "./badge_slot.js";

/** @typedef {import("../outlook/outlook.js").Told} Told @typedef {import("./node_badges.js").GraphNode} GraphNode
 * @typedef {import("./node_badges.js").Graph} Graph @typedef {(text: string) => object | null} MakeBadge
 * @typedef {{text: string, hasRun: boolean}} Mark */

/** Such a graph never ran: a time taken from other graphs may be off many times over. The tab tells it, and that. */
const UNKNOWN = new Set(["peer", "fleet", "nothing"]);

/** @param {import("../data/api.js").Forecast} first @returns {string} */
function byWhen({ finish_s: finish, is_guess: isGuess, origin }) {
  if (finish === null || UNKNOWN.has(origin)) return "≈ ?";
  const time = wholeDuration(finish);
  return isGuess ? t("roughly {time}", { time }) : `≈ ${time}`;
}

/** @param {Pick<Told, "peers"> & Partial<Told>} told @returns {string} "gpu-2 ≈ 14 s" */
export function outlookBadge({ peers, paused, held, here }) {
  if (here && !peers.length) return t("this computer");
  const first = spokenOf(peers);
  if (!first) return t("no peer now");
  if (!first.eligible) return t("waits for {peer}", { peer: first.name });
  const said = `${first.name} ${byWhen(first)}`;
  if (held) return t("held; then {said}", { said });
  return paused ? t("paused; then {said}", { said }) : said;
}

export class NodeOutlook {
  #graph;
  #foretell;
  #name;
  #slot;
  /** @type {Told[]} */
  #told = [];
  /** Where the part with this id ran last, and what it and the graph were then.
   * @type {Map<string, {peer: string, key: string, change: number}>} */
  #ran = new Map();
  /** @type {Map<GraphNode, Mark>} */
  #marks = new Map();

  /**
   * @param {() => Graph | undefined} graph the one that is open
   * @param {MakeBadge} foretell the host's own badge for what is only expected; null where it has none
   * @param {MakeBadge} name the same for where it ran
   * @param {import("./badge_slot.js").Redraw} redraw
   */
  constructor(graph, foretell, name, redraw) {
    this.#graph = graph;
    this.#foretell = foretell;
    this.#name = name;
    this.#slot = new BadgeSlot(() => foretell(""), redraw);
  }

  /** @param {GraphNode & {type?: string}} node */
  nodeCreated(node) {
    if (node.type === REMOTE || "subgraph" in node) this.#slot.open(node);
  }

  /** @param {import("../outlook/outlook.js").Outlook} outlook @param {EventTarget} events ComfyUI's api object */
  listen(outlook, events) {
    outlook.addEventListener("told", () => {
      this.#told = outlook.told.filter(({ id }) => id);
      this.#show();
    });
    events.addEventListener("orchestrator.node_peers", (event) => {
      const { graph_id: graphId, peer, nodes } = /** @type {CustomEvent} */ (event).detail;
      if (this.#graph()?.id !== graphId) return;
      const parts = this.#told.filter(({ upstream }) => upstream.some((id) => Object.hasOwn(nodes, id)));
      for (const { id, key } of parts) this.#ran.set(id, { peer, key, change: outlook.changes });
      if (parts.length) this.#show();
    });
  }

  #show() {
    const graph = this.#graph();
    if (!graph) return;
    /** @type {Map<GraphNode, Mark>} */
    const wanted = new Map();
    for (const told of this.#told) {
      const node = graph.getNodeById(told.id.split(":")[0]); // in a subgraph: the box that it is
      const peer = this.#ranOn(told);
      if (node) wanted.set(node, { text: peer || outlookBadge(told), hasRun: Boolean(peer) });
    }
    for (const node of new Set([...this.#marks.keys(), ...wanted.keys()])) {
      const [before, now] = [this.#marks.get(node), wanted.get(node)];
      if (before?.text === now?.text && before?.hasRun === now?.hasRun) continue;
      this.#slot.show(node, now ? (now.hasRun ? this.#name : this.#foretell)(now.text) : null);
    }
    this.#marks = wanted;
    graph.setDirtyCanvas(true, true);
  }

  /** Until it is changed; what Run itself changes, such as a seed, is changed before it runs.
   * @param {Told} told @returns {string} "" where it has not run */
  #ranOn({ id, key, change }) {
    const ran = this.#ran.get(id);
    if (!ran) return "";
    if (key !== ran.key && change > ran.change) {
      this.#ran.delete(id);
      return "";
    }
    this.#ran.set(id, { ...ran, key });
    return ran.peer;
  }
}
