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
      kept: t("The stored key stays as it is. It is never shown."),
      none: isStored ? t("The stored key is forgotten when you save.") : t("Most peers want none; a proxy in front of one may."),
      header: t("Only for a peer that asks for one. Sent as it stands in this header; kept on this machine."),
      bearer: t("Sent as “Authorization: Bearer …”; kept on this machine."),
      basic: t("What a browser would ask you for there (Basic); kept on this machine."),
      access: t("A service token of Cloudflare Access, sent in its two headers; kept on this machine."),
      headers: t("Each is sent as it stands; kept on this machine."),
      cookie: t("Sent with each request, like “name=value; other=value”; kept on this machine."),
    }[way()];
    fields.replaceChildren(...shown[way()]());
  };
  const offer = (/** @type {Way} */ chosen) => {
    /** @type {[Way, string][]} */
    const ways = [
      ["none", isStored ? t("None: forget the stored key") : t("No key")], ["header", t("Key in a header")],
      ["bearer", t("Bearer token")], ["basic", t("User and password")], ["access", "Cloudflare Access"],
      ["headers", t("Several headers")], ["cookie", t("Cookie")],
    ];
    if (isStored) ways.unshift(["kept", t("Keep the stored key")]);
    choice.replaceChildren(...ways.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
    choice.value = chosen;
    summary.textContent = isStored ? t("Key (one is stored)") : t("Key");
    show();
  };

  while (pairs.length < HEADERS_SHOWN) addPair();
  offer(isStored ? "kept" : "none");
  const element = h("details", { class: "orc-keys" }, summary,
    h("label", { class: "orc-field orc-stacked" }, t("How does it want its key?"), choice), about, fields);

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
