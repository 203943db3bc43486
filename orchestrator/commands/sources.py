"""Where a command gets its workflow and its node definitions: files, and a server's /object_info."""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from ..core.models.backend import parse_peer_url
from ..core.workflow.documents import Document
from ..core.workflow.object_info import ObjectInfo
from ..errors import (
    ConfigError,
    PeerAuthError,
    PeerProtocolError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    WorkflowError,
)
from .embedded.document import read_document
from .master import check_header

CONNECT_TIMEOUT_S, SILENCE_TIMEOUT_S, WHOLE_TIMEOUT_S = 5.0, 60.0, 180.0
DEFINITIONS_MAX_BYTES = 64 << 20
_BLOCK_BYTES = 1 << 18


def read_workflow(path: Path, *, remade: bool = False) -> Document:
    """The prompt and the workflow in a file of any kind that carries one; says its notes on stderr.

    `remade`: leave a prompt aside that has the workflow beside it.

    Raises:
        ConfigError: the file cannot be opened. WorkflowError: it holds no workflow.
    """
    try:
        with path.open("rb") as file:
            found = read_document(file)
    except OSError as exc:
        raise unusable(path, exc) from exc
    except WorkflowError as exc:
        raise WorkflowError(f"{path}: {exc}") from exc
    if remade and found.workflow is not None:
        return Document(workflow=found.workflow)
    for note in found.notes:
        print(f"{path.name}: {note}", file=sys.stderr)
    return found


def add_from_workflow(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--from-workflow",
        action="store_true",
        help="make the prompt from the workflow in the file, even where the file has the one that was sent",
    )


def read_definitions(path: Path) -> ObjectInfo:
    """A saved answer of GET /object_info, as JSON or packed with gzip."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as opened:
            body = opened.read(DEFINITIONS_MAX_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise ConfigError(f"{path} is damaged: {exc}. Save the server's /object_info again.") from exc
    except OSError as exc:
        raise unusable(path, exc) from exc
    if len(body) > DEFINITIONS_MAX_BYTES:
        raise ConfigError(f"{path} is larger than {DEFINITIONS_MAX_BYTES >> 20} MiB.")
    definitions = _parsed(body)
    if definitions is None:
        raise ConfigError(f"{path} is not the JSON object that a server's /object_info gives.")
    return ObjectInfo(definitions)


def fetch_definitions(address: str, headers: Mapping[str, str] | None = None) -> ObjectInfo:
    """GET /object_info of a running ComfyUI; proxies and .netrc of the environment are not used.

    Raises:
        ConfigError: the address, or a header, is none. PeerError: no usable answer.
    """
    scheme, host, port, path = parse_peer_url(address)
    base = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"
    with requests.Session() as session:
        session.trust_env = False
        for name, value in (headers or {}).items():
            check_header(name, value)
            session.headers[name] = value
        try:
            body = _body(session, base)
        except requests.Timeout as exc:
            raise PeerTimeoutError(f"{base} did not answer in time. Is the machine busy or asleep?") from exc
        except requests.exceptions.SSLError as exc:
            raise PeerUnreachableError(
                f"{base} does not speak https, or its certificate is not valid. Check the address."
            ) from exc
        except requests.RequestException as exc:
            raise PeerUnreachableError(
                f"{base} cannot be reached. Is ComfyUI running there, started with --listen?"
            ) from exc
    definitions = _parsed(body)
    if definitions is None:
        raise PeerProtocolError(
            f"{base} does not answer as ComfyUI does. Is the address the one of its page?"
        )
    return ObjectInfo(definitions)


def _body(session: requests.Session, base: str) -> bytes:
    end = time.monotonic() + WHOLE_TIMEOUT_S
    timeouts = (CONNECT_TIMEOUT_S, SILENCE_TIMEOUT_S)
    with session.get(f"{base}/object_info", timeout=timeouts, stream=True, allow_redirects=False) as answer:
        if answer.status_code in (401, 403, 407) or 300 <= answer.status_code < 400:
            raise PeerAuthError(
                f"{base} asks for a login ({answer.status_code}). Send it with --header NAME=VALUE, or save "
                "its /object_info in a browser that is logged in and give the file with --object-info."
            )
        if answer.status_code != 200:
            raise PeerRefusedError(f"{base} answered {answer.status_code}.", answer.status_code)
        body = bytearray()
        for block in answer.iter_content(_BLOCK_BYTES):
            body += block
            if len(body) > DEFINITIONS_MAX_BYTES:
                raise PeerProtocolError(f"{base} sent more than {DEFINITIONS_MAX_BYTES >> 20} MiB.")
            if time.monotonic() > end:
                raise PeerTimeoutError(f"{base} sent its node definitions too slowly. Try again.")
        return bytes(body)


def _parsed(body: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None


def unusable(path: Path, exc: OSError) -> ConfigError:
    return ConfigError(f"{path} cannot be opened: {exc.strerror or exc}. Check the name.")
