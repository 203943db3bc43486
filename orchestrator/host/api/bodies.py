"""Reads and checks what callers send us. Errors are worded in terms of the request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from aiohttp import web

from ...core.models.credentials import headers_of
from ...core.models.job import JobRequest, ResultLink, Source
from ...core.prompts.overrides import parse_overrides
from ...core.prompts.variations import copies, varied
from ...core.workflow.cut import DISPATCH_CLASS
from ...core.workflow.documents import document_of
from ...core.workflow.prompt import is_link
from ...errors import ConfigError, WorkflowError
from .variation_bodies import JOBS_MAX, as_batch, with_metadata

BODY_MAX_BYTES = 64 << 20
DEPTH_MAX = 100
TAGS_MAX = 64
PRIORITY_MAX = 1e6
TEXT_MAX = 2048
_PARSED_AT_ONCE_BYTES = 64 << 10  #: parsing this takes less time than handing it to a thread

_PEER_FIELDS = (
    *("name", "url", "tags", "enabled", "draining", "credentials", "tls"),
    *("exclusive", "only_idle", "hours", "relay_events"),
)
_JOB_FIELDS = ("prompt", "workflow", "parameters", "peer", "tags", "avoid", "title", "priority", "targets")
_NODE_FIELDS = ("result", "overrides")
_SEVERAL_FIELDS = ("count", "variations", "metadata", "request_id")
REQUEST_ID_MAX = 200


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object in the request's body; empty for an empty body.

    Raises:
        ConfigError: it is no JSON object, longer than 64 MiB, or nested deeper than 100.
    """
    raw = bytearray()
    try:
        async for chunk in request.content.iter_chunked(1 << 16):
            raw += chunk
            if len(raw) > BODY_MAX_BYTES:
                raise ConfigError(f"The body is longer than {BODY_MAX_BYTES >> 20} MiB.")
    except (web.RequestPayloadError, OSError) as exc:
        raise ConfigError("The body ended early or could not be decoded. Send it again.") from exc
    if not raw.strip():
        return {}
    if len(raw) <= _PARSED_AT_ONCE_BYTES:
        return parse_object(bytes(raw))
    return await asyncio.to_thread(parse_object, bytes(raw))


def parse_object(raw: bytes) -> dict[str, Any]:
    """See ``read_object``."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"The body is not JSON: {exc}.") from exc
    if not isinstance(value, dict):
        raise ConfigError('The body must be a JSON object, like {"name": "value"}.')
    level: list[Any] = [value]
    for _ in range(DEPTH_MAX):
        level = [child for item in level for child in _children(item)]
        if not level:
            return value
    raise ConfigError(f"The body is nested deeper than {DEPTH_MAX} levels.")


def new_peer_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of PeerBook.add.

    Raises:
        ConfigError: a field is unknown, missing or of a wrong type.
    """
    fields = peer_changes_of(body)
    if "url" not in fields:
        raise ConfigError('Give the address of the peer as "url", like http://192.168.1.20:8188.')
    if "draining" in fields:
        raise ConfigError('A new peer cannot be draining. Add it with "enabled": false instead.')
    return {"name": "", **fields}


