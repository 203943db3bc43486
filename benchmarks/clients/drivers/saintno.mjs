// @saintno/comfyui-sdk: a CallWrapper with every callback it offers.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CallWrapper, ComfyApi, PromptBuilder } from "@saintno/comfyui-sdk";

const [server, graph, folder] = process.argv.slice(2);
const notes = [];
const api = await new ComfyApi(server).init().waitForReady();
api.on("progress", ({ detail }) => notes.push(["event progress", detail.node, detail.value, detail.max]));
api.on("executing", ({ detail }) => detail?.node && notes.push(["event executing", detail.node]));
api.on("executed", ({ detail }) => notes.push(["event executed", detail.node]));
api.on("execution_cached", ({ detail }) => notes.push(["event cached", detail.nodes]));
const prompt = JSON.parse(readFileSync(graph, "utf-8"));
const workflow = new PromptBuilder(prompt, ["seed"], ["images"])
  .setInputNode("seed", "3.inputs.seed")
  .setOutputNode("images", "9")
  .input("seed", prompt["3"].inputs.seed);
const result = await new CallWrapper(api, workflow)
  .onPending(() => notes.push(["pending"]))
  .onStart(() => notes.push(["start"]))
  .onProgress((info) => notes.push(["progress", info.node, info.value, info.max]))
  .onPreview((blob) => notes.push(["preview", blob.type, blob.size]))
  .onOutput((key) => notes.push(["output", key]))
  .onFinished(() => notes.push(["finished"]))
  .onFailed((error) => notes.push(["failed", String(error)]))
  .run();
for (const [place, image] of (result?.images?.images ?? []).entries()) {
  const body = await (await fetch(api.getPathImage(image))).arrayBuffer();
  writeFileSync(join(folder, `${place}.png`), Buffer.from(body));
}
writeFileSync(join(folder, "notes.json"), JSON.stringify(notes));
process.exit(result ? 0 : 1);
