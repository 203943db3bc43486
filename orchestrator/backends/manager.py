"""The registry of peers: wishes, measurements and node lists. No network, no disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..core.models.backend import BackendConfig, BackendStatus
from ..core.workflow.object_info import ObjectInfo
from ..core.workflow.runs_here import HereClasses
from ..errors import ConfigError, NotFoundError
from ..signals import Signal

log = logging.getLogger(__name__)

_ADDRESS_PARTS = frozenset({"host", "port", "scheme", "path"})


@dataclass
class _Peer:
    config: BackendConfig
    status: BackendStatus = field(default_factory=BackendStatus)
    info: ObjectInfo | None = None
    info_generation: int = -1
    upload_max_bytes: int | None = None
    body_max_bytes: int | None = None


class BackendManager:
    """All peers by id, in the order they were registered."""

    def __init__(self) -> None:
        self._peers: dict[str, _Peer] = {}
        self._changed = Signal[[str]]("the peers")
        self._here_classes = HereClasses()
        self.edition = 0  #: never the same after a change of a peer, a node list, a limit or ``here_classes``
        self.body_limits = Signal[[Mapping[str, int]]]("body limits")  #: all that are known, by peer
        self.polled = Signal[[str, BackendStatus]]("polls")  #: each that brought vitals, news or not

    @property
    def here_classes(self) -> HereClasses:
        """What no peer is given, beside paid partner nodes."""
        return self._here_classes

    @here_classes.setter
    def here_classes(self, classes: HereClasses) -> None:
        self._here_classes = classes
        self.edition += 1

    def register(self, config: BackendConfig) -> None:
        """Add a peer.

        Raises:
            ConfigError: its id, name or address is taken.
        """
        if config.id in self._peers:
            raise ConfigError(f"There is a peer with the id {config.id} already.")
        self._refuse_twins(config)
        self._peers[config.id] = _Peer(config)
        self._tell(config.id)

    def changed(self, backend_id: str, **changes: Any) -> BackendConfig:
        """What ``update`` would make of it.

        Raises:
            NotFoundError, ConfigError
        """
        peer = self._peer(backend_id)
        if changes.get("id", backend_id) != backend_id:
            raise ConfigError("A peer keeps its id. Remove it and add it again instead.")
        if _ADDRESS_PARTS & changes.keys():
            changes.setdefault("url", "")  # else the parts would be read from the old one
        config = replace(peer.config, **changes)
        self._refuse_twins(config)
        return config

    def update(self, backend_id: str, **changes: Any) -> BackendConfig:
        """Change a peer's wishes; at a new address everything measured is forgotten.

        Raises:
            NotFoundError, ConfigError
        """
        config, peer = self.changed(backend_id, **changes), self._peer(backend_id)
        if (config.url, config.enabled) != (peer.config.url, peer.config.enabled):
            # A generation never comes again: a late answer of the old address must not pass for the new.
            peer.status = BackendStatus(generation=peer.status.generation + 1)
            peer.info = peer.info if config.url == peer.config.url else None
        if config.url != peer.config.url:
            self.forget_body_limit(backend_id)
        peer.config = config
        self._tell(backend_id)
        return config

    def remove(self, backend_id: str) -> BackendConfig:
        config = self._peer(backend_id).config
        del self._peers[backend_id]
        self._tell(backend_id)
        return config

    def get(self, backend_id: str) -> BackendConfig:
        return self._peer(backend_id).config

    def find(self, name_or_id: str) -> BackendConfig | None:
        """The peer of this id, else of this name in upper or lower case."""
        if name_or_id in self._peers:
            return self._peers[name_or_id].config
        name = name_or_id.casefold()
        return next((config for config in self.all() if config.name.casefold() == name), None)

    def __contains__(self, backend_id: str) -> bool:
        return backend_id in self._peers

    def all(self) -> tuple[BackendConfig, ...]:
        return tuple(peer.config for peer in self._peers.values())

    def get_status(self, backend_id: str) -> BackendStatus:
        return self._peer(backend_id).status

    def set_status(self, backend_id: str, status: BackendStatus) -> None:
        """Take in a measurement. A new moment of the same one is no news, nor is a little memory."""
        peer = self._peer(backend_id)
        is_news = status.news != peer.status.news
        is_polled = status.vitals is not None and status.vitals is not peer.status.vitals
        peer.status = status
        if is_polled:
            self.polled.tell(backend_id, status)
        if is_news:
            self._tell(backend_id)

    def get_object_info(self, backend_id: str) -> ObjectInfo | None:
        """The peer's node list; None when it was not read since the peer's last start."""
        peer = self._peer(backend_id)
        return peer.info if peer.info_generation == peer.status.generation else None

    def last_object_info(self, backend_id: str) -> ObjectInfo | None:
        """The newest list that was read at this address, also when the peer was started again since."""
        return self._peer(backend_id).info

    def node_lists(self) -> tuple[ObjectInfo, ...]:
        """All that are kept, each once."""
        return tuple(dict.fromkeys(peer.info for peer in self._peers.values() if peer.info is not None))

    def set_object_info(
        self, backend_id: str, info: ObjectInfo, generation: int, upload_max_bytes: int | None = None
    ) -> None:
        """Keep a node list that was asked for when the status was of this generation, and the most that an
        upload to it may have."""
        peer = self._peer(backend_id)
        if generation == peer.status.generation:
            peer.info, peer.info_generation = info, generation
            peer.upload_max_bytes = upload_max_bytes
            self._tell(backend_id)

    def renew_object_info(self, backend_id: str, info: ObjectInfo, instead_of: ObjectInfo) -> bool:
        """Keep a newer state of a list; False when another one was read meanwhile."""
        peer = self._peer(backend_id)
        if peer.info is not instead_of:
            return False
        peer.info = info
        self._tell(backend_id)
        return True

    def set_upload_limit(self, backend_id: str, upload_max_bytes: int) -> None:
        peer = self._peer(backend_id)
        if upload_max_bytes != peer.upload_max_bytes:
            peer.upload_max_bytes = upload_max_bytes
            self._tell(backend_id)

    def get_upload_limit(self, backend_id: str) -> int | None:
        """The most bytes of an input file that it takes; None where it is not known."""
        peer = self._peer(backend_id)
        known = (peer.upload_max_bytes, peer.body_max_bytes)
        return min((limit for limit in known if limit is not None), default=None)

    def learn_body_limit(self, backend_id: str, refused_bytes: int) -> None:
        """It, or a proxy before it, refused a body of this size: no larger one is sent there any more."""
        peer = self._peers.get(backend_id)
        if peer is not None and refused_bytes > 0:
            peer.body_max_bytes = min(refused_bytes - 1, peer.body_max_bytes or refused_bytes)
            self._tell_body_limits(backend_id)

    def forget_body_limit(self, backend_id: str) -> None:
        """Its owner may have raised it."""
        peer = self._peer(backend_id)
        if peer.body_max_bytes is not None:
            peer.body_max_bytes = None
            self._tell_body_limits(backend_id)

    def restore_body_limits(self, limits: Mapping[str, int]) -> None:
        """What an earlier process learned."""
        for backend_id, limit in limits.items():
            if backend_id in self._peers:
                self._peers[backend_id].body_max_bytes = limit
        self.edition += 1

    def _tell_body_limits(self, backend_id: str) -> None:
        found = ((known, peer.body_max_bytes) for known, peer in self._peers.items())
        self.body_limits.tell({known: limit for known, limit in found if limit is not None})
        self._tell(backend_id)

    def forget_object_info(self, backend_id: str) -> None:
        """The node list turned out to be wrong: it counts as unread."""
        peer = self._peer(backend_id)
        peer.info, peer.info_generation = None, -1
        self._tell(backend_id)

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Hear the id of every peer that was added, changed or removed; returns the way to stop it."""
        return self._changed.subscribe(callback)

    def _peer(self, backend_id: str) -> _Peer:
        peer = self._peers.get(backend_id)
        if peer is None:
            raise NotFoundError(f"There is no peer {backend_id}.")
        return peer

    def _refuse_twins(self, config: BackendConfig) -> None:
        for peer in self._peers.values():
            other = peer.config
            if other.id == config.id:
                continue
            if other.name.casefold() == config.name.casefold():
                message = f"There is a peer called {other.name} already. Give this one another name."
                raise ConfigError(message, field="name")
            if other.url == config.url:
                raise ConfigError(f"{config.url} is registered already, as {other.name}.")

    def _tell(self, backend_id: str) -> None:
        self.edition += 1
        self._changed.tell(backend_id)
