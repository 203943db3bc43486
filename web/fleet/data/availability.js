// @ts-check
/** Where nodes and models are that not every machine has, and what of a prompt this machine lacks. */
import { t } from "./i18n.js";

/**
 * @typedef {{here: boolean, peers: string[]}} Place
 * @typedef {{known: boolean, places: Place[], classes: Record<string, number>,
 *   values: Record<string, Record<string, Record<string, number>>>}} Where
 * @typedef {{class_type?: string, inputs?: Record<string, unknown>}} PromptNode
 * @typedef {{nodeId: string, what: string, peers: string[]}} Lack
 */

/** @type {Where} */
const NOWHERE = { known: false, places: [], classes: {}, values: {} };

export class Availability {
  #read;
  /** @type {Where} */
  #where = NOWHERE;

  /** @param {() => Promise<Where>} read asks the server */
  constructor(read) {
    this.#read = read;
  }

  /** Asks the server again. Never throws: without an answer, what was known stays. */
  async refresh() {
    this.#where = (await this.#read().catch(() => null)) ?? this.#where;
  }

  /** A class that some machine lacks. @param {string} name @returns {Place | undefined} */
  ofClass(name) {
    return this.#where.places[own(this.#where.classes, name) ?? -1];
  }

  /** The peers of a class that this machine lacks; empty for all others. @param {string} name */
  peersOf(name) {
    const place = this.ofClass(name);
    return place && !place.here ? place.peers : [];
  }

  /** Whether any value of this choice is not everywhere. @param {string} name @param {string} input */
  marks(name, input) {
    return own(own(this.#where.values, name), input) !== undefined;
  }

  /** @param {string} name @param {string} input @param {unknown} value @returns {Place | undefined} */
  ofValue(name, input, value) {
    const values = own(own(this.#where.values, name), input);
    return this.#where.places[own(values, String(value).replaceAll("\\", "/")) ?? -1];
  }

  /** A value with its place behind it, for a person. @param {string} name @param {string} input @param {unknown} value */
  label(name, input, value) {
    const place = this.ofValue(name, input, value);
    return place ? `${value} · ${placeWords(place, this.#others(name))}` : String(value);
  }

  /** Where a value is, in words; empty when it is everywhere.
   * @param {string} name @param {string} input @param {unknown} value */
  words(name, input, value) {
    const place = this.ofValue(name, input, value);
    return place ? placeWords(place, this.#others(name)) : "";
  }

  /** What this machine lacks of a prompt and peers have. @param {Record<string, PromptNode>} prompt @returns {Lack[]} */
  lacking(prompt) {
    /** @type {Lack[]} */
    const found = [];
    for (const [nodeId, node] of Object.entries(prompt)) {
      const name = node.class_type ?? "";
      const peers = this.peersOf(name);
      if (peers.length) found.push({ nodeId, what: name, peers });
      for (const [input, value] of Object.entries(node.inputs ?? {})) {
        const place = typeof value === "object" ? undefined : this.ofValue(name, input, value);
        if (place && !place.here && !peers.length) found.push({ nodeId, what: String(value), peers: place.peers });
      }
    }
    return found;
  }

  /** How many peers have the class: a value on that many is on all of them. @param {string} name */
  #others(name) {
    const place = this.ofClass(name);
    if (place) return place.peers.length;
    return new Set(this.#where.places.flatMap((each) => each.peers)).size;
  }
}

/** @param {Place} place @param {number} all how many peers there are */
function placeWords({ here, peers }, all) {
  if (!peers.length) return t("only on this computer");
  if (!here && peers.length > 1 && peers.length === all) return t("all peers");
  const named = peers.length > 1 && peers.length === all ? t("all peers") : listed(peers);
  return here ? t("here, {peers}", { peers: named }) : t("on {peers}", { peers: named });
}

/** The host's menus take text as HTML. @param {string[]} names */
export function listed(names) {
  const shown = names.length > 3 ? [...names.slice(0, 2), t("{count} more", { count: names.length - 2 })] : names;
  return shown.join(", ").replaceAll("<", "‹");
}

/** A key's value, if the object itself has it. @template Value
 * @param {Record<string, Value> | undefined} object @param {string} key @returns {Value | undefined} */
function own(object, key) {
  return object && Object.hasOwn(object, key) ? object[key] : undefined;
}
