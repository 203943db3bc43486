"""Large graphs in the journal: kept in parts, each once, however many jobs share it. For the store alone.

The jobs of a batch have one graph and differ in a few values; prompts of one workflow differ in a seed. A
graph is cut into blocks of nodes, and a block that is there already is only named.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from .schema import GRAPHS, REQUESTS, json_text

APART_FROM = 16 << 10  #: characters of a graph from which on it is kept in parts
LARGE_NODES = 256  #: a graph of more is one of these in any case
BLOCK_NODES, BLOCK_MAX = 64, 32 << 10  #: nodes of a block; a node of more characters is a block of its own
_SOME_AT_ONCE = 500
_PNGINFO = "extra_pnginfo"

Parts = dict[str, list[int]]  #: per graph of a request the numbers of its parts, in their order


_Key = tuple[object, ...]


class GraphWriter:
    """Of one transaction. Objects that its records share are looked at once; it holds them, so that none of
    their ids becomes another one's."""

    def __init__(self, db: sa.Connection) -> None:
        self._db = db
        self._graphs: dict[int, tuple[dict[str, Any], list[int]]] = {}
        self._blocks: dict[_Key, list[int]] = {}
        self._numbers: dict[str, int] = {}

    def parted(self, record: Mapping[str, Any]) -> tuple[dict[str, Any], Parts]:
        """The record of a request without its large graphs, and their parts."""
        small, parts = dict(record), Parts()
        for name in ("prompt", "workflow"):
            if numbers := self._apart(small.get(name)):
                parts[name], small[name] = numbers, None
        extra = small.get("extra_data")
        pnginfo = extra.get(_PNGINFO) if isinstance(extra, Mapping) else None
        workflow = pnginfo.get("workflow") if isinstance(pnginfo, Mapping) else None
        if isinstance(extra, Mapping) and isinstance(pnginfo, Mapping) and (found := self._apart(workflow)):
            parts[_PNGINFO] = found
            small["extra_data"] = {**extra, _PNGINFO: {**pnginfo, "workflow": None}}
        return small, parts

    def _apart(self, graph: object) -> list[int]:
        """The numbers of its parts; none of a small one."""
        if not isinstance(graph, dict) or not graph:
            return []
        if id(graph) not in self._graphs:
            self._graphs[id(graph)] = graph, self._parts_of(graph) if _is_large(graph) else []
        return self._graphs[id(graph)][1]

    def _parts_of(self, graph: dict[str, Any]) -> list[int]:
        """Of objects to be laid over each other, and lists that stand for some of the nodes of a workflow."""
        nodes = graph.get("nodes")
        blocks: dict[_Key, dict[str, Any] | list[Any]] = {}
        if isinstance(nodes, list):
            blocks["rest", id(graph)] = {**graph, "nodes": []}
            blocks.update((tuple(map(id, some)), list(some)) for some in _blocks(nodes))
        else:
            items = list(graph.items())
            blocks.update((tuple((k, id(v)) for k, v in some), dict(some)) for some in _blocks(items))
        texts = {key: _texts_of(block) for key, block in blocks.items() if key not in self._blocks}
        numbers = iter(self._kept([text for some in texts.values() for text in some]))
        self._blocks.update((key, [next(numbers) for _ in some]) for key, some in texts.items())
        return [number for key in blocks for number in self._blocks[key]]

    def _kept(self, texts: Sequence[str]) -> list[int]:
        digests = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts]
        self._look_up(digests)
        new = {d: text for d, text in zip(digests, texts, strict=True) if d not in self._numbers}
        if new:
            self._db.execute(GRAPHS.insert(), [{"digest": d, "body": text} for d, text in new.items()])
            self._look_up(new)
        return [self._numbers[digest] for digest in digests]

    def _look_up(self, digests: Collection[str]) -> None:
        for some in _some([digest for digest in digests if digest not in self._numbers]):
            query = sa.select(GRAPHS.c.digest, GRAPHS.c.number).where(GRAPHS.c.digest.in_(some))
            self._numbers.update((row.digest, row.number) for row in self._db.execute(query))


class GraphReader:
    """Of one transaction. What jobs share in the journal they share in memory: nobody may change it."""

    def __init__(self, db: sa.Connection) -> None:
        self._db = db
        self._found: dict[int, Any] = {}
        self._graphs: dict[tuple[int, ...], dict[str, Any]] = {}

    def whole(self, record: dict[str, Any], parts: Parts | None) -> dict[str, Any]:
        """The record as it was.

        Raises:
            KeyError, TypeError, ValueError: a part is lost.
        """
        whole = dict(record)
        for name, numbers in (parts or {}).items():
            graph = self._graph(tuple(numbers))
            if name == _PNGINFO:
                extra = whole["extra_data"]
                whole["extra_data"] = {**extra, _PNGINFO: {**extra[_PNGINFO], "workflow": graph}}
            else:
                whole[name] = graph
        return whole

    def _graph(self, numbers: tuple[int, ...]) -> dict[str, Any]:
        if numbers not in self._graphs:
            self._look_up(numbers)
            graph, nodes = dict[str, Any](), list[Any]()
            for part in map(self._found.__getitem__, numbers):
                if isinstance(part, list):
                    nodes += part
                else:
                    graph.update(part)
            self._graphs[numbers] = {**graph, "nodes": nodes} if "nodes" in graph else graph
        return self._graphs[numbers]

    def _look_up(self, numbers: Collection[int]) -> None:
        for some in _some([number for number in dict.fromkeys(numbers) if number not in self._found]):
            query = sa.select(GRAPHS.c.number, GRAPHS.c.body).where(GRAPHS.c.number.in_(some))
            self._found.update((row.number, json.loads(row.body)) for row in self._db.execute(query))


def forget_unused(db: sa.Connection) -> None:
    """Delete the parts that no request names any more."""
    query = sa.select(REQUESTS.c.parts).where(REQUESTS.c.parts.is_not(None))
    used = {number for parts in db.scalars(query) for numbers in parts.values() for number in numbers}
    unused = [number for number in db.scalars(sa.select(GRAPHS.c.number)) if number not in used]
    for some in _some(unused):
        db.execute(GRAPHS.delete().where(GRAPHS.c.number.in_(some)))


def _is_large(graph: dict[str, Any]) -> bool:
    nodes = graph.get("nodes")
    count = len(nodes if isinstance(nodes, list) else graph)
    return count > LARGE_NODES or len(json_text(graph)) >= APART_FROM


def _texts_of(block: dict[str, Any] | list[Any]) -> list[str]:
    whole = json_text(block)
    if len(whole) <= BLOCK_MAX or len(block) < 2:
        return [whole]
    each = ({key: block[key]} for key in block) if isinstance(block, dict) else ([node] for node in block)
    return list(map(json_text, each))


def _blocks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[at : at + BLOCK_NODES] for at in range(0, len(items), BLOCK_NODES))


def _some(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[at : at + _SOME_AT_ONCE] for at in range(0, len(items), _SOME_AT_ONCE))
