// @ts-check
/** Fleet mode in the host's own places: action bar, command, key, setting, toasts. The server knows whether it is on. */
import { whyOff } from "../peers/addresses.js";
import { setAttribute } from "../ui/dom.js";
import { stateOf } from "./commands.js";
import { t } from "../data/i18n.js";
import { whatChanged } from "./mode_text.js";
/** @typedef {import("../data/api.js").Settings} Settings */

const COMMAND = "RemoteDispatch.ToggleFleetMode";
/** The host's settings that stand for ours.
 * @type {{id: string, key: keyof Settings, usual: boolean, words(): {group: string, name: string, tooltip: string}}[]} */
const SWITCHES = [
  {
    id: "RemoteDispatch.FleetMode", key: "fleet_mode", usual: false,
    words: () => ({
      group: t("Fleet mode"), name: t("Fleet mode: Run uses the peers"),
      tooltip: t("The Run button sends whole workflows to the peers in the Fleet tab."),
    }),
  },
  {
    id: "RemoteDispatch.ThisMachine", key: "this_machine", usual: false,
    words: () => ({
      group: t("Fleet mode"), name: t("Include this computer"),
      tooltip: t("In fleet mode this computer takes jobs that no peer can start right away, whenever its own queue is empty."),
    }),
  },
  {
    id: "RemoteDispatch.Paused", key: "paused", usual: false,
    words: () => ({
      group: t("Fleet queue"), name: t("Pause fleet queue"),
      tooltip: t("No new jobs are started. Running jobs finish, and no waiting job is lost."),
    }),
  },
  {
    id: "RemoteDispatch.RetryInterrupted", key: "retry_interrupted", usual: false,
    words: () => ({
      group: t("Fleet queue"), name: t("Move a job to another peer when someone interrupts it there"),
      tooltip: t("When off, the job ends and says where it was interrupted. Jobs you stop here always end."),
    }),
  },
  {
    id: "RemoteDispatch.SecondCopies", key: "second_copies", usual: false,
    words: () => ({
      group: t("Fleet queue"), name: t("Duplicate the last jobs on faster idle peers"),
      tooltip: t("When nothing is waiting, a running job also starts on an idle peer that would clearly finish it sooner. The first copy to finish counts, the other is cancelled; that costs duplicate work."),
    }),
  },
  {
    id: "RemoteDispatch.PeerNodes", key: "peer_nodes", usual: true,
    words: () => ({
      group: t("Nodes and models"), name: t("Offer nodes and models that only the peers have"),
      tooltip: t("Node and model lists show them with the peer's name, so you can build workflows with what this computer is missing. Takes effect at once when turned on; reload the page after turning it off."),
    }),
  },
];
const BUTTON = "orc-fleet-toggle";
const TOAST_MS = 5000;
const READ_MS = 20_000; //: several sentences
const SHOW_EVERY_MS = 300;
const COUNT_EVERY_MS = 5000; //: the time that is left

export class FleetMode {
  #store;
  #manager;
  /** What the page was told of already. @type {Settings | null} */
  #told = null;
  #following = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #showing;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #counting;

  /**
   * @param {import("../data/store.js").FleetStore} store
   * @param {() => any} manager the host's extensionManager, which is there once the page is set up
   */
  constructor(store, manager) {
    this.#store = store;
    this.#manager = manager;
  }

  /** What an extension's definition gains, in the page's language. */
  get parts() {
    const toggle = () => this.#toggle();
    return {
      commands: [{ id: COMMAND, icon: "pi pi-server", label: t("Toggle Fleet Mode"), function: toggle }],
      keybindings: [{ combo: { key: "f", ctrl: true, shift: true }, commandId: COMMAND }],
      settings: SWITCHES.map(({ id, key, usual, words }, place) => {
        const { group, name, tooltip } = words();
        return {
          id,
          category: ["Remote Dispatch", group, name],
          name,
          tooltip,
          sortOrder: SWITCHES.length - place,
          type: "boolean",
          defaultValue: usual,
          onChange: (/** @type {boolean} */ on) => this.#settingChanged(key, on),
        };
      }),
      // The host draws these once; `#show` tells the state by attributes, which it leaves alone.
      actionBarButtons: [{
        icon: "pi pi-server",
        label: "Fleet",
        tooltip: t("Fleet mode: Run uses your peers (Ctrl+Shift+F)"),
        class: BUTTON,
        onClick: toggle,
      }],
    };
  }

