"""The Remote Dispatch node: runs what lies upstream of it on another computer and gives the value back."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import comfy.model_management  # type: ignore[import-not-found]
from comfy_api.latest import io  # type: ignore[import-not-found]
from comfy_execution.progress import get_progress_state  # type: ignore[import-not-found]
from comfy_execution.utils import get_executing_context  # type: ignore[import-not-found]

from ..orchestrator.core.models.job import Job, JobRequest, OutputFile, Prompt
from ..orchestrator.core.workflow.cut import DISPATCH_CLASS, Stash
from ..orchestrator.core.workflow.prompt import is_link, links_of
from ..orchestrator.core.workflow.result_nodes import (
    INSTEAD,
    RESULT_ID,
    cannot_travel,
    loader_nodes,
    replace_link,
)
from ..orchestrator.errors import (
    NoEligiblePeerError,
    OrchestratorError,
    PeerExecutionError,
    PromptRefusedError,
    ResultError,
    UnsupportedTypeError,
    WorkflowError,
)
from ..orchestrator.host.comfy import temp_dir
from ..orchestrator.host.current import Host, current
from ..orchestrator.host.node.progress import NodeProgress
from ..orchestrator.host.node.request import (
    ALWAYS,
    AUTOMATIC,
    FAIL,
    RUN_HERE,
    TAG_PREFIX,
    WAIT,
    WHEN_CHANGED,
    node_request,
)
from . import local_run, media
from .change_check import fingerprint

log = logging.getLogger(__name__)

INTERRUPT_POLL_S = 0.2
READ_IN_PLACE_BYTES = 1 << 20  #: up to this, reading in place is quicker than a thread


class RemoteDispatch(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        # Newer hosts drop links to undeclared inputs unless told otherwise; chains need them.
        takes_all = any(field.name == "accept_all_inputs" for field in dataclasses.fields(io.Schema))
        return io.Schema(
            node_id=DISPATCH_CLASS,
            display_name="Remote Dispatch",
            category="remote dispatch",
            description=(
                "Runs everything linked to it on one of your other computers and gives the value back. "
                "With nothing linked, runs the whole workflow there and gives back its first pictures."
            ),
            inputs=[
                io.AnyType.Input(
                    "value",
                    optional=True,
                    tooltip="What you want computed on another computer.",
                    extra_dict={"instead": INSTEAD},
                ),
                io.String.Input(
                    "overrides",
                    default="",
                    multiline=True,
                    optional=True,
                    placeholder="overrides, like KSampler.seed = 42",
                    tooltip="Changes made before sending, one a line: title, class or id . input = value",
                ),
                io.Combo.Input(
                    "peer",
                    options=_peer_choices(),
                    default=AUTOMATIC,
                    optional=True,
                    tooltip="Which computer: the first free one, one of your choice, or any with a tag.",
                ),
                io.Combo.Input(
                    "if_no_peer",
                    options=[FAIL, WAIT, RUN_HERE],
                    default=FAIL,
                    optional=True,
                    tooltip="What to do when no peer can run it now.",
                ),
                io.Combo.Input(
                    "run_again",
                    options=[WHEN_CHANGED, ALWAYS],
                    default=WHEN_CHANGED,
                    optional=True,
                    tooltip=(
                        "What has not changed is not run again, unless a node in it that this computer has "
                        "says it changed. Choose 'always' to ask the other computer every time."
                    ),
                ),
            ],
            outputs=[io.AnyType.Output("result", display_name="value")],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
            enable_expand=True,
            **({"accept_all_inputs": True} if takes_all else {}),
        )

    @classmethod
    def validate_inputs(cls, peer: str = AUTOMATIC, value: Any = None, **_: Any) -> bool | str:
        # Taking `peer` here keeps the host from comparing it with the list of this moment: peers come and go.
        if not isinstance(peer, str):
            return "peer must be a name, 'automatic' or 'tag: …'"
        try:
            stash = Stash.from_input(value)
        except WorkflowError as exc:
            return str(exc)
        return (stash.refusal if stash else "") or True

    @classmethod
    async def fingerprint_inputs(cls, value: Any = None, run_again: str = WHEN_CHANGED, **_: Any) -> str:
        """Changes whenever the host would run a node of the cut-out graph again, had it stayed here."""
        if run_again == ALWAYS:
            return uuid.uuid4().hex
        stash = Stash.from_input(value)
        return await fingerprint(stash.prompt) if stash else ""

    @classmethod
    async def execute(
        cls,
        value: Any = None,
        overrides: str = "",
        peer: str = AUTOMATIC,
        if_no_peer: str = FAIL,
        run_again: str = WHEN_CHANGED,
        **upstream: Any,
    ) -> io.NodeOutput:
        host = current()
        if host is None:
            raise OrchestratorError(
                "Remote Dispatch has not been started. Restart ComfyUI and look at its log."
            )
        stash = Stash.from_input(value)
        if stash is None:
            raise WorkflowError(
                "This graph reached ComfyUI in a way Remote Dispatch cannot see, so it was not cut. "
                "Queue it with POST /prompt or the Run button."
            )
        node_id = str(cls.hidden.unique_id)
        for name, source in stash.boundaries.items():
            if stash.link == source:
                return io.NodeOutput(upstream[name])
        request = node_request(
            stash,
            await asyncio.to_thread(_bridged, stash, upstream) if upstream else stash.prompt,
            node_id=node_id,
            overrides=overrides,
            peer=peer,
            if_no_peer=if_no_peer,
            extra_pnginfo=cls.hidden.extra_pnginfo,
        )
        item = _item_of(cls.hidden.dynprompt, node_id)
        try:
            job = await _run(
                host, request, node_id, frozenset(stash.prompt), item, is_local_next=if_no_peer == RUN_HERE
            )
        except NoEligiblePeerError:
            if if_no_peer != RUN_HERE:
                raise
            return local_run.expand(stash, node_id, request.changes, upstream, item)
        except (PeerExecutionError, PromptRefusedError) as exc:
            _blame(cls.hidden.dynprompt, node_id, stash, exc)
            raise
        make_output = partial(_output, job, stash, _is_used(cls.hidden.dynprompt, node_id))
        return make_output() if _is_small(job.outputs) else await asyncio.to_thread(make_output)


def _peer_choices() -> list[str]:
    host = current()
    peers = host.runtime.manager.all() if host else ()
    tags = sorted({tag for config in peers for tag in config.tags})
    return [AUTOMATIC, *sorted(config.name for config in peers), *(TAG_PREFIX + tag for tag in tags)]


def _item_of(dynprompt: Any, node_id: str) -> int | None:
    """Which item of a list the host calls the node for; None where nothing linked to it can be a list."""
    inputs = dynprompt.get_node(node_id)["inputs"]
    context = get_executing_context()
    return context.list_index if context is not None and any(map(is_link, inputs.values())) else None


async def _run(
    host: Host,
    request: JobRequest,
    node_id: str,
    node_ids: frozenset[str],
    item: int | None,
    *,
    is_local_next: bool,
) -> Job:
    """Run a job on the server's loop while this node waits on its own. `is_local_next`: where no peer can, it
    runs here.

    Raises:
        OrchestratorError: the job, or another item's, failed. InterruptProcessingException: the user stopped
            the prompt.
    """
    runtime = host.runtime
    registry, node_loop = get_progress_state(), asyncio.get_running_loop()

    async def on_server_loop() -> Job:
        fan = host.fans.of(registry, node_id)
        if fan.failure is not None:
            raise fan.failure
        progress = NodeProgress(
            server=host.server,
            registry=registry,
            node_loop=node_loop,
            node_id=node_id,
            node_ids=node_ids,
            fan=fan,
            peer_name=runtime.peers.name,
            packs=host.packs,
        )
        job_id = host.prefetch.claim(progress.prompt_id, node_id, request)
        try:
            if job_id is None:
                job_id = (await runtime.jobs.submit(fan.placed(request, item), progress)).id
            else:
                runtime.jobs.attach(job_id, progress)
            job = await runtime.jobs.wait(job_id)
            progress.show_outputs(job.shown)
            return job
        except asyncio.CancelledError:
            if job_id is not None:
                await runtime.jobs.cancel(job_id)
            raise
        except OrchestratorError as exc:
            if is_local_next and isinstance(exc, NoEligiblePeerError):
                raise
            raise fan.fail(exc, progress.piece) from None
        finally:
            progress.finish()

    future = asyncio.run_coroutine_threadsafe(on_server_loop(), host.loop)
    task = asyncio.wrap_future(future)
    try:
        while not task.done():
            # /interrupt does not wake an awaiting node.
            await asyncio.wait({task}, timeout=INTERRUPT_POLL_S)
            comfy.model_management.throw_exception_if_processing_interrupted()
        return task.result()
    except comfy.model_management.InterruptProcessingException as exc:
        stopped = exc
        host.loop.call_soon_threadsafe(lambda: host.fans.of(registry, node_id).fail(stopped))
        raise
    except OrchestratorError as exc:
        log.debug("The job of node %s did not end well", node_id, exc_info=exc)
        raise exc.with_traceback(None) from None  # ComfyUI logs every frame, and the words say it all
    finally:
        future.cancel()


def _bridged(stash: Stash, upstream: Mapping[str, Any]) -> Prompt:
    """The graph to send, with the values of nodes that run here put in as constants or files to load."""
    prompt = stash.prompt
    for name, source in stash.boundaries.items():
        value = upstream[name]
        try:
            kind = media.kind_of(value)
        except UnsupportedTypeError as exc:
            raise UnsupportedTypeError(cannot_travel(source, type(value).__name__)) from exc
        if kind in ("IMAGE", "MASK", "LATENT"):
            names = media.files_from_value(kind, value, temp_dir())
            loaders, link = loader_nodes(kind, names, f"rd-{name}")
            prompt = {**replace_link(prompt, source, link), **loaders}
        else:
            prompt = replace_link(prompt, source, value)
    return prompt


def _output(job: Job, stash: Stash, is_used: bool) -> io.NodeOutput:
    if stash.link is not None:
        carried = tuple(file for file in job.outputs if file.node_id == RESULT_ID)
        value = media.value_from_files(job.result_type, [Path(file.path) for file in carried], job.texts)
        shown = carried if job.result_type == "IMAGE" and not is_used else ()
    else:
        shown = _first_pictures(job.outputs)
        try:
            value = _batch_of(shown)
        except ResultError as exc:
            if is_used:
                raise
            log.info("Remote Dispatch hands on nothing, and nothing is linked to it: %s", exc)
            value = None
    if not shown:
        return io.NodeOutput(value)
    images = [{"filename": f.filename, "subfolder": f.subfolder, "type": f.type} for f in shown]
    return io.NodeOutput(value, ui={"images": images})


def _batch_of(pictures: tuple[OutputFile, ...]) -> Any:
    """
    Raises:
        ResultError: there is none, or they make no batch.
    """
    if not pictures:
        raise ResultError(
            "The graph ran, but saved no picture to hand on. Its files are in the output folder."
        )
    return media.pictures_from_files([Path(file.path) for file in pictures])


def _is_small(files: Sequence[OutputFile]) -> bool:
    try:
        return sum(Path(file.path).stat().st_size for file in files) <= READ_IN_PLACE_BYTES
    except OSError:
        return True  # reading them raises the error


def _first_pictures(files: tuple[OutputFile, ...]) -> tuple[OutputFile, ...]:
    pictures = [f for f in files if Path(f.path).suffix in (".png", ".jpg", ".jpeg", ".webp")]
    pictures = [f for f in pictures if not f.is_extra] or pictures
    return tuple(f for f in pictures if f.node_id == pictures[0].node_id)


def _blame(dynprompt: Any, node_id: str, stash: Stash, exc: PeerExecutionError | PromptRefusedError) -> None:
    """Let the host report the error on the node that caused it, although that node was cut out.

    The host asks `dynprompt` for the real node of the one that failed, after it failed.
    """
    if isinstance(exc, PeerExecutionError):
        guilty = str(exc.details.get("node_id"))
    else:
        guilty = next(iter(exc.node_errors), "")
    if guilty in stash.prompt:
        own = dynprompt.get_node(node_id)
        dynprompt.get_original_prompt().update(stash.prompt)
        dynprompt.add_ephemeral_node(node_id, own, guilty, guilty)


def _is_used(dynprompt: Any, node_id: str) -> bool:
    prompt = dynprompt.get_original_prompt()
    return any(source == node_id for node in prompt.values() for _, source, _ in links_of(node))
