"""comfyui-api-client: its helper that queues, tracks and fetches. The package asks for itself as ``api``."""

from __future__ import annotations

import importlib
import io
import json
import logging
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from notes import Notes

server, graph, folder = sys.argv[1:4]
spec = find_spec("comfyui_api_client")
package = sys.modules["api"] = ModuleType("api")
package.__path__ = list(spec.submodule_search_locations or ())
helpers = importlib.import_module("api.api_helpers")


class Heard(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith(("Progress", "In K-Sampler")):
            notes.note(text)


with Notes(folder) as notes:
    logging.getLogger().addHandler(Heard())
    prompt = json.loads(Path(graph).read_text(encoding="utf-8"))
    address = server.removeprefix("http://")
    for number, picture in enumerate(helpers.generate_image_by_prompt(prompt, address, save_previews=True)):
        body = io.BytesIO()
        picture.save(body, "PNG")
        notes.keep(f"{number}.png", body.getvalue())
