"""comfy-api-simplified: queue a saved workflow, wait for the pictures of the node with a title."""

from __future__ import annotations

import sys

from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper
from notes import Notes

server, graph, folder = sys.argv[1:4]
with Notes(folder) as notes:
    api = ComfyApiWrapper(server + "/")
    workflow = ComfyWorkflowWrapper(graph)
    for name, data in api.queue_and_wait_images(workflow, "Save Image").items():
        notes.keep(name, data)
    queue = api.get_queue()
    notes.note({key: len(items) for key, items in queue.items()})
