// @ts-check
/** What a person has to know before all else: no connection, off at this address, what the server has to say. */
import { h, keyedList, setText } from "../ui/dom.js";
import { t } from "../data/i18n.js";
import { whyOff } from "./addresses.js";

/** @param {import("../data/store.js").FleetStore} store */
export function fleetNotices(store) {
  const text = h("span");
  const retry = h("button", { type: "button", class: "orc-button", onclick: () => store.refresh() }, t("Try again"));
  const status = h("div", { class: "orc-notice", role: "alert" }, text, retry);
  const list = h("div");
  const showList = keyedList(list, (/** @type {string} */ notice) => notice, (notice) => ({
    element: h("div", { class: "orc-notice", role: "status" }, h("span", {}, notice),
      h("button", { type: "button", class: "orc-button", onclick: () => store.dismiss(notice) }, t("Dismiss"))),
    update() {},
  }));
  return {
    elements: [status, list],
    show() {
      const said = !store.connected
        ? t("The connection to ComfyUI is lost. What you see is the last that was known.")
        : store.isShutOut
          ? whyOff(location.host)
          : store.phase === "failed"
            ? store.problem?.message ?? t("Could not load the fleet.")
            : "";
      setText(text, said);
      status.hidden = !said;
      retry.hidden = !store.connected;
      showList(store.notices);
    },
  };
}
