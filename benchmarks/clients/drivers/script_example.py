"""One of ComfyUI's script_examples as it is, but for the address and the graph in its text."""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

from notes import Notes, get

server, graph, folder, script = sys.argv[1:5]
address = server.removeprefix("http://")
source = Path(script).read_text(encoding="utf-8").replace("127.0.0.1:8188", address)
source = re.sub(r'prompt_text = """.*?"""', "prompt_text = given_text", source, flags=re.DOTALL)
given = json.loads(Path(graph).read_text(encoding="utf-8"))
given.setdefault("3", {"class_type": "PrimitiveInt", "inputs": {"value": 1}})
given.setdefault("6", {"class_type": "PrimitiveInt", "inputs": {"value": 1}})
names = {"given_text": json.dumps(given), "__name__": "__main__"}
with Notes(folder) as notes:
    exec(compile(source, script, "exec"), names)
    for node_id, pictures in sorted(names.get("images", {}).items()):
        notes.note("images of", node_id, len(pictures))
        for picture in pictures:
            notes.keep(f"{node_id}.png", picture)
    if "images" not in names:  # it queues and ends: look as its user would
        queue = get(f"{server}/queue")
        while any(queue.values()):
            time.sleep(0.05)
            queue = get(f"{server}/queue")
        (entry,) = get(f"{server}/history?max_items=1").values()
        notes.note(entry["status"]["status_str"], [kind for kind, _ in entry["status"]["messages"]])
        for output in entry["outputs"].values():
            for file in output["images"]:
                with urllib.request.urlopen(f"{server}/view?{urllib.parse.urlencode(file)}") as answer:
                    notes.keep(file["filename"], answer.read())
