// @ts-check
/** This computer among the peers, while it takes jobs of the fleet too. */
import { h, setText } from "../ui/dom.js";
import { t } from "../data/i18n.js";
import { HERE } from "../data/job_index.js";
import { nowLine } from "./now_line.js";

/** @param {import("../panel.js").SectionDeps} deps @returns {{element: HTMLElement, update(): void}} */
export function hereRow(deps) {
  const { store } = deps;
  const dot = h("span", { class: "orc-dot", "data-tone": "good" });
  const word = h("span", { class: "orc-state" });
  const now = nowLine(deps);
  const head = h("div", { class: "orc-row-head" }, dot, h("span", { class: "orc-name" }, t("this computer")), word);
  const element = h("li", { class: "orc-row orc-here" }, head, now.element);
  return {
    element,
    update() {
      const { settings } = store;
      element.hidden = !settings?.fleet_mode || !settings.this_machine;
      const busy = now.show({ id: HERE, name: t("this computer"), running: null }, true);
      setText(word, busy ? t("busy") : t("idle"));
    },
  };
}
