// @ts-check
/** A bar that fills: how far a job is, or how full a memory. */
import { h, setAttribute } from "./dom.js";
import { percent } from "./format.js";

/** @param {"progressbar" | "meter"} role */
export function fillingBar(role) {
  const fill = h("i");
  const element = h("div", {
    class: role === "meter" ? "orc-bar orc-meter" : "orc-bar", role, "aria-valuemin": 0, "aria-valuemax": 100,
  }, fill);
  let shown = -1;
  return {
    element,
    /** @param {string} label what it tells of @param {number} part 0..1 */
    show(label, part) {
      setAttribute(element, "aria-label", label);
      const whole = percent(part);
      if (whole === shown) return;
      shown = whole;
      setAttribute(element, "aria-valuenow", whole);
      fill.style.translate = `${whole - 100}%`; // moved, not resized: that would lay out the page at each frame
    },
  };
}
