"""Composition root: builds the engine, starts it, and shows its parts to node, routes and page."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from .backends.client import ComfyUIClient
from .backends.credentials import Secrets
from .backends.health_monitor import HealthMonitor
from .backends.manager import BackendManager
from .backends.peer_book import PeerBook
from .backends.pool import ClientPool
from .backends.second_look import SecondLook
from .background import BackgroundTasks
from .clock import utc_now
from .core.engine.faults.health import HealthPolicy, Work
from .core.models.backend import BackendConfig, QueueState
from .core.models.settings import Settings
from .dispatch.attempts.transport import Folders
from .dispatch.config import DispatchConfig
from .dispatch.dispatcher import Dispatcher
from .dispatch.idempotency import IdempotencyKeys
from .dispatch.interfaces import Here
from .dispatch.jobs import Jobs
from .dispatch.preflight import Preflight
from .dispatch.reconcile import reconcile
from .errors import ConfigError, StoreError
from .journal.store import Store
from .notices import Notices
from .signals import Signal

log = logging.getLogger(__name__)

PRUNE_EVERY_S = 3600.0


@dataclass(frozen=True)
class EngineConfig:
    """Where the engine keeps its data, the folders of the ComfyUI it lives in, and how patient it is.

    ``name_of``: what the network calls the machine at an address; blocks, and may raise OSError."""

    data_dir: Path
    folders: Folders
    is_this_machine: Callable[[BackendConfig], bool] = lambda config: False
    name_of: Callable[[str], str] = lambda address: socket.gethostbyaddr(address)[0]
    health: HealthPolicy = field(default_factory=HealthPolicy)
    dispatch: DispatchConfig = field(default_factory=DispatchConfig)


class Runtime:
    """The engine of one master: its ``jobs``, their ``queue``, the ``peers``, and what these share.

    Everything but the constructor belongs to one event loop.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self.store = Store(config.data_dir / "journal.sqlite3")
        self.once = IdempotencyKeys(self.store)
        self.secrets = Secrets(config.data_dir / "credentials.json")
        self.manager = BackendManager()
        self._pool = ClientPool(self.secrets.headers, config.health.timeout_s)
        self._monitor = HealthMonitor(self.manager, self._pool, config.health, self._work_of, self._has_job)
        self.peers = PeerBook(
            self.manager,
            self.store,
            self.secrets,
            self._monitor,
            is_this_machine=config.is_this_machine,
            name_of=config.name_of,
            disconnect=self._pool.drop,
        )
        self.manager.body_limits.subscribe(
            lambda limits: self._errands.start(self.peers.keep_body_limits(limits), "keep body limits")
        )
        second_look = SecondLook(self.manager, self._pool, config.dispatch.second_look_s)
        preflight = Preflight(self.manager, config.folders, second_look)
        self._dispatcher = Dispatcher(
            self.manager,
            self._pool,
            self._monitor,
            second_look,
            self.store,
            config.folders,
            config.dispatch,
        )
        self.jobs = Jobs(self._dispatcher, preflight, self.manager, self.store, self.ready)
        self.queue = self._dispatcher.queue_control
        self.copies = self._dispatcher.copies
        self.notices = Notices(lambda: (self.store.notice, self.store.trouble, self.secrets.notice))
        self.store.on_trouble(self._journal_has_trouble)
        self._settings = Settings()
        self._changing = asyncio.Lock()  #: two changes at once are one after the other
        self._settings_changed = Signal[[Settings]]("the settings")
        self._errands = BackgroundTasks()
        self._ready: asyncio.Event | None = None
        self._failure: Exception | None = None

    async def start(self) -> None:
        """Open the journal, take back peers and jobs, begin to watch the peers.

        Raises:
            StoreError: the data folder cannot be used.
        """
        self._ready = asyncio.Event()
        try:
            await self.store.open()
            if self.store.is_guest:
                self.secrets.keep_in_memory()
            self._pool.master_id = await self.store.master_id()
            await self.peers.load()
            self._settings = Settings.of(await self.store.load_settings())
            self._apply_settings()
            await self._dispatcher.recall()
            self._dispatcher.start()
            self._monitor.start()
            await reconcile(self.store, self._dispatcher, self.peers.name)
            self._errands.start(self._prune_now_and_then(), "prune")
        except Exception as exc:
            self._failure = exc
            raise
        finally:
            self._ready.set()

    async def aclose(self) -> None:
        await self._errands.aclose()
        await self.jobs.aclose()
        await self._dispatcher.aclose()
        await self._monitor.aclose()
        await self._pool.aclose()
        await self.store.aclose()

    async def ready(self) -> None:
        """Wait for the end of ``start``.

        Raises:
            ConfigError: it failed; says why.
        """
        if self._ready is None:
            raise ConfigError("Remote Dispatch has not been started. Restart ComfyUI.")
        await self._ready.wait()
        if self._failure is not None:
            raise ConfigError(f"Remote Dispatch could not start: {self._failure}") from self._failure

    def _journal_has_trouble(self, trouble: str) -> None:
        self._dispatcher.hold.for_journal(trouble)
        self.notices.changed()

    async def _prune_now_and_then(self) -> None:
        while True:
            kept = self._settings
            try:
                await self.store.prune(keep=kept.keep_jobs, before=utc_now() - timedelta(days=kept.keep_days))
            except StoreError as exc:
                log.warning("Old jobs could not be taken out of the journal: %s", exc)
            await self.store.copy_daily(utc_now().date())
            await asyncio.sleep(PRUNE_EVERY_S)

    # Settings

    @property
    def settings(self) -> Settings:
        return self._settings

    async def change_settings(self, changes: Mapping[str, Any]) -> Settings:
        """Switch something on or off.

        Raises:
            ConfigError: there is no such setting. StoreError: nothing was switched.
        """
        async with self._changing:
            wanted = self._settings.changed(changes)
            await self.store.save_settings(vars(wanted))  # else they would be in effect until the next start
            self._settings = wanted
        self._apply_settings()
        self._settings_changed.tell(wanted)
        return wanted

    def _apply_settings(self) -> None:
        now, dispatcher = self._settings, self._dispatcher
        self.manager.here_classes = now.here_classes
        self.queue.paused = now.paused
        dispatcher.use_second_copies(now.second_copies)
        dispatcher.retry_policy = replace(dispatcher.retry_policy, retry_interrupted=now.retry_interrupted)

    def on_settings(self, callback: Callable[[Settings], None]) -> Callable[[], None]:
        """Hear of every change; returns its undo."""
        return self._settings_changed.subscribe(callback)

    def use_this_machine(self, here: Here) -> None:
        """See Dispatcher.use_this_machine."""
        self._dispatcher.use_this_machine(here)

    def look_again(self) -> None:
        """This computer may have come free for a job."""
        self._dispatcher.look_again()

    # Peers

    def client(self, backend_id: str) -> ComfyUIClient:
        """The connection to a peer, for what a person asks of it.

        Raises:
            NotFoundError: there is no such peer.
        """
        return self._pool(self.manager.get(backend_id))

    def has_sent(self, prompt_id: str) -> bool:
        """Whether a peer has this prompt from us, in the last while."""
        return self._dispatcher.has_sent(prompt_id)

    def is_sender(self, name: str) -> bool:
        """Whether a prompt that says it comes from this master does: one of our addresses leads back here."""
        return bool(self._pool.master_id) and name == self._pool.sender

    def ours_on(self, backend_id: str) -> int:
        return self._dispatcher.ours_on(backend_id)

    def _work_of(self, config: BackendConfig, queue: QueueState) -> Work:
        is_deaf, same_as = self._pool.is_deaf(config), self._dispatcher.same_as(config, queue)
        is_ours = partial(self._dispatcher.has_sent_to, config.id)  # what came by another row tells that one
        head = queue.running or queue.pending[:1]
        if not head or not all(map(is_ours, head)):
            return Work(is_deaf=is_deaf, same_as=same_as)
        events = self._pool.events(config)
        return Work(True, events.heard_at_s if events.is_connected else None, is_deaf, same_as)

    def _has_job(self, backend_id: str) -> bool:
        return self.ours_on(backend_id) > 0
