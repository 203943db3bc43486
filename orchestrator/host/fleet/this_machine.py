"""The master as one of the places where fleet jobs run: through its own queue, when that is empty."""

from __future__ import annotations

import asyncio
import copy
import glob
import importlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...core.models.backend import LOCAL_PEER_NAME, Vitals
from ...core.models.job import AttemptResult, Job, OutputFile
from ...core.workflow.outputs import check_success
from ...core.workflow.result_files import FrameSequence, files_of, sequence_of
from ...dispatch.attempts.transport import Folders
from ...dispatch.interfaces import RanHere
from ...errors import JobCancelledError, PromptRefusedError
from .own_devices import OwnDevices, host_management

# ComfyUI's modules; a type checker would take our own packages of such names.
execution: Any = importlib.import_module("execution")
comfy_nodes: Any = importlib.import_module("nodes")

LOOK_EVERY_S = 0.1


class ThisMachine:
    """`queue` is the host's prompt queue; `is_wanted` tells whether the user lets the master help."""

    def __init__(
        self, queue: Any, folders: Folders, is_wanted: Callable[[], bool], next_number: Callable[[], int]
    ) -> None:
        self._queue = queue
        self._folders = folders
        self._is_wanted = is_wanted
        self._next_number = next_number
        self._devices = OwnDevices(host_management())

    def is_wanted(self) -> bool:
        """Whether it is to run jobs at all."""
        return self._is_wanted()

    def is_free(self) -> bool:
        """Whether a job would start here at once."""
        return self._is_wanted() and not self._queue.queue and not self._queue.currently_running

    def vitals(self) -> Vitals | None:
        """What it computes on; None where the host does not tell."""
        return self._devices.vitals()

    async def run(self, job: Job) -> RanHere:
        """Run it as the host runs any prompt, under the job's id.

        Raises:
            PromptRefusedError: the host's validation says no. PeerExecutionError: a node raised.
            JobCancelledError: somebody took it out of the host's queue.
        """
        request = job.request
        prompt = copy.deepcopy(request.prompt)  # validation writes into it
        prompt_id = job.prompt_id
        valid = await execution.validate_prompt(prompt_id, prompt, list(request.targets) or None)
        if not valid[0]:
            raise PromptRefusedError(
                f"This computer cannot run it: {valid[1]['message']}.", valid[1], valid[3]
            )
        extra = {**request.extra_data, "create_time": int(time.time() * 1000)}
        if request.client_id:
            extra["client_id"] = request.client_id
        earlier = self._queue.history.get(prompt_id)  # an older host takes one id several times
        self._queue.put((self._next_number(), prompt_id, prompt, extra, valid[2], {}))
        try:
            entry = await self._end_of(prompt_id, earlier)
        except asyncio.CancelledError:
            self._stop(prompt_id)
            raise
        outputs = check_success(entry, LOCAL_PEER_NAME)
        files = await asyncio.to_thread(self._files, outputs, prompt)
        return RanHere(AttemptResult(files, outputs), _cached(entry))

    async def _end_of(self, prompt_id: str, earlier: object) -> Mapping[str, Any]:
        """Its history entry, once it differs from the `earlier` one."""
        while True:
            with self._queue.mutex:
                entry: Mapping[str, Any] | None = self._queue.history.get(prompt_id)
                known = (*self._queue.queue, *self._queue.currently_running.values())
            if entry is not None and entry is not earlier:
                return entry
            if not any(item[1] == prompt_id for item in known):
                raise JobCancelledError("The job was taken out of this computer's queue.")
            await asyncio.sleep(LOOK_EVERY_S)

    def _stop(self, prompt_id: str) -> None:
        if self._queue.delete_queue_item(lambda item: item[1] == prompt_id):
            return
        with self._queue.mutex:  # so that it cannot hit the prompt after it
            if any(item[1] == prompt_id for item in self._queue.currently_running.values()):
                comfy_nodes.interrupt_processing()

    def _files(self, outputs: Mapping[str, Any], prompt: Mapping[str, Any]) -> tuple[OutputFile, ...]:
        """Those that are there: of a sequence, each frame."""
        roots = {"output": self._folders.output, "temp": self._folders.temp}
        found = []
        for file in files_of(outputs, prompt):
            if file.type not in roots:
                continue
            folder, sequence = Path(roots[file.type], file.subfolder), sequence_of(file)
            names = [file.filename] if sequence is None else _frames(folder, sequence)
            for name in names:
                path = folder / name
                if path.is_file():
                    found.append(OutputFile(file.node_id, str(path), name, file.subfolder, file.type))
        return tuple(found)


def _frames(folder: Path, sequence: FrameSequence) -> list[str]:
    names = (path.name for path in folder.glob(f"{glob.escape(sequence.head)}*"))
    return sorted(name for name in names if sequence.number_of(name) is not None)


def _cached(entry: Mapping[str, Any]) -> frozenset[str]:
    """The nodes that a history entry says were in the cache."""
    messages = (entry.get("status") or {}).get("messages") or ()
    told = (data for kind, data in messages if kind == "execution_cached")
    return frozenset(str(node_id) for data in told for node_id in data.get("nodes") or ())
