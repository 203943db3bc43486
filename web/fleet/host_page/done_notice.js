// @ts-check
/** Tells a person who looks elsewhere that the fleet has nothing left to do: by a notification, or by a sound. */
import { plural, t } from "../data/i18n.js";

/** @typedef {import("../data/api.js").Job} Job @typedef {import("../data/store.js").FleetStore} FleetStore
 * @typedef {{canNotify(): boolean, ask(): void, notify(title: string, body: string): void, sound(): void, isSeen(): boolean}} Means */

const LOOK_EVERY_MS = 300; //: jobs change hundreds of times a second
const SETTING = "RemoteDispatch.TellDone";
const [OFF, NOTIFICATION, SOUND] = ["off", "notification", "sound"];

export class DoneNotice {
  #store;
  #manager;
  #means;
  #wasBusy = false;
  /** When the last job before this batch of work ended. */
  #since = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #looking;

  /** @param {FleetStore} store @param {() => any} manager the host's extensionManager @param {Means} [means] */
  constructor(store, manager, means = ofBrowser) {
    this.#store = store;
    this.#manager = manager;
    this.#means = means;
  }

  /** For an extension's definition, in the page's language. */
  get settings() {
    const name = t("Tell me when the fleet's queue is empty");
    return [{
      id: SETTING, name, category: ["Remote Dispatch", t("Notifications"), name], type: "combo", defaultValue: OFF,
      tooltip: t("While this page is in the background. A notification needs a page on https or on this computer; elsewhere you hear a sound."),
      options: [
        { value: OFF, text: t("off") }, { value: NOTIFICATION, text: t("by a notification") }, { value: SOUND, text: t("by a sound") },
      ],
      // The host also calls it with what it has stored: then nobody has pressed anything.
      onChange: (/** @type {string} */ now, /** @type {string | undefined} */ before) => {
        if (before !== undefined && now === NOTIFICATION) this.#means.ask();
      },
    }];
  }

  start() {
    this.#store.addEventListener("jobs", () => {
      this.#looking ??= setTimeout(() => {
        this.#looking = undefined;
        this.#look();
      }, LOOK_EVERY_MS);
    });
  }

  #look() {
    const { queue, unseen, ended } = this.#store;
    const busy = queue.length + unseen.waiting > 0;
    if (busy && !this.#wasBusy) this.#since = ended[0]?.ended_at ?? "";
    if (this.#wasBusy && !busy) this.#tell(ended.filter(({ ended_at: at }) => (at ?? "") > this.#since));
    this.#wasBusy = busy;
  }

  /** @param {Job[]} ended */
  #tell(ended) {
    const wish = this.#manager()?.setting?.get(SETTING) ?? OFF;
    if (wish === OFF || this.#means.isSeen()) return;
    if (wish === NOTIFICATION && this.#means.canNotify()) this.#means.notify(t("The fleet is done"), summaryOf(ended));
    else this.#means.sound();
  }
}

/** "9 jobs done, 1 failed". @param {Pick<Job, "state">[]} ended */
export function summaryOf(ended) {
  const of = (/** @type {string[]} */ ...states) => ended.filter(({ state }) => states.includes(state)).length;
  const [done, failed, cancelled] = [of("done"), of("failed", "set_aside"), of("cancelled")];
  return [
    plural(done, "{count} job done", "{count} jobs done"),
    failed ? t("{count} failed", { count: failed }) : "",
    cancelled ? t("{count} cancelled", { count: cancelled }) : "",
  ].filter(Boolean).join(", ");
}

/** @type {Means} */
const ofBrowser = {
  canNotify: () => window.isSecureContext && globalThis.Notification?.permission === "granted",
  ask: () => void (window.isSecureContext && globalThis.Notification?.requestPermission()),
  notify: (title, body) => void new Notification(title, { body, tag: SETTING }),
  sound: () => beep(),
  isSeen: () => document.visibilityState === "visible" && document.hasFocus(),
};

/** Two short tones. */
function beep() {
  const audio = new AudioContext();
  const loudness = audio.createGain();
  loudness.gain.value = 0.1;
  loudness.connect(audio.destination);
  [660, 880].forEach((hertz, at) => {
    const tone = audio.createOscillator();
    tone.frequency.value = hertz;
    tone.connect(loudness);
    tone.start(audio.currentTime + at * 0.18);
    tone.stop(audio.currentTime + at * 0.18 + 0.15);
    tone.onended = () => void (at && audio.close());
  });
}
