"""What holds a sandbox's limits on this machine, in words."""

from collections.abc import Mapping, Sequence

from .cgroups import Cgroup

_PROCESS = "an rlimit on each process"
_SESSION = "an rlimit on each session"
_JAIL = "a control group around all sessions of a jail"


def held_by(groups: Sequence[Cgroup | None]) -> Mapping[str, str]:
    """What holds each field of `Limits` in jails with these groups; empty if there are no jails.

    Only what every one of them has counts as held by a group.
    """
    if not groups:
        return {}

    def grouped(name: str) -> bool:
        return all(group is not None and name in group.in_force for group in groups)

    memory, processes = _PROCESS, _SESSION
    if grouped("memory_bytes"):
        memory += f"; {_JAIL}" + ("" if grouped("swap_bytes") else ", swap not counted")
    if grouped("processes"):
        processes += f"; {_JAIL}, eight times as many"
    return {
        "memory_bytes": memory,
        "processes": processes,
        "disk_bytes": "the size of a session's file system in memory (tmpfs)",
        "file_bytes": _PROCESS,
        "open_files": _PROCESS,
        "cpu_seconds": _PROCESS,
        "output_bytes": "the session's supervisor, for each stream of a call",
    }
