"""Jobs of one process: starting, awaiting, cancelling, ending, and who may see what."""

import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from fakes import VirtualClock, settle
from session_calls import together

from proofbox.server.jobs import (
    JobNotFound,
    Jobs,
    JobSettings,
    JobState,
    Progress,
    Questions,
    Report,
    run_or_job,
)
from proofbox.server.sandbox import SandboxBusy, SandboxRejected, SandboxUnavailable

# Far more than any of these tests takes: only a hang meets it.
HANG_SECONDS = 30

Open = Callable[..., Any]


class Task:
    """Work that starts, goes on until it is let go, and cleans up when it is cancelled.

    Attributes:
        started, cleaned: set when it does. go: set it to let it finish.
        slow: where given, the cleanup waits for it.
    """

    def __init__(self, report: Report | None = None, *, slow: anyio.Event | None = None) -> None:
        self.started = anyio.Event()
        self.go = anyio.Event()
        self.cleaned = anyio.Event()
        self.progress = Progress()
        self._report = {"verdict": "passed"} if report is None else report
        self._slow = slow

    async def __call__(self, progress: Progress) -> Report:
        self.progress = progress
        self.started.set()
        try:
            await self.go.wait()
        finally:
            with anyio.CancelScope(shield=True):
                if self._slow is not None:
                    await self._slow.wait()
                # A file, a sandbox: whatever it takes, it is given the time.
                await anyio.lowlevel.checkpoint()
                self.cleaned.set()
        return self._report


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where jobs are kept, in a folder that is not there yet."""
    return tmp_path / "data" / "jobs.sqlite3"


@pytest.fixture
def open_jobs(path: Path, clock: VirtualClock) -> Open:
    """Opens jobs over `path`, as a start of proofbox does."""

    @asynccontextmanager
    async def open_one(**settings: Any) -> AsyncGenerator[Jobs]:
        with anyio.fail_after(HANG_SECONDS):
            jobs = Jobs(path, JobSettings(**settings), clock=clock, now=clock.monotonic)
            async with jobs:
                yield jobs

    return open_one


@pytest.fixture
async def jobs(open_jobs: Open) -> AsyncGenerator[Jobs]:
    """Jobs with settings as they come."""
    async with open_jobs() as jobs:
        yield jobs


async def ended(jobs: Jobs, job_id: str, principal: str = "ann") -> JobState:
    """The state of a job that ends by itself, once it has."""
    return await jobs.wait(principal, job_id, 1000)


async def test_a_finished_job_gives_its_report(jobs: Jobs) -> None:
    """And its kind; the report can be read again."""
    task = Task({"verdict": "failed", "odd": "\ud800 é", "n": [1, 2.5, None]})
    job_id = await jobs.start("ann", "benchmark", task)
    task.go.set()

    first, second = await ended(jobs, job_id), await ended(jobs, job_id)

    assert (first.state, first.kind, first.reason, first.warning) == (
        "finished",
        "benchmark",
        "",
        "",
    )
    assert first.report == {"verdict": "failed", "odd": "? é", "n": [1, 2.5, None]}
    assert second == first


async def test_a_running_job_is_given_back_with_its_progress_when_the_time_is_over(
    jobs: Jobs, clock: VirtualClock
) -> None:
    """Not before, and the job goes on."""
    task = Task()
    job_id = await jobs.start("ann", "benchmark", task)
    await task.started.wait()
    task.progress.report(3, 10, "page.md")
    states: list[JobState] = []

    async def wait() -> None:
        states.append(await jobs.wait("ann", job_id, 45))

    async with together() as waiting:
        waiting.start_soon(wait)
        await clock.advance(44.9)
        early = list(states)
        await clock.advance(0.1)

    assert early == []
    (state,) = states
    assert (state.state, state.report) == ("running", None)
    assert (state.done, state.total, state.message) == (3, 10, "page.md")
    assert state.elapsed_seconds == 45
    assert not task.cleaned.is_set()


async def test_a_short_wait_is_no_longer_than_it_was_asked_to_be(
    jobs: Jobs, clock: VirtualClock
) -> None:
    """However seldom it looks."""
    job_id = await jobs.start("ann", "benchmark", Task())

    states: list[JobState] = []

    async def wait() -> None:
        states.append(await jobs.wait("ann", job_id, 0.6))

    async with together() as waiting:
        waiting.start_soon(wait)
        await clock.advance(0.7)
        assert [state.state for state in states] == ["running"]


async def test_a_wait_ends_as_soon_as_the_job_does(jobs: Jobs, clock: VirtualClock) -> None:
    """No time passes."""
    task = Task()
    job_id = await jobs.start("ann", "benchmark", task)
    states: list[JobState] = []

    async def wait() -> None:
        states.append(await ended(jobs, job_id))

    async with together() as waiting:
        waiting.start_soon(wait)
        await settle()
        assert states == []
        task.go.set()

    assert [state.state for state in states] == ["finished"]
    assert clock.monotonic() == 0


async def test_progress_is_told_while_waiting_but_seldom(jobs: Jobs, clock: VirtualClock) -> None:
    """However often the work reports, at most twice a second, and only what is new."""
    told: list[tuple[int, int | None]] = []
    task = Task()
    job_id = await jobs.start("ann", "benchmark", task)
    await task.started.wait()

    async with together() as waiting:

        async def wait() -> None:
            await jobs.wait(
                "ann", job_id, 10, on_progress=lambda state: told.append((state.done, state.total))
            )

        waiting.start_soon(wait)
        await settle()
        for second in range(4):
            for step in range(1000):
                task.progress.report(second * 1000 + step, 4000)
            await clock.advance(1)
        await clock.advance(6)

    assert told == [(0, None), (999, 4000), (1999, 4000), (2999, 4000), (3999, 4000)]


@pytest.mark.parametrize("who", ["bob", "", "ANN", "ann "])
async def test_a_foreign_job_reads_like_one_that_never_was(jobs: Jobs, who: str) -> None:
    """Running or finished, to wait or to cancel; and nothing happens to it."""
    task = Task()
    job_id = await jobs.start("ann", "benchmark", task)
    await task.started.wait()
    said: set[str] = set()

    async def ask(principal: str, asked: str) -> None:
        for call in (jobs.wait, jobs.cancel):
            with pytest.raises(JobNotFound) as refusal:
                await call(principal, asked)
            said.add(str(refusal.value))

    await ask("ann", "never-was")
    await ask("ann", "\ud800")
    await ask(who, job_id)
    assert (await jobs.wait("ann", job_id)).state == "running"
    task.go.set()
    await ended(jobs, job_id)
    await ask(who, job_id)

    assert len(said) == 1


async def test_ids_are_long_and_random(jobs: Jobs) -> None:
    """At least 128 bits, so that they cannot be guessed."""
    ids: list[str] = []
    for _ in range(4):
        ids.append(await jobs.start("ann", "benchmark", Task()))

    assert len(set(ids)) == 4
    assert all(len(job_id) * 6 >= 128 for job_id in ids)


async def test_cancelling_a_job_in_the_middle_lets_it_clean_up(jobs: Jobs) -> None:
    """The call comes back when that is done; the job has no report, then or later."""
    task = Task()
    job_id = await jobs.start("ann", "benchmark", task)
    await task.started.wait()

    state = await jobs.cancel("ann", job_id)

    assert task.cleaned.is_set()
    assert (state.state, state.report) == ("cancelled", None)
    assert state.reason
    assert (await jobs.wait("ann", job_id)).state == "cancelled"
    assert (await jobs.cancel("ann", job_id)).state == "cancelled"


async def test_a_cleanup_that_takes_long_is_not_waited_for_forever(
    jobs: Jobs, clock: VirtualClock
) -> None:
    """The job still runs, and says why; it is cancelled in the end."""
    slow = anyio.Event()
    task = Task(slow=slow)
    job_id = await jobs.start("ann", "benchmark", task)
    await task.started.wait()
    states: list[JobState] = []

    async def cancel() -> None:
        states.append(await jobs.cancel("ann", job_id))

    async with together() as cancelling:
        cancelling.start_soon(cancel)
        await clock.advance(9.9)
        assert states == []
        await clock.advance(0.1)

    assert [state.state for state in states] == ["running"]
    assert "cleaning up" in states[0].reason
    slow.set()
    assert (await ended(jobs, job_id)).state == "cancelled"


async def test_work_that_answers_a_cancellation_with_an_error_was_cancelled(
    jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    """As a sandbox does that is closed under a call; what else it raises is logged."""

    async def work(progress: Progress) -> Report:
        progress.report(1)
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            raise KeyError("of the cleanup") from None
        return {}

    job_id = await jobs.start("ann", "benchmark", work)
    await settle()

    state = await jobs.cancel("ann", job_id)

    assert (state.state, state.reason) == ("cancelled", "It was cancelled.")
    assert "of the cleanup" in caplog.text


async def test_a_stop_during_a_cancellation_does_not_rename_it(open_jobs: Open) -> None:
    """What came first is why it ended."""
    slow = anyio.Event()
    task = Task(slow=slow)

    async def let_go() -> None:
        await settle()
        slow.set()

    async with together() as tasks, open_jobs(cancel_seconds=0) as jobs:
        job_id = await jobs.start("ann", "benchmark", task)
        await task.started.wait()
        await jobs.cancel("ann", job_id)
        tasks.start_soon(let_go)

    async with open_jobs() as jobs:
        assert (await jobs.wait("ann", job_id)).state == "cancelled"


async def test_cancelling_what_has_ended_changes_nothing(jobs: Jobs) -> None:
    """The report stays."""
    task = Task()
    job_id = await jobs.start("ann", "benchmark", task)
    task.go.set()
    await ended(jobs, job_id)

    state = await jobs.cancel("ann", job_id)

    assert (state.state, state.report) == ("finished", {"verdict": "passed"})


async def test_a_cancelled_wait_leaves_the_job_alone(jobs: Jobs) -> None:
    """Its id is known, so somebody can come back."""
    task = Task()
    job_id = await jobs.start("ann", "benchmark", task)

    async with together() as waiting:
        waiting.start_soon(ended, jobs, job_id)
        await settle()
        waiting.cancel_scope.cancel()
    task.go.set()

    assert (await ended(jobs, job_id)).state == "finished"


async def test_work_that_has_its_report_although_it_was_cancelled_is_finished(jobs: Jobs) -> None:
    """What is known is not thrown away."""

    async def work(progress: Progress) -> Report:
        progress.report(1)
        with suppress(anyio.get_cancelled_exc_class()):
            await anyio.sleep_forever()
        return {"partial": True}

    job_id = await jobs.start("ann", "benchmark", work)
    await settle()

    assert (await jobs.cancel("ann", job_id)).report == {"partial": True}


async def test_what_the_sandbox_did_is_told_as_it_is(jobs: Jobs) -> None:
    """Task groups wrap errors; the sentence for the caller is inside."""

    async def refuse() -> None:
        raise SandboxRejected("The key is wrong\udcff; set another.")

    async def work(progress: Progress) -> Report:
        progress.report(1)
        async with together() as tasks:
            tasks.start_soon(refuse)
        return {}

    state = await ended(jobs, await jobs.start("ann", "benchmark", work))

    assert (state.state, state.report) == ("failed", None)
    assert state.reason == "The key is wrong?; set another."


@pytest.mark.parametrize("report", [{"bytes": b"x"}, {"set": {1}}, None], ids=str)
async def test_a_fault_of_ours_is_logged_and_not_told(
    jobs: Jobs, caplog: pytest.LogCaptureFixture, report: Any
) -> None:
    """Nor does it harm other jobs. A report that is not JSON is such a fault."""

    async def work(progress: Progress) -> Report:
        progress.report(1)
        if report is None:
            raise RuntimeError("secret detail")
        return report

    other = Task()
    other_id = await jobs.start("ann", "benchmark", other)
    state = await ended(jobs, await jobs.start("ann", "benchmark", work))
    other.go.set()

    assert state.state == "failed"
    assert "secret" not in state.reason
    assert "log" in state.reason
    assert "Traceback" in caplog.text
    assert (await ended(jobs, other_id)).state == "finished"


async def test_too_many_jobs_of_one_principal_are_refused_with_advice(jobs: Jobs) -> None:
    """Those of others are not, and there is room again once one has ended."""
    tasks = [Task() for _ in range(4)]
    ids = [await jobs.start("ann", "benchmark", task) for task in tasks]

    with pytest.raises(SandboxBusy) as refusal:
        await jobs.start("ann", "benchmark", Task())
    with pytest.raises(SandboxBusy):
        await run_or_job(jobs, "ann", "benchmark", Task())
    await jobs.start("bob", "benchmark", Task())
    tasks[2].go.set()
    await ended(jobs, ids[2])
    await jobs.start("ann", "benchmark", Task())

    assert all(job_id in str(refusal.value) for job_id in ids)
    assert "get_job" in str(refusal.value)


async def test_all_principals_together_have_a_limit_too(open_jobs: Open) -> None:
    """And nobody learns of the jobs of others."""
    async with open_jobs(max_running=2) as jobs:
        ids = [await jobs.start(who, "benchmark", Task()) for who in ("ann", "bob")]
        with pytest.raises(SandboxBusy) as refusal:
            await jobs.start("eve", "benchmark", Task())

    assert not any(job_id in str(refusal.value) for job_id in ids)


async def test_clients_that_walk_off_from_questions_hold_up_nobody_else(open_jobs: Open) -> None:
    """Such a job waits for long, and costs nothing; its principal has its place taken, and is told its id."""
    questions = Questions(VirtualClock())

    async def ask(progress: Progress) -> Report:
        return {"answer": await questions.ask("who are you?")}

    async with open_jobs(max_running=1, max_running_per_principal=1) as jobs:
        asking = await jobs.start("ann", "benchmark", ask, questions)
        await settle()
        await jobs.start("bob", "benchmark", Task())
        with pytest.raises(SandboxBusy, match=asking):
            await jobs.start("ann", "benchmark", Task())
        with pytest.raises(SandboxBusy, match="runs 1 jobs already"):
            await jobs.start("eve", "benchmark", Task())
        questions.answer(1, "ann")
        state = await ended(jobs, asking, "ann")

    assert state.report == {"answer": "ann"}


async def test_a_hundred_jobs_at_once_each_give_their_own_report(open_jobs: Open) -> None:
    """Whatever the order in which they end."""
    async with open_jobs(max_running=100, max_running_per_principal=10) as jobs:
        tasks = [Task({"number": number}) for number in range(100)]
        ids = [
            await jobs.start(f"user {number % 10}", "benchmark", task)
            for number, task in enumerate(tasks)
        ]
        for number in range(100):
            tasks[number * 37 % 100].go.set()
        states: dict[int, JobState] = {}

        async def wait(number: int) -> None:
            states[number] = await ended(jobs, ids[number], f"user {number % 10}")

        async with together() as waiting:
            for number in range(100):
                waiting.start_soon(wait, number)

    assert [states[number].report for number in range(100)] == [
        {"number": number} for number in range(100)
    ]


async def test_reports_survive_a_restart_and_still_have_one_owner(
    open_jobs: Open, clock: VirtualClock
) -> None:
    """With how long it took; nothing of it changes with time."""
    task = Task({"verdict": "passed", "rows": [1, 2]})
    async with open_jobs() as jobs:
        job_id = await jobs.start("ann", "benchmark", task)
        await task.started.wait()
        await clock.advance(20)
        task.go.set()
        before = await ended(jobs, job_id)
    await clock.advance(1000)

    async with open_jobs() as jobs:
        after = await jobs.wait("ann", job_id)
        with pytest.raises(JobNotFound):
            await jobs.wait("bob", job_id)

    assert after == before
    assert after.elapsed_seconds == 20
    assert after.report == {"verdict": "passed", "rows": [1, 2]}


async def test_a_stop_interrupts_what_runs_and_says_so_after_the_restart(open_jobs: Open) -> None:
    """It cleans up first; it is not silently gone."""
    task = Task()
    async with open_jobs() as jobs:
        job_id = await jobs.start("ann", "benchmark", task)
        await task.started.wait()
        task.progress.report(7, 9)

    async with open_jobs() as jobs:
        state = await jobs.wait("ann", job_id, 45)

    assert task.cleaned.is_set()
    assert (state.state, state.done, state.total) == ("interrupted", 7, 9)
    assert "stopped" in state.reason


async def test_a_stop_writes_off_what_does_not_end(
    open_jobs: Open, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Before it waits on: it may be killed any moment."""
    slow, stopped = anyio.Event(), anyio.Event()
    task = Task(slow=slow)
    ids: list[str] = []
    serving, stop = anyio.Event(), anyio.Event()

    async def serve() -> None:
        async with open_jobs() as jobs:
            ids.append(await jobs.start("ann", "benchmark", task))
            serving.set()
            await stop.wait()
        stopped.set()

    async with together() as server:
        server.start_soon(serve)
        await serving.wait()
        stop.set()
        await clock.advance(5)
        async with open_jobs() as beside:
            state = await beside.wait("ann", ids[0])
            while state.state == "running":
                await anyio.lowlevel.checkpoint()
                state = await beside.wait("ann", ids[0])
        assert not stopped.is_set()
        slow.set()

    assert state.state == "interrupted"
    assert "did not end in time" in caplog.text


