"""Both sides of what is compared: trees, difference, and whether they merge."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ..request import PrRequest
from . import git as gits
from .difference import MOST_TEXT, difference
from .git import Git, GitFailed
from .merging import Merged, merge
from .objects import SUBMODULE, entries
from .pull import Pull, Tree
from .trees import export


@dataclass(frozen=True, slots=True)
class Compared:
    """What is compared, in a repository of ours.

    Attributes:
        tip: the commit that base is at now. base: the one that the change is measured from.
        head: the commit of the change. head_name: the same, empty where people have no such commit.
    """

    git: Git
    tip: str
    base: str
    head: str
    head_name: str
    notes: tuple[str, ...] = field(default=())


async def pull_of(compared: Compared, request: PrRequest, version: tuple[int, int]) -> Pull:
    """The trees of what is compared and their difference; its name is left to whoever knows it.

    Raises:
        InvalidInput, SandboxUnavailable: objects are missing.
    """
    try:
        return await _pull_of(compared, request, version)
    except GitFailed as failed:
        raise gits.refused(
            "The commits cannot be read, so the repository may be damaged", failed
        ) from failed


async def _pull_of(compared: Compared, request: PrRequest, version: tuple[int, int]) -> Pull:
    git = compared.git
    facts = await _facts(git, {compared.tip, compared.base, compared.head})
    head_tree = facts[compared.head].tree
    # What is listed is bounded; it comes before everything that would hold all of a tree at once.
    head_entries = await entries(git, head_tree)
    merged = await merge(git, version, compared.tip, compared.head)
    judged_merged = request.merged and merged.state == "clean"
    # What merging would change is the difference to where base is now.
    base = compared.tip if judged_merged else compared.base
    base_tree = facts[base].tree
    base_entries = await entries(git, base_tree)
    if judged_merged:
        head_tree = merged.tree
        head_entries = await entries(git, head_tree)
    changed = set(base_entries) ^ set(head_entries)
    (base_files, head_files), remarks = await export(
        git,
        [(base_tree, base_entries), (head_tree, head_entries)],
        {entry.shown for entry in changed},
        # They are compared even where they stay home.
        also={entry.name for entry in changed if entry.mode != SUBMODULE},
    )
    home = (*base_files.stayed_home, *head_files.stayed_home)
    secret = {one.path for one in home if one.why == "secret"}
    found = await difference(git, base_tree, head_tree, secret)
    notes = (*compared.notes, *_notes(request, merged), *remarks)
    if found.is_cut:
        notes = (*notes, f"Of the diff, the first {MOST_TEXT:,} characters are kept.")
    when = facts[base].when
    return Pull(
        name="",
        base=Tree(base, when, base_files.files, base_files.stayed_home),
        head=Tree(
            compared.head_name,
            facts[compared.head].when if compared.head_name else when,
            head_files.files,
            head_files.stayed_home,
        ),
        tip=compared.tip,
        merge=merged.state,
        conflicts=merged.conflicts,
        changes=found.changes,
        diff=found.text,
        notes=notes,
    )


def _notes(request: PrRequest, merged: Merged) -> tuple[str, ...]:
    if not request.merged:
        return ()
    if merged.state == "clean":
        return (
            "Head was checked as it is once merged into base, and compared with base as it is now.",
        )
    why = {
        "conflicts": "it does not merge",
        "unknown": "this git cannot merge without a work tree (2.38 and newer can)",
        "clean": "",
    }[merged.state]
    return (f"Head was checked as it is and not merged into base: {why}.",)


@dataclass(frozen=True, slots=True)
class _Commit:
    tree: str
    when: datetime


async def _facts(git: Git, commits: Collection[str]) -> dict[str, _Commit]:
    listed = await git.text(
        "log", "--no-walk", "--no-show-signature", "--format=%H %T %ct", *commits
    )
    words = (line.split(" ") for line in listed.split("\n"))
    return {
        name: _Commit(tree, datetime.fromtimestamp(int(stamp), UTC)) for name, tree, stamp in words
    }
