// @ts-check
/** Tells a person who looks elsewhere that the fleet, or a batch, is done: by a notification, a sound, and the browser's tab. */
import { nameOf, withoutRepeated } from "../data/batches.js";
import { plural, t } from "../data/i18n.js";
import { markTab } from "./tab_mark.js";

/** @typedef {import("../data/api.js").Job} Job @typedef {import("../data/store.js").FleetStore} FleetStore
 * @typedef {{canNotify(): boolean, ask(): void, notify(title: string, body: string): void, sound(): void, mark(): void, isSeen(): boolean}} Means */

const LOOK_EVERY_MS = 300; //: jobs change hundreds of times a second
const [HOW, WHEN] = ["RemoteDispatch.TellDone", "RemoteDispatch.TellDoneWhen"];
const [OFF, NOTIFICATION, SOUND] = ["off", "notification", "sound"];
const [QUEUE, BATCH] = ["queue", "batch"];

export class DoneNotice {
  #store;
  #manager;
  #means;
  #wasBusy = false;
  /** Ids of batches with a job in the queue. @type {Set<string>} */
  #open = new Set();
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
    const [how, when] = [t("Tell me when work is done"), t("Work is done")];
    const category = (/** @type {string} */ name) => ["Remote Dispatch", t("Notifications"), name];
    return [{
      id: HOW, name: how, category: category(how), type: "combo", defaultValue: OFF, sortOrder: 2,
      tooltip: t("While this page is in the background. A notification needs a page on https or on this computer; elsewhere you hear a sound."),
      options: [
        { value: OFF, text: t("off") }, { value: NOTIFICATION, text: t("by a notification") }, { value: SOUND, text: t("by a sound") },
      ],
      // The host also calls it with what it has stored: then nobody has pressed anything.
      onChange: (/** @type {string} */ now, /** @type {string | undefined} */ before) => {
        if (before !== undefined && now === NOTIFICATION) this.#means.ask();
      },
    }, {
      id: WHEN, name: when, category: category(when), type: "combo", defaultValue: QUEUE, sortOrder: 1,
      tooltip: t("When the setting above tells you."),
      options: [{ value: QUEUE, text: t("when the queue is empty") }, { value: BATCH, text: t("with each batch too") }],
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
    const open = new Set(queue.flatMap(({ batch }) => batch?.id ?? []));
    const over = [...this.#open].filter((id) => !open.has(id));
    this.#open = open;
    if (busy && !this.#wasBusy) this.#since = ended[0]?.ended_at ?? "";
    if (this.#wasBusy && !busy) this.#tell(t("The fleet is done"), ended.filter(({ ended_at: at }) => (at ?? "") > this.#since));
    else if (this.#wish(WHEN) === BATCH) for (const id of over) this.#tellBatch(ended.filter(({ batch }) => batch?.id === id));
    this.#wasBusy = busy;
  }

  /** @param {Job[]} all */
  #tellBatch(all) {
    const jobs = withoutRepeated(all);
    if (jobs.length > 1) this.#tell(t("{job} is done", { job: `${nameOf(jobs)} × ${jobs.length}` }), jobs);
  }

  /** @param {string} title @param {Job[]} ended */
  #tell(title, ended) {
    if (this.#means.isSeen()) return;
    this.#means.mark();
    const wish = this.#wish(HOW);
    if (wish === NOTIFICATION && this.#means.canNotify()) this.#means.notify(title, summaryOf(ended));
    else if (wish === NOTIFICATION || wish === SOUND) this.#means.sound();
  }

  #wish(/** @type {string} */ setting) {
    return this.#manager()?.setting?.get(setting);
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
  notify: (title, body) => void new Notification(title, { body, tag: HOW }),
  sound: () => beep(),
  mark: () => markTab(),
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
