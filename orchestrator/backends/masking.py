"""A peer's own key in what it says: struck out before anything of it is read, kept or shown."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping

STRUCK = "•••"
SHORTEST = 8  #: characters; a shorter one may be a word of ComfyUI's own answers


class Mask:
    """`headers` carry the keys. A peer, or a proxy before it, may repeat one in an error, in a log or in the
    page it shows; in JSON too, and without the word before it."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        keys = {key for value in headers.values() for key in _keys(value) if len(key) >= SHORTEST}
        forms = {form for key in keys for form in _forms(key)}
        self._texts = sorted(forms, key=len, reverse=True)
        self._bytes = [form.encode() for form in self._texts]

    def text(self, text: str) -> str:
        for form in self._texts:
            if form in text:
                text = text.replace(form, STRUCK)
        return text

    def bytes(self, data: bytes) -> bytes:
        for form in self._bytes:
            if form in data:
                data = data.replace(form, STRUCK.encode())
        return data


NOTHING = Mask({})


def _keys(value: str) -> Iterator[str]:
    """The value as it is sent, what comes behind a word like Bearer, and what is packed into a Basic one."""
    yield value
    scheme, _, key = value.rpartition(" ")
    yield key
    if scheme.lower() == "basic":
        try:
            both = base64.b64decode(key, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return
        yield both
        yield both.partition(":")[2]


def _forms(key: str) -> Iterator[str]:
    yield key
    in_json = json.dumps(key)[1:-1]
    yield in_json
    yield in_json.replace("/", "\\/")