def peer_changes_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The changes for PeerBook.update: those that the body has.

    Raises:
        ConfigError: a field is unknown or of a wrong type.
    """
    _refuse_unknown(body, _PEER_FIELDS)
    readers: dict[str, Callable[[Mapping[str, Any], str], Any]] = {
        "name": _text,
        "url": _text,
        "tags": _tags,
        "enabled": _flag,
        "draining": _flag,
        "credentials": _credentials,
        "tls": _certificates,
        "exclusive": _flag,
        "only_idle": _flag,
        "hours": _text,
        "relay_events": _flag,
    }
    return {field: readers[field](body, field) for field in _PEER_FIELDS if field in body}


def job_request_of(body: Mapping[str, Any]) -> JobRequest:
    """The request of POST /jobs.

    Raises:
        ConfigError: a field is unknown or of a wrong type, or there is neither prompt nor workflow.
    """
    _refuse_unknown(body, _JOB_FIELDS)
    prompt, workflow = _optional_object(body, "prompt"), _optional_object(body, "workflow")
    if not prompt and not workflow:
        raise ConfigError('Send "prompt" (a graph in API format) or "workflow" (as the page saves it).')
    notes: tuple[str, ...] = ()
    if prompt:
        with suppress(WorkflowError):  # what is wrong with it is said below
            found = document_of({"prompt": prompt})
            prompt, notes = found.prompt or prompt, found.notes
    for node_id, node in (prompt or {}).items():
        inputs = node.get("inputs", {}) if isinstance(node, dict) else None
        if not isinstance(inputs, dict) or not isinstance(node.get("class_type"), str):
            raise ConfigError(
                f'Node {node_id[:64]!r} of "prompt" is not like {{"class_type": "…", "inputs": {{…}}}}. '
                'A graph that the page saved goes into "workflow".'
            )
    return JobRequest(
        prompt=prompt or {},
        workflow=workflow or None,
        notes=notes,
        changes=_optional_object(body, "parameters") or {},
        drop_classes=frozenset({DISPATCH_CLASS}),
        peer=_text(body, "peer") if body.get("peer") is not None else "",
        tags=_tags(body, "tags") if body.get("tags") is not None else (),
        avoid=_tags(body, "avoid") if body.get("avoid") is not None else (),
        source=Source.HTTP,
        title=_text(body, "title") if body.get("title") is not None else "",
        priority=_priority(body) if body.get("priority") is not None else 0.0,
        targets=_tags(body, "targets") if body.get("targets") is not None else (),
    )


def explained_request_of(body: Mapping[str, Any]) -> JobRequest:
    """The request of POST /explain: as ``job_request_of``; or what a Remote Dispatch node would send, which
    wants one value of the prompt back and none of its files (``result``), and changes it (``overrides``).

    Raises:
        ConfigError: see ``job_request_of``; or ``result`` names no output of a node of the prompt.
        ParameterError: ``overrides`` cannot be read.
    """
    request = job_request_of({name: value for name, value in body.items() if name not in _NODE_FIELDS})
    overrides, link = _text(body, "overrides") if "overrides" in body else "", body.get("result")
    request = replace(request, changes={**request.changes, **parse_overrides(overrides)})
    if link is None:
        return request
    if not is_link(link) or link[1] < 0 or str(link[0]) not in request.prompt:
        raise ConfigError('"result" must be a node of "prompt" and the number of its output, like ["8", 0].')
    return replace(request, result=ResultLink(str(link[0]), link[1]))


def request_id_of(body: Mapping[str, Any], header: str = "") -> str:
    """``request_id`` of the body, or the header Idempotency-Key; "" without both.

    Raises:
        ConfigError: they differ, or it is no short text.
    """
    value, header = body.get("request_id"), header.strip().strip('"')
    if value is None:
        value = header
    if not isinstance(value, str) or len(value) > REQUEST_ID_MAX or not value.isprintable():
        raise ConfigError(f"A request id is text of at most {REQUEST_ID_MAX} characters, like a UUID.")
    if header and header != value:
        raise ConfigError('"request_id" and the header Idempotency-Key differ. Give one of them.')
    return value


def job_requests_of(body: Mapping[str, Any], request_id: str = "") -> tuple[JobRequest, ...]:
    """The requests of POST /jobs: one, ``count`` copies with own seeds, or one for each of ``variations``.
    Several are a batch. `request_id`: see ``request_id_of``. ``metadata``: the graph that their files carry,
    see ``with_metadata``.

    Raises:
        ConfigError: see ``job_request_of``; or both are given, or more than 1 000 jobs are asked for.
        WorkflowError: the graph cannot be read.
    """
    requests = _several_of(body)
    if body.get("count") is not None or body.get("variations") is not None:
        requests = as_batch(requests)
    if request_id:
        requests = tuple(replace(request, request_id=request_id) for request in requests)
    return requests if body.get("metadata") is None else with_metadata(requests, body["metadata"])


def _several_of(body: Mapping[str, Any]) -> tuple[JobRequest, ...]:
    request = job_request_of({name: value for name, value in body.items() if name not in _SEVERAL_FIELDS})
    count, variations = body.get("count"), body.get("variations")
    if count is not None and variations is not None:
        raise ConfigError('Give "count" or "variations", not both.')
    if count is not None:
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= JOBS_MAX:
            raise ConfigError(f'"count" must be a whole number from 1 to {JOBS_MAX}.')
        return copies(request, count)
    if variations is None:
        return (request,)
    if not isinstance(variations, list) or not 1 <= len(variations) <= JOBS_MAX:
        raise ConfigError(f'"variations" must be a list of 1 to {JOBS_MAX} objects like {{"seed": 7}}.')
    if not all(isinstance(changes, dict) for changes in variations):
        raise ConfigError('Each of "variations" must be an object like {"seed": 7}.')
    return varied(request, variations)


def job_move_of(body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """What POST /jobs/{id}/move asks: the job to go before ("" for the end of the queue), the peer to run on
    ("" for any); None for what it does not mention.

    Raises:
        ConfigError: a field is unknown or of a wrong type, or there is none.
    """
    _refuse_unknown(body, ("before", "peer"))
    if not body:
        raise ConfigError('Give "before" (a waiting job\'s id, or "" for the end) or "peer" ("" for any).')
    before = _text(body, "before") if "before" in body else None
    return before, _text(body, "peer") if "peer" in body else None


def job_retry_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of Runtime.jobs.retry: the peer to run on ("" for any) and the priority, where given.

    Raises:
        ConfigError: a field is unknown or of a wrong type.
    """
    _refuse_unknown(body, ("peer", "priority"))
    asked: dict[str, Any] = {}
    if body.get("peer") is not None:
        asked["peer"] = _text(body, "peer")
    if body.get("priority") is not None:
        asked["priority"] = _priority(body)
    return asked


