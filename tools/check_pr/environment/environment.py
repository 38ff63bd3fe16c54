"""The environments of the two sides, and how they differ."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..words import BehaviourKind

SideName = Literal["base", "head"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Something that code tried to do in the sandbox and that not every project does.

    `what` is the address, path or command; `where` the innermost line of the project's own, as
    `path:line`, empty where there was none; `when` is `install` or the id of a test.
    """

    kind: BehaviourKind
    what: str
    where: str = ""
    when: str = "install"


@dataclass(frozen=True, slots=True)
class PackageChange:
    """A package whose version is not the same on both sides; empty where it is not installed."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Environment:
    """What one side of a project runs in.

    Attributes:
        packages: everything that is installed, pinned as `name==version`.
        python: version that it is for, like `3.12`; empty for what sandboxes have.
        built: files that building the project made and the tree has not (metadata with entry points, a
            module with the version, compiled extensions), by path relative to the project. They are laid
            over the tree.
        how: in words, how the project says it is installed and what of that was done.
        behaviours: what the build tried to do.
        problem: why nothing can run in it; `fault` says whose that is: the `project`'s (its requirements
            conflict, its build fails) or `ours` (no index, no such interpreter, no sandbox).
    """

    packages: tuple[str, ...] = ()
    python: str = ""
    built: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    how: str = ""
    behaviours: tuple[Behaviour, ...] = ()
    problem: str = ""
    fault: Literal["", "project", "ours"] = ""


@dataclass(frozen=True, slots=True)
class Environments:
    """Those of both sides.

    `conflicts` has what does not go together in words: requirements that cannot be met, and new packages
    that cannot be imported beside the others. `differences` are the packages that changed.
    """

    base: Environment
    head: Environment
    differences: tuple[PackageChange, ...] = ()
    conflicts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
