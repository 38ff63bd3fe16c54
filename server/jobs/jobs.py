"""Starting, awaiting and cancelling jobs."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel

from ..replicas.team import Team
from ..sandbox import SandboxBusy, SandboxUnavailable
from ..sessions import Clock, SystemClock
from ..sessions.clock import finishes_within
from .job import Job, JobState, JobSummary, Report, Work
from .keeping import FileKeeper
from .ledger import Ledger
from .questions import Questions
from .settings import JobSettings
from .shared import SharedKeeper

logger = logging.getLogger(__name__)

# Hosts give up on a call after 60 s.
WAIT_SECONDS = 45.0

OnProgress = Callable[[JobState], None]
"""Called with the state of a running job whenever its progress has changed. It must not raise."""


class Jobs:
    """Work that outlives the calls that start it. Use it as an async context manager, once.

    A job is bound to the principal that started it. What becomes of it is kept in `path`, a file that
    proofbox processes share, or in the store of a `team` where there is one. While it cannot be used,
    everything is kept in memory instead.

    Leaving the context cancels what still runs and waits for its cleanup; jobs that are not over after
    `close_seconds` are written down as interrupted all the same.
    """

    def __init__(
        self,
        path: Path,
        settings: JobSettings | None = None,
        *,
        clock: Clock | None = None,
        now: Callable[[], float] = time.time,
        team: Team | None = None,
    ) -> None:
        self._path = path
        self._team = team
        self._settings = settings or JobSettings()
        self._clock = clock or SystemClock()
        self._now = now
        self._open = False

    async def __aenter__(self) -> Self:
        team, settings, now = self._team, self._settings, self._now
        keeper = (
            FileKeeper(self._path, settings, now)
            if team is None
            else SharedKeeper(team, settings, now)
        )
        self._ledger = Ledger(keeper, settings, now)
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._keep_saving)
        self._open = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open = False
        for job in self._ledger:
            job.stop("interrupted", "proofbox was stopped while it ran; start the work again.")
        with anyio.CancelScope(shield=True):
            await finishes_within(self._clock, self._settings.close_seconds, self._all_over)
            self._write_off()
            await _guarded(self._ledger.save_all())
        self._tasks.cancel_scope.cancel()
        try:
            # Not given the exception: a task group would wrap it.
            await self._tasks.__aexit__(None, None, None)
        finally:
            with anyio.CancelScope(shield=True):
                await self._ledger.close()

    async def start(
        self, principal: str, kind: str, work: Work, questions: Questions | None = None
    ) -> str:
        """Start work and give its job id, which is written down first: the job is never silently gone.

        `questions` are those that the work may ask.

        Raises:
            SandboxBusy: too many jobs run already; nothing was started.
            SandboxUnavailable: proofbox is stopping; nothing was started.
        """
        job = self.begin(principal, kind, work, questions)
        try:
            await self.hand_out(job)
        except BaseException:
            await self.discard(job)
            raise
        return job.job_id

    async def wait(
        self,
        principal: str,
        job_id: str,
        wait_seconds: float = 0.0,
        *,
        on_progress: OnProgress | None = None,
        until_asked: bool = False,
    ) -> JobState:
        """The state of a job, once it has ended or the time is over; with `until_asked`, also once it has
        a question. A cancelled wait leaves it alone.

        Raises:
            JobNotFound: the principal has no such job.
            SandboxBusy: whether it has cannot be told now.
        """
        deadline = self._clock.monotonic() + wait_seconds
        # Kept hold of: the ledger forgets it once its end is written down.
        job = self._ledger.own(principal, job_id)
        questions = job.questions if job and until_asked else None
        told = None
        while True:
            state = await (
                self._ledger.look(job) if job else self._ledger.look_up(principal, job_id)
            )
            left = deadline - self._clock.monotonic()
            progress = (state.done, state.total, state.message)
            if on_progress is not None and state.state == "running" and progress != told:
                told = progress
                on_progress(state)
            if state.state != "running" or left <= 0 or (questions and questions.open):
                return state
            await self._pause(job, min(left, self._settings.look_seconds), questions)

    async def cancel(self, principal: str, job_id: str) -> JobState:
        """Cancel a job and wait, `cancel_seconds` at most, for its end. An ended one stays as it is.

        Work that takes longer to clean up is still `running`, and its `reason` says so.

        Raises:
            JobNotFound: the principal has no such job.
            SandboxBusy: whether it has cannot be told now.
        """
        job = self._ledger.own(principal, job_id)
        if job is not None:
            job.stop("cancelled", "It was cancelled.")
        elif (await self._ledger.look_up(principal, job_id)).state == "running":
            await self._ledger.ask_cancel(principal, job_id)
        state = await self.wait(principal, job_id, self._settings.cancel_seconds)
        if state.state != "running":
            return state
        return replace(state, reason="It was told to stop, and is still cleaning up.")

    async def recent(self, principal: str, offset: int = 0, limit: int = 20) -> list[JobSummary]:
        """The principal's jobs without their reports, the newest first, from the one at `offset` on. Those that
        nobody has been told of yet come before the first, beyond the limit.
        """
        return await self._ledger.recent(principal, offset, limit)

    def questions(self, principal: str, job_id: str) -> Questions | None:
        """What the principal's job may ask, if it is one of this process and asks anything."""
        job = self._ledger.own(principal, job_id)
        return job.questions if job else None

    def begin(
        self, principal: str, kind: str, work: Work, questions: Questions | None = None
    ) -> Job:
        """Start work that nobody else knows of yet: `hand_out` or `discard` it, as `run_or_job` does.

        Raises as `start` does.
        """
        if not self._open:
            raise SandboxUnavailable("proofbox is stopping; nothing was started.")
        self._check_room(principal)
        job = self._ledger.add(principal, kind, questions)
        self._tasks.start_soon(self._run, job, work)
        return job

    async def hand_out(self, job: Job) -> JobState:
        """Write the job down, for it to be found by its id from now on."""
        job.handed_out = True
        await self._ledger.save(job)
        # The thread that wrote took no notice of it, and a cancelled caller tells nobody the id.
        await anyio.lowlevel.checkpoint_if_cancelled()
        return await self._ledger.look(job)

    async def discard(self, job: Job) -> None:
        """Cancel the job if it still runs, wait for its end as `cancel` does, and forget about it."""
        job.stop("cancelled", "The call that started it was cancelled.")
        with anyio.CancelScope(shield=True):
            if not await finishes_within(self._clock, self._settings.cancel_seconds, job.over.wait):
                logger.warning("A %s job is slow to clean up", job.kind)
        if not job.handed_out:
            self._ledger.drop(job)

    async def _run(self, job: Job, work: Work) -> None:
        try:
            await job.do(work)
        finally:
            job.settle(self._now())
            if job.handed_out:
                with anyio.CancelScope(shield=True):
                    await _guarded(self._ledger.save(job))
            job.over.set()

    def _check_room(self, principal: str) -> None:
        running = self._running()
        own = [job for job in running if job.principal == principal]
        if len(own) >= self._settings.max_running_per_principal:
            known = ", ".join(f"{job.job_id} ({job.kind})" for job in own if job.handed_out)
            raise SandboxBusy(
                f"{len(own)} jobs of yours run already, and no more may. Nothing was started. Wait"
                " until one has ended, or cancel one with get_job."
                + (f" Those with an id: {known}." if known else "")
            )
        # One that waits for its client costs nothing, and the client may have gone for good.
        busy = [job for job in running if not (job.questions and job.questions.open)]
        if len(busy) >= self._settings.max_running:
            raise SandboxBusy(
                f"proofbox runs {len(busy)} jobs already, and no more may. Nothing was started."
                " Try again in a minute."
            )

    @property
    def running(self) -> int:
        """How many run here, everybody's."""
        return len(self._running())

    def _running(self) -> list[Job]:
        return [job for job in self._ledger if not job.over.is_set()]

    async def _pause(self, job: Job | None, seconds: float, questions: Questions | None) -> None:
        if job is None:
            await self._clock.sleep(seconds)
        elif questions is None:
            await finishes_within(self._clock, seconds, job.over.wait)
        else:
            await finishes_within(self._clock, seconds, lambda: _first(job.over, questions))

    async def _keep_saving(self) -> None:
        while True:
            await self._clock.sleep(self._settings.beat_seconds)
            await _guarded(self._ledger.save_all())

    async def _all_over(self) -> None:
        for job in self._running():
            await job.over.wait()

    def _write_off(self) -> None:
        for job in self._running():
            logger.warning("A %s job did not end in time", job.kind)
            job.state, job.reason = job.ending


