"""Which process runs a job, and whether it still lives."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, as others can recognise it.

    Attributes:
        place: where its number means something; empty if this system does not say.
        born: when it was started, in the kernel's own count: numbers are used again.
    """

    place: str
    pid: int
    born: str


def this_process() -> Owner:
    """The process that asks."""
    return Owner(_place(), os.getpid(), _born(os.getpid()))


def is_gone(owner: Owner) -> bool | None:
    """Whether the process has ended; None if that cannot be seen from here."""
    if not owner.place or owner.place != _place():
        return None
    return _born(owner.pid) != owner.born


def _place() -> str:
    # A process number means something only in one boot and one process namespace: containers that
    # share the user's folder must not judge each other's processes.
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _born(pid: int) -> str:
    """The start time of a process; empty where there is none, or only what is left of one."""
    try:
        # The name, in parentheses, may hold anything.
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
    except OSError:
        return ""
    fields = text.split()
    return "" if len(fields) < 20 or fields[0] in "ZX" else fields[19]