async def test_cancelling_the_server_interrupts_its_jobs(open_jobs: Open) -> None:
    """As a host does that takes proofbox for part of itself."""
    task = Task()
    ids: list[str] = []
    serving = anyio.Event()

    async def serve() -> None:
        async with open_jobs() as jobs:
            ids.append(await jobs.start("ann", "benchmark", task))
            serving.set()
            await anyio.sleep_forever()

    async with together() as server:
        server.start_soon(serve)
        await serving.wait()
        server.cancel_scope.cancel()

    async with open_jobs() as jobs:
        assert (await jobs.wait("ann", ids[0])).state == "interrupted"
    assert task.cleaned.is_set()


async def test_nothing_starts_once_proofbox_stops(open_jobs: Open) -> None:
    """Work that came then would be cut off at once."""
    async with open_jobs() as jobs:
        pass

    with pytest.raises(SandboxUnavailable):
        await jobs.start("ann", "benchmark", Task())


async def test_quick_work_returns_its_report_and_leaves_no_trace(jobs: Jobs, path: Path) -> None:
    """Nobody could ask for it again, so nothing is written."""
    task = Task()
    task.go.set()

    state = await run_or_job(jobs, "ann", "benchmark", task)

    assert (state.state, state.report) == ("finished", {"verdict": "passed"})
    assert not path.exists()
    with pytest.raises(JobNotFound):
        await jobs.wait("ann", state.job_id)


