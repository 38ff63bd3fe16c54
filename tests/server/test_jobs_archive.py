"""The file of jobs: shared by processes, brought up to date, pruned, and allowed to fail."""

import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from fakes import VirtualClock

from proofbox.server.jobs import JobNotFound, Jobs, JobSettings, JobState, Progress, Report
from proofbox.server.jobs.archive import MIGRATIONS, Archive, Row

DAY = 86_400.0
HANG_SECONDS = 30
NOBODY = 65534

MakeJobs = Callable[..., Jobs]


@pytest.fixture(autouse=True)
async def _no_hang() -> Any:
    """Far more time than any of these tests takes."""
    with anyio.fail_after(HANG_SECONDS):
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where jobs are kept."""
    return tmp_path / "jobs.sqlite3"


class Calendar:
    """The wall clock, at `now`."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


@pytest.fixture
def calendar() -> Calendar:
    """A wall clock that a test sets."""
    return Calendar()


@pytest.fixture
def make(path: Path, clock: VirtualClock, calendar: Calendar) -> MakeJobs:
    """Makes jobs over `path`, not opened yet."""

    def make(where: Path = path, **settings: Any) -> Jobs:
        chosen = JobSettings(**settings)
        return Jobs(where, chosen, clock=clock, now=calendar)

    return make


async def finish(jobs: Jobs, report: Report | None = None, principal: str = "ann") -> str:
    """The id of a job that has finished."""

    async def work(progress: Progress) -> Report:
        progress.report(1)
        return report or {"verdict": "passed"}

    job_id = await jobs.start(principal, "benchmark", work)
    assert (await jobs.wait(principal, job_id, 1000)).state == "finished"
    return job_id


async def forever(progress: Progress) -> Report:
    """Work without an end."""
    progress.report(1)
    await anyio.sleep_forever()
    return {}


def query(path: Path, sql: str, *arguments: Any) -> list[Any]:
    """What SQLite itself says about the file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql, arguments).fetchall()


async def known(jobs: Jobs, ids: list[str]) -> list[str]:
    """Those of the jobs that can still be asked for."""
    found: list[str] = []
    for job_id in ids:
        try:
            await jobs.wait("ann", job_id)
        except JobNotFound:
            continue
        found.append(job_id)
    return found


async def until(jobs: Jobs, job_id: str, clock: VirtualClock, state: str) -> JobState:
    """The job once it is in this state, with the clock turned for as long as that takes."""
    while (now := await jobs.wait("ann", job_id)).state != state:
        await clock.advance(0.5)
    return now


async def test_the_file_is_one_that_several_processes_can_write(make: MakeJobs, path: Path) -> None:
    """With a log beside it, and a version."""
    async with make() as jobs:
        await finish(jobs)

    assert query(path, "PRAGMA journal_mode") == [("wal",)]
    assert query(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


async def test_an_older_file_is_brought_up_to_date_with_what_is_in_it(
    make: MakeJobs, path: Path
) -> None:
    """Once; each later opening finds it done."""
    async with make() as jobs:
        job_id = await finish(jobs)
    newer = (*MIGRATIONS, ("ALTER TABLE jobs ADD COLUMN colour TEXT DEFAULT 'red'",))

    for _ in range(2):
        Archive(path, busy_seconds=0, migrations=newer).close()

    assert query(path, "PRAGMA user_version") == [(len(newer),)]
    assert query(path, "SELECT job_id, colour FROM jobs") == [(job_id, "red")]


async def test_a_migration_that_fails_leaves_the_file_as_it_was(make: MakeJobs, path: Path) -> None:
    """Not half changed."""
    async with make() as jobs:
        await finish(jobs)
    before = query(path, "SELECT sql FROM sqlite_master")
    broken = (*MIGRATIONS, ("ALTER TABLE jobs ADD COLUMN colour TEXT", "not SQL"))

    with pytest.raises(sqlite3.OperationalError):
        Archive(path, busy_seconds=0, migrations=broken)

    assert query(path, "SELECT sql FROM sqlite_master") == before
    assert query(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]


async def test_an_older_proofbox_keeps_its_hands_off_a_newer_file(
    make: MakeJobs, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It works without; what is in the file is untouched."""
    async with make() as jobs:
        await finish(jobs)
    query(path, "PRAGMA user_version = 99")
    before = query(path, "SELECT * FROM jobs")

    async with make() as jobs:
        job_id = await finish(jobs)
        assert (await jobs.wait("ann", job_id)).report == {"verdict": "passed"}

    assert "newer version" in caplog.text
    assert query(path, "SELECT * FROM jobs") == before


