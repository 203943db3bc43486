"""The engine's request for what POST /prompt brought."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...core.models.job import JobRequest, Source
from ...core.prompts.titles import described
from ...core.workflow.cut import graph_id_of
from ...errors import ConfigError
from ..api.bodies import request_id_of
from ..api.job_bodies import NAME_MAX

#: Of a prompt's extra_data: what pays for partner nodes. It is neither kept nor sent to a peer.
ACCOUNT_KEY = re.compile(r"^(auth_token_|api_key_)")


def job_request(body: Mapping[str, Any], options: Mapping[str, Any]) -> JobRequest:
    """The engine's request of a prompt's body.

    Raises:
        ConfigError: something in it has a wrong type.
    """
    prompt = body["prompt"]
    for node_id, node in prompt.items():
        if not isinstance(node, dict) or not isinstance(node.get("inputs", {}), dict):
            raise ConfigError(f"Node {node_id!r} of the prompt is not like {{class_type, inputs}}.")
    extra = body.get("extra_data")
    extra = extra if isinstance(extra, dict) else {}
    pnginfo = extra.get("extra_pnginfo")
    workflow = pnginfo.get("workflow") if isinstance(pnginfo, dict) else None
    targets = body.get("partial_execution_targets") or ()
    peer, tags, priority = options.get("peer") or "", options.get("tags") or [], options.get("priority") or 0
    avoid, name, batch = options.get("avoid") or [], options.get("name") or "", options.get("batch") or ""
    texts, lists = (peer, name, batch), (tags, avoid, targets)
    if not all(isinstance(one, str) for one in texts) or not all(
        isinstance(one, (list, tuple)) for one in lists
    ):
        raise ConfigError(
            '"peer", "name" and "batch" must be texts; "tags", "avoid" and targets lists of texts.'
        )
    index = options.get("batch_index") or 0
    if not isinstance(index, int) or index < 0:
        raise ConfigError('"batch_index" must be a whole number from 0.')
    if not isinstance(priority, (int, float)) or not -1e6 <= priority <= 1e6:
        raise ConfigError('"priority" must be a number; a higher one goes first.')
    return JobRequest(
        prompt=prompt,
        peer=peer,
        tags=tuple(map(str, tags)),
        avoid=tuple(map(str, avoid)),
        source=Source.FLEET,
        priority=float(priority),
        title=described(prompt, name=name[:NAME_MAX]) if name else "",
        targets=tuple(map(str, targets)),
        graph_id=graph_id_of(workflow if isinstance(workflow, dict) else None),
        request_id=request_id_of(options),
        batch_id=batch[:NAME_MAX],
        batch_index=index,
        client_id=_client_id(body, extra),
        extra_data={key: value for key, value in extra.items() if not ACCOUNT_KEY.match(str(key))},
    )


def _client_id(body: Mapping[str, Any], extra: Mapping[str, Any]) -> str:
    """The socket that hears of it; "" for none, and then all do. The host takes it from either place."""
    given = body.get("client_id", extra.get("client_id"))
    return "" if given is None else str(given)
