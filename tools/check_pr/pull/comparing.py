"""Both sides of what is compared: trees, difference, and whether they merge."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from ..request import PrRequest
from . import git as gits
from .difference import MOST_TEXT, difference, rows
from .git import Git, GitFailed
from .merging import Merged, merge
from .objects import bring
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
    merged = await merge(git, version, compared.tip, compared.head)
    judged_merged = request.merged and merged.state == "clean"
    # What merging would change is the difference to where base is now.
    base = compared.tip if judged_merged else compared.base
    head_tree = merged.tree if judged_merged else await _tree(git, compared.head)
    base_tree = await _tree(git, base)
    listed = await rows(git, base_tree, head_tree, renames=False)
    changed = {path for row in listed for path in (row.old_path, row.path)}
    blobs = {name for row in listed for name in row.names if set(name) != {"0"}}
    (base_files, head_files), remarks = await export(git, (base_tree, head_tree), changed)
    await bring(git, (base_tree, head_tree), blobs)
    home = (*base_files.stayed_home, *head_files.stayed_home)
    secret = {one.path for one in home if one.why == "secret"}
    found = await difference(git, base_tree, head_tree, secret)
    notes = (*compared.notes, *_notes(request, merged), *remarks)
    if found.is_cut:
        notes = (*notes, f"Of the diff, the first {MOST_TEXT:,} characters are kept.")
    when, head_when = await _when(git, base), await _when(git, compared.head)
    return Pull(
        name="",
        base=Tree(base, when, base_files.files, base_files.stayed_home),
        head=Tree(
            compared.head_name,
            head_when if compared.head_name else when,
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


async def _tree(git: Git, commit: str) -> str:
    return await git.text("rev-parse", "--verify", f"{commit}^{{tree}}")


async def _when(git: Git, commit: str) -> datetime:
    stamp = await git.text("show", "-s", "--no-show-signature", "--format=%ct", commit)
    return datetime.fromtimestamp(int(stamp), UTC)