  /** Once the page is set up. */
  start() {
    this.#store.addEventListener("settings", () => this.#follow());
    for (const name of ["peers", "jobs"]) this.#store.addEventListener(name, () => this.#showSoon());
    // The host may draw its bar again.
    document.addEventListener("focusin", ({ target }) => {
      if (target instanceof Element && target.closest(`.${BUTTON}`)) this.#show();
    });
    this.#show();
    this.#store.readSettings().then(() => {
      this.#show();
      if (this.#store.isShutOut) this.#toast("warn", t("The fleet is off at this address"), whyOff(location.host), READ_MS);
    });
  }

  async #toggle() {
    try {
      if (!this.#store.settings) await this.#store.readSettings();
      await this.#store.change({ fleet_mode: !this.#store.settings?.fleet_mode });
    } catch (error) {
      this.#toast("error", t("Fleet mode was not switched"), /** @type {Error} */ (error).message);
    }
  }

  /** A person changed it in the host's settings; what we write there ourselves is no wish.
   * @param {keyof Settings} key @param {boolean} on */
  async #settingChanged(key, on) {
    const known = this.#store.settings;
    if (this.#following || !known || known[key] === on) return;
    try {
      await this.#store.change({ [key]: on });
    } catch (error) {
      this.#toast("error", t("The setting was not changed"), /** @type {Error} */ (error).message);
      await this.#follow();
    }
  }

  async #follow() {
    const now = this.#store.settings;
    if (!now) return;
    const before = this.#told;
    this.#told = now;
    this.#show();
    for (const { id, key } of SWITCHES) this.#writeSetting(id, Boolean(now[key]));
    if (!before || (before.fleet_mode === now.fleet_mode && before.paused === now.paused)) return;
    if (!this.#store.peers.length) await this.#store.refreshPeers().catch(() => {});
    for (const { severity, summary, detail } of whatChanged(before, now, this.#store.peers)) {
      this.#toast(severity, summary, detail);
    }
  }

  /** @param {string} id @param {boolean} on */
  #writeSetting(id, on) {
    const { setting } = this.#manager();
    if (setting.get(id) === on) return;
    this.#following = true; // its onChange is called before `set` returns
    try {
      Promise.resolve(setting.set(id, on)).catch(() => {});
    } finally {
      this.#following = false;
    }
  }

  /** Jobs change hundreds of times a second. */
  #showSoon() {
    this.#showing ??= setTimeout(() => {
      this.#showing = undefined;
      this.#show();
    }, SHOW_EVERY_MS);
  }

  #show() {
    clearTimeout(this.#counting);
    if (this.#store.restMs) this.#counting = setTimeout(() => this.#show(), COUNT_EVERY_MS); // nothing else may happen
    const on = Boolean(this.#store.settings?.fleet_mode);
    const says = stateOf(this.#store);
    document.documentElement.dataset.orcFleetMode = on ? "on" : "off";
    document.documentElement.style.setProperty("--orc-fleet-says", JSON.stringify(says));
    for (const button of document.querySelectorAll(`.${BUTTON}`)) {
      setAttribute(button, "aria-pressed", String(on));
      setAttribute(button, "aria-label", `Fleet: ${says}`);
    }
  }

  /** @param {string} severity @param {string} summary @param {string} detail */
  #toast(severity, summary, detail, life = TOAST_MS) {
    this.#manager().toast.add({ severity, summary, detail, life });
  }
}
