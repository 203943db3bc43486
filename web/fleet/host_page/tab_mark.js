// @ts-check
/** The browser's tab shows that the work is done, by title and icon, until somebody looks. */

const DONE = "✓ ";
const ICON = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="8" fill="#2e9f5b"/><path d="M4 8.5l3 3 5-6" fill="none" stroke="#fff" stroke-width="2"/></svg>',
)}`;

/** The host may write both again at any time: then that counts. @param {Document} page @param {EventTarget} tab hears "focus" */
export function markTab(page = document, tab = window) {
  if (page.title.startsWith(DONE)) return;
  const title = page.title;
  /** @type {HTMLLinkElement | null} */
  const icon = page.querySelector("link[rel~=icon]");
  const href = icon?.href ?? "";
  page.title = DONE + title;
  if (icon) icon.href = ICON;
  tab.addEventListener("focus", () => {
    if (page.title === DONE + title) page.title = title;
    if (icon?.href === ICON) icon.href = href;
  }, { once: true });
}
