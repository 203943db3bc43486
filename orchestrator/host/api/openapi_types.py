"""The words in which the HTTP API is described: JSON Schema in short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
ANYTHING: Schema = {"type": "object"}
VALUE: Schema = {"type": ["string", "number", "boolean", "object", "array", "null"]}
MOMENT: Schema = {"type": ["string", "null"], "format": "date-time"}
SECONDS: Schema = {"type": ["number", "null"]}


def listed(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def fields(properties: dict[str, Schema], *, optional: Sequence[str] = ()) -> Schema:
    """An object that has these and no others."""
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def choices(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}
