"""A tiny graph through a peer's own queue: whether it does not only answer, but works."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import uuid
from dataclasses import dataclass

from ..core.models.job import Prompt
from ..core.workflow.outputs import check_success
from ..errors import PeerError, PeerUnfitError
from .client import ComfyUIClient

log = logging.getLogger(__name__)

LIMIT_S = 20.0
POLL_S = 0.1
TIDY_S = 5.0


@dataclass(frozen=True)
class SmokeTest:
    """``seconds`` from handing it over to its end. ``message`` is empty where it worked."""

    ok: bool
    seconds: float
    message: str = ""


async def try_out(client: ComfyUIClient, peer: str, *, limit_s: float = LIMIT_S) -> SmokeTest:
    """Run a picture of one colour there, and leave nothing behind in the peer's queue and history.

    Never takes much longer than `limit_s`. Its files are ComfyUI's temporary ones.
    """
    clock = asyncio.get_running_loop().time
    prompt_id, began = str(uuid.uuid4()), clock()
    try:
        ahead = (await client.queue()).length
        try:
            try:
                left_out = await client.submit(_graph(), prompt_id=prompt_id, client_id=uuid.uuid4().hex)
            except PeerUnfitError as exc:
                prompt_id = exc.prompt_id or prompt_id
                raise
            if left_out:
                return SmokeTest(False, clock() - began, f"{peer} would not run even a plain picture.")
            entry = None
            while entry is None and clock() - began < limit_s:
                await asyncio.sleep(POLL_S)
                entry = await client.history(prompt_id)
            seconds = clock() - began
            if entry is None:
                return SmokeTest(
                    False, seconds, await _why_not_ended(client, peer, prompt_id, ahead, limit_s)
                )
        finally:
            await _leave_nothing(client, prompt_id)
        check_success(entry, peer)
        await client.check_view()
    except PeerError as exc:
        return SmokeTest(False, clock() - began, str(exc))
    return SmokeTest(True, seconds)


async def _why_not_ended(client: ComfyUIClient, peer: str, prompt_id: str, ahead: int, limit_s: float) -> str:
    queue = await client.queue()
    if prompt_id in queue.pending:
        before = queue.pending.index(prompt_id) + len(queue.running)
        prompts = f"{before} prompt{'' if before == 1 else 's'}"
        return f"{peer} answers, and is busy: {prompts} went before the test for {limit_s:.0f} s. Try later."
    if prompt_id in queue.running:
        waited = f" behind {ahead} others" if ahead else ""
        return (
            f"{peer} began{waited}, and had not ended a plain picture after {limit_s:.0f} s. Look at its log."
        )
    return f"{peer} took the test and does not know it any more. Was it restarted, or its queue cleared?"


async def _leave_nothing(client: ComfyUIClient, prompt_id: str) -> None:
    tidying = asyncio.create_task(_tidy(client, prompt_id), name=f"remote-dispatch tidy {prompt_id}")
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.shield(tidying), TIDY_S)


async def _tidy(client: ComfyUIClient, prompt_id: str) -> None:
    try:
        # Each touches this prompt only; whichever state it is in, one of them fits.
        await client.delete_queued(prompt_id)
        if prompt_id in (await client.queue()).running:  # an older ComfyUI interrupts whatever runs
            await client.interrupt(prompt_id)
        await client.forget(prompt_id)
    except PeerError as exc:
        log.info("A test could not be tidied up: %s", exc)


def _graph() -> Prompt:
    """Another colour each time: what a peer has cached would prove nothing."""
    colour = random.randrange(1 << 24)  # noqa: S311  a colour # nosec B311
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": colour},
        },
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
