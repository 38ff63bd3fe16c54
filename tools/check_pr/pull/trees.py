"""The trees of both sides: read out of git, never checked out. What may not go into a sandbox stays home."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import anyio.to_thread

from ...run_generated_tests import confidential
from ...run_generated_tests.project import Kept
from ...run_generated_tests.uploads import FILE_BYTES, FIRST
from .git import Git
from .links import Links
from .objects import LINK, SUBMODULE, Entry, bring, contents, sizes

MOST_FILES = 10_000
TOTAL_BYTES = 64 * 1024**2
"""More than is sent of a folder that somebody names: here it is all of a repository, before it is known
which of its projects the change concerns.
"""

_LONGEST_LINK = 4096
_POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(slots=True)
class _Listing:
    """One tree as git lists it. `blobs` and `links` are by path; `kept` by path too."""

    blobs: dict[str, str] = field(default_factory=dict[str, str])
    links: dict[str, str] = field(default_factory=dict[str, str])
    kept: dict[str, Kept] = field(default_factory=dict[str, Kept])

    def keep(self, path: str, why: str, detail: str) -> None:
        """Leave a file at home, and all that would be a copy of it."""
        self.blobs.pop(path, None)
        self.kept[path] = Kept(path, why, detail)


@dataclass(frozen=True, slots=True)
class Exported:
    """The files of one tree, by path, and those that stayed home."""

    files: Mapping[str, bytes]
    stayed_home: tuple[Kept, ...]


async def export(
    git: Git,
    trees: Sequence[tuple[str, Sequence[Entry]]],
    changed: Collection[str],
    *,
    also: Collection[str] = (),
) -> tuple[list[Exported], list[str]]:
    """Trees, given with what is in them, as they may go into a sandbox, and remarks.

    A file that stays home on one side does so on all, so that it alone makes no difference between them.
    Where not all files can go, changed ones come first. `also` are names of blobs that have to be here
    afterwards in any case.

    Raises:
        InvalidInput, SandboxUnavailable: something is missing in a partial clone.
    """
    listings = [_listing(listed) for _, listed in trees]
    wanted = {name for one in listings for name in (*one.blobs.values(), *one.links.values())}
    await bring(git, [tree for tree, _ in trees], {*wanted, *also})
    for one in listings:
        await _follow_links(git, one)
        _leave_impossible(one)
    every = await sizes(git, wanted)
    _leave_large(listings, every, changed)
    found = await contents(git, (name for one in listings for name in one.blobs.values()))
    # Some seconds for a large repository, in which others are to be served.
    await anyio.to_thread.run_sync(_leave_by_content, listings, found)
    exported = [
        Exported(
            {path: found[name] for path, name in sorted(one.blobs.items())},
            tuple(one.kept[path] for path in sorted(one.kept)),
        )
        for one in listings
    ]
    return exported, _remarks(exported)


def _listing(listed: Sequence[Entry]) -> _Listing:
    found = _Listing()
    for entry in listed:
        path = entry.shown
        if problem := _problem(entry.path):
            found.keep(path, "kind", problem)
        elif entry.mode == SUBMODULE:
            found.keep(path, "kind", f"It is a submodule, at commit {entry.name[:12]}.")
        elif confidential.by_name(path):
            found.keep(path, "secret", "It is called as files with secrets are.")
        elif entry.mode == LINK:
            found.links[path] = entry.name
        else:
            found.blobs[path] = entry.name
    return found


def _problem(path: bytes) -> str:
    """Why a path cannot be one in a sandbox; empty if it can. git checks names only when it checks out."""
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return "Its name is no UTF-8."
    if not text.isprintable():
        return "Its name has signs that cannot be shown."
    if any(part.lower() in {"", ".", "..", ".git"} for part in text.split("/")):
        return "No file can be called so."
    return ""


async def _follow_links(git: Git, listing: _Listing) -> None:
    lengths = await sizes(git, listing.links.values())
    short = {path: name for path, name in listing.links.items() if lengths[name] <= _LONGEST_LINK}
    read = await contents(git, short.values())
    targets = {path: read[name].decode("utf-8", "replace") for path, name in short.items()}
    links = Links(targets, listing.blobs.keys(), MOST_FILES)
    for path, why in links.refused.items():
        listing.keep(path, "link", why)
    for path in listing.links.keys() - short.keys():
        listing.keep(path, "link", "Its target is too long.")
    listing.blobs |= {
        path: listing.blobs[source]
        for path, source in links.copies.items()
        if not confidential.by_name(path)
    }


def _leave_impossible(listing: _Listing) -> None:
    """Files that other files are in: trees can be written so, and no checkout would give them."""
    folders = {path[:at] for path in listing.blobs for at, sign in enumerate(path) if sign == "/"}
    for path in listing.blobs.keys() & folders:
        listing.keep(path, "kind", "There is a folder of the same name.")


def _leave_large(
    listings: Sequence[_Listing], every: Mapping[str, int], changed: Collection[str]
) -> None:
    """Leave at home what is too large, and what is too much in all."""
    largest: dict[str, int] = defaultdict(int)
    for one in listings:
        for path, name in one.blobs.items():
            largest[path] = max(largest[path], every[name])
    total = count = 0
    for path in sorted(
        largest, key=lambda path: (path not in changed, not path.endswith(FIRST), path)
    ):
        size = largest[path]
        if size > FILE_BYTES:
            why = f"It has {size:,} bytes; at most {FILE_BYTES:,} are sent."
        elif total + size > TOTAL_BYTES or count >= MOST_FILES:
            why = "The repository is larger than what is sent."
        else:
            total, count = total + size, count + 1
            continue
        _leave(listings, path, "size", why)


def _leave_by_content(listings: Sequence[_Listing], found: Mapping[str, bytes]) -> None:
    judged = {name: _judged(content) for name, content in found.items()}
    for one in listings:
        for path, name in list(one.blobs.items()):
            why, detail = judged[name]
            if why:
                _leave(listings, path, why, detail)


def _judged(content: bytes) -> tuple[str, str]:
    if content.startswith(_POINTER):
        return "kind", "It is a pointer of Git LFS; the file itself is not in the repository."
    if secret := confidential.by_content(content):
        return "secret", f"It holds {secret}."
    return "", ""


def _leave(listings: Sequence[_Listing], path: str, why: str, detail: str) -> None:
    for one in listings:
        if path in one.blobs:
            one.keep(path, why, detail)


def _remarks(exported: Sequence[Exported]) -> list[str]:
    """Paths that are one file where case does not count."""
    by_lower: dict[str, set[str]] = defaultdict(set)
    for one in exported:
        for path in one.files:
            by_lower[path.lower()].add(path)
    clashes = [
        " and ".join(sorted(paths))
        for paths in by_lower.values()
        if len(paths) > 1 and any(len(paths & one.files.keys()) > 1 for one in exported)
    ]
    if not clashes:
        return []
    shown = "; ".join(sorted(clashes)[:3])
    return [f"Paths that differ in case alone, and are one file on some systems: {shown}."]
