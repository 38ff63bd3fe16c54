"""Where control groups can be made: decided from texts and directories, and once by the kernel."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from proofbox.server.sandbox.local.cgroup_places import (
    Hierarchy,
    Place,
    find_places,
    is_left_over,
    owner_prefix,
    read_hierarchies,
)

TABLES = ("mountinfo", "cgroup")

DESKTOP = (
    (
        "24 30 0:22 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw\n"
        "32 25 0:28 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 "
        "rw,nsdelegate,memory_recursiveprot\n"
    ),
    "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-terminal.scope\n",
)
DOCKER_V2 = (
    "1043 1042 0:31 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw\n",
    "0::/\n",
)
DOCKER_V1 = (
    (
        "687 686 0:30 /docker/4f0c /sys/fs/cgroup/systemd ro,nosuid master:11 - cgroup cgroup "
        "rw,xattr,name=systemd\n"
        "690 686 0:33 /docker/4f0c /sys/fs/cgroup/memory ro,nosuid master:16 - cgroup cgroup rw,memory\n"
        "691 686 0:34 /docker/4f0c /sys/fs/cgroup/pids ro,nosuid master:17 - cgroup cgroup rw,pids\n"
    ),
    "5:pids:/docker/4f0c\n4:memory:/docker/4f0c\n1:name=systemd:/docker/4f0c\n",
)
HYBRID = (
    (
        "34 24 0:29 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755\n"
        "35 34 0:30 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate\n"
        "36 34 0:31 / /sys/fs/cgroup/systemd rw,nosuid shared:11 - cgroup cgroup rw,xattr,name=systemd\n"
        "39 34 0:34 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:16 - cgroup cgroup rw,cpu,cpuacct\n"
        "40 34 0:35 / /sys/fs/cgroup/memory rw,nosuid shared:17 - cgroup cgroup rw,memory\n"
    ),
    (
        "5:memory:/user.slice/user-1000.slice/session-2.scope\n"
        "4:cpu,cpuacct:/user.slice\n"
        "1:name=systemd:/user.slice/user-1000.slice/session-2.scope\n"
        "0::/user.slice/user-1000.slice/session-2.scope\n"
    ),
)
MICRO_VM = (
    (
        "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
        "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
    ),
    "8:pids:/\n4:memory:/api/7258\n0::/\n",
)
MOVED = ("35 31 0:32 / /mnt/my\\040groups rw - cgroup2 none rw\n", "0::/a b\n")
OUTSIDE = ("35 31 0:32 /../../other /sys/fs/cgroup rw - cgroup2 none rw\n", "0::/../..\n")


@pytest.mark.parametrize(
    ("machine", "own"),
    [
        (
            DESKTOP,
            {
                "": "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/"
                "app-gnome-terminal.scope"
            },
        ),
        (DOCKER_V2, {"": "/sys/fs/cgroup"}),
        (
            DOCKER_V1,
            {
                "name=systemd": "/sys/fs/cgroup/systemd",
                "memory": "/sys/fs/cgroup/memory",
                "pids": "/sys/fs/cgroup/pids",
            },
        ),
        (
            HYBRID,
            {
                "": "/sys/fs/cgroup/unified/user.slice/user-1000.slice/session-2.scope",
                "name=systemd": "/sys/fs/cgroup/systemd/user.slice/user-1000.slice/session-2.scope",
                "cpu,cpuacct": "/sys/fs/cgroup/cpu,cpuacct/user.slice",
                "memory": "/sys/fs/cgroup/memory/user.slice/user-1000.slice/session-2.scope",
            },
        ),
        (
            MICRO_VM,
            {
                "memory": "/sys/fs/cgroup/memory/api/7258",
                "pids": "/sys/fs/cgroup/pids",
                "": "/sys/fs/cgroup/unified",
            },
        ),
        (MOVED, {"": "/mnt/my groups/a b"}),
        (OUTSIDE, {}),
        (("", ""), {}),
    ],
    ids=["desktop", "docker-v2", "docker-v1", "hybrid", "micro-vm", "moved", "outside", "nothing"],
)
def test_our_own_group_is_found_on_each_kind_of_machine(
    machine: tuple[str, str], own: dict[str, str]
) -> None:
    """From the two tables that the kernel gives every process."""
    found = read_hierarchies(*machine)

    named = {",".join(sorted(hierarchy.controllers)): str(hierarchy.own) for hierarchy in found}
    assert named == own
    assert all((hierarchy.version == 2) == (not hierarchy.controllers) for hierarchy in found)


def group(
    path: Path,
    *,
    processes: Sequence[int] = (),
    passed_on: str | None = None,
    root: bool = False,
) -> Path:
    """A directory that looks like a group to whoever reads it."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in processes))
    if passed_on is not None:
        (path / "cgroup.subtree_control").write_text(passed_on)
    if not root:
        (path / "cgroup.type").write_text("domain\n")
    return path


def v2(root: Path, own: Path) -> Hierarchy:
    """The hierarchy of a machine that has v2 alone."""
    return Hierarchy(2, frozenset(), root, own)


