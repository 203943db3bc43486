// @ts-check
/** Where a model or node is that not every machine has: said in the host's own lists and on the boxes. */
import { h } from "../ui/dom.js";
import { plural, t } from "../data/i18n.js";
import { mendBoxes } from "./missing_boxes.js";

const LABELLED = Symbol("labelled by us");

/**
 * @typedef {{name: string, type: string, value?: unknown, options?: Record<string, any>,
 *   onClick?: (where: object) => void, [LABELLED]?: boolean}} Widget
 * @typedef {{type: string, comfyClass?: string, widgets?: Widget[], badges?: unknown[], subgraph?: Graph}} GraphNode
 * @typedef {{nodes?: GraphNode[], setDirtyCanvas?(front: boolean, back: boolean): void}} Graph
 * @typedef {{rootGraph?: Graph, graph?: Graph, reloadNodeDefs?(): Promise<void>,
 *   refreshComboInNodes(): Promise<void>,
 *   refreshMissingModels?(how: {silent: boolean, reloadDefs: boolean}): Promise<unknown>}} App
 */

export class PeerOnly {
  #table;
  #app;
  #badge;
  #peers;
  /** @type {Promise<void> | null} */
  #reloading = null;
  #isStale = false;
  #isKnown;
  /** @type {Promise<void> | null} */
  #mending = null;

  /**
   * @param {import("../data/availability.js").Availability} table
   * @param {App} app
   * @param {(text: string) => object | null} badge the host's own; null where it has none
   * @param {() => number} peers how many there are
   * @param {(type: string) => boolean} isKnown whether the host has a class of this name
   */
  constructor(table, app, badge, peers, isKnown) {
    this.#table = table;
    this.#app = app;
    this.#badge = badge;
    this.#peers = peers;
    this.#isKnown = isKnown;
  }

  /** What an extension's definition gains. The host waits for the first two. */
  get parts() {
    return {
      addCustomNodeDefs: () => this.#table.refresh(),
      refreshComboInNodes: async () => {
        await this.#table.refresh();
        this.#sweep();
      },
      nodeCreated: (/** @type {GraphNode} */ node) => this.#mark(node),
      afterConfigureGraph: () => this.#sweep(),
    };
  }

  /** @param {EventTarget} events ComfyUI's api object */
  listen(events) {
    events.addEventListener("orchestrator.node_lists", () => this.#reload());
  }

  /** Reads the definitions again, as the host's own refresh does; once more when they change while it reads them. */
  #reload() {
    this.#isStale = true;
    this.#reloading ??= this.#reloadWhileStale().finally(() => {
      this.#reloading = null;
    });
  }

  async #reloadWhileStale() {
    while (this.#isStale) {
      this.#isStale = false;
      await (this.#app.reloadNodeDefs?.() ?? this.#app.refreshComboInNodes()).catch(() => {}); // the host has told it
      this.#mend();
      // What a graph lacked when it was opened, newer hosts frame in red until they are told to look again.
      await this.#app.refreshMissingModels?.({ silent: true, reloadDefs: false }).catch(() => {});
    }
  }

  /** It waits for a quiet moment, which the next reading need not. */
  #mend() {
    this.#mending ??= mendBoxes(this.#app, this.#isKnown).catch(() => {}).finally(() => {
      this.#mending = null;
    });
  }

  #sweep() {
    const graph = this.#app.rootGraph ?? this.#app.graph;
    const visit = (/** @type {Graph | undefined} */ part) => {
      for (const node of part?.nodes ?? []) {
        this.#label(node);
        visit(node.subgraph);
      }
    };
    visit(graph);
    graph?.setDirtyCanvas?.(true, true);
  }

  /** @param {GraphNode} node */
  #mark(node) {
    this.#label(node);
    const peers = this.#table.peersOf(node.comfyClass ?? node.type);
    const badge = peers.length ? this.#badge(onlyOn(peers, this.#peers())) : null;
    if (badge) (node.badges ??= []).push(badge);
  }

  /** @param {GraphNode} node */
  #label(node) {
    const name = node.comfyClass ?? node.type;
    for (const widget of node.widgets ?? []) {
      if (widget.type !== "combo" || !widget.options || widget[LABELLED]) continue;
      if (widget.options.getOptionLabel || !this.#table.marks(name, widget.name)) continue;
      widget[LABELLED] = true;
      widget.options.getOptionLabel = (/** @type {string | null} */ value) =>
        value === null ? "" : this.#table.label(name, widget.name, value);
      this.#keepFilter(name, widget);
    }
  }

  /**
   * With labels of its own the canvas opens a bare menu; without, the host adds its search field. So it opens
   * the usual one, and the places are written into it.
   * @param {string} name @param {Widget} widget
   */
  #keepFilter(name, widget) {
    const open = widget.onClick;
    if (!open || !widget.options) return;
    widget.onClick = (where) => {
      const { options } = widget;
      const label = options?.getOptionLabel;
      const before = new Set(document.querySelectorAll(".litecontextmenu"));
      try {
        if (options) options.getOptionLabel = undefined;
        open.call(widget, where);
      } finally {
        if (options) options.getOptionLabel = label;
      }
      for (const menu of document.querySelectorAll(".litecontextmenu")) {
        if (!before.has(menu)) this.#writePlaces(menu, name, widget.name);
      }
    };
  }

  /** @param {Element} menu @param {string} name @param {string} input */
  #writePlaces(menu, name, input) {
    for (const entry of menu.querySelectorAll(".litemenu-entry")) {
      const words = this.#table.words(name, input, entry.textContent ?? "");
      if (words) entry.append(h("span", { class: "orc-place" }, ` · ${words}`));
    }
  }
}

/** Of what this machine lacks, in little room. @param {string[]} peers that have it @param {number} all of them */
export function onlyOn(peers, all) {
  if (peers.length > 1 && peers.length === all) return t("only on the peers");
  return t("only on {peers}", { peers: peers.length > 1 ? plural(peers.length, "{count} peer", "{count} peers") : peers[0] });
}