async def test_slow_work_returns_a_job_that_can_be_asked_for(
    jobs: Jobs, clock: VirtualClock
) -> None:
    """After the time that hosts have patience for."""
    task = Task()
    states: list[JobState] = []

    async def call() -> None:
        states.append(await run_or_job(jobs, "ann", "benchmark", task))

    async with together() as calling:
        calling.start_soon(call)
        await task.started.wait()
        task.progress.report(1, 2)
        await clock.advance(45)
    task.go.set()

    (state,) = states
    assert (state.state, state.done, state.elapsed_seconds) == ("running", 1, 45)
    assert (await ended(jobs, state.job_id)).report == {"verdict": "passed"}


async def test_a_call_that_does_not_wait_gets_its_job_at_once(jobs: Jobs) -> None:
    """With `wait_seconds=0`."""
    task = Task()

    state = await run_or_job(jobs, "ann", "benchmark", task, 0)
    task.go.set()

    assert state.state == "running"
    assert (await ended(jobs, state.job_id)).state == "finished"


@pytest.mark.parametrize("error", [SandboxRejected("The key is wrong."), RuntimeError("oh")])
async def test_quick_work_that_fails_raises_as_if_it_were_no_job(
    jobs: Jobs, error: Exception
) -> None:
    """The caller handles errors in one place."""

    async def work(progress: Progress) -> Report:
        progress.report(1)
        raise error

    with pytest.raises(type(error), match=str(error)):
        await run_or_job(jobs, "ann", "benchmark", work)


