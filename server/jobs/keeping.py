"""Where jobs are written down, as the ledger sees it: this host's file, or what replicas share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from .archive import Archive, Row
from .owner import Owner, is_gone, this_process
from .reports import Reports
from .settings import JobSettings


class Keeper(Protocol):
    """Writes jobs down. `trouble` is one sentence about why it cannot, empty while it can; `owner` is what jobs
    of this process are known by. All but `close` raise ArchiveUnusable; what is asked of one job raises SandboxBusy
    instead where that passes by itself.
    """

    @property
    def trouble(self) -> str: ...

    @property
    def owner(self) -> Owner: ...

    async def put(self, rows: Sequence[Row]) -> list[str]:
        """Write down what their owner knows, and read which of these others want cancelled."""
        ...

    async def get(self, job_id: str, principal: str) -> Row | None:
        """The principal's job; one whose owner has ended is written down as interrupted."""
        ...

    async def recent(self, principal: str, *, offset: int, limit: int, head: int) -> list[Row]:
        """The principal's jobs, the newest first, as `get` has them, but for reports: of each only its first
        characters, `head` at most.
        """
        ...

    async def ask_cancel(self, job_id: str, principal: str) -> None:
        """Leave word for the process that runs the job."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class FileKeeper:
    """Keeps jobs in a file that the processes of this host share."""

    def __init__(self, path: Path, settings: JobSettings, now: Callable[[], float]) -> None:
        self.owner = this_process()
        self._settings = settings
        self._now = now
        self._reports = Reports(path, busy_seconds=settings.busy_seconds, on_open=self._prune)

    @property
    def trouble(self) -> str:
        return self._reports.trouble

    async def put(self, rows: Sequence[Row]) -> list[str]:
        """See `Keeper`."""

        def put(archive: Archive) -> list[str]:
            asked = archive.put(rows)
            if any(row.state != "running" for row in rows):
                self._prune(archive)
            return asked

        return await self._reports.use(put) if rows else []

    async def get(self, job_id: str, principal: str) -> Row | None:
        """See `Keeper`."""
        return await self._reports.use(
            lambda archive: archive.get(job_id, principal, self._is_lost)
        )

    async def recent(self, principal: str, *, offset: int, limit: int, head: int) -> list[Row]:
        """See `Keeper`."""
        return await self._reports.use(
            lambda archive: archive.recent(
                principal, self._is_lost, offset=offset, limit=limit, head=head
            )
        )

    async def ask_cancel(self, job_id: str, principal: str) -> None:
        """See `Keeper`."""
        await self._reports.use(lambda archive: archive.ask_cancel(job_id, principal))

    async def close(self) -> None:
        """Let go of the file."""
        await self._reports.close()

    def _prune(self, archive: Archive) -> None:
        before = self._now() - self._settings.max_age_seconds
        archive.prune(before=before, max_bytes=self._settings.max_bytes)

    def _is_lost(self, row: Row) -> bool:
        gone = is_gone(row.owner)
        if gone is None:
            return self._now() - row.updated > self._settings.lost_seconds
        return gone
