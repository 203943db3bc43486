// @ts-check
/** What a person can do with one job, beyond what its row shows: by right click, or by its "more" button. */
import { copyText } from "../ui/dom.js";
import { isPicture, jobTitle, ownPath } from "../ui/format.js";
import { t } from "../data/i18n.js";
import { isFinal } from "../data/job_index.js";
import { openMenu } from "../ui/menu.js";

/** @typedef {import("../data/api.js").Job} Job @typedef {import("../panel.js").SectionDeps} SectionDeps
 * @typedef {import("../ui/menu.js").MenuItem} MenuItem
 * @typedef {(change: () => Promise<unknown>, done: string) => void} Act runs it and tells how it went */

const SEEDS = new Set(["seed", "noise_seed"]);

/** @param {SectionDeps} deps @param {Job} job @param {Act} act @param {{x: number, y: number}} at */
export function openJobMenu(deps, job, act, at) {
  openMenu(at, t("More: {job}", { job: jobTitle(job) }), itemsOf(deps, job, act));
}

/** @param {SectionDeps} deps @param {Job} job @param {Act} act @returns {MenuItem[]} */
function itemsOf({ api, host, store }, job, act) {
  const picture = job.outputs.find(({ filename, url }) => isPicture(filename) && ownPath(url));
  const waits = !isFinal(job) && !job.begun_at;
  const bulk = (/** @type {import("../data/api.js").Action} */ action) => async () => {
    const { refused } = await api.act(action, { job_ids: [job.job_id] });
    if (refused.length) throw new Error(refused[0].message);
    await store.readLine();
  };
  const item = (/** @type {unknown} */ shown, /** @type {string} */ icon, /** @type {string} */ label, /** @type {() => Promise<unknown>} */ run, /** @type {string} */ done) =>
    (shown ? [{ label, icon, run: () => act(run, done) }] : []);
  const copied = async (/** @type {string} */ text) => {
    if (!(await copyText(text))) throw new Error(t("The browser did not allow copying."));
  };
  return [
    ...item(host, "pi-folder-open", t("Open workflow"), () => host?.open(job) ?? Promise.resolve(), t("The workflow is open.")),
    ...item(host && waits && job.source !== "node", "pi-pencil", t("Edit workflow"),
      () => host?.edit(job) ?? Promise.resolve(), t("The job is on hold while you edit its workflow.")),
    ...item(picture, "pi-image", t("Open image"), async () => void window.open(api.fileUrl(picture?.url ?? ""), "_blank", "noopener"), ""),
    ...item(true, "pi-copy", t("Copy seed"), async () => copied(await seedOf(api, job)), t("The seed is copied.")),
    ...item(true, "pi-hashtag", t("Copy job ID"), () => copied(job.job_id), t("The job ID is copied.")),
    ...item(waits && !job.held, "pi-pause", t("Hold"), bulk("hold"), t("The job is on hold.")),
    ...item(waits && job.held, "pi-play", t("Resume"), bulk("release"), t("The job waits for its turn again.")),
    ...item(!isFinal(job), "pi-times", t("Cancel"), () => api.cancelJob(job.job_id), t("{job} is cancelled.", { job: jobTitle(job) })),
  ];
}

/** @param {import("../data/api.js").FleetApi} api @param {Job} job @returns {Promise<string>} */
async function seedOf(api, job) {
  const changed = Object.entries(job.batch?.changes ?? {}).find(([address]) => SEEDS.has(address.split(".").pop() ?? ""));
  if (changed) return String(changed[1]);
  const { prompt } = await api.graphOf(job.job_id);
  for (const { inputs } of Object.values(prompt)) {
    const seed = Object.entries(inputs ?? {}).find(([name, value]) => SEEDS.has(name.split(".").pop() ?? "") && typeof value === "number");
    if (seed) return String(seed[1]);
  }
  throw new Error(t("This workflow has no seed."));
}
