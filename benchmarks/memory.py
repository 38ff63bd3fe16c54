"""Memory of everything that this process started."""

import os
from pathlib import Path


def private_bytes(root: int | None = None) -> int:
    """Bytes that only one process has, added up over all descendants of a process, by default this one.

    Source: Private_Clean and Private_Dirty of /proc/<pid>/smaps_rollup (Linux 4.14). Needs to be root, as
    the keepers of sessions do not let their user look at them.
    """
    return sum(own_bytes(pid) for pid in descendants(root or os.getpid()))


def descendants(root: int) -> list[int]:
    """The processes below one."""
    parents = {
        int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdigit()
    }
    found: list[int] = []
    newest = {root}
    while newest:
        newest = {pid for pid, parent in parents.items() if parent in newest}
        found += newest
    return found


def _parent(path: Path) -> int:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def own_bytes(pid: int) -> int:
    """Bytes that only this process has; 0 if there is none such."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
