// @ts-check
/** The ways to enter what a peer, or the proxy before it, wants to see. Keys go in and never come out. */
import { h } from "../ui/dom.js";
import { field, input, secretInput } from "../ui/form_fields.js";
import { t } from "../data/i18n.js";

/** @typedef {"kept" | "none" | "header" | "bearer" | "basic" | "access" | "headers" | "cookie"} Way
 * @typedef {{way: Way, key: string, header: string, user: string, id: string, headers: [string, string][]}} Keys
 *   `key`: the secret of the way, whatever it calls it */

const DEFAULT_HEADER = "Authorization";
const ACCESS_ID = "CF-Access-Client-Id";
const ACCESS_SECRET = "CF-Access-Client-Secret";
const HEADERS_SHOWN = 2;
const HEADERS_MAX = 8; //: as many as the server takes

/** What somebody pastes may begin with the name that we add ourselves. @param {string} text @param {string} name */
const bare = (text, name) => text.trim().replace(new RegExp(`^${name}(\\s*:\\s*|\\s+)`, "i"), "");

/**
 * What to send of them; null takes away what is stored, undefined leaves it.
 * @param {Keys} keys @returns {import("../data/api.js").Credentials | null | undefined}
 */
export function credentialsOf({ way, key, header, user, id, headers }) {
  if (way === "kept") return undefined;
  if (way === "none") return null;
  if (way === "basic") return user || key ? { user, password: key } : undefined;
  if (way === "headers") return headers.length ? { headers: Object.fromEntries(headers) } : undefined;
  if (way === "access") {
    return key || id ? { headers: { [ACCESS_ID]: bare(id, ACCESS_ID), [ACCESS_SECRET]: bare(key, ACCESS_SECRET) } } : undefined;
  }
  if (!key.trim()) return undefined;
  if (way === "bearer") return { bearer: bare(bare(key, DEFAULT_HEADER), "Bearer") };
  if (way === "cookie") return { cookie: bare(key, "Cookie") };
  return { header: header.trim() || DEFAULT_HEADER, value: key.trim() };
}

