"""The journal is opened: what is missing of it is said, and what is damaged is kept aside.

Nothing here deletes anything, and no job of a copy is taken back: it may have been done since.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from ..errors import StoreError
from .copies import JournalCopies
from .quarantine import name_aside
from .sqlite_file import COMPANIONS, changes_in, copy_wishes, means_damage, rescue

log = logging.getLogger(__name__)

Connect = Callable[[Path], sa.Connection]


class JournalOpening:
    """`connect` opens a file or makes it. ``notice`` is a sentence for the user when something is missing."""

    def __init__(self, path: Path, connect: Connect) -> None:
        self._path = path
        self._connect = connect
        self._copies = JournalCopies(path)
        self.notice = ""

    def open(self, changes: int) -> sa.Connection:
        """`changes`: how many the journal has had at least.

        Raises:
            DatabaseError, OSError, StoreError: it can be neither opened nor started over.
        """
        if not self._path.exists() or self._path.stat().st_size == 0:
            return self._without_file(changes)
        try:
            there = changes_in(self._path)
            aside = self._keep_aside() if there < changes else None
            connection = self._connect(self._path)
        except DatabaseError as exc:
            if not means_damage(exc):
                raise
            return self._start_over(f"was damaged ({exc.orig})")
        if aside is not None:
            self._tell(
                f"The journal of Remote Dispatch lacks what was written last ({changes - there} times): its "
                f"file {self._path.name}-wal was removed, cut short or damaged, or an older journal put in "
                "its place. It goes on with the rest; look through the jobs of that time. The files as they "
                f"were found are {aside} and those beside it."
            )
        return connection

    def _without_file(self, changes: int) -> sa.Connection:
        parts = [self._part(ending) for ending in COMPANIONS]
        has_remains = any(part.exists() and part.stat().st_size for part in parts)
        if not (changes or has_remains or self._copies.all()):
            return self._connect(self._path)  # the first start
        return self._start_over("was empty" if self._path.exists() else "was gone")

    def _start_over(self, what: str) -> sa.Connection:
        aside = self._move_aside()
        connection = self._connect(self._path)
        kept, rest = self._salvaged(aside, connection), f" The old file is {aside}." if aside else ""
        self._tell(f"The journal of Remote Dispatch {what}. A new one was begun; {kept}.{rest}")
        return connection

    def _salvaged(self, aside: Path | None, connection: sa.Connection) -> str:
        """What could be brought over from the old file, or at least from a copy."""
        try:
            if aside is not None and aside.exists() and aside.stat().st_size:
                with connection.begin():
                    kept = rescue(aside, connection)
                if kept.peers or kept.jobs:
                    return f"{kept.peers} peers and {kept.jobs} jobs could be read and are kept"
        except SQLAlchemyError as exc:
            log.warning("Nothing could be read in %s: %s", aside, exc)
        for copy in self._copies.all():
            with suppress(SQLAlchemyError), connection.begin():
                copy_wishes(copy, connection)
                return f"its peers and settings are those of the copy {copy}, its jobs are left there"
        return "nothing of it could be read: add your peers again"

    def _tell(self, notice: str) -> None:
        copies = self._copies.all()
        if copies and str(copies[0]) not in notice:
            notice += f" The newest copy is {copies[0]}."
        self.notice = notice
        log.warning("%s", notice)

    def _part(self, ending: str) -> Path:
        return self._path.with_name(self._path.name + ending)

    def _keep_aside(self) -> Path:
        """Copy it with its companions: they are worth something together only."""
        aside = name_aside(self._path)
        for ending in ("", *COMPANIONS):
            if self._part(ending).exists():
                shutil.copyfile(self._part(ending), aside.with_name(aside.name + ending))
        return aside

    def _move_aside(self) -> Path | None:
        """The new place of what was there, its companions beside it; None where there was nothing at all."""
        aside, found = name_aside(self._path), False
        for ending in ("", *COMPANIONS):
            part = self._part(ending)
            try:
                if part.exists():
                    part.replace(aside.with_name(aside.name + ending))
                    found = True
            except PermissionError as exc:  # on Windows nobody can rename what another program has open
                raise StoreError(
                    f"The journal has to be started over, and {part} cannot be moved aside ({exc.strerror}). "
                    "Close the program that uses it (a backup, an antivirus), then restart ComfyUI."
                ) from exc
        return aside if found else None
