"""Reads what callers send us. Errors are worded in terms of the request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, WrapValidator

from ...errors import ConfigError

BODY_MAX_BYTES = 64 << 20
DEPTH_MAX = 100
TEXT_MAX = 2048
TAGS_MAX = 64
PRIORITY_MAX = 1e6
REQUEST_ID_MAX = 200
_PARSED_AT_ONCE_BYTES = 64 << 10  #: parsing this takes less time than handing it to a thread


class Body(BaseModel):
    """The fields that a request may have, and no others; OpenAPI tells them as they stand here."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Nothing(Body):
    """A request without anything to say."""


AnyBody = TypeVar("AnyBody", bound=Body)


def must(sentence: str) -> WrapValidator:
    """Whatever is wrong with a field is told in this sentence: "must be …"."""

    def check(value: Any, handler: Any, info: ValidationInfo) -> Any:
        try:
            return handler(value)
        except ValidationError as exc:
            # A field that is called as a word of Python has "_" behind its name.
            mine = ConfigError(f'"{str(info.field_name).rstrip("_")}" {sentence}')
            raise told(exc) or mine from None

    return WrapValidator(check)


def told(exc: ValidationError) -> ConfigError | None:
    """Our own sentence among what pydantic found, if there is one."""
    errors = (
        fault.get("ctx", {}).get("error") for fault in exc.errors(include_url=False, include_input=False)
    )
    return next((error for error in errors if isinstance(error, ConfigError)), None)


_IS_TEXT = must(f"must be text of at most {TEXT_MAX} characters.")
_IS_LIST = must(f"must be a list of at most {TAGS_MAX} texts.")
_IS_OBJECT = must("must be a JSON object.")
_IS_PRIORITY = must(f"must be a number up to {PRIORITY_MAX:.0f}; a higher one goes first.")
_SomeText = Annotated[str, Field(max_length=TEXT_MAX)]
_SomeList = Annotated[list[str], Field(max_length=TAGS_MAX)]
_SomeNumber = Annotated[int | float, Field(ge=-PRIORITY_MAX, le=PRIORITY_MAX)]

Text = Annotated[_SomeText, _IS_TEXT]
Flag = Annotated[bool, must("must be true or false.")]
Tags = Annotated[_SomeList, _IS_LIST]
#: Where null is as good as leaving the field out
TextOrNull = Annotated[_SomeText | None, _IS_TEXT]
TagsOrNull = Annotated[_SomeList | None, _IS_LIST]
ObjectOrNull = Annotated[dict[str, Any] | None, _IS_OBJECT]
PriorityOrNull = Annotated[_SomeNumber | None, _IS_PRIORITY]


def read(model: type[AnyBody], given: Mapping[str, Any]) -> AnyBody:
    """What a caller sent, as the `model` of it.

    Raises:
        ConfigError: a field is unknown, missing or of a wrong type.
    """
    try:
        return model.model_validate(dict(given))
    except ValidationError as exc:
        faults, ours = exc.errors(include_url=False, include_context=False, include_input=False), told(exc)
    unknown = sorted(str(fault["loc"][-1]) for fault in faults if fault["type"] == "extra_forbidden")
    if unknown:
        raise ConfigError(
            f"Unknown field {', '.join(repr(name[:64]) for name in unknown[:10])}. "
            f"Known are: {', '.join(model.model_fields)}."
        )
    if ours is not None:
        raise ours
    name = str(faults[0]["loc"][0])
    if faults[0]["type"] == "missing":
        raise ConfigError(f'Give "{name}": {model.model_fields[name].description}')
    raise ConfigError(f'"{name}": {faults[0]["msg"]}.')


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


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
