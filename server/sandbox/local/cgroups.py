"""Limits for one jail as a whole, by control groups where this process may make them.

What cannot be had is left out, and `Cgroup.in_force` says what is in. The kernel's own limits on a
process (rlimits) hold in either case; they are set by whoever starts the jail.
"""

import logging
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Self

from ..base import Limits
from .cgroup_places import Place, find_places, is_left_over, owner_prefix, read_hierarchies

logger = logging.getLogger(__name__)

_KILL_SECONDS = 5.0
_REMOVE_SECONDS = 2.0
_PAUSE_SECONDS = 0.002


class Cgroup:
    """The groups of one jail: one directory where one hierarchy has all controllers, else several.

    `in_force` maps `memory_bytes`, `swap_bytes` and `processes` to the limit that the kernel holds;
    a name that is missing is not limited by a group. `kill` and `remove` wait for the kernel, up to a
    few seconds, so call them from a worker thread.
    """

    def __init__(self, directories: Sequence[Path], in_force: Mapping[str, int]) -> None:
        self._directories = tuple(directories)
        self.in_force: Mapping[str, int] = MappingProxyType(dict(in_force))

    @classmethod
    def create(cls, limits: Limits, name: str) -> Self | None:
        """New groups with these limits; None where none of them can be held by a group.

        `name` tells groups of this process apart.
        """
        directories: list[Path] = []
        in_force: dict[str, int] = {}
        for place in _places():
            directory = place.parent / f"{owner_prefix()}{name}"
            held = _make(directory, place, limits)
            if held:
                directories.append(directory)
                in_force |= held
        return cls(directories, in_force) if directories else None

    @property
    def procs_files(self) -> tuple[Path, ...]:
        """The files into each of which a process writes its id to come under the limits."""
        return tuple(directory / "cgroup.procs" for directory in self._directories)

    def oom_kills(self) -> int:
        """How many processes the kernel has killed because the memory limit was reached."""
        kills = 0
        for directory in self._directories:
            for name in ("memory.events", "memory.oom_control"):
                with suppress(OSError):
                    kills += _counter((directory / name).read_text(), "oom_kill")
        return kills

    def kill(self) -> None:
        """Kill every process in the groups, and wait until there are none."""
        for directory in self._directories:
            _kill(directory)

    def remove(self) -> None:
        """Remove the groups, which must have no processes. Never raises; what stays is logged."""
        for directory in self._directories:
            _remove(directory)


def can_limit() -> bool:
    """Whether groups can be made here that limit anything."""
    return bool(_places())


def sweep() -> int:
    """Remove the groups that dead proofbox processes left, with whatever is in them; their number."""
    removed = 0
    for place in _places():
        for directory in place.parent.glob("proofbox-*-*"):
            if is_left_over(directory.name):
                _kill(directory)
                removed += _remove(directory)
    return removed


def _places() -> tuple[Place, ...]:
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
        membership = Path("/proc/self/cgroup").read_text(errors="surrogateescape")
    except OSError:
        return ()
    return find_places(read_hierarchies(mountinfo, membership))


def _make(directory: Path, place: Place, limits: Limits) -> dict[str, int]:
    """Make a group; what it limits. Where that is nothing, there is no group."""
    try:
        directory.mkdir()
    except OSError as error:
        logger.debug("No control group in %s: %s", place.parent, error)
        return {}
    held: dict[str, int] = {}
    if "memory" in place.controllers:
        held |= _limit_memory(directory, limits, version=place.version)
    if "pids" in place.controllers:
        held |= _limit(directory / "pids.max", "processes", limits.processes)
    if not held:
        _remove(directory)
    return held


def _limit_memory(directory: Path, limits: Limits, *, version: int) -> dict[str, int]:
    size = limits.memory_bytes
    if version == 2:
        held = _limit(directory / "memory.max", "memory_bytes", size)
        return held | _limit(directory / "memory.swap.max", "swap_bytes", 0)
    held = _limit(directory / "memory.limit_in_bytes", "memory_bytes", size)
    # v1 limits memory and swap together, and only where the kernel counts swap.
    together = _limit(directory / "memory.memsw.limit_in_bytes", "swap_bytes", size)
    return held | ({"swap_bytes": 0} if together else {})


def _limit(file: Path, name: str, value: int) -> dict[str, int]:
    try:
        _write(file, str(value))
        # The kernel rounds to pages.
        return {name: int(file.read_text())}
    except (OSError, ValueError) as error:
        logger.debug("%s is not in force: %s", file, error)
        return {}


def _write(file: Path, text: str) -> None:
    # Not write_text: what the kernel did not make is not to be made.
    descriptor = os.open(file, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _counter(text: str, name: str) -> int:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _kill(directory: Path) -> None:
    with suppress(OSError):
        _write(directory / "cgroup.kill", "1")
    # Before Linux 5.14, and in v1, one by one: what cannot fork cannot outrun us.
    _limit(directory / "pids.max", "processes", 0)
    deadline = time.monotonic() + _KILL_SECONDS
    while members := _members(directory):
        for pid in members:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            logger.warning("Processes in %s do not die: %s", directory, members)
            return
        time.sleep(_PAUSE_SECONDS)


def _members(directory: Path) -> list[int]:
    try:
        text = (directory / "cgroup.procs").read_text()
    except OSError:
        return []
    # 0 stands for a process of a pid namespace that we cannot see.
    return [int(line) for line in text.split() if line != "0"]


def _remove(directory: Path) -> bool:
    deadline = time.monotonic() + _REMOVE_SECONDS
    while True:
        try:
            directory.rmdir()
        except FileNotFoundError:
            return True
        except OSError as error:
            if time.monotonic() > deadline:
                logger.warning("Could not remove the control group %s: %s", directory, error)
                return False
        else:
            return True
        time.sleep(_PAUSE_SECONDS)
