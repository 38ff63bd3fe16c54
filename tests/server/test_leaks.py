"""Nothing of ours is left behind: after ordinary ends, after every kind of violent one, and after our own death."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import local_server
import pytest

from proofbox.server.sandbox import Limits, Sandbox, SandboxRequest, SandboxUnavailable
from proofbox.server.sandbox.local import cgroups
from proofbox.server.sandbox.local.backend import LocalBackend

pytestmark = pytest.mark.slow

SESSIONS = 200
AT_ONCE = 8


def children_of(pid: int) -> set[int]:
    """Every process below one, seen from the host."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError):
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                if fields[0] != b"Z":
                    parents[int(entry.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def control_groups(server: int) -> set[str]:
    """The control groups of one proofbox process that exist."""
    return {
        os.path.join(directory, name)
        for directory, names, _ in os.walk("/sys/fs/cgroup")
        for name in names
        if name.startswith(f"proofbox-{server}-")
    }


@dataclass(frozen=True)
class Left:
    """What the machine holds of us at one moment."""

    processes: frozenset[int]
    mounts: str
    groups: frozenset[str]
    files: frozenset[Path]
    descriptors: int
    tasks: int

    @classmethod
    def now(cls, cache: Path, temporary: Path) -> "Left":
        """Look."""
        gc.collect()
        files = [*(cache / "environments").iterdir(), *temporary.rglob("*")]
        return cls(
            processes=frozenset(children_of(os.getpid())),
            mounts=Path("/proc/self/mounts").read_text(),
            groups=frozenset(control_groups(os.getpid())),
            files=frozenset(files),
            descriptors=len(os.listdir("/proc/self/fd")),
            tasks=len(asyncio.all_tasks()),
        )


async def use(sandbox: Sandbox) -> None:
    """An ordinary call or two."""
    assert (await sandbox.run_code("2 + 2")).results[0].text == "4"
    await sandbox.write_files({"file": b"content"})
    assert await sandbox.read_file("file") == b"content"


async def time_out(sandbox: Sandbox) -> None:
    """Code and its children past their deadline."""
    done = await sandbox.run_code(local_server.BUSY, timeout=0.2)
    assert done.outcome == "timed_out"


async def cancel(sandbox: Sandbox) -> None:
    """A call given up in the middle."""
    with anyio.move_on_after(0.1) as scope:
        await sandbox.run_command("sleep 1000 & sleep 1000")
    assert scope.cancelled_caught


async def crash(sandbox: Sandbox) -> None:
    """An interpreter that ends itself, and leaves children behind."""
    done = await sandbox.run_code(
        "import os\nif os.fork(): os.kill(os.getpid(), 11)\nwhile True: pass"
    )
    assert done.outcome == "killed"


async def leave_busy(sandbox: Sandbox) -> None:
    """Daemons that go on after the call."""
    done = await sandbox.run_code(
        "import subprocess; subprocess.Popen(['setsid', 'sleep', '1000'])"
    )
    assert done.outcome == "completed"


async def close_under_way(sandbox: Sandbox) -> None:
    """Closed while code runs; whoever waits for that is told."""
    told: list[bool] = []

    async def run() -> None:
        try:
            await sandbox.run_code("import time; time.sleep(1000)", timeout=1000)
        except SandboxUnavailable as error:
            told.append(error.may_have_started)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as both:
            both.start_soon(run)
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            await sandbox.close()
    assert len(told) == 1


FATES: list[Callable[[Sandbox], Awaitable[None]]] = [
    use,
    time_out,
    cancel,
    crash,
    leave_busy,
    close_under_way,
]


async def live_and_die(backend: LocalBackend, number: int) -> None:
    """One session with one of the fates; of each, one or two are in a jail of their own."""
    owner = f"owner {number % 3}"
    limits = Limits(disk_bytes=16 * 1024**2)
    if number % 11 == 0:
        with anyio.move_on_after(0.002 * (number % 5)):
            await (await backend.create(SandboxRequest(owner=owner, limits=limits))).close()
        return
    request = SandboxRequest(owner=owner, limits=limits, shared=number % 19 != 0)
    sandbox = await backend.create(request)
    try:
        await FATES[number % len(FATES)](sandbox)
    finally:
        with anyio.CancelScope(shield=True):
            await sandbox.close()


async def test_two_hundred_sessions_leave_nothing(
    local_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened, used, timed out, cancelled, crashed, left busy, closed under way."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    warm = LocalBackend(cache_dir=local_cache)
    await (await warm.create(SandboxRequest(owner="the environment is there"))).close()
    await warm.close()
    before = Left.now(local_cache, tmp_path)
    backend = LocalBackend(cache_dir=local_cache)
    lived = 0

    async def some(first: int) -> None:
        nonlocal lived
        for number in range(first, SESSIONS, AT_ONCE):
            await live_and_die(backend, number)
            lived += 1

    with anyio.fail_after(400):
        async with anyio.create_task_group() as all_of_them:
            for first in range(AT_ONCE):
                all_of_them.start_soon(some, first)
        between = Left.now(local_cache, tmp_path)
        await backend.close()
    after = Left.now(local_cache, tmp_path)
    with anyio.move_on_after(10):  # cancelled tasks and killed processes are still on their way out
        while after != before:
            await anyio.sleep(0.01)
            after = Left.now(local_cache, tmp_path)

    assert lived == SESSIONS
    assert len(between.processes) > len(before.processes)  # kept jails: we can see them
    assert after == before


async def gone(pids: set[int]) -> bool:
    """Whether all of these end within a while."""
    with anyio.move_on_after(20):
        while alive := {pid for pid in pids if is_running(pid)}:
            pids = alive
            await anyio.sleep(0.01)
        return True
    return False


def is_running(pid: int) -> bool:
    """Whether a process exists and is more than its exit status."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in b"ZX"
    except OSError:
        return False


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name
)
@pytest.mark.parametrize("moment", ["creating", "open"])
async def test_a_dead_server_leaves_no_process(
    local_cache: Path, moment: str, number: signal.Signals
) -> None:
    """Whatever its sessions were at, and whatever killed it."""
    before = {path.name for path in (local_cache / "environments").iterdir()}
    command = [sys.executable, local_server.__file__, str(local_cache)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 - takes no time
    assert server.stdout is not None
    with server, anyio.fail_after(60):
        seen: set[int] = set()
        while (await anyio.to_thread.run_sync(server.stdout.readline)).strip() != moment:
            assert server.poll() is None
        while moment == "creating" and not seen:
            seen = children_of(server.pid)
        seen |= children_of(server.pid)

        server.send_signal(number)
        server.wait(30)
        all_gone = await gone(seen)

    assert len(seen) >= (1 if moment == "creating" else 20)
    assert all_gone
    cgroups.sweep()
    assert not control_groups(server.pid)
    assert {path.name for path in (local_cache / "environments").iterdir()} == before
