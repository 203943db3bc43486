// @ts-check
/** Fleet mode in the host's own places: action bar, command, key, setting, toasts. The server knows whether it is on. */
import { whatChanged } from "./mode_words.js";
/** @typedef {import("./api.js").Settings} Settings */

const COMMAND = "RemoteDispatch.ToggleFleetMode";
const SETTING = "RemoteDispatch.FleetMode";
const BUTTON = "orc-fleet-toggle";
const TOAST_MS = 5000;

export class FleetMode {
  #store;
  #manager;
  /** What the page was told of already. @type {Settings | null} */
  #told = null;
  #following = false;

  /**
   * @param {import("./store.js").FleetStore} store
   * @param {() => any} manager the host's extensionManager, which is there once the page is set up
   */
  constructor(store, manager) {
    this.#store = store;
    this.#manager = manager;
  }

  /** What an extension's definition gains. */
  get parts() {
    const toggle = () => this.#toggle();
    return {
      commands: [{ id: COMMAND, icon: "pi pi-server", label: "Toggle Fleet Mode", function: toggle }],
      keybindings: [{ combo: { key: "f", ctrl: true, shift: true }, commandId: COMMAND }],
      settings: [{
        id: SETTING,
        category: ["Remote Dispatch", "Fleet mode", "Run"],
        name: "Fleet mode: Run uses the peers",
        tooltip: "Whole prompts of the Run button go to the machines of the Fleet tab.",
        type: "boolean",
        defaultValue: false,
        onChange: (/** @type {boolean} */ on) => this.#settingChanged(on),
      }],
      // The host draws these once; `#show` tells the state by attributes, which it leaves alone.
      actionBarButtons: [{
        icon: "pi pi-server",
        label: "Fleet",
        tooltip: "Fleet mode: Run uses your peers (Ctrl+Shift+F)",
        class: BUTTON,
        onClick: toggle,
      }],
    };
  }

  /** Once the page is set up. */
  start() {
    this.#store.addEventListener("settings", () => this.#follow());
    // The host may draw its bar anew.
    document.addEventListener("focusin", ({ target }) => {
      if (target instanceof Element && target.closest(`.${BUTTON}`)) this.#show();
    });
    this.#show();
    this.#store.readSettings();
  }

  async #toggle() {
    try {
      if (!this.#store.settings) await this.#store.readSettings();
      await this.#store.change({ fleet_mode: !this.#store.settings?.fleet_mode });
    } catch (error) {
      this.#toast("error", "Fleet mode was not switched", /** @type {Error} */ (error).message);
    }
  }

  /** A person changed it in the host's settings; what we write there ourselves is no wish. @param {boolean} on */
  async #settingChanged(on) {
    const known = this.#store.settings;
    if (this.#following || !known || known.fleet_mode === on) return;
    try {
      await this.#store.change({ fleet_mode: on });
    } catch (error) {
      this.#toast("error", "Fleet mode was not switched", /** @type {Error} */ (error).message);
      await this.#follow();
    }
  }

  async #follow() {
    const now = this.#store.settings;
    if (!now) return;
    const before = this.#told;
    this.#told = now;
    this.#show();
    this.#writeSetting(now.fleet_mode);
    if (!before || (before.fleet_mode === now.fleet_mode && before.paused === now.paused)) return;
    if (!this.#store.peers.length) await this.#store.refreshPeers().catch(() => {});
    for (const { severity, summary, detail } of whatChanged(before, now, this.#store.peers)) {
      this.#toast(severity, summary, detail);
    }
  }

  /** @param {boolean} on */
  #writeSetting(on) {
    const { setting } = this.#manager();
    if (setting.get(SETTING) === on) return;
    this.#following = true; // its onChange is called before `set` returns
    try {
      Promise.resolve(setting.set(SETTING, on)).catch(() => {});
    } finally {
      this.#following = false;
    }
  }

  #show() {
    const on = Boolean(this.#store.settings?.fleet_mode);
    document.documentElement.dataset.orcFleetMode = on ? "on" : "off";
    for (const button of document.querySelectorAll(`.${BUTTON}`)) {
      button.setAttribute("aria-pressed", String(on));
    }
  }

  /** @param {string} severity @param {string} summary @param {string} detail */
  #toast(severity, summary, detail) {
    this.#manager().toast.add({ severity, summary, detail, life: TOAST_MS });
  }
}
