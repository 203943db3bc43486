// @ts-check
/** The form for a new or a known peer. Keys go in and never come out. */
import { h, setAttribute, setOptionalText, setText } from "../ui/dom.js";
import { RequestError } from "../data/request_error.js";
import { field, input } from "../ui/form_fields.js";
import { peerRules } from "../ui/format.js";
import { t } from "../data/i18n.js";
import { credentialsOf, keyFields } from "./peer_keys.js";

/** @typedef {import("../data/api.js").Peer} Peer @typedef {import("../data/api.js").PeerChanges} PeerChanges
 * @typedef {{url: string, name: string, tags: string, keys: import("./peer_keys.js").Keys, tls: string,
 *   exclusive: boolean, onlyIdle: boolean, hours: string, relay?: boolean}} Fields */

/** @param {string} text @returns {string[]} */
export const splitTags = (text) => [...new Set(text.split(",").map((tag) => tag.trim()).filter(Boolean))];

/**
 * What to send: all that was filled in for a new peer, only what is different for a known one.
 * @param {Peer | null} peer
 * @param {Fields} fields
 * @returns {PeerChanges}
 */
export function changesOf(peer, fields) {
  /** @type {PeerChanges} */
  const changes = {};
  const url = fields.url.trim();
  const name = fields.name.trim();
  const tags = splitTags(fields.tags);
  const credentials = credentialsOf(fields.keys);
  if (url !== peer?.url) changes.url = url;
  if (name !== (peer?.name ?? "")) changes.name = name;
  if (tags.join("\n") !== (peer?.tags ?? []).join("\n")) changes.tags = tags;
  if (credentials || (credentials === null && peer?.has_credentials)) changes.credentials = credentials;
  const tls = fields.tls.trim();
  if (tls !== (peer?.tls ?? "")) changes.tls = tls;
  if (fields.exclusive !== Boolean(peer?.exclusive)) changes.exclusive = fields.exclusive;
  if (fields.onlyIdle !== Boolean(peer?.only_idle)) changes.only_idle = fields.onlyIdle;
  const hours = fields.hours.trim();
  if (hours !== (peer?.hours ?? "")) changes.hours = hours;
  if (peer && fields.relay !== undefined && fields.relay !== Boolean(peer.relay_events)) changes.relay_events = fields.relay;
  return changes;
}

/**
 * @param {HTMLElement} el
 * @param {import("../panel.js").SectionDeps & {peer: Peer | null, onClose(): void}} deps
 */
