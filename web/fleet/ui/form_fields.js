// @ts-check
/** Fields of a form: a control with its label. */
import { h } from "./dom.js";

/** @param {Record<string, any>} [props] */
export const input = (props = {}) =>
  h("input", { type: "text", class: "orc-input", autocomplete: "off", spellcheck: "false", ...props });

/** For what must not be shown, nor filled in by a browser. @param {Record<string, any>} [props] */
export const secretInput = (props = {}) => input({ type: "password", autocomplete: "new-password", ...props });

/** @param {string} label @param {HTMLElement} control @param {string} [hint] */
export const field = (label, control, hint) =>
  h("label", { class: "orc-field" }, h("span", {}, label, hint && h("i", {}, ` ${hint}`)), control);
