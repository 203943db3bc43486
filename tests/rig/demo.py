"""`python dev.py demo`: a picture that only a peer can make, asked for on the master."""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from .comfy import request
from .environment import RigError, Setup
from .fleet import ROOT, Fleet

EXAMPLE = ROOT / "example_workflows" / "remote_dispatch.json"
DEADLINE_S = 300.0
STEPS = 12


def run(*, once: bool) -> int:
    """Start the fleet, make a picture, and keep all running until Ctrl-C unless `once`."""
    setup = Setup()
    print("Set-up (only the first time takes long)", flush=True)
    setup.default()
    with tempfile.TemporaryDirectory(prefix="remote-dispatch-", ignore_cleanup_errors=True) as folder:
        fleet = Fleet(setup, Path(folder))
        print("Starting a master and two peers …", flush=True)
        with fleet:
            fleet.register_peers()
            picture = _make_picture(fleet, setup)
            print(f"\nThe picture:   {picture}")
            print(f"On screen:     {fleet.master.url}   (sidebar: Fleet)")
            if not once:
                print("Ctrl-C ends everything.", flush=True)
                _wait_for_interrupt(fleet)
    return 0


def _make_picture(fleet: Fleet, setup: Setup) -> Path:
    master = fleet.master
    answer = master.post("/prompt", {"prompt": example_prompt(seed=random.randrange(2**32))})
    prompt_id = answer["prompt_id"]
    entry = _follow(fleet, prompt_id)
    if entry["status"]["status_str"] != "success":
        words = [data.get("exception_message", kind) for kind, data in entry["status"]["messages"]]
        raise RigError(f"The demo's prompt failed: {words[-1]}")
    image = next(output["images"][0] for output in entry["outputs"].values() if "images" in output)
    job = master.get("/orchestrator/jobs")["jobs"][0]
    print(f"\nMade by:       {job['peer']}\nBecause:       {job['explanation']}")
    return _keep(master.url, image, setup.cache / "demo")


def example_prompt(seed: int) -> dict[str, Any]:
    """The example workflow, in API format, with a seed of its own."""
    def node(class_type: str, **inputs: Any) -> dict[str, Any]:
        return {"class_type": class_type, "inputs": inputs}

    sampler = {"sampler_name": "euler", "scheduler": "simple", "steps": STEPS, "cfg": 1.0, "denoise": 1.0}
    return {
        "1": node("UNETLoader", unet_name="tiny-random-unet.safetensors", weight_dtype="default"),
        "2": node("LotusConditioning"),
        "3": node("EmptyLatentImage", width=256, height=256, batch_size=1),
        "4": node(
            "KSampler", model=["1", 0], positive=["2", 0], negative=["2", 0], latent_image=["3", 0],
            seed=seed, **sampler,
        ),
        "5": node("VAELoader", vae_name="taesd"),
        "6": node("VAEDecode", samples=["4", 0], vae=["5", 0]),
        "7": node("RemoteDispatch", value=["6", 0]),
        "8": node("SaveImage", images=["7", 0], filename_prefix="remote-dispatch"),
    }  # fmt: skip


def _follow(fleet: Fleet, prompt_id: str) -> dict[str, Any]:
    end = time.monotonic() + DEADLINE_S
    shown = ""
    while time.monotonic() < end:
        jobs = fleet.master.get("/orchestrator/jobs")["jobs"]
        text = f"{jobs[0]['peer'] or 'waiting'}: {jobs[0]['progress_text']}" if jobs else ""
        if text != shown:
            shown = text
            bar = "#" * round(30 * (jobs[0]["progress"] if jobs else 0))
            _show(f"  [{bar:<30}] {text}")
        entry = fleet.master.get(f"/history/{prompt_id}").get(prompt_id)
        if entry:
            _show(f"  [{'#' * 30}] done")
            return dict(entry)
        time.sleep(0.05)
    raise RigError(f"The demo's prompt did not end within {DEADLINE_S:.0f} s.\n{fleet.master.log_tail()}")


def _show(line: str) -> None:
    if sys.stdout.isatty():
        sys.stdout.write(f"\r\033[K{line}")
    else:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _keep(url: str, image: dict[str, str], folder: Path) -> Path:
    """The fleet's own folders vanish with it; the picture stays."""
    import urllib.request

    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{time.strftime('%Y%m%d-%H%M%S')}.png"
    with urllib.request.urlopen(f"{url}/view?{urlencode(image)}", timeout=10) as answer:
        kept.write_bytes(answer.read())
    return kept


def _wait_for_interrupt(fleet: Fleet) -> None:
    try:
        while True:
            time.sleep(1)
            request(fleet.master.url + "/system_stats")
    except KeyboardInterrupt:
        print("\nStopping …", flush=True)
    except (OSError, json.JSONDecodeError) as exc:
        raise RigError(f"The master ended.\n{fleet.master.log_tail()}") from exc
