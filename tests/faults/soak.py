"""What must be true after a soak, whatever happened in it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from PIL import Image

from tests.rig.fleet import Fleet

WARM_UP_S = 600.0  #: memory is judged from here on
SLOPE_MAX = 1.0  #: MB a minute
LEFT_OVER_MAX = 5  #: tasks or open files more or less than at first


@dataclass(frozen=True)
class Sample:
    """The master's process at a moment."""

    at_s: float
    rss_bytes: int
    files: int


def sample_of(pid: int, at_s: float) -> Sample:
    """Raises OSError when it is gone. From Linux's /proc."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Sample(at_s, pages * 4096, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()))


def slope_mb_per_min(samples: Sequence[Sample]) -> float | None:
    """Of a straight line through the memory after the warm-up; None for too few samples."""
    warm = [sample for sample in samples if sample.at_s - samples[0].at_s >= WARM_UP_S]
    if len(warm) < 10:
        return None
    minutes = [sample.at_s / 60 for sample in warm]
    return float(np.polyfit(minutes, [sample.rss_bytes / 1e6 for sample in warm], 1)[0])


@dataclass(frozen=True)
class Standing:
    """What an idle master holds. ``away``: of each peer that is not up, its health and the reason."""

    peers_up: int
    tasks: int
    files: int
    away: tuple[str, ...] = ()

    @classmethod
    def of(cls, report: Mapping[str, Any], sample: Sample) -> Standing:
        up = sum(peer["health"] == "up" for peer in report["peers"])
        away = [f"{p['health']} ({p.get('reason')})" for p in report["peers"] if p["health"] != "up"]
        return cls(up, report["process"]["tasks"], sample.files, tuple(away))

    def is_back_to(self, base: Standing) -> bool:
        near = (abs(self.tasks - base.tasks), abs(self.files - base.files))
        return self.peers_up == base.peers_up and max(near) <= LEFT_OVER_MAX


@dataclass
class Findings:
    """``checked`` holds, ``problems`` do not, ``noted`` is neither good nor bad."""

    checked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)

    def expect(self, holds: bool, what: str, otherwise: str) -> None:
        (self.checked if holds else self.problems).append(what if holds else otherwise)

    def text(self) -> str:
        count = len(self.problems)
        verdict = (
            f"{count} {'problem' if count == 1 else 'problems'} found."
            if count
            else "nothing is lost, nothing was delivered twice, nothing is left over."
        )
        lines = [("holds", line) for line in self.checked]
        lines += [("PROBLEM", line) for line in self.problems]
        lines += [("noted", line) for line in self.noted]
        return "\n".join(["Checked:", *(f"  {word:8} {line}" for word, line in lines), f"Verdict: {verdict}"])


async def check(
    fleet: Fleet,
    http: aiohttp.ClientSession,
    accepted: Mapping[str, int],
    ended: Mapping[str, Mapping[str, Any]],
    samples: Sequence[Sample],
    standings: tuple[Standing, Standing],
) -> Findings:
    """`accepted`: job id to the colour of its picture. `ended`: the jobs in a final state. `standings`: the
    idle master before and after."""
    found = Findings()
    await asyncio.to_thread(check_jobs, found, fleet.master.base / "output", accepted, ended)
    await _check_master(found, fleet, http)
    slope = slope_mb_per_min(samples)
    if slope is None:
        minutes = (samples[-1].at_s - samples[0].at_s) / 60 if samples else 0.0
        found.noted.append(
            f"memory is judged from {WARM_UP_S / 60:.0f} min after the master's last start on; it ran "
            f"{minutes:.1f} min"
        )
    else:
        found.expect(slope < SLOPE_MAX, f"memory: {slope:+.2f} MB/min", f"memory grows by {slope:.2f} MB/min")
    check_standing(found, *standings)
    return found


def counted(counts: Mapping[str, int]) -> str:
    """``2 done, 1 failed``"""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda c: -c[1]))


def check_standing(found: Findings, base: Standing, end: Standing) -> None:
    held = f"{base.tasks} tasks and {base.files} open files at first, {end.tasks} and {end.files} at last"
    away = f"{end.peers_up} of {base.peers_up} are up; {'; '.join(end.away)}"
    found.expect(end.peers_up == base.peers_up, "all peers are up", away)
    found.expect(
        end.is_back_to(replace(base, peers_up=end.peers_up)), held, f"something is left over: {held}"
    )


def check_fleet(found: Findings, queues: Mapping[str, int], let_in: Sequence[str]) -> None:
    """`queues`: how many prompts each peer has still. `let_in`: what a strange page was answered."""
    busy = [url for url, count in queues.items() if count]
    found.expect(not busy, "no peer has a prompt left", f"prompts are left on {busy}")
    text = f"a strange page was answered: {let_in[:5]}"
    found.expect(not let_in, "a strange page saw and moved nothing", text)


def check_falls(found: Findings, falls: Mapping[str, int], faults: int, minutes: float) -> None:
    """`falls`: how often each peer went down. More than once a minute is flapping, and nobody falls without
    a fault: a fault takes one peer down, or the sockets of all."""
    worst = max(falls.values(), default=0)
    told = f"peers went down {sum(falls.values())} times in {faults} faults, one of them {worst} times"
    found.expect(worst <= max(minutes, 1.0) and sum(falls.values()) <= faults, told, f"flapping: {told}")


def check_jobs(
    found: Findings, output: Path, accepted: Mapping[str, int], ended: Mapping[str, Mapping[str, Any]]
) -> None:
    lost = sorted(set(accepted) - set(ended))
    states = Counter(job["state"] for job in ended.values())
    found.expect(
        not lost,
        f"no job is lost: all {len(accepted)} that were accepted ended ({counted(states)})",
        f"{len(lost)} of {len(accepted)} jobs never ended: {lost[:5]}",
    )
    cancelled = [i for i, job in ended.items() if job["state"] == "cancelled"]
    found.expect(not cancelled, "nobody's job was cancelled", f"cancelled by nobody: {cancelled[:5]}")
    silent = [
        i for i, job in ended.items() if job["state"] != "done" and not (job["error"] or {}).get("message")
    ]
    found.expect(not silent, "who did not end well says why", f"no reason is given by {silent[:5]}")
    for reason, count in Counter(
        job["error"]["code"] for job in ended.values() if job["state"] != "done" and job["error"]
    ).items():
        found.noted.append(f"{count} ended with the error {reason}")
    counts = Counter(len(job["outputs"]) for job in ended.values() if job["state"] == "done")
    found.expect(set(counts) <= {1}, "each done job has its one file", f"numbers of files: {dict(counts)}")
    _check_files(found, output, accepted, ended)
    extra = sum(max(len(job["attempts"]) - 1, 0) for job in ended.values())
    found.noted.append(f"jobs were tried {extra} times more than once")


def _check_files(
    found: Findings, output: Path, accepted: Mapping[str, int], ended: Mapping[str, Mapping[str, Any]]
) -> None:
    told: Counter[Path] = Counter()
    bad: list[str] = []
    for job_id, job in ended.items():
        for file in job["outputs"] if job["state"] == "done" else ():
            path = output / file["subfolder"] / file["filename"]
            told[path] += 1
            if not _is_right(path, accepted[job_id], job["peer"]):
                bad.append(f"{path.name} of {job_id}")
    found.expect(not bad, "each file is whole and its job's own", f"wrong files: {bad[:5]}")
    twice = [path.name for path, count in told.items() if count > 1]
    found.expect(not twice, "no file belongs to two jobs", f"told twice: {twice[:5]}")
    there = {path for path in output.rglob("*") if path.is_file() and "chaos" in path.as_posix()}
    spare = sorted(path.name for path in there - set(told))
    found.expect(
        not spare, "no result was stored twice, nothing half is left", f"nobody's files: {spare[:5]}"
    )


def _is_right(path: Path, colour: int, peer: str) -> bool:
    try:
        with Image.open(path) as picture:
            pixel = picture.convert("RGB").getpixel((0, 0))
    except OSError:
        return False
    made = (colour >> 16 & 255, colour >> 8 & 255, colour & 255)
    return peer.startswith("fake-") or pixel == made


async def _check_master(found: Findings, fleet: Fleet, http: aiohttp.ClientSession) -> None:
    """It still runs a prompt of its own."""
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 7}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "own"}},
    }
    async with http.post(f"{fleet.master.url}/prompt", json={"prompt": graph}) as answer:
        prompt_id = (await answer.json())["prompt_id"]
    for _ in range(100):
        async with http.get(f"{fleet.master.url}/history/{prompt_id}") as answer:
            entry = (await answer.json()).get(prompt_id)
        if entry:
            break
        await asyncio.sleep(0.1)
    good = bool(entry) and entry["status"]["status_str"] == "success"
    found.expect(good, "the master still renders for itself", "the master renders nothing any more")
