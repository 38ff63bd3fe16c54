"""Jobs of several proofbox processes over one file, some of which die."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from proofbox.server.jobs import Jobs, Progress, Report
from proofbox.server.jobs.owner import Owner, is_gone, this_process

# Other processes are started, on a machine that may be busy.
HANG_SECONDS = 60

# Starts a job that ends with the next line of stdin as its report.
SERVE = """
import sys, anyio, anyio.to_thread
from pathlib import Path
from proofbox.server.jobs import Jobs

async def main():
    async def work(progress):
        progress.report(3, 9, "three")
        return {"said": (await anyio.to_thread.run_sync(sys.stdin.readline)).strip()}

    async with Jobs(Path(sys.argv[1])) as jobs:
        job_id = await jobs.start("ann", "benchmark", work)
        print(job_id, flush=True)
        await jobs.wait("ann", job_id, 1000)

anyio.run(main)
"""

# Waits for a line of stdin, then finishes jobs one after another.
HURRY = """
import sys, anyio
from pathlib import Path
from proofbox.server.jobs import Jobs

async def main():
    async def work(progress):
        return {"data": "x" * 10_000}

    async with Jobs(Path(sys.argv[1])) as jobs:
        for _ in range(10):
            job_id = await jobs.start("ann", "benchmark", work)
            state = await jobs.wait("ann", job_id, 1000)
            print(job_id, state.state, state.warning, flush=True)

print("ready", flush=True)
sys.stdin.readline()
anyio.run(main)
"""


@pytest.fixture(autouse=True)
async def _no_hang() -> AsyncGenerator[None]:
    """Far more time than any of these tests takes."""
    with anyio.fail_after(HANG_SECONDS):
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where jobs are kept."""
    return tmp_path / "jobs.sqlite3"


@contextmanager
def process(script: str, path: Path) -> Generator[subprocess.Popen[str]]:
    """Another proofbox process, which does not outlive the test."""
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def line_of(running: subprocess.Popen[str]) -> str:
    """The next line that it says."""
    assert running.stdout is not None
    line = running.stdout.readline().strip()
    assert line, running.communicate()[1]
    return line


async def test_a_job_of_another_process_is_seen_to_run_and_to_finish(path: Path) -> None:
    """By its id, as if it were one of ours."""
    with process(SERVE, path) as other:
        job_id = line_of(other)
        async with Jobs(path) as jobs:
            before = await jobs.wait("ann", job_id)
            other.communicate("hello\n")
            after = await jobs.wait("ann", job_id, 30)

    assert before.state == "running"
    assert (after.state, after.report) == ("finished", {"said": "hello"})


async def test_the_job_of_a_killed_process_is_interrupted_at_once(path: Path) -> None:
    """Not gone, and not said to run; to those that were there and to those that start later."""
    with process(SERVE, path) as other:
        job_id = line_of(other)
        async with Jobs(path) as jobs:
            before = await jobs.wait("ann", job_id)
            other.send_signal(signal.SIGKILL)
            # Dead, but nobody has asked how it ended, so its number is still taken.
            await anyio.to_thread.run_sync(os.waitid, os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
            zombie = await jobs.wait("ann", job_id)
            other.wait()
            cancelled = await jobs.cancel("ann", job_id)
        async with Jobs(path) as jobs:
            later = await jobs.wait("ann", job_id)

    assert before.state == "running"
    assert [state.state for state in (zombie, cancelled, later)] == ["interrupted"] * 3
    assert "has ended without a report" in later.reason


async def test_processes_that_open_a_new_file_at_the_same_time_all_keep_their_reports(
    path: Path,
) -> None:
    """None is told that it cannot write, and nothing of the others is lost."""
    with (
        process(HURRY, path) as first,
        process(HURRY, path) as second,
        process(HURRY, path) as third,
    ):
        everyone = (first, second, third)
        assert [line_of(each) for each in everyone] == ["ready"] * 3
        for each in everyone:
            assert each.stdin is not None
            each.stdin.write("\n")
            each.stdin.flush()
        said = [each.communicate() for each in everyone]
    told = [line.split() for out, _ in said for line in out.splitlines()]

    assert [errors for _, errors in said] == [""] * 3
    assert [words[1:] for words in told] == [["finished"]] * 30
    async with Jobs(path) as jobs:
        states = [await jobs.wait("ann", words[0]) for words in told]
    assert [state.report for state in states] == [{"data": "x" * 10_000}] * 30


async def test_a_number_that_another_process_has_now_is_no_sign_of_life(path: Path) -> None:
    """Numbers are used again; the start time tells."""

    async def work(progress: Progress) -> Report:
        progress.report(1)
        await anyio.sleep_forever()
        return {}

    async with Jobs(path) as jobs, Jobs(path) as beside:
        job_id = await jobs.start("ann", "benchmark", work)
        before = await beside.wait("ann", job_id)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE jobs SET born = '1'")
        after = await beside.wait("ann", job_id)

    assert (before.state, after.state) == ("running", "interrupted")


async def test_only_what_can_be_seen_from_here_is_judged() -> None:
    """This process lives, an unused number does not, and other places are not ours to say."""
    here = this_process()

    assert is_gone(here) is False
    assert is_gone(Owner(here.place, 2**22 + 1, here.born)) is True
    assert is_gone(Owner("elsewhere", here.pid, here.born)) is None
    assert is_gone(Owner("", here.pid, "")) is None