export function mount(el, { api, store, say, peer: known, onClose }) {
  let peer = known;
  let asked = ""; //: what stood in the form when it was last sent
  const url = input({ placeholder: "192.168.1.20:8188", required: true, value: peer?.url ?? "" });
  const name = input({ placeholder: t("the address"), value: peer?.name ?? "", maxlength: 64 });
  const tags = input({ placeholder: t("fast, 24gb"), value: peer?.tags.join(", ") ?? "" });
  const keys = keyFields(Boolean(peer?.has_credentials));
  const tls = h("textarea", { class: "orc-input", rows: 3, spellcheck: "false", placeholder: "sha256:… / -----BEGIN CERTIFICATE-----" });
  tls.value = peer?.tls ?? "";
  const exclusive = h("input", { type: "checkbox", checked: Boolean(peer?.exclusive) });
  const onlyIdle = h("input", { type: "checkbox", checked: Boolean(peer?.only_idle) });
  const hours = input({ placeholder: "22:00-07:00, 12:30-13:30", value: peer?.hours ?? "" });
  const relay = h("input", { type: "checkbox", checked: Boolean(peer?.relay_events) });
  const failure = h("p", { class: "orc-error", role: "alert", hidden: true });
  const submit = h("button", { type: "submit", class: "orc-button orc-primary" }, peer ? t("Save") : t("Add"));
  // Only after a new peer gave no good answer: it is registered then, and the form goes on with it.
  const forgetIt = h("button", { type: "button", class: "orc-button", hidden: true, onclick: () => drop() }, t("Delete"));
  const cancel = h("button", { type: "button", class: "orc-button", onclick: onClose }, t("Cancel"));
  const actions = h("div", { class: "orc-actions" }, submit, cancel, forgetIt);

  /** @type {Record<string, HTMLElement>} by the names that the server has for them */
  const controls = { url, name, tags, tls, hours };
  const controlOf = (/** @type {string} */ name) => (name === "credentials" ? keys.control : controls[name] ?? url);
  /** Says at its field what is wrong. @param {string} message @param {HTMLElement | null} [control] */
  const refuse = (message, control = null) => {
    for (const each of form.querySelectorAll("[aria-invalid]")) setAttribute(each, "aria-invalid", null);
    if (control) setAttribute(control, "aria-invalid", "true");
    if (control) control.closest("label, .orc-pair")?.after(failure);
    else actions.before(failure);
    setOptionalText(failure, message);
    control?.closest("details")?.setAttribute("open", "");
    control?.focus();
  };
  const entered = (/** @type {Peer | null} */ than) => changesOf(than, {
    url: url.value, name: name.value, tags: tags.value, keys: keys.entered(), tls: tls.value,
    exclusive: exclusive.checked, onlyIdle: onlyIdle.checked, hours: hours.value,
    relay: known ? relay.checked : undefined, // for a new one its address decides
  });
  const save = async () => {
    const fault = keys.fault();
    if (fault) return refuse(fault.message, fault.control);
    const changes = entered(peer);
    refuse("");
    const changed = Object.keys(changes).length > 0;
    if (known && !changed) return onClose();
    submit.disabled = true;
    try {
      const answer = await tried(changes, changed);
      if (!known && answer.enabled && answer.health !== "up") return goOnWith(answer);
      const called = name.value || url.value;
      say(peer ? t("{peer} is saved.", { peer: called }) : t("{peer} is added.", { peer: called }));
      onClose();
      store.refreshPeers().catch(() => {}); // the server's event tells it as well
    } catch (error) {
      const wrong = error instanceof RequestError && error.status === 400 ? controlOf(error.field) : null;
      refuse(/** @type {Error} */ (error).message, wrong);
    } finally {
      submit.disabled = false;
    }
  };

  const tried = (/** @type {PeerChanges} */ changes, /** @type {boolean} */ changed) => {
    if (!peer) return api.addPeer(changes);
    return changed ? api.updatePeer(peer.id, changes) : api.checkPeer(peer.id);
  };
  const goOnWith = (/** @type {Peer} */ answer) => {
    peer = answer;
    const wantsKey = answer.health === "needs_key";
    keys.answered(answer.has_credentials, wantsKey);
    refuse(answer.reason || t("{address} has not answered yet.", { address: answer.url }));
    submit.textContent = t("Try again");
    cancel.textContent = t("Keep it as it is");
    forgetIt.hidden = false;
    (wantsKey ? keys.control : url).focus();
    asked = JSON.stringify(entered(null));
    store.addEventListener("peers", answersLater);
    store.refreshPeers().catch(() => {});
  };
  /** A new peer answers after it was said that it does not: there is nothing left to do here. */
  const answersLater = () => {
    const now = store.peers.find(({ id }) => id === peer?.id);
    if (form.isConnected && now?.health !== "up") return;
    store.removeEventListener("peers", answersLater);
    if (!form.isConnected || !now || submit.disabled) return; // gone, or it is just being asked
    refuse("");
    peer = now;
    if (JSON.stringify(entered(null)) !== asked) return void setText(submit, t("Save")); // somebody was typing
    say(t("{peer} is added.", { peer: now.name }));
    onClose();
  };
  const drop = async () => {
    try {
      if (peer) await api.removePeer(peer.id);
      onClose();
      store.refreshPeers().catch(() => {});
    } catch (error) {
      refuse(/** @type {Error} */ (error).message);
    }
  };

  const form = h("form", {
    class: "orc-form", "aria-label": peer ? t("Edit {peer}", { peer: peer.name }) : t("Add a peer"),
    onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      save();
    },
    // ComfyUI listens for single keys on the whole page.
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      event.stopPropagation();
      if (event.key === "Escape") onClose();
    },
  },
    field(t("Address"), url),
    field(t("Name"), name, t("optional")),
    field(t("Tags"), tags, t("optional")),
    keys.element,
    h("details", { class: "orc-trust", open: Boolean(peer?.tls) },
      h("summary", {}, t("Certificate")),
      h("p", { class: "orc-muted" },
        t("Only for self-signed certificates: paste the CA (PEM) or the SHA-256 fingerprint.")),
      field(t("CA file or fingerprint"), tls, t("optional")),
    ),
    h("details", { class: "orc-when", open: Boolean(peer && peerRules(peer).length) },
      h("summary", {}, t("When to use it")),
      h("label", { class: "orc-check" }, exclusive, t("Only for jobs assigned to it or its tags")),
      h("label", { class: "orc-check" }, onlyIdle, t("Only when nobody else is using it")),
      field(t("Hours"), hours, t("optional")),
      h("p", { class: "orc-muted" },
        t("New jobs start only during these hours (this computer's clock). Running jobs finish. Leave empty for always.")),
    ),
    known && h("details", { class: "orc-relay" },
      h("summary", {}, t("Node packs")),
      h("label", { class: "orc-check" }, relay, t("Let its node packs talk to this page")),
      h("p", { class: "orc-muted" },
        t("Some packs open a dialog or show pictures by events of their own. Their code on this page trusts what they say, so leave it off for a computer that is not yours.")),
    ),
    failure,
    actions,
  );
  el.replaceChildren(form);
  if (peer?.health === "needs_key") keys.ask();
  else url.focus();
}
