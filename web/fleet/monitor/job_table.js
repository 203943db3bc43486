// @ts-check
/** All jobs in a table: sorted, filtered, with the columns that a person wants. On a small screen they are cards. */
import { h, setOptionalText } from "../ui/dom.js";
import { jobTitle } from "../ui/format.js";
import { peerChoice } from "../ui/peer_choice.js";
import { plural, t } from "../data/i18n.js";
import { HERE } from "../data/job_index.js";
import { jobFilter } from "../jobs/job_filter.js";
import { columnChoice } from "./column_choice.js";
import { groupsOf, isAnything, isShown, JOB_COLUMNS, shortId, sortedJobs } from "./job_columns.js";
import { ACT, jobLine } from "./job_line.js";
import { table } from "./table.js";

/** @typedef {import("../data/api.js").Job} Job
 * @typedef {import("./job_line.js").Deps & {view(): import("./monitor.js").View, isNarrow(): boolean, onFilter(): void}} Deps */

const ROW_PX = 30;
const CARD_PX = 96;
const ON_CARD = ["state", "title", "peer", "progress", "took", "note", "result", ACT];

/** @param {Deps} deps */
export function jobTable(deps) {
  const { store } = deps;
  const changed = () => {
    draw();
    deps.onFilter();
  };
  const filter = jobFilter(changed);
  const wanted = Object.assign(filter.wanted, { peer: "", batch: "", client: "" });
  const narrowed = (/** @type {"peer" | "batch" | "client"} */ what, /** @type {string} */ any, /** @type {() => {value: string, label: string}[]} */ options) => {
    const choice = peerChoice(() => [{ value: "", label: any }, ...options()], (option) => {
      wanted[what] = option.value;
      choice.show(option);
      changed();
    });
    choice.element.setAttribute("aria-label", any);
    choice.show({ value: "", label: any });
    return choice;
  };
  const peerOptions = () => [
    ...store.peers.map(({ id, name }) => ({ value: id, label: name })),
    ...(store.settings?.this_machine ? [{ value: HERE, label: t("this computer") }] : []),
  ];
  const peer = narrowed("peer", t("All peers"), peerOptions);
  const batch = narrowed("batch", t("All batches"), () => groupsOf(store.jobs, (job) => job.batch?.id, jobTitle, 2));
  const client = narrowed("client", t("All clients"), () =>
    groupsOf(store.jobs, (job) => job.client_id, (job) => shortId(job.client_id ?? "")));
  const columns = columnChoice(JOB_COLUMNS, () => draw());
  const none = h("p", { class: "orc-muted orc-rest" });
  const rest = h("p", { class: "orc-muted orc-rest" });
  const count = h("span", { class: "orc-muted orc-count" });
  const rows = table({
    label: t("Jobs"),
    columns: [
      ...JOB_COLUMNS.map((column) => ({ ...column, isSortable: Boolean(column.key) })),
      { id: ACT, label: () => t("Actions"), px: 76, share: 0, isSortable: false },
    ],
    rowPx: () => (deps.isNarrow() ? CARD_PX : ROW_PX),
    keyOf: (/** @type {Job} */ job) => job.job_id, createRow: () => jobLine(deps), redraw: () => draw(),
  });

  /** In the usual order: what runs, the queue, then what ended last. @returns {readonly Job[]} */
  const inView = () => {
    if (!deps.isNarrow()) return [...store.queue, ...store.ended];
    return deps.view() === "queue" ? store.queue : store.ended;
  };
  const draw = () => {
    // The small screen has its own two buttons for the states.
    const asked = deps.isNarrow() ? { ...wanted, kind: "all" } : wanted;
    const all = inView();
    const fitting = isAnything(asked) ? all : all.filter((job) => isShown(job, asked));
    rows.setColumns(deps.isNarrow() ? ON_CARD : [...columns.chosen, ACT], deps.isNarrow());
    rows.show(deps.isNarrow() ? fitting : sortedJobs(fitting, rows.sort));
    const unseen = store.unseen.waiting + store.unseen.ended;
    const isAll = isAnything(asked);
    setOptionalText(count, isAll ? "" : plural(fitting.length, "{count} matching job", "{count} matching jobs"));
    setOptionalText(rest, isAll && !deps.isNarrow() && unseen ? plural(unseen, "and {count} older or later job", "and {count} older or later jobs") : "");
    setOptionalText(none, fitting.length ? "" : !isAll ? t("No matching jobs.") : all === store.queue ? t("Queue is empty") : t("No jobs yet"));
    batch.element.hidden = !store.hasBatch;
  };
  rows.element.append(none, rest);
  filter.element.append(peer.element, batch.element, client.element, count, columns.element);

  return {
    elements: [filter.element, rows.element],
    draw,
    get peer() { return wanted.peer; },
    /** Only the jobs of this one. @param {string} id "" for all */
    setPeer(id) {
      wanted.peer = id;
      const option = peerOptions().find(({ value }) => value === id) ?? { value: "", label: t("All peers") };
      peer.show(option);
      changed();
    },
    close: rows.close,
  };
}
