"""What is known of jobs: in memory of those that run here, in the archive of all that has an id."""

import hashlib
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from .archive import Row
from .job import Job, JobNotFound, JobState, JobSummary
from .keeping import Keeper
from .questions import Questions
from .reports import ArchiveUnusable
from .settings import JobSettings

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Enough of a report for its verdict and its reason.
_HEAD = 4_000
_BEGINNING = re.compile(r'\{"verdict": "(\w+)"(?:, "reason": ("(?:[^"\\]|\\.)*"))?')


class Ledger:
    """A job is here from its start until its end is written down, or it is dropped.

    Iterating gives the jobs of this process. `now` is the wall clock: other processes share it.
    """

    def __init__(self, keeper: Keeper, settings: JobSettings, now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now
        self._jobs: dict[str, Job] = {}
        self._keeper = keeper

    def __iter__(self) -> Iterator[Job]:
        return iter(tuple(self._jobs.values()))

    def add(self, principal: str, kind: str, questions: Questions | None = None) -> Job:
        """A new job, known to nobody yet."""
        job = Job(principal, kind, created=self._now(), questions=questions)
        self._jobs[job.job_id] = job
        return job

    def drop(self, job: Job) -> None:
        """Forget a job that nobody will ask for."""
        self._jobs.pop(job.job_id, None)

    def own(self, principal: str, job_id: str) -> Job | None:
        """The principal's job of that id, if it is one of this process."""
        job = self._jobs.get(job_id)
        return job if job is not None and job.principal == principal else None

    async def look(self, job: Job) -> JobState:
        """A job of this process as it is now."""
        if job.state != "running":
            await job.over.wait()  # it is being written down
        in_memory_only = job.handed_out and job.job_id in self._jobs
        return self._state(self._row(job), self._keeper.trouble if in_memory_only else "")

    async def look_up(self, principal: str, job_id: str) -> JobState:
        """A job of an earlier process, or of one beside us, as it was last written down.

        Raises:
            JobNotFound: the principal has no such job.
        """
        # No id of ours, and perhaps nothing that can be looked for.
        if not job_id.isascii():
            raise JobNotFound
        row = await self._ask(self._keeper.get(job_id, _hashed(principal)))
        if row is None:
            raise JobNotFound
        return self._state(row)

    async def recent(self, principal: str, offset: int, limit: int) -> list[JobSummary]:
        """The principal's jobs, the newest first; those that run here and that nobody has been told of yet are
        on top. Where the archive cannot be used, those in memory.
        """
        mine = {job.job_id: job for job in self if job.principal == principal}
        try:
            rows = await self._keeper.recent(
                _hashed(principal), offset=offset, limit=limit, head=_HEAD
            )
        except ArchiveUnusable:
            rows, fresh = [], list(mine.values())
        else:
            fresh = [job for job in mine.values() if not job.handed_out and job.state == "running"]
        newest = sorted(fresh, key=lambda job: job.created, reverse=True) if not offset else []
        live = [self._row(mine[row.job_id]) if row.job_id in mine else row for row in rows]
        return [self._summary(row) for row in [*map(self._row, newest), *live]]

    async def ask_cancel(self, principal: str, job_id: str) -> None:
        """Leave word for the process that runs the job; it may have gone meanwhile.

        Raises:
            JobNotFound: the archive cannot be written.
        """
        await self._ask(self._keeper.ask_cancel(job_id, _hashed(principal)))

    async def save(self, *jobs: Job) -> None:
        """Write jobs down as they are now, and stop those that other processes want cancelled.

        What cannot be written stays in memory. All are saved together.
        """
        rows = [self._row(job) for job in jobs]
        ended = [row.job_id for row in rows if row.state != "running"]
        try:
            asked = await self._keeper.put(rows)
        except ArchiveUnusable:
            self._drop_oldest()
            return
        for job_id in ended:
            self._jobs.pop(job_id, None)
        for job in jobs:
            if job.job_id in asked:
                job.stop("cancelled", "It was cancelled.")

    async def save_all(self) -> None:
        """Write down every job that has been handed out."""
        await self.save(*[job for job in self if job.handed_out])

    async def close(self) -> None:
        """Let go of the archive."""
        await self._keeper.close()

    async def _ask(self, asking: Awaitable[T]) -> T:
        try:
            return await asking
        except ArchiveUnusable:
            raise JobNotFound(self._keeper.trouble) from None

    def _drop_oldest(self) -> None:
        """Keep what is in memory within the bounds of what is on disk."""
        before = self._now() - self._settings.max_age_seconds
        total = 0
        ended = [(job.ended, job) for job in self if job.ended is not None]
        for when, job in sorted(ended, key=lambda each: each[0], reverse=True):
            total += job.size
            if when < before or (total > self._settings.max_bytes and total > job.size):
                logger.warning("The report of a %s job is dropped: there is no room", job.kind)
                self.drop(job)

    def _row(self, job: Job) -> Row:
        return Row(
            job_id=job.job_id,
            principal=_hashed(job.principal),
            kind=job.kind,
            state=job.state,
            done=job.progress.done,
            total=job.progress.total,
            message=job.progress.message,
            reason=job.reason,
            size=job.size,
            created=job.created,
            updated=self._now() if job.ended is None else job.ended,
            place=self._keeper.owner.place,
            pid=self._keeper.owner.pid,
            born=self._keeper.owner.born,
            report=job.report,
        )

    def _summary(self, row: Row) -> JobSummary:
        verdict, said = _beginning(row.report)
        return JobSummary(self._state(replace(row, report=None)), row.created, verdict, said)

    def _state(self, row: Row, warning: str = "") -> JobState:
        until = self._now() if row.state == "running" else row.updated
        return JobState(
            job_id=row.job_id,
            kind=row.kind,
            state=row.state,
            done=row.done,
            total=row.total,
            message=row.message,
            reason=row.reason,
            report=None if row.report is None else json.loads(row.report),
            elapsed_seconds=max(0.0, until - row.created),
            warning=warning,
        )


def _beginning(report: str | None) -> tuple[str, str]:
    """The verdict and the reason, which every report begins with."""
    match = _BEGINNING.match(report or "")
    if match is None:
        return "", ""
    return match[1], str(json.loads(match[2])) if match[2] else ""


def _hashed(principal: str) -> str:
    """The principal as the file has it: it may be somebody's name."""
    return hashlib.sha256(f"proofbox:{principal}".encode()).hexdigest()
