"""A pull request as it is judged, wherever it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, Self

from ...run_generated_tests.project import Kept
from ..words import Merge

ChangeKind = Literal["added", "modified", "deleted", "renamed"]


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of one commit, as far as they may go into a sandbox. Paths are relative, with `/`.

    Attributes:
        commit: its full name; empty where there is none (a diff that was applied).
        when: the commit's date.
        files: regular files; symbolic links inside the tree are there as copies of what they name.
        stayed_home: files that are not: secrets, links that leave the tree, submodules, pointers to large
            files, what is too large.
    """

    commit: str
    when: datetime
    files: Mapping[str, bytes]
    stayed_home: tuple[Kept, ...] = ()

    def below(self, folder: str) -> Self:
        """The tree of a folder, "" for all of it; paths are relative to the folder."""
        if not folder:
            return self
        start = f"{folder}/"
        files = {
            path.removeprefix(start): content
            for path, content in self.files.items()
            if path.startswith(start)
        }
        kept = tuple(
            replace(one, path=one.path.removeprefix(start))
            for one in self.stayed_home
            if one.path.startswith(start)
        )
        return replace(self, files=files, stayed_home=kept)


@dataclass(frozen=True, slots=True)
class Change:
    """A file that the pull request changes.

    Attributes:
        path: at head; at base if it was deleted.
        old_path: at base; empty if it was added.
        added: numbers of lines at head that base has not, from 1.
        removed: numbers of lines at base that head has not.
        binary: no text; then there are no lines.
    """

    path: str
    old_path: str
    kind: ChangeKind
    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    binary: bool = False


@dataclass(frozen=True, slots=True)
class Pull:
    """Two trees and their difference.

    Attributes:
        name: for people: `owner/name#12`, `main...feature`, `main with a diff`.
        base: the merge base, which the change is measured from (three-dot difference).
        head: the pull request's own tree, or merged with base's tip where that was asked for.
        tip: the commit that base points at now; equal to `base.commit` if base has not moved on.
        merge: whether head merges into the tip; `conflicts` names the files that do not.
        changes: every changed file, sorted by path.
        diff: as unified text, without binary content.
        repository, number, title: of GitHub; empty and 0 elsewhere.
        notes: remarks for whoever reads the report.
    """

    name: str
    base: Tree
    head: Tree
    tip: str = ""
    merge: Merge = "unknown"
    conflicts: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    diff: str = ""
    repository: str = ""
    number: int = 0
    title: str = ""
    notes: tuple[str, ...] = field(default=())

    def below(self, folder: str) -> Self:
        """What it changes in a folder, paths relative to it; a file that was moved in or out was added or
        deleted.
        """
        if not folder:
            return self
        below = (_below(change, f"{folder}/") for change in self.changes)
        return replace(
            self,
            base=self.base.below(folder),
            head=self.head.below(folder),
            changes=tuple(change for change in below if change is not None),
        )


def _below(change: Change, start: str) -> Change | None:
    """The change as it looks inside a folder; None if it does not reach there."""
    path = change.path.removeprefix(start) if change.path.startswith(start) else ""
    old = change.old_path.removeprefix(start) if change.old_path.startswith(start) else ""
    if path and (old or not change.old_path):
        return replace(change, path=path, old_path=old)
    if path:
        return replace(change, path=path, old_path="", kind="added")
    if old:
        return replace(change, path=old, old_path=old, kind="deleted", added=())
    return None
