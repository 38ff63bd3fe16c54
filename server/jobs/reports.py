"""The archive as the event loop sees it: in a thread, and allowed to fail."""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from .archive import Archive

logger = logging.getLogger(__name__)

T = TypeVar("T")


class ArchiveUnusable(Exception):
    """The file cannot be read or written now. That is logged already."""


class Reports:
    """One archive, opened when it is first needed and again after each failure.

    `on_open` is done to it first.

    Attributes:
        trouble: one sentence about why the file cannot be used; empty while it can.
    """

    def __init__(
        self, path: Path, *, busy_seconds: float, on_open: Callable[[Archive], None]
    ) -> None:
        self.trouble = ""
        self._path = path
        self._busy_seconds = busy_seconds
        self._on_open = on_open
        self._archive: Archive | None = None
        # One thread at a time, in the order of the calls.
        self._turn = anyio.CapacityLimiter(1)

    async def use(self, action: Callable[[Archive], T]) -> T:
        """Do something with the archive; a cancellation waits for its end.

        Raises:
            ArchiveUnusable: it could not be done.
        """
        try:
            result = await anyio.to_thread.run_sync(self._do, action, limiter=self._turn)
        except (sqlite3.Error, OSError) as error:
            self._warn(error)
            raise ArchiveUnusable from error
        if self.trouble:
            logger.info("Reports of jobs are kept on disk again")
            self.trouble = ""
        return result

    async def close(self) -> None:
        """Let go of the file."""
        await anyio.to_thread.run_sync(self._drop, limiter=self._turn)

    def _do(self, action: Callable[[Archive], T]) -> T:
        try:
            if self._archive is None:
                self._archive = Archive(self._path, busy_seconds=self._busy_seconds)
                self._on_open(self._archive)
            return action(self._archive)
        except (sqlite3.Error, OSError):
            self._drop()
            raise

    def _drop(self) -> None:
        archive, self._archive = self._archive, None
        if archive is not None:
            archive.close()

    def _warn(self, error: Exception) -> None:
        if not self.trouble:
            logger.warning(
                "Reports of jobs cannot be kept in %s (%s). They stay in memory, and are lost when "
                "proofbox stops. Make the folder writable, name another with PROOFBOX_DATA_DIR, or move a "
                "damaged file away.",
                self._path,
                error,
            )
        self.trouble = (
            "Reports cannot be kept on disk now (the log of proofbox says why): they are lost when"
            " proofbox stops."
        )
