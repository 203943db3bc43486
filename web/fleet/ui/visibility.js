// @ts-check
/** Rows that are drawn while somebody can see them, and once when they come into sight. */

/** @template Item @typedef {{element: HTMLElement, update(item: Item): void}} Row */

/** @template Item */
export function drawnWhenVisible() {
  /** @type {WeakMap<Element, () => void>} */
  const due = new WeakMap();
  /** @type {WeakSet<Element>} */
  const unseen = new WeakSet();
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) {
        unseen.add(target);
        continue;
      }
      unseen.delete(target);
      due.get(target)?.();
      due.delete(target);
    }
  }, { rootMargin: "100px" });
  return {
    /** @param {Row<Item>} row @returns {Row<Item>} */
    row({ element, update }) {
      observer.observe(element);
      return {
        element,
        update(item) {
          if (unseen.has(element)) due.set(element, () => update(item));
          else update(item);
        },
      };
    },
    close: () => observer.disconnect(),
  };
}
