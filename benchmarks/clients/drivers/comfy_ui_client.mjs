// comfy-ui-client: getImages of a prompt, as its own example does.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ComfyUIClient } from "comfy-ui-client";

const [server, graph, folder] = process.argv.slice(2);
const client = new ComfyUIClient(server.replace("http://", ""), "baadbabe-b00b-4206-9420-deadd00d1337");
await client.connect();
const images = await client.getImages(JSON.parse(readFileSync(graph, "utf-8")));
const notes = [];
for (const [node, found] of Object.entries(images)) {
  notes.push([node, found.length]);
  for (const [place, { blob, image }] of found.entries())
    writeFileSync(join(folder, `${node}-${image.type}-${place}.png`), Buffer.from(await blob.arrayBuffer()));
}
await client.disconnect();
writeFileSync(join(folder, "notes.json"), JSON.stringify(notes));
