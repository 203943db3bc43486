"""``dev.py demo``: a master, two peers, one dispatched picture, live in the terminal."""

from __future__ import annotations

import json
import shutil
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .comfy import ComfyProcess
from .environment import RigError, Say, Setup
from .fleet import ROOT, Fleet

WORKFLOW = ROOT / "example_workflows" / "Remote Dispatch.json"
ON_SCREEN = "Remote Dispatch demo"  #: its name in the master's list of workflows
MODEL = "tiny-random-unet.safetensors"
UP_S = 60.0
PICTURE_S = 300.0
POLL_S = 0.2
Json = dict[str, Any]


def run(*, once: bool, say: Say = print) -> None:
    """Show one picture come about; then wait for Ctrl-C, unless `once`. Raises RigError in words."""
    began = time.monotonic()
    setup = Setup(say)
    setup.for_demo()
    base = setup.cache / "demo" / time.strftime("%Y%m%d-%H%M%S")
    say("Starting a master with this plugin and two stock peers …")
    with Fleet(setup, base) as fleet:
        put_on_screen(fleet.master)
        fleet.register_peers()
        wait_until(lambda: peers_are_up(fleet.master), UP_S, "The peers did not turn up on the master")
        for process in fleet.all:
            has = "has" if has_model(process) else "does not have"
            say(f"  {process.name:<8} {process.url}  ComfyUI {process.installation.version}, {has} {MODEL}")
        picture = first_picture(fleet.master, say)
        job = newest_job(fleet.master)
        say(f"\nPicture  {picture}")
        say(f"Made by  {job['peer']}")
        say(f"Why      {job['explanation']}")
        say(f"On screen  {fleet.master.url}  (Workflows → {ON_SCREEN}; the Fleet tab shows both peers)")
        say(f"In a shell  ORCHESTRATOR_SERVER={fleet.master.url} ORCHESTRATOR_TOKEN={fleet.token}")
        say(f"({time.monotonic() - began:.0f} s in all)")
        if not once:
            peers = " or ".join(f"{peer.name} is process {peer.pid}" for peer in fleet.peers)
            say(f"\nTo see what becomes of its jobs when a machine fails, end a peer: {peers}.")
            say("Ctrl-C ends the master and both peers.")
            watch_over(fleet.master, fleet.peers, say)


def put_on_screen(master: ComfyProcess) -> None:
    folder = master.base / "user" / "default" / "workflows"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(WORKFLOW, folder / f"{ON_SCREEN}.json")


def peers_are_up(master: ComfyProcess) -> bool:
    peers = master.get("/orchestrator/peers")["peers"]
    return all(peer["health"] == "up" and peer["node_types"] for peer in peers)


def has_model(process: ComfyProcess) -> bool:
    return MODEL in process.get("/models/diffusion_models")


def first_picture(master: ComfyProcess, say: Say) -> Path:
    """Queue the workflow as the page would and follow the job; the path of the file on the master."""
    workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    body = {
        "prompt": as_prompt(workflow, master),
        "client_id": uuid.uuid4().hex,
        "extra_data": {"extra_pnginfo": {"workflow": workflow}},
    }
    prompt_id = master.post("/prompt", body)["prompt_id"]
    say("")
    entry: Json = {}
    line = ProgressLine()

    def finished() -> bool:
        job = newest_job(master)
        if job:
            line.show(job)
        entry.update(master.get(f"/history/{prompt_id}").get(prompt_id, {}))
        return bool(entry)

    try:
        wait_until(finished, PICTURE_S, "No picture came")
    finally:
        line.end()
    return picture_of(entry, master)


def as_prompt(workflow: Json, master: ComfyProcess) -> Json:
    """What the Run button would send, made by the plugin's own converter."""
    sys.path.insert(0, str(ROOT))
    from orchestrator.core.workflow.converter import workflow_to_api

    return workflow_to_api(workflow, master.get("/object_info"))


def picture_of(entry: Json, master: ComfyProcess) -> Path:
    for kind, data in entry["status"]["messages"]:
        if kind == "execution_error":
            raise RigError(f"{data['node_type']} failed: {data['exception_message']}\n{master.log_tail(10)}")
    images = [image for output in entry["outputs"].values() for image in output.get("images", ())]
    for image in images:
        if image["type"] == "output":
            return master.base.joinpath("output", image["subfolder"], image["filename"])
    raise RigError(f"The prompt ended without a picture. {master.log} says more.")


def newest_job(master: ComfyProcess) -> Json:
    jobs: list[Json] = master.get("/orchestrator/jobs")["jobs"]
    return jobs[0] if jobs else {}


class ProgressLine:
    """A line that changes in place on a terminal; elsewhere one line for each thing that changed."""

    WIDTH = 24

    def __init__(self) -> None:
        self._last = ""

    def show(self, job: Json) -> None:
        done = round(job["progress"] * self.WIDTH)
        bar = "#" * done + "." * (self.WIDTH - done)
        text = job["progress_text"] or job["state"]
        line = f"  [{bar}] {text[:80]}"
        if line == self._last:
            return
        self._last = line
        if sys.stdout.isatty():
            sys.stdout.write(f"\r\033[K{line}")
        else:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def end(self) -> None:
        if self._last and sys.stdout.isatty():
            sys.stdout.write("\n")


def watch_over(
    master: ComfyProcess, peers: list[ComfyProcess], say: Say, pause: Callable[[float], None] = time.sleep
) -> None:
    """Until Ctrl-C or the master's end. Peers may end: who tries that out wants to see the others go on."""
    while True:
        master.check_alive()
        for peer in [peer for peer in peers if not peer.is_running]:
            say(f"{peer.name} ended. The Fleet tab shows how the others go on; its log is {peer.log}")
            peers = [other for other in peers if other is not peer]
        pause(1)


def wait_until(condition: Callable[[], bool], limit_s: float, otherwise: str) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise RigError(f"{otherwise} within {limit_s:.0f} s.")
        time.sleep(POLL_S)
