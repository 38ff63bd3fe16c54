"""A repository of the user's on this machine: its objects are borrowed, and nothing is written to it."""

import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from ....server.sandbox import InvalidInput
from . import git as gits
from .folders import Folder
from .git import Git, GitFailed

_PSEUDO = ("refs/replace/", "refs/bisect/")


@asynccontextmanager
async def borrowed(folder: Folder, roots: Sequence[Path]) -> AsyncGenerator[Git]:
    """A repository of ours with the commits and names of commits of theirs, without its configuration,
    hooks, attributes, replacements and grafts.

    Raises:
        InvalidInput: theirs cannot be read.
    """
    _check(folder, roots)
    # With both named, git looks for nothing, so that it does not matter who owns the files.
    theirs = Git(folder.own)
    try:
        object_format, head = await _format_and_head(theirs)
        listed = await theirs.text("for-each-ref", "--format=%(objectname) %(refname)")
    except GitFailed as failed:
        raise gits.refused(f"The repository {folder.shown} cannot be read", failed) from failed
    async with gits.scratch(object_format) as ours:
        _lend(folder, ours)
        _name(ours, listed, head)
        yield ours


def _check(folder: Folder, roots: Sequence[Path]) -> None:
    """Objects and names are where the repository is, not behind a link to another one."""
    allowed = [root.resolve() for root in roots]
    for part in ("objects", "refs"):
        real = (folder.common / part).resolve()
        near = real.is_relative_to(folder.common) or any(map(real.is_relative_to, allowed))
        if not near or "\n" in str(real):
            raise InvalidInput(
                f"{part} of the repository {folder.shown} is a link to {real}, which may not be read."
            )


async def _format_and_head(theirs: Git) -> tuple[str, str]:
    """What names of objects are made by, and the commit that HEAD is at; empty before the first one."""
    done = await theirs.finished(
        "rev-parse", "--show-object-format", "--verify", "HEAD", ok=(0, 128)
    )
    object_format, _, head = done.stdout.decode("ascii").strip().partition("\n")
    if not object_format:
        raise GitFailed(done.returncode, done.stderr.decode("utf-8", "replace"))
    return object_format, head if done.returncode == 0 else ""


def _lend(folder: Folder, ours: Git) -> None:
    objects = ours.folder / "objects" / "info"
    objects.mkdir(exist_ok=True)
    (objects / "alternates").write_bytes(bytes(folder.common / "objects") + b"\n")
    shallow = folder.common / "shallow"
    if shallow.is_file():
        shutil.copyfile(shallow, ours.folder / "shallow")


def _name(ours: Git, listed: str, head: str) -> None:
    """The names, as git packs them: one file rather than a process for each."""
    lines = [line for line in listed.split("\n") if line]
    kept = [line for line in lines if not line.partition(" ")[2].startswith(_PSEUDO)]
    text = "# pack-refs with: sorted\n" + "".join(
        f"{line}\n" for line in sorted(kept, key=lambda line: line.partition(" ")[2])
    )
    (ours.folder / "packed-refs").write_text(text, encoding="utf-8", errors="surrogateescape")
    if head:
        (ours.folder / "HEAD").write_text(f"{head}\n", encoding="ascii")


async def commit(git: Git, name: str, argument: str) -> str:
    """The full name of the commit that an argument means.

    Raises:
        InvalidInput: there is none.
    """
    found = await git.commit(name) if name and not name.startswith("-") and "\0" not in name else ""
    if found:
        return found
    if name == "HEAD":
        raise InvalidInput("The repository has no commit yet, so there is no base to compare with.")
    raise InvalidInput(
        f"{argument} {name!r} is no commit of this repository. Give a branch, a tag or the name of a commit that "
        "has been fetched."
    )


async def merge_base(git: Git, base: str, head: str) -> str:
    """The commit that the change is measured from.

    Raises:
        InvalidInput: there is none here.
    """
    done = await git.finished("merge-base", base, head, ok=range(256))
    if done.returncode == 0:
        return done.stdout.decode("ascii").split("\n")[0]
    if (git.folder / "shallow").is_file():
        raise InvalidInput(
            f"The repository is a shallow clone, and the commit that {base[:12]} and {head[:12]} have in common is "
            "not in it. Fetch the rest: git fetch --unshallow."
        )
    raise InvalidInput(
        f"{base[:12]} and {head[:12]} have no commit in common, so there is nothing to measure the change from."
    )
