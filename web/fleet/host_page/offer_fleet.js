// @ts-check
/** What Run says when this computer lacks what a peer has: one message, and the fleet one press away. */
import { h } from "../ui/dom.js";
import { t } from "../data/i18n.js";
import { few, offer, titleOf } from "./offer.js";

/** @typedef {import("../data/availability.js").Lack} Lack */

/** Those of `lacks` that the refusal is about; none when it is about anything else too.
 * @param {any} error @param {Lack[]} lacks @returns {Lack[]} */
export function lacksOf(error, lacks) {
  const refusal = error?.response;
  if (!refusal || typeof refusal !== "object") return [];
  const guilty = Object.entries(refusal.node_errors ?? {});
  const kinds = guilty.flatMap(([, of]) => (of?.errors ?? []).map((/** @type {any} */ each) => each.type));
  if (kinds.some((kind) => kind !== "value_not_in_list")) return [];
  if (guilty.length) return lacks.filter(({ nodeId }) => guilty.some(([id]) => id === nodeId));
  return ["invalid_prompt", "missing_node_type"].includes(refusal.error?.type) ? lacks : [];
}

/** @param {Lack[]} lacks @returns {Promise<boolean>} */
export const offerFleet = (lacks) => offer({
  title: t("Only the fleet can run this workflow"),
  text: t("This computer is missing: {what}", { what: few(lacks.map(({ what }) => titleOf(what))) }),
  details: t("Show which peers have it"),
  lines: lacks.map(({ nodeId, what, peers }) =>
    h("li", {}, h("b", {}, titleOf(what)), ` ${t("(node {id}): {peers}", { id: nodeId, peers: peers.join(", ") })}`)),
  run: t("Run on the fleet"),
});
