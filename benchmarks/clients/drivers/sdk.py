"""comfy-sdk, over a comfy-api-proxy that stands before the server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request

from notes import Notes

server, graph, folder = sys.argv[1:4]
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
proxy = subprocess.Popen(["comfy-api-proxy", "run", "--comfyui", server, "--port", str(port)])
os.environ["COMFY_BASE_URL"] = f"http://127.0.0.1:{port}"
try:
    from comfy_sdk import Comfy

    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/jobs")
            break
        except urllib.error.HTTPError:
            break
        except OSError:
            time.sleep(0.05)
    with Notes(folder) as notes:
        client = Comfy()
        workflow = client.workflows.from_file(graph)
        job = client.submit(workflow)
        # Progress it thins by its own clock, and whether it still sees the job waiting is chance.
        for event in job.events():
            if type(event).__name__ == "StatusChange" and event.status not in ("queued", "running"):
                notes.note(event.status)
        job.refresh()
        notes.note(job.status)
        for output in job.get_outputs("9"):
            notes.keep(output.name, output.to_bytes())
finally:
    proxy.terminate()
    proxy.wait()
