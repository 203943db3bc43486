// @ts-check
/**
 * A badge on a node that may change. The canvas draws what is in a node's list; Nodes 2.0 look at the list when the
 * box is made, and ask what stands in it again only when something of the page's own changes that was read for it.
 */

/**
 * @typedef {{text?: string}} Badge the host's own
 * @typedef {{badges?: unknown[]}} GraphNode
 * @typedef {{read(): unknown, changed(): void}} Redraw
 */

const KEY = "remoteDispatchBadges";

/** In the page's own state, where it has one. @param {() => any} page its Vue app @returns {Redraw} */
export function redrawOf(page) {
  const found = () => {
    const state = page()?.config?.globalProperties?.$pinia?.state?.value;
    if (state && !state[KEY]) state[KEY] = { changes: 0 };
    return state?.[KEY]; // read from there: only what the page gives out is watched
  };
  return {
    read: () => found()?.changes,
    changed: () => {
      const known = found();
      if (known) known.changes += 1;
    },
  };
}

export class BadgeSlot {
  #empty;
  #redraw;
  /** @type {WeakMap<GraphNode, {badge: Badge | null}>} */
  #slots = new WeakMap();

  /** @param {() => Badge | null} empty a badge that is not drawn; null where the host has none @param {Redraw} redraw */
  constructor(empty, redraw) {
    this.#empty = empty;
    this.#redraw = redraw;
  }

  /** As soon as the node is there. @param {GraphNode} node */
  open(node) {
    const known = this.#slots.get(node);
    if (known) return known;
    const slot = { badge: this.#empty() };
    this.#slots.set(node, slot);
    if (!slot.badge) return slot;
    const shown = () => {
      this.#redraw.read();
      return slot.badge;
    };
    (node.badges ??= []).push(shown); // the very list that is there: some hosts have taken hold of it
    return slot;
  }

  /** @param {GraphNode} node @param {Badge | null} badge null for none */
  show(node, badge) {
    const slot = this.open(node);
    if (!slot.badge) return;
    slot.badge = badge ?? this.#empty();
    this.#redraw.changed();
  }
}
