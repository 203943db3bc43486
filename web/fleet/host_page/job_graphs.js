// @ts-check
/** The workflow of a job on the host's canvas: to look at, or to change what a waiting job will run. */
import { h, setAttribute, setOptionalText } from "../ui/dom.js";
import { jobTitle } from "../ui/format.js";
import { isFinal } from "../data/job_index.js";
import { plural, t } from "../data/i18n.js";

/** @typedef {import("../data/api.js").Job} Job @typedef {import("../data/batches.js").Batch} Batch
 * @typedef {{workflow: any, prompt: Record<string, any>}} Graph */

const NAME_MAX = 80;
const REFUSED_MS = 20_000; //: a sentence or two
const waitsOnHold = (/** @type {Job} */ job) => job.held && !job.begun_at && !isFinal(job);

/** A workflow of its own, beside the one that stands in the page. @param {any} app the host's
 * @param {Graph} graph @param {string} name */
export async function openGraph(app, { workflow, prompt }, name) {
  const title = name.replace(/[\\/:*?"<>|]/g, "_").slice(0, NAME_MAX);
  if (workflow) await app.loadGraphData(workflow, true, true, title);
  else await app.loadApiJson(prompt, title);
}

export class JobGraphs {
  #app;
  #api;
  /** What is being edited takes it away. @type {(() => void) | null} */
  #close = null;

  /** @param {any} app the host's @param {import("../data/api.js").FleetApi} api */
  constructor(app, api) {
    this.#app = app;
    this.#api = api;
  }

  /** @param {Job} job */
  async open(job) {
    await openGraph(this.#app, await this.#api.graphOf(job.job_id), jobTitle(job));
  }

  /** Holds a waiting job, and opens its workflow until it is put back. @param {Job} job @throws {Error} it has begun */
  async edit(job) {
    this.#refuseSecond();
    const { done, refused } = await this.#api.act("hold", { job_ids: [job.job_id] });
    if (refused.length) throw new Error(refused[0].message);
    await this.#open(job, [], done);
  }

  /** The same for all of a batch that has not begun: its first one is opened, and what is changed there changes
   * in all of them. @param {Batch} batch @throws {Error} all of it has begun */
  async editBatch(batch) {
    this.#refuseSecond();
    const { done } = await this.#api.act("hold", { batch: batch.id });
    const held = new Set([...batch.jobs.filter(waitsOnHold).map((job) => job.job_id), ...done]);
    const first = batch.jobs.find((job) => held.delete(job.job_id));
    if (!first) throw new Error(t("All jobs of this batch have begun."));
    await this.#open(first, [...held], done);
  }

  #refuseSecond() {
    if (this.#close) throw new Error(t("Another job is being edited. Put it back first."));
  }

  /** @param {Job} job @param {string[]} also edited with it @param {string[]} held those that were not before */
  async #open(job, also, held) {
    const release = async () => {
      if (held.length) await this.#api.act("release", { job_ids: held });
    };
    await this.open(job).catch(async (error) => {
      await release();
      throw error;
    });
    const edited = this.#openWorkflow();
    const name = jobTitle(job).split(" · ")[0];
    const failure = h("p", { class: "orc-error", role: "alert", hidden: true });
    const attempt = async (/** @type {() => Promise<unknown>} */ act) => {
      if (bar.hasAttribute("aria-busy")) return;
      setOptionalText(failure, "");
      setAttribute(bar, "aria-busy", "true");
      try {
        await act();
        this.#close?.();
      } catch (error) {
        setOptionalText(failure, /** @type {Error} */ (error).message);
      } finally {
        setAttribute(bar, "aria-busy", null);
      }
    };
    const putBack = async () => {
      if (this.#openWorkflow() !== edited) throw new Error(t("Another workflow is open. Open the one you edited, then put it back."));
      const { output: prompt, workflow } = await this.#app.graphToPrompt();
      const { refused } = await this.#api.editJob(job.job_id, { prompt, workflow, name, also });
      if (refused.length) this.#tellRefused(refused);
    };
    const said = also.length
      ? t("Editing {count} waiting jobs: {job}. Each keeps its own seed and varied values.", { count: also.length + 1, job: name })
      : t("Editing a waiting job: {job}", { job: jobTitle(job) });
    const back = h("button", { type: "button", class: "orc-button orc-primary", onclick: () => attempt(putBack) }, t("Put back in the queue"));
    const bar = h("section", { class: "orc-panel orc-edit-bar", "aria-label": t("Editing a waiting job") },
      h("span", { class: "orc-name" }, said),
      back,
      h("button", { type: "button", class: "orc-button", onclick: () => attempt(release) }, t("Discard changes")),
      failure);
    this.#close = () => {
      this.#close = null;
      bar.remove();
    };
    document.body.append(bar);
    back.focus();
  }

  /** @param {{message: string}[]} refused */
  #tellRefused(refused) {
    this.#app.extensionManager?.toast?.add({
      severity: "warn", life: REFUSED_MS, detail: refused[0].message,
      summary: plural(refused.length, "{count} job stayed as it was", "{count} jobs stayed as they were"),
    });
  }

  #openWorkflow() {
    return this.#app.extensionManager?.workflow?.activeWorkflow?.key ?? null;
  }
}