async def _first(over: anyio.Event, questions: Questions) -> None:
    async with anyio.create_task_group() as either:

        async def asked() -> None:
            await questions.wait()
            either.cancel_scope.cancel()

        either.start_soon(asked)
        await over.wait()
        either.cancel_scope.cancel()


async def _guarded(saving: Awaitable[None]) -> None:
    try:
        await saving
    except Exception:
        # The jobs are worth more than what is known of them elsewhere.
        logger.exception("Could not write jobs down; it is tried again later")


async def run_or_job(
    jobs: Jobs,
    principal: str,
    kind: str,
    work: Work,
    wait_seconds: float = WAIT_SECONDS,
    *,
    on_progress: OnProgress | None = None,
    keep: Callable[[Report], bool] = lambda report: False,
) -> JobState:
    """Do work as a job and wait for it: its report if that is there in time, else its id and progress.

    The id is of use only if the state is `running`, or if `keep` wants the report to be found again.
    Cancelled before that, it cancels the work.

    Raises:
        SandboxBusy, SandboxUnavailable: nothing was started, as in `Jobs.start`.
        Exception: whatever the work raised within the time.
    """
    job = jobs.begin(principal, kind, work)
    try:
        state = await jobs.wait(principal, job.job_id, wait_seconds, on_progress=on_progress)
        if state.state == "running" or (state.report is not None and keep(state.report)):
            state = await jobs.hand_out(job)
    except BaseException:
        await jobs.discard(job)
        raise
    if not job.handed_out:
        await jobs.discard(job)
    if job.error is not None:
        raise job.error
    return state
