"""Whether head merges into the tip of base, tried with git alone: no file is written but objects of ours."""

from dataclasses import dataclass

from ..words import Merge
from .git import MERGES, Git, GitFailed


@dataclass(frozen=True, slots=True)
class Merged:
    """`tree` is what a merge gives where it is clean; `conflicts` are the paths that do not merge."""

    state: Merge
    tree: str = ""
    conflicts: tuple[str, ...] = ()


async def merge(git: Git, version: tuple[int, int], tip: str, head: str) -> Merged:
    """Merge two commits; `unknown` where this git cannot, or they have no common ancestor."""
    if version < MERGES:
        return Merged("unknown")
    try:
        done = await git.finished(
            *("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", tip, head),
            ok=(0, 1),
        )
    except GitFailed:
        return Merged("unknown")
    tree, *names = done.stdout.split(b"\0")[:-1]
    if done.returncode == 0:
        return Merged("clean", tree.decode("ascii"))
    paths = {name.decode("utf-8", "replace") for name in names if name}
    return Merged("conflicts", conflicts=tuple(sorted(paths)))
