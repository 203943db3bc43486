"""A JobRequest as JSON and back: how it is kept in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .job import JobRequest, ResultLink, Source


def request_record(request: JobRequest) -> dict[str, Any]:
    """The request in what JSON knows; shares the prompt with it, so do not change the result."""
    result = request.result
    return {
        **vars(request),
        "workflow": None if request.workflow is None else dict(request.workflow),
        "changes": dict(request.changes),
        "extra_data": dict(request.extra_data),
        "drop_classes": sorted(request.drop_classes),
        "source": request.source.value,
        "result": None if result is None else [result.node_id, result.slot],
    }


def request_of(record: Mapping[str, Any]) -> JobRequest:
    """The request of a record. One of another version is taken as far as it goes: unknown fields are left
    out, missing ones get their defaults.

    Raises:
        KeyError, TypeError, ValueError: it is no such record.
    """
    known = {field.name: record[field.name] for field in fields(JobRequest) if field.name in record}
    result = record["result"]
    known.update(
        drop_classes=frozenset(record["drop_classes"]),
        tags=tuple(record["tags"]),
        avoid=tuple(record.get("avoid", ())),
        targets=tuple(record.get("targets", ())),
        notes=tuple(record.get("notes", ())),
        source=Source(record["source"]),
        result=None if result is None else ResultLink(*result),
    )
    return JobRequest(**known)
