"""A repository in a folder of the user's: found without git, so that nothing of it is honoured on the way."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ....server.sandbox import InvalidInput
from ...run_generated_tests.prepare import folder_inside

_LONGEST = 4096
_MARKS = ("HEAD", "objects", "refs")


@dataclass(frozen=True, slots=True)
class Folder:
    """`own` has the HEAD of this work tree, `common` has objects and branches; they differ for a linked
    work tree only. `shown` is how people know it.
    """

    shown: str
    own: Path
    common: Path


def find(name: str, roots: Sequence[Path]) -> Folder:
    """The repository that a folder is of, or is in.

    Raises:
        InvalidInput: there is none that may be read.
    """
    folder = folder_inside(name, roots, "Give owner/name and pr, for GitHub")
    allowed = [root.resolve() for root in roots]
    for place in (folder, *folder.parents):
        own = _repository(place)
        if own is None:
            continue
        if not _inside(place, allowed):
            raise InvalidInput(
                f"{name!r} is part of the repository {place}, which is outside the folders that may be read: "
                f"{', '.join(map(str, allowed))}. Allow that folder by PROOFBOX_ROOTS."
            )
        common = _common(own)
        if not all(_inside(path, allowed) or _names(path, own, place) for path in (own, common)):
            raise InvalidInput(
                f"{place} says that its repository is {own}, which is outside the folders that may be read, and "
                "that one does not know this folder. Allow it by PROOFBOX_ROOTS if it is yours."
            )
        return Folder(place.name, own, common)
    raise InvalidInput(f"{name!r} is no git repository: neither it nor a folder above has .git.")


def _inside(path: Path, allowed: Sequence[Path]) -> bool:
    return any(path.resolve().is_relative_to(root) for root in allowed)


def _repository(place: Path) -> Path | None:
    """Where the repository of a work tree is, or the place itself if it is a bare one."""
    there = place / ".git"
    if there.is_dir():
        return there.resolve() if _is_repository(there) else None
    if there.is_file():
        line = _line(there)
        return (place / line[8:]).resolve() if line.startswith("gitdir: ") else None
    return place.resolve() if _is_repository(place) else None


def _is_repository(folder: Path) -> bool:
    return all((folder / mark).exists() for mark in _MARKS)


def _common(own: Path) -> Path:
    there = own / "commondir"
    return (own / _line(there)).resolve() if there.is_file() else own


def _names(path: Path, own: Path, place: Path) -> bool:
    """Whether a repository elsewhere knows the folder as its own, as a linked work tree or a submodule."""
    back = own / "gitdir"
    if back.is_file():
        is_linked = path in (own, own.parents[1])
        return is_linked and (own / _line(back)).resolve() == (place / ".git").resolve()
    config = own / "config"
    text = config.read_bytes().decode("utf-8", "replace") if config.is_file() else ""
    found = re.search(r"(?m)^\s*worktree = (.+)$", text)
    return found is not None and (own / found[1].strip()).resolve() == place.resolve()


def _line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST).decode("utf-8", "surrogateescape").rstrip("\n")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