async def test_old_reports_are_deleted(make: MakeJobs, calendar: Calendar) -> None:
    """When a job ends, and when proofbox starts."""
    async with make(max_age_seconds=10 * DAY) as jobs:
        ids = [await finish(jobs)]
        calendar.now += 6 * DAY
        ids.append(await finish(jobs))
        calendar.now += 5 * DAY
        ids.append(await finish(jobs))
        first = await known(jobs, ids)
    calendar.now += 6 * DAY

    async with make(max_age_seconds=10 * DAY) as jobs:
        second = await known(jobs, ids)

    assert first == ids[1:]
    assert second == ids[2:]


async def test_the_oldest_reports_go_when_there_is_no_room(make: MakeJobs, path: Path) -> None:
    """The file shrinks with them; what runs is not touched."""
    async with make(max_bytes=3_000_000, max_running_per_principal=10) as jobs:
        running = await jobs.start("ann", "benchmark", forever)
        ids: list[str] = []
        for _ in range(6):
            ids.append(await finish(jobs, {"data": "x" * 990_000}))
        left = await known(jobs, [running, *ids])
        small = await finish(jobs)

        assert left == [running, *ids[3:]]
        assert await known(jobs, [*ids, small]) == [*ids[3:], small]
    assert path.stat().st_size < 3_500_000


async def test_the_newest_report_is_kept_however_large(make: MakeJobs) -> None:
    """Somebody has waited for it."""
    async with make(max_bytes=1000) as jobs:
        ids = [await finish(jobs, {"data": "x" * size}) for size in (1, 5000, 6000)]

        assert await known(jobs, ids) == ids[2:]


