"""The user's peers: added, changed and removed; kept on disk, watched, and told apart from this computer."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ..core.models.address import Reach, parse_ip, reach_of, short_name
from ..core.models.backend import LOCAL_PEER_ID, LOCAL_PEER_NAME, BackendConfig, BackendStatus
from ..core.models.credentials import headers_of
from ..errors import ConfigError, StoreError
from ..journal.store import Store
from .credentials import Secrets
from .health_monitor import HealthMonitor
from .manager import BackendManager

log = logging.getLogger(__name__)

NAME_ANSWER_S = 1.0  #: how long a new peer waits for its name
FIRST_ANSWER_S = 6.0  #: how long a new peer's form waits for its first answer
_EDITABLE = frozenset({"name", "url", "tags", "enabled", "draining", "credentials", "tls"}) | {
    "exclusive",
    "only_idle",
    "hours",
    "relay_events",
}


class PeerBook:
    """`disconnect(backend_id)` closes what is open to a peer that is removed; `name_of`: see EngineConfig."""

    def __init__(
        self,
        manager: BackendManager,
        store: Store,
        secrets: Secrets,
        monitor: HealthMonitor,
        *,
        is_this_machine: Callable[[BackendConfig], bool],
        name_of: Callable[[str], str],
        disconnect: Callable[[str], Awaitable[None]],
    ) -> None:
        self._manager = manager
        self._store = store
        self._secrets = secrets
        self._monitor = monitor
        self._is_this_machine = is_this_machine
        self._name_of = name_of
        self._disconnect = disconnect
        self._former_names: dict[str, str] = {}
        self._turn = asyncio.Lock()  #: what is known here and what is on disk change together

    async def load(self) -> None:
        """Take back the peers of an earlier process."""
        for config in await self._store.load_peers():
            self._manager.register(replace(config, has_credentials=self._secrets.has(config.id)))
        self._manager.restore_body_limits(await self._store.load_body_limits())

    async def add(
        self,
        *,
        name: str,
        url: str,
        tags: Sequence[str] = (),
        enabled: bool = True,
        credentials: Mapping[str, Any] | None = None,
        tls: str = "",
        **rules: Any,
    ) -> BackendConfig:
        """Register a peer and ask it at once. `rules`: ``exclusive``, ``only_idle``, ``hours`` and
        ``relay_events``.

        Raises:
            ConfigError: the address is wrong, taken, or this very machine. StoreError: it was not added.
        """
        address = BackendConfig(id="new", url=_given(url))
        config = BackendConfig(
            id=uuid.uuid4().hex[:12],
            name=name.strip() or await self._default_name(address),
            url=address.url,
            enabled=enabled,
            tags=tuple(tags),
            has_credentials=credentials is not None,
            tls=tls,
            **rules,
        )
        await self._refuse_self(config)
        if credentials is not None:
            await self._keep_credentials(config.id, credentials)
        try:
            self._manager.register(config)
            await self._store.save_peer(config)
        except (ConfigError, StoreError):
            if config.id in self._manager:  # at the next start it would be gone
                self._manager.remove(config.id)
            await asyncio.to_thread(self._secrets.delete, config.id)
            await self._disconnect(config.id)
            raise
        if enabled:
            await self._first_answer(config.id)
        return config

    async def update(self, backend_id: str, changes: Mapping[str, Any]) -> BackendConfig:
        """Change a peer's record; ``credentials`` None takes the key away.

        Raises:
            NotFoundError, ConfigError: nothing of it was changed. StoreError: at most its key was.
        """
        unknown = sorted(set(changes) - _EDITABLE)
        if unknown:
            raise ConfigError(f"A peer has no {', '.join(unknown)}. It has {', '.join(sorted(_EDITABLE))}.")
        self._manager.get(backend_id)
        fields = {key: value for key, value in changes.items() if key != "credentials"}
        if "url" in fields:
            moved = BackendConfig(id=backend_id, url=_given(str(fields["url"])))
            await self._refuse_self(moved)
            fields.update(
                url=moved.url, host=moved.host, port=moved.port, scheme=moved.scheme, path=moved.path
            )
        if "tags" in fields:
            fields["tags"] = tuple(fields["tags"])
        self._manager.changed(backend_id, **fields)  # says what is wrong before the key is touched
        if "credentials" in changes:
            if changes["credentials"] is None:
                await asyncio.to_thread(self._secrets.delete, backend_id)
            else:
                await self._keep_credentials(backend_id, changes["credentials"])
            fields["has_credentials"] = changes["credentials"] is not None
        if {"url", "credentials", "tls"} & set(changes):
            self._monitor.forgive(backend_id)
        async with self._turn:
            before = vars(self._manager.get(backend_id))
            config = self._manager.update(backend_id, **fields)
            try:
                await self._store.save_peer(config)
            except StoreError:
                old = {key: before[key] for key in fields}
                self._manager.update(backend_id, **{**old, "has_credentials": self._secrets.has(backend_id)})
                raise
        if config.enabled and {"url", "credentials", "enabled", "tls"} & set(changes):
            await self._first_answer(backend_id)
        return config

    async def remove(self, backend_id: str) -> None:
        """Forget a peer. Jobs that run there are still brought to their end; no new one goes there.

        Raises:
            NotFoundError. StoreError: it is still there.
        """
        async with self._turn:
            name = self._manager.get(backend_id).name
            await self._store.delete_peer(backend_id)
            self._former_names[backend_id] = name
            self._manager.remove(backend_id)
        await asyncio.to_thread(self._secrets.delete, backend_id)
        await self._disconnect(backend_id)

    async def keep_body_limits(self, limits: Mapping[str, int]) -> None:
        """Write down what was learned of what peers take."""
        try:
            await self._store.save_body_limits(limits)
        except StoreError as exc:
            log.warning("What peers take in one request could not be written down: %s", exc)

    async def check(self, backend_id: str, *, is_tried: bool = False) -> BackendStatus:
        """`is_tried`: it has just done a job."""
        self._manager.get(backend_id)
        if is_tried:
            self._monitor.forgive(backend_id)
        return await self._monitor.check(backend_id)

    def read_again(self) -> None:
        """See ``HealthMonitor.read_again``."""
        self._monitor.read_again()

    def name(self, backend_id: str) -> str:
        """The name for a user's eyes, also of a peer that was removed and of the master itself."""
        config = self._manager.find(backend_id)
        if config is not None:
            return config.name
        return (
            LOCAL_PEER_NAME
            if backend_id == LOCAL_PEER_ID
            else self._former_names.get(backend_id, "a removed peer")
        )

    async def _default_name(self, address: BackendConfig) -> str:
        """What its owner calls the machine, as far as the network tells; else host and port."""
        name, ip = short_name(address.host), parse_ip(address.host)
        if ip is not None and reach_of(ip) is Reach.PRIVATE:
            with suppress(asyncio.TimeoutError, OSError):
                told = asyncio.to_thread(self._name_of, str(ip))
                name = short_name(await asyncio.wait_for(told, NAME_ANSWER_S))
        return name if name and self._manager.find(name) is None else ""

    async def _refuse_self(self, config: BackendConfig) -> None:
        if await asyncio.to_thread(self._is_this_machine, config):
            raise ConfigError(
                f"{config.url} is this ComfyUI itself. Give the address of another machine; "
                "this computer needs no peer to run something."
            )

    async def _keep_credentials(self, backend_id: str, credentials: Mapping[str, Any]) -> None:
        await asyncio.to_thread(self._secrets.set, backend_id, headers_of(credentials))

    async def _first_answer(self, backend_id: str) -> None:
        """The person who typed an address sees at once whether it is right."""
        try:
            await asyncio.wait_for(self._monitor.check(backend_id), FIRST_ANSWER_S)
        except asyncio.TimeoutError:
            log.info("Peer %s has not answered in %s s", backend_id, FIRST_ANSWER_S)


def _given(url: str) -> str:
    if not url.strip():
        raise ConfigError("Give the peer's address, like http://192.168.1.20:8188.")
    return url
