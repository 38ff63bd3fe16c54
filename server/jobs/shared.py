"""Jobs in the store that replicas share: any of them answers about those of the others."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import anyio

from ..replicas.store import Record, StoreUnusable, is_key
from ..replicas.team import Team
from .archive import Row
from .owner import Owner
from .reports import ArchiveUnusable
from .settings import JobSettings

logger = logging.getLogger(__name__)

_JOBS, _CANCELS = "jobs", "cancels"
_CANCEL_SECONDS = 3600.0
_PRUNE_SECONDS = 60.0
# For lists of jobs: enough for a verdict and its reason.
_BEGINNING = 1000
_INTERRUPTED = (
    "The replica of proofbox that ran it has ended without a report; start the work again."
)


class SharedKeeper:
    """Implements `Keeper`. A job's head is all but its report, of which it has the beginning; the body is that."""

    def __init__(self, team: Team, settings: JobSettings, now: Callable[[], float]) -> None:
        self.trouble = ""
        self.owner = Owner(team.name, 0, "")
        self._team = team
        self._store = team.store
        self._settings = settings
        self._now = now
        self._pruned = now()
        # What is written later of a job is later in its life.
        self._turn = anyio.Lock()

    async def put(self, rows: Sequence[Row]) -> list[str]:
        """See `Keeper`."""
        if not rows:
            return []
        try:
            async with self._turn:
                for row in rows:
                    await self._put(row)
                wanted = {record.key for record in await self._store.records(_CANCELS)}
                if any(row.state != "running" for row in rows):
                    await self._prune()
        except StoreUnusable as error:
            self.trouble = (
                "Reports cannot be kept in the store of the replicas now (the log of proofbox says why): they are"
                " lost when this replica ends."
            )
            raise ArchiveUnusable from error
        self.trouble = ""
        return [row.job_id for row in rows if row.job_id in wanted]

    async def get(self, job_id: str, principal: str) -> Row | None:
        """See `Keeper`."""
        record = await self._store.get(_JOBS, job_id) if is_key(job_id) else None
        if record is None or _row(record).principal != principal:
            return None
        return await self._judged(record, await self._team.living())

    async def recent(self, principal: str, *, offset: int, limit: int, head: int) -> list[Row]:
        """See `Keeper`."""
        try:
            records = await self._store.records(_JOBS)
            living = await self._team.living()
            own = [(_row(record), record) for record in records]
            own = [(row, record) for row, record in own if row.principal == principal]
            own.sort(key=lambda each: each[0].created, reverse=True)
            rows = [
                await self._judged(record, living) for _, record in own[offset : offset + limit]
            ]
        except StoreUnusable as error:
            raise ArchiveUnusable from error
        return [replace(row, report=row.report and row.report[:head]) for row in rows]

    async def ask_cancel(self, job_id: str, principal: str) -> None:
        """See `Keeper`."""
        if await self.get(job_id, principal) is not None:
            await self._store.put(_CANCELS, job_id, "{}", seconds=_CANCEL_SECONDS)

    async def close(self) -> None:
        """The store is the team's."""

    async def _put(self, row: Row) -> None:
        record = await self._store.get(_JOBS, row.job_id)
        state = "running" if record is None else _row(record).state
        # Who was called dead goes on; but the end is the end.
        if row.state != "running" or state in {"running", "interrupted"}:
            await self._write(row)

    async def _write(self, row: Row, version: int | None = None) -> int | None:
        head = asdict(row) | {"report": row.report and row.report[:_BEGINNING]}
        return await self._store.put(
            _JOBS,
            row.job_id,
            json.dumps(head),
            row.report,
            seconds=self._settings.max_age_seconds,
            version=version,
        )

    async def _judged(self, record: Record, living: frozenset[str] | None) -> Row:
        """A job as it was written down; one whose replica is dead is so no longer."""
        row = _row(record)
        if row.state != "running" or living is None or row.place in living:
            return row
        lost = replace(row, state="interrupted", reason=_INTERRUPTED)
        # Unless its owner has just been heard of after all.
        if await self._write(lost, record.version) is not None:
            return lost
        again = await self._store.get(_JOBS, record.key)
        return row if again is None else _row(again)

    async def _prune(self) -> None:
        """Delete the oldest reports beyond a size in all; the store itself deletes what is old."""
        if self._now() - self._pruned < _PRUNE_SECONDS:
            return
        self._pruned = self._now()
        total = 0
        for record in reversed(await self._store.records(_JOBS)):
            total += record.size
            if total > self._settings.max_bytes and total > record.size:
                await self._store.delete(_JOBS, record.key, version=record.version)


def _row(record: Record) -> Row:
    row = Row(**json.loads(record.head))
    return row if record.body is None else replace(row, report=record.body)
