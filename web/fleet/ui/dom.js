// @ts-check
/** Small helpers over the DOM. Text becomes text nodes only: whatever a peer calls itself stays text. */

/**
 * Makes an element. Props: `on…` are listeners, true/false set or leave a bare attribute, null is left out,
 * everything else is an attribute. Children: nodes, text, numbers; null and false are skipped.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [props]
 * @param {...(Node | string | number | null | false | undefined)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) setProp(element, name, value);
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** @param {HTMLElement} element @param {string} name @param {any} value */
function setProp(element, name, value) {
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else setAttribute(element, name, value);
}

/**
 * Writes only what differs, so that nothing flickers and nothing is read aloud twice.
 * @param {Element} element @param {string} name @param {string | number | boolean | null | undefined} value
 */
export function setAttribute(element, name, value) {
  const wanted = value === null || value === undefined || value === false ? null : value === true ? "" : String(value);
  if (element.getAttribute(name) === wanted) return;
  if (wanted === null) element.removeAttribute(name);
  else element.setAttribute(name, wanted);
}

/** @param {HTMLElement} element @param {string} text */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Text that takes no room when there is none. @param {HTMLElement} element @param {string} text */
export function setOptionalText(element, text) {
  setText(element, text);
  element.hidden = !text;
}

/** Replaces the children, but only when what they show (`signature`) changed.
 * @param {HTMLElement} element @param {string} signature @param {() => Node[]} make */
export function setChildren(element, signature, make) {
  if (element.dataset.orcShows === signature) return;
  element.dataset.orcShows = signature;
  element.replaceChildren(...make());
}

/**
 * Keeps one row for each item, so that focus, hover and open details survive every update.
 *
 * @template Item
 * @param {HTMLElement} parent
 * @param {(item: Item) => string} keyOf
 * @param {(item: Item) => {element: HTMLElement, update(item: Item): void}} createRow
 * @returns {(items: Item[]) => void}
 */
export function keyedList(parent, keyOf, createRow) {
  /** @type {Map<string, {element: HTMLElement, update(item: Item): void}>} */
  const rows = new Map();
  return (items) => {
    const focused = focusedWithin(parent);
    const wanted = new Set(items.map(keyOf));
    for (const [key, row] of rows) {
      if (wanted.has(key)) continue;
      row.element.remove();
      rows.delete(key);
    }
    /** @type {ChildNode | null} */
    let next = parent.firstChild;
    for (const item of items) {
      const key = keyOf(item);
      const row = rows.get(key) ?? createRow(item);
      rows.set(key, row);
      row.update(item);
      if (row.element === next) next = next.nextSibling;
      else parent.insertBefore(row.element, next);
    }
    // Moving an element takes its focus away.
    if (focused?.isConnected && focusedWithin(parent) !== focused) focused.focus({ preventScroll: true });
  };
}

/** @param {HTMLElement} parent @returns {HTMLElement | null} */
function focusedWithin(parent) {
  const active = document.activeElement;
  return active instanceof HTMLElement && parent.contains(active) ? active : null;
}

/** Draws once for all that happened since the last frame. @param {() => void} draw */
export function atNextFrame(draw) {
  let frame = 0;
  return {
    soon() {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        draw();
      });
    },
    cancel() {
      cancelAnimationFrame(frame);
    },
  };
}

/** The page may not use the clipboard where it came over plain http. @param {string} text @returns {Promise<boolean>} */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { "aria-hidden": "true", style: "position:fixed;opacity:0" });
    const focused = document.activeElement;
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    if (focused instanceof HTMLElement) focused.focus();
    return copied;
  }
}

/** A link that leaves the page. @param {string | null} href null: only the text is shown
 * @param {string} text @param {Record<string, any>} [props] */
export function outsideLink(href, text, props = {}) {
  if (!href) return h("span", props, text);
  return h("a", { href, target: "_blank", rel: "noopener noreferrer", ...props }, text);
}

/**
 * Shows a dialog over the page. The page's own shortcuts rest meanwhile; Escape closes, also where the page
 * would keep that key for itself.
 * @param {HTMLDialogElement} dialog
 */
export function openDialog(dialog) {
  dialog.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key !== "Escape") return;
    event.preventDefault();
    dialog.close("");
  });
  document.body.append(dialog);
  dialog.showModal();
}
