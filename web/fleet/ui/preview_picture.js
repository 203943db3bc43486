// @ts-check
/** The newest preview of a running job, reloaded at most once a second. */
import { h } from "./dom.js";

/** @typedef {import("../data/api.js").Job} Job */

const EVERY_MS = 1000;

/** @param {import("../data/api.js").FleetApi} api */
export function previewPicture(api) {
  const element = h("img", { class: "orc-preview", alt: "", hidden: true, decoding: "async" });
  let shown = "";
  let loadedAt = -Infinity;
  element.addEventListener("error", () => {
    element.hidden = true; // the job ended meanwhile
  });
  return {
    element,
    /** null for none. @param {Job | null} job */
    show(job) {
      const wanted = job?.previews ? api.previewUrl(job) : "";
      if (!wanted) {
        element.hidden = true;
        element.removeAttribute("src");
        shown = "";
        return;
      }
      const now = performance.now();
      if (wanted === shown || now - loadedAt < EVERY_MS) return;
      shown = wanted;
      loadedAt = now;
      element.src = wanted;
      element.hidden = false;
    },
  };
}
