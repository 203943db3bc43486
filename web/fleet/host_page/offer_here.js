// @ts-check
/** What Run says when the peers lack what this computer has: one message, and this computer one press away. */
import { h } from "../ui/dom.js";
import { t } from "../data/i18n.js";
import { said } from "../data/said.js";
import { few, offer, titleOf } from "./offer.js";

/**
 * @typedef {{peer: string, lacking: string[], details: string}} Refusal `peer`: the one that it was for, "" for any;
 *   `lacking`: classes and files that a peer would need; `details`: a line for each peer, or for those that say the same
 */

/** What the fleet's refusal is about; null where running it here would not help, or it is no refusal of the fleet.
 * @param {any} error @returns {Refusal | null} */
export function refusalOf(error) {
  const refusal = error?.response?.error;
  const about = refusal?.extra_info;
  if (about?.runs_here !== true) return null;
  const guilty = Object.values(error.response.node_errors ?? {});
  const lacking = guilty.flatMap((/** @type {any} */ node) => (node?.errors ?? []).flatMap((/** @type {any} */ each) =>
    each.type === "missing_node_type" ? [node.class_type] : each.type === "value_not_in_list" ? [each.extra_info?.received_value] : []));
  return { peer: String(about.peer ?? ""), lacking: lacking.filter(Boolean).map(String), details: said(String(refusal.details ?? "")) };
}

/** @param {Refusal} refusal @returns {Promise<boolean>} */
export function offerHere({ peer, lacking, details }) {
  const told = details.split("\n").filter(Boolean).map(partsOf);
  const lines = told.filter(({ names }) => !peer || names.includes(peer));
  const names = new Set(lines.flatMap((line) => line.names));
  const only = names.size === 1 ? [...names][0] : peer;
  const what = few(lacking.map(titleOf));
  return offer({
    title: only ? t("{peer} cannot run this workflow", { peer: only }) : t("Your peers cannot run this workflow"),
    text: !what ? lines[0]?.line ?? "" : only ? t("It lacks {what}.", { what }) : t("They lack {what}.", { what }),
    details: t("Show details"),
    lines: what || lines.length > 1 ? lines.map(shown) : [],
    run: t("Run on this computer"),
  });
}

/** @param {string} line "gpu-1, gpu-2: it lacks …" */
function partsOf(line) {
  const [names, ...rest] = line.split(": ");
  return { line, names: rest.length ? names.split(", ") : [], words: rest.join(": ") };
}

/** @param {ReturnType<typeof partsOf>} parts */
const shown = ({ line, names, words }) => (words ? h("li", {}, h("b", {}, names.join(", ")), `: ${words}`) : h("li", {}, line));
