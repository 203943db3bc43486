// @ts-check
/** A batch in one row: how far it is, its last pictures, and what can be done to all of it. */
import { fillingBar } from "../ui/bar.js";
import { h, outsideLink, setAttribute, setChildren, setOptionalText, setText } from "../ui/dom.js";
import { isPicture, ownPath, wholeDuration } from "../ui/format.js";
import { plural, t } from "../data/i18n.js";
import { restMs, tallyOf } from "../data/batches.js";
import { isFinal } from "../data/job_index.js";
import { SHEET_COMMAND } from "../variations/variations.js";

/** @typedef {import("../data/batches.js").Batch} Batch @typedef {import("../data/batches.js").Tally} Tally
 * @typedef {import("../data/api.js").Job} Job @typedef {import("../panel.js").SectionDeps} SectionDeps */

const PICTURES_SHOWN = 5;

/** @param {Tally} tally @param {number | null} rest ms @returns {string} "2 done, 2 running, 5 waiting, about 4:00 min" */
export function tallyText({ waiting, running, held, done, failed, cancelled }, rest) {
  const part = (/** @type {number} */ count, /** @type {string} */ text) => (count ? [text] : []);
  return [
    ...part(done, t("{count} done", { count: done })),
    ...part(running, t("{count} running", { count: running })),
    ...part(waiting, t("{count} waiting", { count: waiting })),
    ...part(held, t("{count} on hold", { count: held })),
    ...part(failed, t("{count} failed", { count: failed })),
    ...part(cancelled, t("{count} cancelled", { count: cancelled })),
    ...(rest === null ? [] : [t("about {time} left", { time: wholeDuration(rest / 1000) })]),
  ].join(", ");
}

/** @param {SectionDeps} deps @param {(id: string) => void} toggle opens it, or closes it again */
export function batchRow({ api, store, host, say }, toggle) {
  /** @type {Batch} */
  let batch;
  const dot = h("span", { class: "orc-dot" });
  const title = h("span", { class: "orc-name" });
  const head = h("button", { type: "button", class: "orc-row-head", onclick: () => toggle(batch.id) }, dot, title);
  const tally = h("span");
  const bar = fillingBar("progressbar");
  const pictures = h("div", { class: "orc-results" });
  const failure = h("p", { class: "orc-error", role: "alert", hidden: true });

  const attempt = async (/** @type {() => Promise<void> | undefined} */ change) => {
    if (element.hasAttribute("aria-busy")) return;
    setOptionalText(failure, "");
    setAttribute(element, "aria-busy", "true");
    try {
      await change();
      await store.readLine();
    } catch (error) {
      setOptionalText(failure, /** @type {Error} */ (error).message);
    } finally {
      setAttribute(element, "aria-busy", null);
    }
  };
  const act = (/** @type {import("../data/api.js").Action} */ action) => attempt(async () => {
    const { done, refused } = await api.act(action, { batch: batch.id });
    say(plural(done.length, "{count} job changed", "{count} jobs changed"));
    setOptionalText(failure, refused[0]?.message ?? "");
  });
  const button = (/** @type {import("../data/api.js").Action} */ action, text = "") =>
    h("button", { type: "button", class: "orc-button", onclick: () => act(action) }, text);
  const hold = button("hold", t("Hold"));
  const release = button("release", t("Resume"));
  const first = button("first", t("To the top"));
  const edit = h("button", { type: "button", class: "orc-button", onclick: () => attempt(() => host?.editBatch(batch)) }, t("Edit workflow"));
  const retry = button("retry");
  const cancel = h("button", { type: "button", class: "orc-button", onclick: () => ask(true) }, t("Cancel batch"));
  const sure = h("button", { type: "button", class: "orc-button orc-danger", onclick: () => { ask(false); act("cancel"); } });
  const keep = h("button", { type: "button", class: "orc-button", onclick: () => ask(false) }, t("Keep"));
  const sheet = h("button", {
    type: "button", class: "orc-button",
    onclick: () => document.dispatchEvent(new CustomEvent(SHEET_COMMAND, { detail: batch.id })),
  }, t("Contact sheet"));
  const element = h("li", { class: "orc-row orc-batch" },
    head, h("div", { class: "orc-line" }, tally), bar.element, pictures,
    h("div", { class: "orc-actions" }, hold, release, first, edit, retry, sheet, cancel, sure, keep), failure);
  let isAsked = false; //: whether all of it is to be cancelled
  const ask = (/** @type {boolean} */ now) => {
    isAsked = now;
    showCancel();
    (now ? keep : cancel).focus();
  };
  const showCancel = () => {
    const open = batch.jobs.filter((job) => !isFinal(job)).length;
    cancel.hidden = !open || isAsked;
    sure.hidden = keep.hidden = !open || !isAsked;
    setText(sure, plural(open, "Cancel {count} job", "Cancel {count} jobs"));
  };

  return {
    element,
    reset() {
      setOptionalText(failure, "");
      isAsked = false;
      return !element.hasAttribute("aria-busy");
    },
    update(/** @type {Batch} */ next) {
      batch = next;
      const count = batch.jobs.length;
      const found = tallyOf(batch.jobs);
      const name = t("{name} × {count}", { name: batch.name || t("Batch"), count });
      const open = found.running + found.waiting + found.held;
      setAttribute(dot, "data-tone", found.running ? "run" : open ? "off" : found.failed ? "bad" : found.done ? "good" : "off");
      setText(title, name);
      setAttribute(head, "aria-expanded", String(batch.isOpened));
      setText(tally, tallyText(found, store.settings?.paused ? null : restMs(batch.jobs)));
      bar.element.hidden = !open;
      const begun = batch.jobs.reduce((sum, job) => sum + (job.state === "running" ? job.progress : 0), 0);
      if (open) bar.show(t("Progress of {job}", { job: name }), (count - open + begun) / count);
      hold.hidden = !found.waiting;
      release.hidden = !found.held;
      sheet.hidden = found.cancelled === count;
      first.hidden = !found.waiting;
      edit.hidden = !host || !(found.waiting || found.held) || batch.jobs.some(({ source }) => source === "node");
      retry.hidden = !found.failed;
      showCancel();
      setText(retry, plural(found.failed, "Retry {count} failed job", "Retry {count} failed jobs"));
      for (const each of [hold, release, first, edit, sheet, cancel]) {
        setAttribute(each, "aria-label", t("{action}: {job}", { action: each.textContent ?? "", job: name }));
      }
      const urls = picturesOf(batch.jobs);
      const [last, more] = [urls.slice(0, PICTURES_SHOWN), urls.length - PICTURES_SHOWN];
      setChildren(pictures, [...last, more].join("\n"), () => [
        ...last.map((url) => pictureLink(api.fileUrl(url))),
        ...(more > 0 ? [h("span", { class: "orc-muted" }, `+${more}`)] : []),
      ]);
      pictures.hidden = !last.length;
    },
  };
}

/** @param {string} url */
function pictureLink(url) {
  const link = outsideLink(url, "", { class: "orc-picture", "aria-label": t("Open image") });
  link.append(h("img", { src: url, alt: "", loading: "lazy", decoding: "async" }));
  return link;
}

/** One of each job, those that ended last first. @param {readonly Job[]} jobs @returns {string[]} paths */
const picturesOf = (jobs) =>
  jobs.flatMap(({ outputs }) => outputs.find(({ filename, url }) => isPicture(filename) && ownPath(url))?.url ?? []);
