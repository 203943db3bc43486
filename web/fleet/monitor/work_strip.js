// @ts-check
/** A small picture of what a peer did: how busy it was in each part of the while, and where jobs failed. */
import { h, setAttribute } from "../ui/dom.js";
import { percent } from "../ui/format.js";
import { plural, t } from "../data/i18n.js";

/** @typedef {import("./work.js").PeerWork} PeerWork */

const HEIGHT = 16; //: CSS pixels
const MARK = 4;

/** @typedef {{busy: string, failed: string}} Colours */

/** The colours of the page's palette, from one element for all pictures: a row is drawn before it is in the document. */
export function stripColours() {
  const element = h("span", { class: "orc-strip-colours", hidden: true });
  return {
    element,
    /** @returns {Colours} */
    read() {
      const { color, outlineColor } = getComputedStyle(element);
      return { busy: color, failed: outlineColor };
    },
  };
}

/** One picture for each row. @param {() => Colours} colours */
export function workStrip(colours) {
  const canvas = h("canvas", { class: "orc-strip", role: "img" });
  const share = h("span", { class: "orc-share" });
  /** @type {PeerWork | null | undefined} */
  let shown;
  return {
    element: h("div", { class: "orc-work" }, canvas, share),
    /** @param {PeerWork | null} work @param {number} part of the while at work, 0..1 */
    show(work, part) {
      if (work === shown) return;
      shown = work;
      const whole = percent(part);
      share.textContent = `${whole} %`;
      const failed = work?.failed ?? 0;
      const busy = t("Busy {percent} % of the time", { percent: whole });
      setAttribute(canvas, "aria-label", failed ? `${busy}, ${plural(failed, "{count} failed job", "{count} failed jobs")}` : busy);
      paint(canvas, work, colours());
    },
  };
}

/** @param {HTMLCanvasElement} canvas @param {PeerWork | null} work @param {Colours} colours */
function paint(canvas, work, colours) {
  const ratio = devicePixelRatio || 1;
  const parts = work?.busy.length || 1;
  // A fixed number of pixels a part: measuring the cell would lay out the page for each row.
  const step = 2 * ratio;
  canvas.width = Math.round(parts * step);
  canvas.height = Math.round(HEIGHT * ratio);
  const pen = canvas.getContext("2d");
  if (!pen || !work) return;
  const high = canvas.height;
  pen.fillStyle = colours.busy;
  work.busy.forEach((part, place) => {
    const bar = part > 0 ? Math.max(ratio, part * high) : 0;
    pen.fillRect(place * step, high - bar, Math.max(1, step - ratio / 2), bar);
  });
  pen.fillStyle = colours.failed;
  work.failures.forEach((count, place) => {
    if (count) pen.fillRect(place * step, 0, step, MARK * ratio);
  });
}
