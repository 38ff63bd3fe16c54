"""Control groups, made and filled for real where this machine lets us."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proofbox.server.sandbox import Limits
from proofbox.server.sandbox.local import cgroups
from proofbox.server.sandbox.local.cgroup_places import Place, owner_prefix
from proofbox.server.sandbox.local.cgroups import Cgroup

MIB = 1024**2

needs_groups = pytest.mark.skipif(not cgroups.can_limit(), reason="no group may be made here")


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """A real group of 64 MiB and 20 processes."""
    made = Cgroup.create(Limits(memory_bytes=64 * MIB, processes=20), "test")
    assert made is not None
    yield made
    made.kill()
    made.remove()
    assert not any(file.exists() for file in made.procs_files)


def start_in(cgroup: Cgroup, *command: str) -> subprocess.Popen[str]:
    """A program that joins a group before it becomes itself."""
    join = (
        "import os, sys\n"
        f"for file in {[str(file) for file in cgroup.procs_files]!r}:\n"
        "    open(file, 'w').write(str(os.getpid()))\n"
        "os.execvp(sys.argv[1], sys.argv[1:])"
    )
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", join, *command], stdout=subprocess.PIPE, text=True
    )


@needs_groups
def test_the_limits_in_force_are_those_asked_for(cgroup: Cgroup) -> None:
    """Read back from the kernel, which rounds to pages."""
    asked = {"memory_bytes": 64 * MIB, "swap_bytes": 0, "processes": 20}

    assert cgroup.in_force
    assert cgroup.in_force.items() <= asked.items()


@needs_groups
def test_memory_over_the_limit_kills_and_is_counted(cgroup: Cgroup) -> None:
    """The count tells out of memory from any other kill."""
    if "memory_bytes" not in cgroup.in_force:
        pytest.skip("the memory controller is not ours here")
    assert cgroup.oom_kills() == 0

    with start_in(cgroup, sys.executable, "-c", f"bytearray({200 * MIB})") as hog:
        assert hog.wait(30) == -9

    assert cgroup.oom_kills() == 1


@needs_groups
def test_processes_over_the_limit_cannot_be_made(cgroup: Cgroup) -> None:
    """A fork bomb stays as small as the limit, and one kill ends it."""
    if "processes" not in cgroup.in_force:
        pytest.skip("the pids controller is not ours here")
    bomb = (
        "import os, time\n"
        "made = 0\n"
        "try:\n"
        "    while os.fork(): made += 1\n"
        "    time.sleep(1000)\n"
        "except BlockingIOError:\n"
        "    print(made, flush=True)\n"
        "    time.sleep(1000)\n"
    )
    with start_in(cgroup, sys.executable, "-c", bomb) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "19\n"

        cgroup.kill()

        assert process.wait(10) == -9
    assert all(file.read_text() == "" for file in cgroup.procs_files)


@needs_groups
def test_a_group_with_processes_stays_until_they_are_dead(cgroup: Cgroup) -> None:
    """`kill` waits for the last one, so that `remove` finds none."""
    with start_in(cgroup, "sh", "-c", "sleep 1000 & echo up; sleep 1000") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"

        cgroup.kill()
        cgroup.remove()

    assert not any(file.exists() for file in cgroup.procs_files)


@needs_groups
def test_the_sweep_takes_what_dead_processes_left_and_nothing_else(
    cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With whatever still runs in it."""
    # Others on this machine sweep, too, but not what is of a process that lives.
    name = f"{owner_prefix()}left"
    monkeypatch.setattr(cgroups, "is_left_over", name.__eq__)
    left = [file.parent.with_name(name) for file in cgroup.procs_files]
    for directory in left:
        directory.mkdir()
    orphaned = Cgroup(left, {})

    with start_in(orphaned, "sh", "-c", "echo up; exec sleep 1000") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        assert cgroups.sweep() == len(left)
        assert process.wait(10) == -9

    assert not any(directory.exists() for directory in left)
    assert all(file.exists() for file in cgroup.procs_files)


V2_FILES = {
    "cgroup.procs": "",
    "cgroup.kill": "",
    "memory.max": "max",
    "memory.swap.max": "max",
    "memory.events": "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n",
    "pids.max": "max",
}


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a place where a new directory gets a v2 group's files, as from the kernel; gives it."""

    def place(*controllers: str, files: dict[str, str]) -> Path:
        def mkdir(path: Path) -> None:
            os.mkdir(path)
            for name, content in files.items():
                (path / name).write_text(content)

        places = (Place(2, tmp_path, frozenset(controllers)),)
        monkeypatch.setattr(cgroups, "_places", lambda: places)
        monkeypatch.setattr(Path, "mkdir", mkdir)
        return tmp_path

    return place


def test_v2_limits_memory_swap_and_processes_in_one_group(kernel: Callable[..., Path]) -> None:
    """Where a session manager passes both controllers on."""
    place = kernel("memory", "pids", files=V2_FILES)

    cgroup = Cgroup.create(Limits(memory_bytes=64 * MIB, processes=20), "test")

    assert cgroup is not None
    assert cgroup.in_force == {"memory_bytes": 64 * MIB, "swap_bytes": 0, "processes": 20}
    (group,) = (file.parent for file in cgroup.procs_files)
    assert group.parent == place
    assert (group / "memory.max").read_text() == str(64 * MIB)
    assert (group / "memory.swap.max").read_text() == "0"
    assert cgroup.oom_kills() == 2


def test_v2_kills_a_group_with_one_write(kernel: Callable[..., Path]) -> None:
    """Nothing in it can fork away from that."""
    kernel("pids", files=V2_FILES)
    cgroup = Cgroup.create(Limits(), "test")
    assert cgroup is not None

    cgroup.kill()

    assert (cgroup.procs_files[0].with_name("cgroup.kill")).read_text() == "1"


def test_a_kernel_that_does_not_count_swap_limits_the_rest(kernel: Callable[..., Path]) -> None:
    """And says so."""
    kernel("memory", files={"cgroup.procs": "", "memory.max": "max"})

    cgroup = Cgroup.create(Limits(memory_bytes=64 * MIB), "test")

    assert cgroup is not None
    assert cgroup.in_force == {"memory_bytes": 64 * MIB}


def test_a_group_that_would_limit_nothing_is_not_kept(kernel: Callable[..., Path]) -> None:
    """Then rlimits are all there is, and `in_force` must not say otherwise."""
    place = kernel("memory", "pids", files={})

    assert Cgroup.create(Limits(), "test") is None
    assert list(place.iterdir()) == []
