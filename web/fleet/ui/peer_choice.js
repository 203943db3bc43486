// @ts-check
/** A choice among the peers. Each row of a long list has one, so it is filled when a person turns to it. */
import { h } from "./dom.js";

/** @typedef {{value: string, label: string}} Option */

/**
 * @param {() => Option[]} options asked for each time
 * @param {(chosen: Option) => void} choose
 */
export function peerChoice(options, choose) {
  const optionElement = ({ value, label }) => h("option", { value }, label);
  const fill = () => {
    const { value } = element;
    element.replaceChildren(...options().map(optionElement));
    element.value = value;
  };
  const element = h("select", {
    class: "orc-choice",
    // Both come before the list opens, by key or by pointer.
    onfocus: fill,
    onpointerdown: fill,
    onchange: () => choose({ value: element.value, label: element.selectedOptions[0]?.textContent ?? "" }),
  });
  return {
    element,
    /** @param {Option} chosen */
    show(chosen) {
      const [first] = element.options;
      if (document.activeElement === element) element.value = chosen.value;
      else if (element.length !== 1 || first.value !== chosen.value || first.textContent !== chosen.label) {
        element.replaceChildren(optionElement(chosen));
      }
    },
  };
}
