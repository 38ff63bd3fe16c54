"""One environment, many builders and users: at the same time, one after another, and dying midway."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from anyio import wait_readable
from wheelhouse import Wheelhouse

from proofbox.server.sandbox import SandboxRejected, SandboxUnavailable
from proofbox.server.sandbox.local import environments
from proofbox.server.sandbox.local.environments import Environment, ensure, prune

DAY = 86_400.0

ENSURE = """
import sys, anyio
from functools import partial
from pathlib import Path
from proofbox.server.sandbox.local.environments import ensure

tell = partial(print, flush=True)
anyio.run(partial(ensure, ["tiny"], cache_dir=Path(sys.argv[1]), on_progress=tell))
"""


def entries(cache_dir: Path) -> list[str]:
    """Everything beside the finished environments."""
    found = (cache_dir / "environments").iterdir()
    return [entry.name for entry in found if not (entry / environments.MANIFEST).exists()]


def processes_about(directory: Path) -> list[int]:
    """The processes whose command line names a directory."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(directory) in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


async def until_no_process_is_about(directory: Path) -> None:
    """Wait for the last of them to be gone."""
    with anyio.fail_after(10):
        while processes_about(directory):
            await anyio.sleep(0.02)


@pytest.fixture
def stalled(wheels: Wheelhouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """An index that lets uv connect and never answers: readable once uv is waiting for it."""
    assert wheels.directory.exists()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/simple"
        with monkeypatch.context() as patch:
            patch.setenv("UV_DEFAULT_INDEX", address)
            yield listening


@pytest.mark.usefixtures("wheels")
async def test_two_processes_build_the_same_environment_once(cache_dir: Path) -> None:
    """The later one waits for the earlier one and takes what it built."""
    command = [sys.executable, "-c", ENSURE, str(cache_dir)]
    told: list[str] = []

    async def run() -> None:
        told.extend((await anyio.run_process(command)).stdout.decode().splitlines())

    with anyio.fail_after(60):
        async with anyio.create_task_group() as both:
            both.start_soon(run)
            both.start_soon(run)

    assert len([line for line in told if line.startswith("Building")]) == 1
    assert (await ensure(["tiny"], cache_dir=cache_dir)).packages["tiny"] == "1.2"
    assert entries(cache_dir) == []


@pytest.mark.usefixtures("wheels")
async def test_two_tasks_build_the_same_environment_once(cache_dir: Path) -> None:
    """Locks hold between the tasks of one process as well."""
    told: list[str] = []

    async def run() -> None:
        await ensure(["tiny"], cache_dir=cache_dir, on_progress=told.append)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as both:
            both.start_soon(run)
            both.start_soon(run)

    assert len([line for line in told if line.startswith("Building")]) == 1
    assert len([line for line in told if line.startswith("Waiting")]) == 1


async def test_a_cancelled_build_leaves_nothing(stalled: socket.socket, cache_dir: Path) -> None:
    """No uv, no temporary directory, no lock; and the caller does not wait for uv's time-outs."""
    with anyio.fail_after(20):
        async with anyio.create_task_group() as building:
            building.start_soon(lambda: ensure(["tiny"], cache_dir=cache_dir))
            await wait_readable(stalled)
            assert processes_about(cache_dir)
            building.cancel_scope.cancel()

    assert processes_about(cache_dir) == []
    assert entries(cache_dir) == []


async def test_a_waiting_caller_can_be_cancelled(stalled: socket.socket, cache_dir: Path) -> None:
    """Whoever waits for another's build is not bound to it."""
    waiting = anyio.Event()

    def tell(line: str) -> None:
        if line.startswith("Waiting"):
            waiting.set()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as building:
            building.start_soon(lambda: ensure(["tiny"], cache_dir=cache_dir))
            await wait_readable(stalled)
            async with anyio.create_task_group() as later:
                later.start_soon(lambda: ensure(["tiny"], cache_dir=cache_dir, on_progress=tell))
                await waiting.wait()
                later.cancel_scope.cancel()
            assert processes_about(cache_dir)
            building.cancel_scope.cancel()

    assert entries(cache_dir) == []


async def test_after_a_killed_builder_the_next_one_starts_clean(
    stalled: socket.socket, wheels: Wheelhouse, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its uv dies with it, and what it left is removed by whoever builds next."""
    async with await anyio.open_process([sys.executable, "-c", ENSURE, str(cache_dir)]) as builder:
        with anyio.fail_after(20):
            await wait_readable(stalled)
        builder.kill()
    await until_no_process_is_about(cache_dir)
    left = entries(cache_dir)
    monkeypatch.setenv("UV_DEFAULT_INDEX", wheels.empty_index)

    built = await ensure(["tiny"], cache_dir=cache_dir)

    assert len(left) == 2
    assert built.packages["tiny"] == "1.2"
    assert entries(cache_dir) == []


async def test_a_uv_that_is_killed_is_not_the_callers_fault(
    stalled: socket.socket, cache_dir: Path
) -> None:
    """The out-of-memory killer, for one, is no reason to doubt the packages."""

    async def kill() -> None:
        await wait_readable(stalled)
        for pid in processes_about(cache_dir):
            os.kill(pid, signal.SIGKILL)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as killing:
            killing.start_soon(kill)
            with pytest.raises(SandboxUnavailable, match="status -9"):
                await ensure(["tiny"], cache_dir=cache_dir)

    assert entries(cache_dir) == []


async def test_an_index_that_nobody_serves_says_so(
    stalled: socket.socket, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No network: the message says where to look."""
    stalled.close()
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(SandboxUnavailable, match=r"index cannot be reached.*UV_DEFAULT_INDEX"):
        await ensure(["tiny"], cache_dir=cache_dir)


@pytest.mark.usefixtures("wheels")
async def test_a_cache_that_cannot_be_made_needs_a_person(tmp_path: Path) -> None:
    """The message names the way to another place."""
    (tmp_path / "file").touch()

    with pytest.raises(SandboxRejected, match="XDG_CACHE_HOME"):
        await ensure(["tiny"], cache_dir=tmp_path / "file")


@pytest.mark.usefixtures("wheels")
async def test_an_environment_without_its_manifest_is_built_again(cache_dir: Path) -> None:
    """Somebody may have cleaned up by hand."""
    built = await ensure(["tiny"], cache_dir=cache_dir)
    (built.path / environments.MANIFEST).unlink()

    again = await ensure(["tiny"], cache_dir=cache_dir)

    assert again == built
    assert (again.path / environments.MANIFEST).exists()


@pytest.fixture
async def built(wheels: Wheelhouse, cache_dir: Path) -> Environment:
    """An environment that was last used forty days ago."""
    assert wheels.directory.exists()
    environment = await ensure(["tiny"], cache_dir=cache_dir)
    long_ago = time.time() - 40 * DAY
    os.utime(environment.path, (long_ago, long_ago))
    return environment


async def test_unused_environments_are_pruned(built: Environment, cache_dir: Path) -> None:
    """After `keep_days`, and not before."""
    assert prune(cache_dir, keep_days=50) == ()
    assert prune(cache_dir, keep_days=30) == (built.path.name,)

    assert entries(cache_dir) == []
    assert not built.path.exists()


async def test_asking_for_an_environment_keeps_it(built: Environment, cache_dir: Path) -> None:
    """Each use counts."""
    await ensure(["tiny"], cache_dir=cache_dir)

    assert prune(cache_dir, keep_days=30) == ()
    assert built.path.exists()


async def test_an_environment_that_is_held_is_never_pruned(
    built: Environment, cache_dir: Path
) -> None:
    """A jail may run for longer than anybody asks for its environment."""
    with built.hold():
        assert prune(cache_dir, keep_days=30, max_bytes=0) == ()

    assert prune(cache_dir, keep_days=30) == (built.path.name,)


async def test_the_longest_unused_go_first_when_there_is_too_much(
    built: Environment, wheels: Wheelhouse, cache_dir: Path
) -> None:
    """Those of the last hour stay even then."""
    wheels.add("other", "1")
    fresh = await ensure(["other"], cache_dir=cache_dir)

    assert prune(cache_dir, keep_days=100, max_bytes=0) == (built.path.name,)
    assert fresh.path.exists()


async def test_holding_what_was_pruned_says_so(built: Environment, cache_dir: Path) -> None:
    """Between finding an environment and holding it, it may go."""
    prune(cache_dir, keep_days=30)

    with pytest.raises(SandboxUnavailable, match="removed"), built.hold():
        pytest.fail("held what is gone")


async def test_pruning_removes_what_dead_builders_left(cache_dir: Path, built: Environment) -> None:
    """But not what a living one is filling."""
    home = cache_dir / "environments"
    (home / f".{'0' * 32}-dead" / "lib").mkdir(parents=True)
    (home / f"{'0' * 32}.lock").touch()

    prune(cache_dir, keep_days=100)

    assert entries(cache_dir) == []
    assert built.path.exists()


def test_pruning_where_nothing_was_ever_built_does_nothing(tmp_path: Path) -> None:
    """The first start has no cache directory."""
    assert prune(tmp_path / "none") == ()
