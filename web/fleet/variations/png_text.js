// @ts-check
/** Text inside PNG files: how ComfyUI finds the workflow of a picture that is dropped on it. */
import { t } from "../data/i18n.js";

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const HEADER_END = 33; //: signature and IHDR, which has to stay the first chunk
const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

/** @param {Uint8Array} bytes */
function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** @param {Uint8Array} bytes */
const isPng = (bytes) => bytes.length >= HEADER_END && SIGNATURE.every((byte, n) => bytes[n] === byte);

/** JSON in ASCII: readers of the file take it for one encoding or another. @param {unknown} value */
export const asciiJson = (value) =>
  JSON.stringify(value).replace(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);

/**
 * The picture with these texts in it: tEXt for ASCII, iTXt (UTF-8) for all else.
 * @param {Uint8Array} png @param {Record<string, string>} texts by keyword, 1 to 79 Latin letters each
 * @returns {Uint8Array<ArrayBuffer>} @throws {Error} it is no PNG
 */
export function withTexts(png, texts) {
  if (!isPng(png)) throw new Error(t("The browser made no PNG of the picture."));
  const chunks = Object.entries(texts).map(([keyword, text]) => textChunk(keyword, text));
  const whole = new Uint8Array(png.length + chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  whole.set(png.subarray(0, HEADER_END));
  let at = HEADER_END;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  whole.set(png.subarray(HEADER_END), at);
  return whole;
}

/** @param {string} keyword @param {string} text */
function textChunk(keyword, text) {
  const ascii = /^[\t\n\r -~]*$/.test(text);
  // keyword, 0, and for iTXt: not compressed, method 0, no language, no translated keyword
  const head = ascii ? `${keyword}\0` : `${keyword}\0\0\0\0\0`;
  const data = new TextEncoder().encode((ascii ? "tEXt" : "iTXt") + head + text);
  const chunk = new Uint8Array(data.length + 8);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, data.length - 4);
  chunk.set(data, 4);
  view.setUint32(data.length + 4, crc32(data));
  return chunk;
}

/** The texts of a picture, as `withTexts` writes them. @param {Uint8Array} png @returns {Record<string, string>} */
export function textsOf(png) {
  /** @type {Record<string, string>} */
  const texts = {};
  if (!isPng(png)) return texts;
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  const decoder = new TextDecoder();
  for (let at = SIGNATURE.length; at + 12 <= png.length; at += view.getUint32(at) + 12) {
    const kind = decoder.decode(png.subarray(at + 4, at + 8));
    if (kind !== "tEXt" && kind !== "iTXt") continue;
    const parts = decoder.decode(png.subarray(at + 8, at + 8 + view.getUint32(at))).split("\0");
    texts[parts[0]] = parts.slice(kind === "tEXt" ? 1 : 5).join("\0");
  }
  return texts;
}
