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
        self.has_keys = bool(headers)
        keys = {key for value in headers.values() for key in _keys(value) if len(key) >= SHORTEST}
        forms = {form for key in keys for form in _forms(key)}
        self._texts = sorted(forms, key=len, reverse=True)
        self._bytes = [form.encode() for form in self._texts]
        self.longest_bytes = max(map(len, self._bytes), default=0)

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


class MaskedBlocks:
    """The blocks of one body, of which a key may lie in two: an end that could be its beginning is held."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._held = b""

    def next(self, block: bytes) -> bytes:
        data = self._mask.bytes(self._held + block)
        ready = max(len(data) - self._mask.longest_bytes + 1, 0) if self._mask.longest_bytes else len(data)
        self._held = data[ready:]
        return data[:ready]

    def rest(self) -> bytes:
        return self._held


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
