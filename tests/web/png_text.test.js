// Tests of the page's png_text. Run: node --test tests/web/
import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { asciiJson, textsOf, withTexts } from "../../web/fleet/variations/png_text.js";

const PNG = Uint8Array.from(Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64"));

test("texts are found again, and the picture stays what it was", () => {
  const texts = { workflow: asciiJson({ name: "Größe 猫" }), parameters: "seed: 1\nprompt: 猫", empty: "" };
  const written = withTexts(PNG, texts);
  assert.deepEqual(textsOf(written), texts);
  assert.deepEqual(JSON.parse(textsOf(written).workflow), { name: "Größe 猫" });
  assert.deepEqual(written.subarray(0, 33), PNG.subarray(0, 33));
  assert.deepEqual(written.subarray(-(PNG.length - 33)), PNG.subarray(33));
});

test("every chunk has the length and checksum that readers look at", () => {
  const written = withTexts(PNG, { a: "plain", b: "猫" });
  const view = new DataView(written.buffer);
  const kinds = [];
  for (let at = 8; at < written.length;) {
    const length = view.getUint32(at);
    kinds.push(Buffer.from(written.subarray(at + 4, at + 8)).toString());
    assert.equal(view.getUint32(at + 8 + length), crc32(written.subarray(at + 4, at + 8 + length)));
    at += 12 + length;
  }
  assert.deepEqual(kinds, ["IHDR", "tEXt", "iTXt", "IDAT", "IEND"]);
});

test("what is no PNG is refused", () => {
  assert.throws(() => withTexts(new Uint8Array(50), { a: "b" }), /no PNG/);
  assert.deepEqual(textsOf(new Uint8Array(50)), {});
});
