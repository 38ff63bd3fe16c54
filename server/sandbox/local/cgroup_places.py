"""Where this process may make control groups: what the kernel's own tables say, v1, v2 and mixed.

In a v1 hierarchy a group may have processes and children, so a new group goes below our own and all
limits that hold for us hold for it. In v2 only groups without processes pass controllers on, so a new
group goes beside our own, below a parent that passes on the controllers already; or below our own
group, once we have moved what is in it, all of it ours, into a child.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CONTROLLERS = ("memory", "pids")

_NO_NAMES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One tree of groups: `own` is our group in it, as a directory. `controllers` are those that v1
    mounted with it; v2 holds whatever v1 does not, and each group says what it has.
    """

    version: Literal[1, 2]
    controllers: frozenset[str]
    root: Path
    own: Path


@dataclass(frozen=True, slots=True)
class Place:
    """A directory in which groups can be made, and the controllers that they will have."""

    version: Literal[1, 2]
    parent: Path
    controllers: frozenset[str]


_OWNED = re.compile(r"proofbox-(\d+)-(\d+)-")


def owner_prefix() -> str:
    """How the names of this process's groups begin. Process ids come back, so its start goes in."""
    return f"proofbox-{os.getpid()}-{_started(os.getpid())}-"


def is_left_over(name: str) -> bool:
    """Whether a group of this name belongs to a process of ours that is gone."""
    owner = _OWNED.match(name)
    return owner is not None and _started(int(owner[1])) != owner[2]


def read_hierarchies(mountinfo: str, membership: str) -> tuple[Hierarchy, ...]:
    """What `/proc/self/mountinfo` and `/proc/self/cgroup` say; trees that we cannot see are left out."""
    paths = dict(_memberships(membership))
    found: dict[frozenset[str], Hierarchy] = {}
    for line in mountinfo.splitlines():
        mount, _, filesystem = line.partition(" - ")
        kind, options = filesystem.split(" ")[0], filesystem.split(" ")[-1]
        if kind not in ("cgroup", "cgroup2"):
            continue
        top, point = (_unescape(field) for field in mount.split(" ")[3:5])
        names = _NO_NAMES if kind == "cgroup2" else _named(options.split(","), paths)
        below = _below(paths.get(names), top)
        if below is not None and names not in found:
            version = 2 if kind == "cgroup2" else 1
            found[names] = Hierarchy(version, names, Path(point), Path(point) / below)
    return tuple(found.values())


def find_places(
    hierarchies: Sequence[Hierarchy], *, wanted: Iterable[str] = CONTROLLERS
) -> tuple[Place, ...]:
    """The places to make groups in, each wanted controller at most once. May move this process and
    its children into a child of their own group (v2).
    """
    places: list[Place] = []
    missing = frozenset(wanted)
    for hierarchy in hierarchies:
        place = _place_v1(hierarchy, missing) if hierarchy.version == 1 else None
        if place is not None:
            places.append(place)
            missing -= place.controllers
    for hierarchy in hierarchies:
        place = _place_v2(hierarchy, missing) if hierarchy.version == 2 and missing else None
        if place is not None:
            places.append(place)
            missing -= place.controllers
    return tuple(places)


def _memberships(text: str) -> Iterable[tuple[frozenset[str], str]]:
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        yield frozenset(names.split(",")) if names else _NO_NAMES, path


def _named(options: Sequence[str], paths: Iterable[frozenset[str]]) -> frozenset[str]:
    """Which of our memberships a v1 mount with these options belongs to."""
    return next((names for names in paths if names and names <= frozenset(options)), frozenset("?"))


def _below(path: str | None, top: str) -> str | None:
    """`path` relative to the group that is mounted; None where it is not below it."""
    if path is None or ".." in (*path.split("/"), *top.split("/")):
        return None
    if top == "/":
        return path.lstrip("/")
    if path == top or path.startswith(top + "/"):
        return path[len(top) :].lstrip("/")
    return None


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _place_v1(hierarchy: Hierarchy, wanted: frozenset[str]) -> Place | None:
    controllers = hierarchy.controllers & wanted
    if not controllers or not _may_fill(hierarchy.own):
        return None
    return Place(1, hierarchy.own, controllers)


def _place_v2(hierarchy: Hierarchy, wanted: frozenset[str]) -> Place | None:
    own = hierarchy.own
    beside = _passed_on(own.parent) & wanted if own != hierarchy.root else _NO_NAMES
    if not _may_fill(own.parent):
        beside = _NO_NAMES
    if beside != wanted and _may_fill(own) and (_is_root(own) or _vacate(own)):
        below = _pass_on(own, wanted)
        if below > beside:
            return Place(2, own, below)
    return Place(2, own.parent, beside) if beside else None


def _may_fill(group: Path) -> bool:
    """Whether we may make groups here and move processes between them."""
    return os.access(group, os.W_OK | os.X_OK) and os.access(group / "cgroup.procs", os.W_OK)


def _is_root(group: Path) -> bool:
    # Only the root of the whole machine has no type, and only it may have processes beside children.
    return not (group / "cgroup.type").exists()


def _passed_on(group: Path) -> frozenset[str]:
    try:
        return frozenset((group / "cgroup.subtree_control").read_text().split())
    except OSError:
        return frozenset()


def _pass_on(group: Path, wanted: frozenset[str]) -> frozenset[str]:
    for controller in wanted - _passed_on(group):
        try:
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError:
            continue
    return _passed_on(group) & wanted


def _vacate(group: Path) -> bool:
    """Move everything in a group into a child of it, if all of it is this process and its children."""
    try:
        members = {int(line) for line in (group / "cgroup.procs").read_text().split()}
        if not members or any(not _is_ours(pid) for pid in members):
            return False
        leaf = group / f"{owner_prefix()}itself"
        leaf.mkdir(exist_ok=True)
        for pid in members:
            (leaf / "cgroup.procs").write_text(str(pid))
    except OSError:
        return False
    return True


def _is_ours(pid: int) -> bool:
    while pid > 1 and pid != os.getpid():
        pid = int((_stat(pid) or ["0", "0"])[1])
    return pid == os.getpid()


def _started(pid: int) -> str:
    return (_stat(pid)[19:20] or ["0"])[0]


def _stat(pid: int) -> list[str]:
    """The fields of `/proc/<pid>/stat` after the name; empty where there is no such process."""
    try:
        # The name, in parentheses, may hold anything.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
