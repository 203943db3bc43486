// @ts-check
/** How the jobs of one request are laid out on a contact sheet. Pure. */
import { t } from "../data/i18n.js";

/**
 * @typedef {import("../data/api.js").Job} Job
 * @typedef {{index: number, job: Job, changes: Record<string, unknown>}} Cell
 * @typedef {{address: string, values: unknown[]}} Heading
 * @typedef {{cells: Cell[], varied: Heading[], rows: Heading | null, columns: Heading | null}} Sheet with `rows` and
 *   `columns` every pair of values has one cell: row by row
 * @typedef {{id: string, count: number, at: string}} Batch
 */

const LABEL_MAX = 48;

/** The requests that made several jobs, the newest first. @param {readonly Job[]} jobs @returns {Batch[]} */
export function batchesOf(jobs) {
  /** @type {Map<string, {indices: Set<number>, at: string}>} */
  const found = new Map();
  for (const { batch, created_at: at } of jobs) {
    if (!batch) continue;
    const known = found.get(batch.id) ?? { indices: new Set(), at };
    known.indices.add(batch.index);
    if (at < known.at) known.at = at; // a retry came later
    found.set(batch.id, known);
  }
  return [...found]
    .map(([id, { indices, at }]) => ({ id, count: indices.size, at }))
    .sort((a, b) => (a.at < b.at ? 1 : -1));
}

/** @param {readonly Job[]} jobs newest first @param {string} batchId @returns {Sheet} */
export function sheetOf(jobs, batchId) {
  /** @type {Map<number, Cell>} */
  const byIndex = new Map();
  for (const job of jobs) {
    if (job.batch?.id !== batchId) continue;
    const { index, changes } = job.batch;
    const known = byIndex.get(index);
    // Of one that was repeated the newest counts.
    if (!known || known.job.created_at < job.created_at) byIndex.set(index, { index, job, changes });
  }
  const cells = [...byIndex.values()].sort((a, b) => a.index - b.index);
  const varied = variedOf(cells);
  const [rows, columns] = varied;
  const whole = varied.length === 2 && rows.values.length * columns.values.length === cells.length
    && new Set(cells.map(({ changes }) => keyOf([changes[rows.address], changes[columns.address]]))).size === cells.length;
  if (!whole) return { cells, varied, rows: null, columns: null };
  const place = (/** @type {Cell} */ { changes }) => at(rows, changes) * columns.values.length + at(columns, changes);
  return { cells: [...cells].sort((a, b) => place(a) - place(b)), varied, rows, columns };
}

/** @param {Heading} heading @param {Record<string, unknown>} changes */
const at = ({ address, values }, changes) => values.findIndex((value) => keyOf(value) === keyOf(changes[address]));

/** @param {unknown} value */
const keyOf = (value) => JSON.stringify(value) ?? "";

/** What differs between the cells, in the order of the request. @param {Cell[]} cells @returns {Heading[]} */
function variedOf(cells) {
  /** @type {Map<string, Map<string, unknown>>} */
  const found = new Map();
  for (const { changes } of cells) {
    for (const [address, value] of Object.entries(changes)) {
      if (!found.has(address)) found.set(address, new Map());
      found.get(address)?.set(keyOf(value), value);
    }
  }
  return [...found]
    .map(([address, values]) => ({ address, values: [...values.values()] }))
    .filter(({ values }) => values.length > 1);
}

/**
 * What each varied parameter is called: its input's name, with its node's where two are called alike.
 * @param {string[]} addresses @param {Record<string, any>} prompt @returns {Record<string, string>}
 */
export function namesOf(addresses, prompt) {
  const inputs = addresses.map((address) => address.slice(address.indexOf(".") + 1));
  return Object.fromEntries(addresses.map((address, n) => {
    const node = prompt[address.slice(0, address.indexOf("."))];
    const title = node?._meta?.title ?? node?.class_type ?? address.slice(0, address.indexOf("."));
    const unique = inputs.filter((input) => input === inputs[n]).length === 1;
    return [address, unique ? inputs[n] : `${title} · ${inputs[n]}`];
  }));
}

/** A value in a heading: a file without its folder, one line, not too long. @param {unknown} value */
export function labelOf(value) {
  const text = typeof value === "string" ? value : keyOf(value);
  const isFile = /^[^\n]*\.(safetensors|ckpt|pt|pth|gguf|png|jpe?g|webp)$/i.test(text);
  const line = (isFile ? text.split(/[\\/]/).pop() ?? text : text).replace(/\s+/g, " ").trim();
  return line.length > LABEL_MAX ? `${line.slice(0, LABEL_MAX - 1)}…` : line;
}

/** "2 of 9 done, 7 cancelled". @param {Sheet} sheet */
export function tallyOf({ cells }) {
  const of = (/** @type {string[]} */ ...states) => cells.filter(({ job }) => states.includes(job.state)).length;
  const [failed, cancelled] = [of("failed", "set_aside"), of("cancelled")];
  return [
    t("{done} of {count} done", { done: of("done"), count: cells.length }),
    failed ? t("{count} failed", { count: failed }) : "",
    cancelled ? t("{count} cancelled", { count: cancelled }) : "",
  ].filter(Boolean).join(", ");
}

/** "seed 7, steps 4". @param {Sheet} sheet @param {Cell} cell @param {Record<string, string>} names */
export const captionOf = ({ varied }, { index, job, changes }, names) =>
  varied.length
    ? varied.map(({ address }) => `${names[address] ?? address} ${labelOf(changes[address])}`).join(", ")
    : job.title.split(" · ").slice(1).join(", ") || t("No. {number}", { number: index + 1 });