/** @param {boolean} isStored whether the peer has one already */
export function keyFields(isStored) {
  const key = secretInput();
  const header = input({ placeholder: DEFAULT_HEADER });
  const user = input();
  const id = input();
  /** @type {{name: HTMLInputElement, value: HTMLInputElement, element: HTMLElement}[]} */
  const pairs = [];
  const more = h("button", { type: "button", class: "orc-button", onclick: () => addPair().name.focus() }, t("Another header"));
  const list = h("div", { class: "orc-pairs" });
  const addPair = () => {
    const number = pairs.length + 1;
    const name = input({ placeholder: "X-Api-Key", "aria-label": t("Header {number}", { number }) });
    const value = secretInput({ placeholder: t("Value"), "aria-label": t("Value of header {number}", { number }) });
    const pair = { name, value, element: h("div", { class: "orc-pair" }, name, value) };
    pairs.push(pair);
    list.append(pair.element);
    more.hidden = pairs.length >= HEADERS_MAX;
    return pair;
  };

  /** @type {Record<Way, () => HTMLElement[]>} */
  const shown = {
    kept: () => [],
    none: () => [],
    header: () => [field(t("Key"), key), field(t("Header"), header, t("optional"))],
    bearer: () => [field(t("Token"), key)],
    basic: () => [field(t("User"), user), field(t("Password"), key)],
    access: () => [field(t("Client ID"), id), field(t("Client secret"), key)],
    headers: () => [list, h("div", { class: "orc-actions" }, more)],
    cookie: () => [field(t("Cookie"), key)],
  };
  const needed = () => ({
    kept: [], none: [], header: [key], bearer: [key], basic: user.value || key.value ? [] : [user], access: [id, key],
    headers: filled().length ? filled().flatMap(({ name, value }) => [name, value]) : [pairs[0].name], cookie: [key],
  })[way()];
  const filled = () => pairs.filter(({ name, value }) => name.value.trim() || value.value.trim());

  const choice = h("select", { class: "orc-input", onchange: () => {
    isChosen = true;
    clear();
    show();
  } });
  const way = () => /** @type {Way} */ (choice.value);
  const secrets = () => [key, id, ...pairs.map(({ value }) => value)];
  /** What was meant for one way must not be sent in another one. */
  const clear = () => secrets().forEach((each) => { each.value = ""; });
  const about = h("p", { class: "orc-muted" });
  const fields = h("div", { class: "orc-secrets" });
  const summary = h("summary");
  let isChosen = false; // by a person, who then means to enter something

  const show = () => {
    key.placeholder = way() === "header" ? "Bearer …" : way() === "cookie" ? "name=value" : "";
    about.textContent = {
      kept: t("The saved key stays as it is. It is never shown."),
      none: isStored ? t("The saved key is deleted when you save.") : t("Most peers need none; a proxy in front of one may."),
      header: t("Only if the peer requires one. Sent unchanged in this header. Stored on this computer only."),
      bearer: t("Sent as “Authorization: Bearer …”. Stored on this computer only."),
      basic: t("The login that a browser would ask for there (Basic). Stored on this computer only."),
      access: t("A Cloudflare Access service token, sent in its two headers. Stored on this computer only."),
      headers: t("Each is sent unchanged. Stored on this computer only."),
      cookie: t("Sent with each request, like “name=value; other=value”. Stored on this computer only."),
    }[way()];
    fields.replaceChildren(...shown[way()]());
  };
  const offer = (/** @type {Way} */ chosen) => {
    /** @type {[Way, string][]} */
    const ways = [
      ["none", isStored ? t("None: delete the saved key") : t("No key")], ["header", t("Key in a header")],
      ["bearer", t("Bearer token")], ["basic", t("User and password")], ["access", "Cloudflare Access"],
      ["headers", t("Several headers")], ["cookie", t("Cookie")],
    ];
    if (isStored) ways.unshift(["kept", t("Keep the saved key")]);
    choice.replaceChildren(...ways.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
    choice.value = chosen;
    summary.textContent = isStored ? t("Key (saved)") : t("Key");
    show();
  };

  while (pairs.length < HEADERS_SHOWN) addPair();
  offer(isStored ? "kept" : "none");
  const element = h("details", { class: "orc-keys" }, summary,
    h("label", { class: "orc-field orc-stacked" }, t("How is the key sent?"), choice), about, fields);

  return {
    element,
    /** The field that somebody enters it in. */
    get control() { return /** @type {HTMLElement} */ (fields.querySelector(".orc-input") ?? choice); },
    /** @returns {Keys} */
    entered: () => ({
      way: way(), key: key.value, header: header.value, user: user.value, id: id.value,
      headers: filled().map(({ name, value }) => [name.value.trim(), value.value.trim()]),
    }),
    /** What is still to be said before it can be sent. @returns {{message: string, control: HTMLElement} | null} */
    fault() {
      const empty = isChosen || credentialsOf(this.entered()) ? needed().find(({ value }) => !value.trim()) : null;
      if (empty) return { message: t("Fill this in, or choose another way."), control: empty };
      const names = filled().map(({ name }) => name.value.trim().toLowerCase());
      const twice = way() === "headers" ? names.findIndex((name, at) => names.indexOf(name) < at) : -1;
      return twice < 0 ? null : { message: t("Each header can be given once."), control: filled()[twice].name };
    },
    /** The peer answered: what was entered is stored. @param {boolean} stored @param {boolean} wantsKey */
    answered(stored, wantsKey) {
      const before = way();
      isStored = stored;
      isChosen = false;
      clear();
      const isOpen = !["kept", "none"].includes(before);
      offer(wantsKey ? (isOpen ? before : stored ? "kept" : "header") : stored ? "kept" : before);
      element.toggleAttribute("open", wantsKey);
    },
    /** Opens it where the peer asks for one. */
    ask() {
      element.open = true;
      if (way() === "none") offer("header");
      this.control.focus();
    },
  };
}