async def test_a_cancelled_call_takes_its_work_along_as_nobody_knows_the_id(jobs: Jobs) -> None:
    """It cleans up, and makes room for others."""
    tasks = [Task() for _ in range(4)]

    async with together() as calling:
        for task in tasks:
            calling.start_soon(run_or_job, jobs, "ann", "benchmark", task)
        await tasks[3].started.wait()
        calling.cancel_scope.cancel()

    assert all(task.cleaned.is_set() for task in tasks)
    quick = Task()
    quick.go.set()
    assert (await run_or_job(jobs, "ann", "benchmark", quick)).state == "finished"


async def test_a_call_cancelled_after_its_job_was_handed_out_leaves_the_job(
    jobs: Jobs,
) -> None:
    """Somebody has the id."""
    task = Task()

    async with together() as calling:
        state = await run_or_job(jobs, "ann", "benchmark", task, 0)
        calling.cancel_scope.cancel()
    task.go.set()

    assert (await ended(jobs, state.job_id)).state == "finished"


async def test_a_start_that_is_cancelled_while_it_writes_leaves_nothing_running(
    jobs: Jobs,
) -> None:
    """The caller never learnt the id."""
    task = Task()

    async with together() as calling:
        calling.start_soon(jobs.start, "ann", "benchmark", task)
        await task.started.wait()
        calling.cancel_scope.cancel()

    assert task.cleaned.is_set()


