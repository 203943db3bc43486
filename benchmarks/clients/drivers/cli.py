"""comfy-cli: ``comfy run --workflow FILE --wait``, and what it printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request

from notes import Notes

server, graph, folder = sys.argv[1:4]
host, port = server.removeprefix("http://").split(":")
environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "400", "TERM": "dumb", "CI": "1"}
command = ["comfy", "--skip-prompt", "--json", "run", "--workflow", graph, "--wait", "--verbose"]
with Notes(folder) as notes:
    done = subprocess.run(
        [*command, "--host", host, "--port", port],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    notes.note("exit code", done.returncode)
    for line in done.stdout.splitlines():
        for url in re.findall(r"http://[^\s\"']+/view\?[^\s\"']+", line):
            with urllib.request.urlopen(url) as answer:
                notes.keep("view.png", answer.read())
        line = line.replace(port, "PORT")
        line = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}", "ID", line)
        line = re.sub(r"\d{4}-\d\d-\d\d[T ][\d:.+Z-]+", "TIME", line)
        line = re.sub(r'("[a-z_]*(?:elapsed|duration|seconds|time|_ms|ts)[a-z_]*": ?)[\d.]+', r"\1TIME", line)
        line = re.sub(r"\d+:\d\d:\d\d(\.\d+)?|\d+(\.\d+)? ?s\b|/tmp/\S+?(?=[\"\s])", "TIME", line)
        line = re.sub(r"_\d{5}_", "_NUMBER_", line)
        line = re.sub(r"filename=[^&]*&subfolder=[^&]*&type=temp", "filename=TEMP&type=temp", line)
        notes.note(line)
sys.exit(done.returncode)
