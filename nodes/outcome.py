"""What a Remote Dispatch node hands on, of what came of its jobs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from comfy_api.latest import io  # type: ignore[import-not-found]

from ..orchestrator.core.models.job import AttemptResult, OutputFile
from ..orchestrator.core.workflow.result_nodes import RESULT_ID
from ..orchestrator.errors import ResultError, WorkflowError
from . import media, pieces

log = logging.getLogger(__name__)

READ_IN_PLACE_BYTES = 1 << 20
_NOT_SHOWN = frozenset({".exr", ".bin", ".latent"})  #: by the page


def outcome(results: Sequence[AttemptResult], *, is_whole: bool, is_used: bool) -> io.NodeOutput:
    """The node's output. `is_whole`: nothing was linked to it, and the whole graph ran. `is_used`: somebody
    takes its value; where nobody does, the box shows it.

    Raises:
        ResultError: a value cannot be read. WorkflowError: those of several copies make no batch.
    """
    found = [_of_graph(result, is_used) if is_whole else _of_link(result) for result in results]
    values = [value for value, _ in found if value is not None]
    files = () if is_used and not is_whole else [file for _, some in found for file in some]
    value = _batch(values) if len(results) > 1 and values else found[0][0]
    return io.NodeOutput(value, ui=_shown(results[0].result_type, files) or None)


def _of_link(result: AttemptResult) -> tuple[Any, Sequence[OutputFile]]:
    carried = tuple(file for file in result.outputs if file.node_id == RESULT_ID)
    paths = [Path(file.path) for file in carried]
    return media.value_from_files(result.result_type, paths, result.texts), carried


def _of_graph(result: AttemptResult, is_used: bool) -> tuple[Any, Sequence[OutputFile]]:
    pictures = _first_pictures(result.outputs)
    try:
        return _batch_of(pictures), pictures
    except ResultError as exc:
        if is_used:
            raise
        log.info("Remote Dispatch hands on nothing, and nothing is linked to it: %s", exc)
        return None, pictures


def _batch(values: Sequence[Any]) -> Any:
    try:
        return pieces.joined_list(values)
    except WorkflowError as exc:
        raise WorkflowError(
            f"The copies ran, and what they made cannot become one batch: {exc} Set copies to 1; the Fleet "
            "tab has each of them."
        ) from exc


def _shown(kind: str, files: Sequence[OutputFile]) -> dict[str, Any]:
    """The files as the page shows them on the box; {} for what it cannot show."""
    told = [
        {"filename": f.filename, "subfolder": f.subfolder, "type": f.type}
        for f in files
        if Path(f.path).suffix not in _NOT_SHOWN
    ]
    if not told:
        return {}
    if kind == "AUDIO":
        return {"audio": told}
    return {"images": told, "animated": (True,)} if kind == "VIDEO" else {"images": told}


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


def is_small(results: Sequence[AttemptResult]) -> bool:
    """Whether reading in place is quicker than a thread."""
    try:
        files = (file for result in results for file in result.outputs)
        return sum(Path(file.path).stat().st_size for file in files) <= READ_IN_PLACE_BYTES
    except OSError:
        return True  # reading them raises the error


def _first_pictures(files: tuple[OutputFile, ...]) -> tuple[OutputFile, ...]:
    pictures = [f for f in files if Path(f.path).suffix in (".png", ".jpg", ".jpeg", ".webp")]
    pictures = [f for f in pictures if not f.is_extra] or pictures
    return tuple(f for f in pictures if f.node_id == pictures[0].node_id)