def peer_interrupt_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of interrupt_peer, where given.

    Raises:
        ConfigError: a field is unknown or of a wrong type.
    """
    _refuse_unknown(body, ("foreign", "prompt_id"))
    asked: dict[str, Any] = {"foreign": _flag(body, "foreign")} if "foreign" in body else {}
    return {**asked, "prompt_id": _text(body, "prompt_id")} if "prompt_id" in body else asked


def _refuse_unknown(body: Mapping[str, Any], known: Iterable[str]) -> None:
    unknown = sorted(set(body) - set(known))
    if unknown:
        listed = ", ".join(repr(name[:64]) for name in unknown[:10])
        raise ConfigError(f"Unknown field {listed}. Known are: {', '.join(known)}.")


def _text(body: Mapping[str, Any], field: str) -> str:
    value = body[field]
    if not isinstance(value, str) or len(value) > TEXT_MAX:
        raise ConfigError(f'"{field}" must be text of at most {TEXT_MAX} characters.')
    return value


def _certificates(body: Mapping[str, Any], field: str) -> str:
    value = body[field]
    if not isinstance(value, str):
        raise ConfigError(f'"{field}" must be text: a CA file\'s content, a fingerprint, or "" for neither.')
    return value


def _priority(body: Mapping[str, Any]) -> float:
    value = body["priority"]
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) <= PRIORITY_MAX:
        raise ConfigError(f'"priority" must be a number up to {PRIORITY_MAX:.0f}; a higher one goes first.')
    return float(value)


def _flag(body: Mapping[str, Any], field: str) -> bool:
    value = body[field]
    if not isinstance(value, bool):
        raise ConfigError(f'"{field}" must be true or false.')
    return value


def _tags(body: Mapping[str, Any], field: str) -> tuple[str, ...]:
    value = body[field]
    if not isinstance(value, list) or len(value) > TAGS_MAX or not all(isinstance(tag, str) for tag in value):
        raise ConfigError(f'"{field}" must be a list of at most {TAGS_MAX} texts.')
    return tuple(value)


def _credentials(body: Mapping[str, Any], field: str) -> dict[str, Any] | None:
    value = body[field]
    if value is None:
        return None
    headers_of(value)  # says what is wrong with it
    return dict(value)


def _optional_object(body: Mapping[str, Any], field: str) -> dict[str, Any] | None:
    value = body.get(field)
    if value is not None and not isinstance(value, dict):
        raise ConfigError(f'"{field}" must be a JSON object.')
    return value


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
