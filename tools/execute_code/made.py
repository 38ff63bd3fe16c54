"""The files that a call made: what the home directory holds now and did not hold before."""

from ...server.sandbox import FileInfo, Sandbox
from .._artifacts import Artifacts, Snapshot, mime_type_of
from .._request import HOME
from .report import ArtifactReport

# Deeper trees (checkouts, caches) are seldom what somebody asked for, and slow to list.
DEPTH = 4
LISTED = 20
_NOISE = frozenset({"__pycache__", "node_modules"})


async def snapshot(sandbox: Sandbox) -> Snapshot:
    """Every file in the home directory but hidden ones and caches.

    Raises:
        SandboxUnavailable: the sandbox was lost.
    """
    return {
        info.path: (info.size, info.modified)
        for info in await sandbox.list_files(HOME, depth=DEPTH)
        if _matters(info)
    }


def changed(before: Snapshot, after: Snapshot) -> list[ArtifactReport]:
    """Files that are new or different, in the order of their paths, named relative to the home."""
    return [
        ArtifactReport(name=_name(path), mime_type=mime_type_of(path), size=facts[0])
        for path, facts in sorted(after.items())
        if before.get(path) != facts
    ]


def _matters(info: FileInfo) -> bool:
    parts = info.path.removeprefix(f"{HOME}/").split("/")
    hidden = any(part.startswith(".") or part in _NOISE for part in parts)
    # A name with control characters could write lines of its own into the report.
    return info.kind == "file" and not hidden and info.path.isprintable()


def _name(path: str) -> str:
    name = path.removeprefix(f"{HOME}/")
    # A bare name that proofbox also gives to plots and outputs would be ambiguous.
    return path if Artifacts.is_reserved(name) else name