@pytest.mark.parametrize(
    "content", [b"this is no database" * 1000, b"SQLite format 3\x00" + b"?" * 8000]
)
async def test_a_file_that_is_damaged_costs_no_report(
    make: MakeJobs, path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Reports stay in memory, one warning says what to do, and the file is left for a person to see."""
    path.write_bytes(content)

    async with make() as jobs:
        ids = [await finish(jobs, {"number": number}) for number in range(3)]
        states = [await jobs.wait("ann", job_id) for job_id in ids]
        with pytest.raises(JobNotFound) as refusal:
            await jobs.wait("ann", "of-yesterday")

    assert [state.report for state in states] == [{"number": number} for number in range(3)]
    assert all("lost when proofbox stops" in state.warning for state in states)
    assert "cannot be kept on disk" in str(refusal.value)
    assert caplog.text.count("WARNING") == 1
    assert str(path) in caplog.text
    assert "move a damaged file away" in caplog.text
    assert path.read_bytes() == content


async def test_a_file_damaged_while_in_use_costs_no_running_work(
    make: MakeJobs, path: Path, clock: VirtualClock
) -> None:
    """It ends as if nothing had happened, and is written down once a person has moved the file away."""
    go = anyio.Event()

    async def work(progress: Progress) -> Report:
        progress.report(1)
        await go.wait()
        return {"verdict": "passed"}

    async with make() as jobs:
        job_id = await jobs.start("ann", "benchmark", work)
        for file in path.parent.iterdir():
            with file.open("r+b") as damaged:
                damaged.write(b"?" * file.stat().st_size)
        go.set()
        state = await jobs.wait("ann", job_id, 1000)
        for file in path.parent.iterdir():
            file.rename(file.with_name(f"moved-{file.name}"))
        while (await jobs.wait("ann", job_id)).warning:
            await clock.advance(5)

    assert state.report == {"verdict": "passed"}
    assert query(path, "SELECT job_id, state FROM jobs") == [(job_id, "finished")]


@pytest.mark.parametrize("where", ["/proc/proofbox/jobs.sqlite3", "a file/jobs.sqlite3", "folder"])
async def test_a_folder_that_cannot_be_written_costs_no_report(
    make: MakeJobs, tmp_path: Path, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a system that is read-only. Nothing of it reaches a job that is cancelled or interrupted."""
    (tmp_path / "a file").touch()
    (tmp_path / "folder").mkdir()

    async with make(tmp_path / where) as jobs:
        job_id = await finish(jobs)
        running = await jobs.start("ann", "benchmark", forever)
        before = await jobs.wait("ann", running)
        after = await jobs.cancel("ann", running)
        state = await jobs.wait("ann", job_id)

    assert (state.report, before.state, after.state) == (
        {"verdict": "passed"},
        "running",
        "cancelled",
    )
    assert "lost when proofbox stops" in before.warning
    assert "Make the folder writable" in caplog.text


@pytest.fixture
def read_only() -> Generator[Path]:
    """A folder that this process can read and not write, although it may be root's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o700)


async def test_a_read_only_folder_costs_no_report(make: MakeJobs, read_only: Path) -> None:
    """Nor is anything written by other means."""
    async with make(read_only / "jobs.sqlite3") as jobs:
        state = await jobs.wait("ann", await finish(jobs))

    assert state.report == {"verdict": "passed"}
    assert state.warning
    assert list(read_only.iterdir()) == []


async def test_what_is_kept_in_memory_is_bounded_too(
    make: MakeJobs, calendar: Calendar, caplog: pytest.LogCaptureFixture
) -> None:
    """By the same age and size; the newest stays."""
    nowhere = Path("/proc/proofbox/jobs.sqlite3")
    async with make(nowhere, max_bytes=2500, max_age_seconds=10 * DAY) as jobs:
        ids: list[str] = []
        for _ in range(4):
            ids.append(await finish(jobs, {"data": "x" * 1000}))
        by_size = await known(jobs, ids)
        calendar.now += 11 * DAY
        ids.append(await finish(jobs))
        by_age = await known(jobs, ids)

    assert by_size == ids[2:4]
    assert by_age == ids[4:]
    assert "is dropped" in caplog.text


async def test_a_file_that_another_process_holds_is_written_later(
    make: MakeJobs, path: Path, clock: VirtualClock
) -> None:
    """Until then the report is in memory."""
    async with make(busy_seconds=0) as jobs:
        earlier = await finish(jobs)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            job_id = await finish(jobs, {"number": 2})
            meanwhile = await jobs.wait("ann", job_id)
            other.execute("COMMIT")
        while (now := await jobs.wait("ann", job_id)).warning:
            await clock.advance(5)
        assert await known(jobs, [earlier, job_id]) == [earlier, job_id]

    assert meanwhile.warning
    assert now.report == meanwhile.report == {"number": 2}
    stored = query(path, "SELECT report FROM jobs WHERE job_id = ?", job_id)
    assert [json.loads(report) for (report,) in stored] == [{"number": 2}]


async def test_what_could_not_be_written_gets_a_last_chance_at_the_end(
    make: MakeJobs, path: Path
) -> None:
    """However short the time since."""
    async with make(busy_seconds=0) as jobs:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            await finish(jobs)
            other.execute("BEGIN IMMEDIATE")
            job_id = await finish(jobs)
            other.execute("COMMIT")

    assert query(path, "SELECT state FROM jobs WHERE job_id = ?", job_id) == [("finished",)]


async def test_a_file_open_to_others_is_closed_to_them(make: MakeJobs, path: Path) -> None:
    """Reports hold what code printed."""
    path.touch(mode=0o644)
    path.chmod(0o644)
    async with make() as jobs:
        await finish(jobs)

        assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


async def test_a_job_seen_from_another_place_is_lost_when_it_is_silent(
    make: MakeJobs, path: Path, clock: VirtualClock
) -> None:
    """Another container's process cannot be looked at: only what it writes is a sign of life."""
    async with make() as jobs, make() as elsewhere:
        job_id = await elsewhere.start("ann", "benchmark", forever)
        query(path, "UPDATE jobs SET place = 'another container'")
        fresh = await jobs.wait("ann", job_id)
        # As of the last time that it was heard of: what it writes from now on says where it is.
        query(path, "UPDATE jobs SET place = 'another container', updated = updated - 61")
        silent = await jobs.wait("ann", job_id)
        await clock.advance(5)
        again = await until(jobs, job_id, clock, "running")

    assert fresh.state == "running"
    assert silent.state == "interrupted"
    assert "has ended without a report" in silent.reason
    assert (again.state, again.reason) == ("running", "")


async def test_progress_and_end_are_seen_by_others(make: MakeJobs, clock: VirtualClock) -> None:
    """Not at once, but as often as they are written."""
    go = anyio.Event()

    async def work(progress: Progress) -> Report:
        progress.report(3, 9, "three")
        await go.wait()
        return {"verdict": "passed"}

    async with make() as jobs, make() as beside:
        job_id = await jobs.start("ann", "benchmark", work)
        while (seen := await beside.wait("ann", job_id)).done == 0:
            await clock.advance(5)
        with pytest.raises(JobNotFound):
            await beside.wait("bob", job_id)
        go.set()
        ended = await until(beside, job_id, clock, "finished")

    assert (seen.state, seen.done, seen.total, seen.message) == ("running", 3, 9, "three")
    assert ended.report == {"verdict": "passed"}


async def test_a_late_sign_of_life_does_not_undo_an_end(make: MakeJobs, path: Path) -> None:
    """Two writes of one process may arrive in either order."""
    async with make() as jobs:
        job_id = await finish(jobs)
        late = Row(job_id, "", "bench", "running", 0, None, "", "", 0, 1.0, 9e9, "", 1, "", None)

        with closing(Archive(path, busy_seconds=1)) as archive:
            archive.put([late])

    assert query(path, "SELECT state, done FROM jobs") == [("finished", 1)]


async def test_a_job_can_be_cancelled_from_another_process(
    make: MakeJobs, clock: VirtualClock
) -> None:
    """The one that runs it hears of it, cleans up, and says how it ended."""
    cleaned = anyio.Event()
    states: list[JobState] = []

    async def work(progress: Progress) -> Report:
        progress.report(1)
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.set()
        return {}

    async with make() as jobs, make() as beside:
        job_id = await jobs.start("ann", "benchmark", work)

        async def cancel() -> None:
            states.append(await beside.cancel("ann", job_id))

        with pytest.raises(JobNotFound):
            await beside.cancel("bob", job_id)
        async with anyio.create_task_group() as cancelling:
            cancelling.start_soon(cancel)
            while not cleaned.is_set():
                await clock.advance(0.5)
            await until(jobs, job_id, clock, "cancelled")
            while not states:
                await clock.advance(0.5)

    assert states[0].state in {"cancelled", "running"}


async def test_jobs_are_listed_the_newest_first(make: MakeJobs, clock: VirtualClock) -> None:
    """With the verdict of each report and without the rest, a part at a time, nobody else's."""
    go = anyio.Event()

    async def passing(progress: Progress) -> Report:
        return {"verdict": "failed", "reason": 'He said "\\u00e9"', "big": "x" * 10_000}

    async def waiting(progress: Progress) -> Report:
        progress.report(3, 7, "page.md")
        await go.wait()
        return {"verdict": "passed", "reason": "x" * 10_000}

    async with make() as before:
        first = await before.start("alice", "tests", passing)
        await before.start("bob", "snippets", passing)
        await before.wait("alice", first, 10)
    async with make() as jobs:
        second = await jobs.start("alice", "snippets", waiting)
        secret = jobs.begin("alice", "bench", waiting)
        await anyio.wait_all_tasks_blocked()
        listed = await jobs.recent("alice")
        older = await jobs.recent("alice", 1, 5)
        go.set()
        await jobs.wait("alice", second, 10)
        (ended,) = await jobs.recent("alice", 0, 1)
        await jobs.discard(secret)

    assert [(one.job.kind, one.job.state, one.verdict) for one in listed] == [
        ("bench", "running", ""),
        ("snippets", "running", ""),
        ("tests", "finished", "failed"),
    ]
    assert (listed[1].job.done, listed[1].job.total, listed[1].job.message) == (3, 7, "page.md")
    assert (listed[2].said, listed[2].job.report) == ('He said "\\u00e9"', None)
    assert [one.job.job_id for one in older] == [first]
    assert (ended.job.state, ended.verdict) == ("finished", "passed")
    assert listed[0].created >= listed[1].created >= listed[2].created > 0


async def test_where_there_is_no_archive_the_jobs_in_memory_are_listed(
    make: MakeJobs, tmp_path: Path
) -> None:
    """A file that cannot be used takes no job away."""
    (tmp_path / "file").write_text("")

    async def done(progress: Progress) -> Report:
        return {"verdict": "passed", "reason": "Yes."}

    async with make(tmp_path / "file" / "jobs.sqlite3") as jobs:
        job_id = await jobs.start("alice", "tests", done)
        await jobs.wait("alice", job_id, 10)
        (listed,) = await jobs.recent("alice")

    assert (listed.job.job_id, listed.verdict, listed.said) == (job_id, "passed", "Yes.")


async def test_a_job_of_a_process_that_has_gone_is_listed_as_interrupted(path: Path) -> None:
    """As it is when it is asked for."""
    archive = Archive(path, busy_seconds=1)
    with closing(archive):
        row = Row("id", "who", "tests", "running", 0, None, "", "", 0, 1.0, 2.0, "", 1, "", None)
        archive.put([row])

        (listed,) = archive.recent("who", lambda row: True, offset=0, limit=5, head=10)

    assert listed.state == "interrupted"