async def test_the_file_says_neither_who_nor_lets_others_read(jobs: Jobs, path: Path) -> None:
    """Principals are hashed, and the folder and every file in it are the user's own."""
    task = Task()
    job_id = await jobs.start("ann@example.org", "benchmark", task)
    task.go.set()
    await ended(jobs, job_id, "ann@example.org")

    files = sorted(path.parent.iterdir())
    assert path in files
    assert len(files) > 1
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not any(b"ann@example" in file.read_bytes() for file in files)


async def test_progress_is_fit_to_be_written_whatever_the_work_says(open_jobs: Open) -> None:
    """Names of files may hold anything, and be long."""
    task = Task()
    async with open_jobs() as jobs:
        job_id = await jobs.start("ann", "benchmark", task)
        await task.started.wait()
        task.progress.report(2**40, None, "\udcff" + "x" * 10_000)

    async with open_jobs() as jobs:
        state = await jobs.wait("ann", job_id)

    assert state.done == 2**40
    assert state.message.startswith("?xx")
    assert len(json.dumps(state.message)) < 1000


async def test_jobs_log_nothing_when_all_is_well(
    open_jobs: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning would make people look for what is wrong."""
    caplog.set_level(logging.INFO, logger="proofbox")
    task = Task()
    async with open_jobs() as jobs:
        job_id = await jobs.start("ann", "benchmark", task)
        task.go.set()
        await ended(jobs, job_id)

    assert caplog.text == ""