def test_in_v1_a_group_goes_below_our_own(tmp_path: Path) -> None:
    """Each controller has a tree of its own, and limits on us go on holding."""
    memory = group(tmp_path / "memory" / "us", processes=[1, 2])
    pids = group(tmp_path / "pids", processes=[1, 2])

    places = find_places(
        [
            Hierarchy(1, frozenset({"memory"}), tmp_path / "memory", memory),
            Hierarchy(1, frozenset({"pids"}), pids, pids),
            Hierarchy(1, frozenset({"cpu", "cpuacct"}), tmp_path, tmp_path),
        ]
    )

    assert places == (
        Place(1, memory, frozenset({"memory"})),
        Place(1, pids, frozenset({"pids"})),
    )


def test_in_v2_a_group_goes_beside_our_own(tmp_path: Path) -> None:
    """A desktop's session manager passes both controllers on below a slice of the user's."""
    slice_ = group(tmp_path / "app.slice", passed_on="cpu memory pids\n")
    own = group(slice_ / "terminal.scope", processes=[os.getpid(), 1], passed_on="")

    places = find_places([v2(tmp_path, own)])

    assert places == (Place(2, slice_, frozenset({"memory", "pids"})),)


def test_what_only_some_controllers_can_hold_is_taken(tmp_path: Path) -> None:
    """A limit on processes is worth having without one on memory."""
    slice_ = group(tmp_path / "app.slice", passed_on="pids\n")
    own = group(slice_ / "terminal.scope", processes=[1], passed_on="")

    assert find_places([v2(tmp_path, own)]) == (Place(2, slice_, frozenset({"pids"})),)


def test_the_root_of_the_machine_needs_no_neighbour(tmp_path: Path) -> None:
    """It alone may have processes and children with controllers."""
    own = group(tmp_path / "root", processes=[1, os.getpid()], passed_on="memory pids", root=True)

    places = find_places([v2(own, own)])

    assert places == (Place(2, own, frozenset({"memory", "pids"})),)


def test_a_group_with_processes_of_others_is_left_alone(tmp_path: Path) -> None:
    """In a container, moving its other processes is not ours to do."""
    own = group(tmp_path / "container", processes=[1, os.getpid()], passed_on="")

    assert find_places([v2(own, own)]) == ()
    assert [entry.name for entry in own.iterdir() if entry.is_dir()] == []


def test_where_there_is_no_control_group_there_is_none(tmp_path: Path) -> None:
    """A read-only or foreign tree is no error."""
    assert find_places([]) == ()
    assert find_places([v2(tmp_path / "gone", tmp_path / "gone" / "us")]) == ()


def test_groups_tell_whose_they_are() -> None:
    """By process and start, since process ids come back."""
    assert not is_left_over(f"{owner_prefix()}jail-1")
    assert is_left_over(f"proofbox-{os.getpid()}-1-jail-1")
    assert is_left_over("proofbox-999999999-12-jail-1")
    assert not is_left_over("proofbox-by-hand")
    assert not is_left_over("user.slice")


VACATE = """
import os, pathlib, sys
from proofbox.server.sandbox.local.cgroup_places import Hierarchy, find_places

own, controller = pathlib.Path(sys.argv[1]), sys.argv[2]
(own / "cgroup.procs").write_text(str(os.getpid()))
(place,) = find_places([Hierarchy(2, frozenset(), own, own)], wanted={controller})
assert place.parent == own and place.controllers == {controller}, place
below = own / "new"
below.mkdir()
(below / "cgroup.procs").write_text(str(os.getpid()))
print(below.joinpath("cgroup.controllers").read_text().split())
(own.parent / "cgroup.procs").write_text(str(os.getpid()))
"""


@pytest.fixture
def delegated() -> Iterator[tuple[Path, str]]:
    """A real v2 group without processes, and a controller that it may pass on."""
    mountinfo, membership = (Path(f"/proc/self/{name}").read_text() for name in TABLES)
    trees = [tree for tree in read_hierarchies(mountinfo, membership) if tree.version == 2]
    if not trees or not os.access(trees[0].own / "cgroup.procs", os.W_OK):
        pytest.skip("no v2 group may be made here")
    own = trees[0].own
    passed_on = (own / "cgroup.subtree_control").read_text().split()
    usable = passed_on or (own / "cgroup.controllers").read_text().split()
    if not usable:
        pytest.skip("v2 has no controller here")
    if not passed_on:
        try:
            (own / "cgroup.subtree_control").write_text(f"+{usable[0]}")
        except OSError:
            pytest.skip("our own group has processes, so it passes no controller on")
    made = own / f"{owner_prefix()}delegated"
    made.mkdir()
    yield made, usable[0]
    for directory in sorted(made.rglob("*/"), reverse=True):
        directory.rmdir()
    made.rmdir()
    if not passed_on:
        (own / "cgroup.subtree_control").write_text(f"-{usable[0]}")


def test_in_v2_a_group_of_our_own_makes_room(delegated: tuple[Path, str]) -> None:
    """What is in it moves into a child, and then it passes its controllers on: by the real kernel."""
    own, controller = delegated

    moved = subprocess.run(
        [sys.executable, "-c", VACATE, str(own), controller],
        capture_output=True,
        check=False,
        text=True,
    )

    assert (moved.stderr, moved.stdout) == ("", f"{[controller]}\n")
