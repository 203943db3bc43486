// @ts-check
/** A contact sheet as one PNG: pictures with their labels, and in the file the graph it was made from. */
import { h } from "../ui/dom.js";
import { jobWord } from "../ui/format.js";
import { t } from "../data/i18n.js";
import { asciiJson, withTexts } from "./png_text.js";
import { pictureOf } from "./sheet_cell.js";
import { captionOf, labelOf } from "./sheet_layout.js";

/** @typedef {import("./sheet_layout.js").Sheet} Sheet @typedef {import("./contact_sheet.js").Graph} Graph */

const CELL = 320; //: pixels, both ways
const GAP = 8;
const LABEL = 26;
const SIDE_LABEL = [90, 420]; //: room for what stands before a row: at least and at most
const FONT = "14px sans-serif";
const SIDE_MAX = 12_000; //: what browsers draw
const FLOW_WIDTH = 4; //: cells in a row where there are no columns

/** What was varied, for a person who opens the file in anything else. @param {Sheet} sheet
 * @param {Record<string, string>} names */
export const settingsText = ({ varied }, names) =>
  varied.map(({ address, values }) => `${names[address] ?? address}: ${values.map(labelOf).join(", ")}`).join("\n");

/**
 * @param {import("../data/api.js").FleetApi} api @param {Sheet} sheet @param {Record<string, string>} names
 * @param {Graph | null} base @param {HTMLElement} look whose colours it takes
 */
export async function saveSheet(api, sheet, names, base, look) {
  const pictures = await Promise.all(sheet.cells.map(({ job }) => {
    const path = pictureOf(job);
    return path ? loaded(api.fileUrl(path)) : null;
  }));
  const canvas = drawn(sheet, names, pictures, look);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  if (!(blob instanceof Blob)) throw new Error(t("The browser could not draw a picture that large."));
  /** @type {Record<string, string>} */
  const texts = { parameters: settingsText(sheet, names) };
  if (base?.workflow) texts.workflow = asciiJson(base.workflow);
  if (base?.prompt) texts.prompt = asciiJson(base.prompt);
  const png = withTexts(new Uint8Array(await blob.arrayBuffer()), texts);
  const url = URL.createObjectURL(new Blob([png], { type: "image/png" }));
  h("a", { href: url, download: `contact-sheet-${new Date().toISOString().slice(0, 19).replace(/\D/g, "")}.png` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** @param {string} url @returns {Promise<HTMLImageElement | null>} */
async function loaded(url) {
  const image = h("img", { src: url });
  return image.decode().then(() => image, () => null);
}

/** @param {Sheet} sheet @param {Record<string, string>} names @param {(HTMLImageElement | null)[]} pictures
 * @param {HTMLElement} look */
function drawn(sheet, names, pictures, look) {
  const { rows, columns, cells } = sheet;
  const across = columns?.values.length ?? Math.min(FLOW_WIDTH, cells.length);
  const down = Math.ceil(cells.length / across);
  const canvas = h("canvas");
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.font = FONT;
  const widest = rows ? Math.max(...[`${names[rows.address]} ↓`, ...rows.values.map(labelOf)].map((text) => pen.measureText(text).width)) : 0;
  const left = rows ? Math.min(SIDE_LABEL[1], Math.max(SIDE_LABEL[0], Math.ceil(widest) + GAP * 2)) : GAP;
  const top = columns ? LABEL * 2 : GAP;
  const high = CELL + GAP + (rows ? 0 : LABEL);
  const width = left + across * (CELL + GAP);
  const height = top + down * high + GAP;
  const scale = Math.min(1, SIDE_MAX / width, SIDE_MAX / height);
  [canvas.width, canvas.height] = [Math.floor(width * scale), Math.floor(height * scale)]; // the pen forgets its font
  const { backgroundColor, color } = getComputedStyle(look);
  pen.scale(scale, scale);
  pen.fillStyle = backgroundColor;
  pen.fillRect(0, 0, width, height);
  pen.fillStyle = color;
  pen.font = FONT;
  pen.textBaseline = "middle";
  const write = (/** @type {string} */ text, /** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ room) => {
    let fits = text;
    while (fits.length > 1 && pen.measureText(fits).width > room) fits = `${fits.slice(0, -2)}…`;
    pen.fillText(fits, x, y);
  };
  if (rows && columns) {
    write(`${names[rows.address]} ↓`, GAP, top - LABEL / 2, left - GAP * 2);
    write(`${names[columns.address]} →`, left, LABEL / 2, width - left);
    columns.values.forEach((value, n) => write(labelOf(value), left + n * (CELL + GAP), top - LABEL / 2, CELL));
    rows.values.forEach((value, n) => write(labelOf(value), GAP, top + n * high + CELL / 2, left - GAP * 2));
  }
  cells.forEach((cell, n) => {
    const x = left + (n % across) * (CELL + GAP);
    const y = top + Math.floor(n / across) * high;
    const picture = pictures[n];
    if (picture) {
      const fit = Math.min(CELL / picture.naturalWidth, CELL / picture.naturalHeight);
      const [w, tall] = [picture.naturalWidth * fit, picture.naturalHeight * fit];
      pen.drawImage(picture, x + (CELL - w) / 2, y + (CELL - tall) / 2, w, tall);
    } else write(jobWord(cell.job), x + GAP, y + CELL / 2, CELL - GAP * 2);
    if (!rows) write(captionOf(sheet, cell, names), x, y + CELL + LABEL / 2, CELL);
  });
  return canvas;
}
