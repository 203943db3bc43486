// @ts-check
/** What is linked to a Remote Dispatch node comes back from a peer. What cannot is refused when it is linked. */
import { t } from "../data/i18n.js";

/**
 * @typedef {{inputs?: {name: string}[], constructor: {nodeData?: {name?: string,
 *   input?: Record<string, Record<string, [unknown, {instead?: Record<string, string>}?]>>}},
 *   onConnectInput?: (slot: number, type: unknown, ...others: unknown[]) => boolean | void}} Box
 */

const NAME = "RemoteDispatch";
const TOAST_MS = 10_000;

/** @param {Box} box that was made @param {(toast: object) => void} tell */
export function watchLinks(box, tell) {
  const { name, input } = box.constructor.nodeData ?? {};
  const instead = Object.values(input ?? {}).find((inputs) => inputs.value)?.value[1]?.instead;
  if (name !== NAME || !instead) return;
  const ask = box.onConnectInput;
  box.onConnectInput = function onConnectInput(slot, type, ...others) {
    const other = typeof type === "string" && box.inputs?.[slot]?.name === "value" ? instead[type] : undefined;
    if (other === undefined) return ask?.call(this, slot, type, ...others);
    tell({
      severity: "warn", life: TOAST_MS, summary: t("{type} cannot come back from another computer", { type: String(type) }),
      detail: t("Link {other} to Remote Dispatch instead.", { other }),
    });
    return false;
  };
}
