// @ts-check
/** What the outlook tells, in the tab's head: one line, and behind it every peer with its reason. */
import { h, keyedList, setAttribute, setChildren, setText } from "../ui/dom.js";
import { saidOf, spokenOf } from "../ui/format.js";
import { t } from "../data/i18n.js";

/** @typedef {import("./outlook.js").Told} Told */

/** @param {Pick<Told, "id" | "peers"> & Partial<Told>} told @returns {string} */
export function outlookText({ id, peers, paused, held, here }) {
  if (here && !id) return here;
  if (here && !peers.length) return t("Remote Dispatch #{id}: {said}", { id, said: here });
  const first = spokenOf(peers);
  if (here) return `${whereText(id, first)}. ${here}`.replace(/([.!?])\. /, "$1 ");
  const said = whereText(id, first);
  if (held) return `${held} ${said}`;
  return paused && first?.eligible ? t("Paused; once resumed: {said}", { said }) : said;
}

/** @param {string} id @param {import("../data/api.js").Forecast | undefined} first */
function whereText(id, first) {
  if (!first) return id ? t("Remote Dispatch #{id}: no peer available", { id }) : t("No peer can run this workflow right now");
  if (!first.eligible) {
    const why = { id, said: saidOf(first.name, first.reason) };
    return id ? t("Remote Dispatch #{id} would wait. {said}", why) : t("The next run would wait. {said}", why);
  }
  const said = { id, peer: first.name, reason: first.reason };
  return id ? t("Remote Dispatch #{id}: {peer}, {reason}", said) : t("Next run: {peer}, {reason}", said);
}

/** @param {import("./outlook.js").Outlook} outlook @returns {{element: HTMLElement, close(): void}} */
export function outlookLines(outlook) {
  const element = h("div", { class: "orc-outlook" });
  const show = keyedList(element, (/** @type {Told} */ told) => told.id, outlookLine);
  const render = () => {
    element.hidden = !outlook.told.length;
    show(outlook.told);
  };
  outlook.addEventListener("told", render);
  const unwatch = outlook.watch();
  render();
  return {
    element,
    close() {
      outlook.removeEventListener("told", render);
      unwatch();
    },
  };
}

/** Of the peers that the line does not speak of. @param {Pick<Told, "peers">} told @returns {string[]} */
export function otherLines({ peers }) {
  const spoken = spokenOf(peers);
  return peers.filter((peer) => peer !== spoken).map(({ name, reason }) => saidOf(name, reason));
}

function outlookLine() {
  const summary = h("summary");
  const list = h("ul", { class: "orc-tried" });
  const element = h("details", {}, summary, list);
  return {
    element,
    update(/** @type {Told} */ told) {
      setText(summary, outlookText(told));
      const lines = otherLines(told);
      setAttribute(element, "data-alone", !lines.length);
      setChildren(list, lines.join("\n"), () => lines.map((line) => h("li", {}, line)));
    },
  };
}
