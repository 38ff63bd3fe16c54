"""What a comparison stands on: both sides as they are, the trees to run, the tests that were chosen."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ...run_generated_tests.compiling import Compiled
from ...run_generated_tests.project import ROOT, Project
from ...run_generated_tests.running import Plan
from ..beyond import behaviour
from ..environment.side import Side
from ..pull.pull import Pull
from ..request import PrRequest
from .meddling import meddles
from .pieces import Sheets
from .selection import Selection, choose, renamed
from .trees import Trees, View, trees_of, view_of

_MOST_WATCHED = 60


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything that is known before anything runs. `moved` has the new place of moved files by the old;
    `sheets` has test files in their pieces, `compiled` those of both sides as they are sent; `meddling`: whether
    changed tests may do what outlives them.
    """

    pull: Pull
    request: PrRequest
    base: View
    head: View
    trees: Trees
    selection: Selection
    moved: Mapping[str, str]
    sheets: Sheets
    compiled: Compiled = field(default_factory=Compiled)
    meddling: bool = False

    def at_head(self, name: str) -> str:
        """The id at head of a test of base."""
        return _moved(name, self.moved)

    def at_base(self, name: str) -> str:
        """The id at base of a test of head."""
        return _moved(name, {new: old for old, new in self.moved.items()})

    @property
    def changed(self) -> set[str]:
        """Changed paths, of both sides."""
        return {path for one in self.pull.changes for path in (one.path, one.old_path) if path}

    @property
    def has_changed_sources(self) -> bool:
        """Whether modules that are no tests are changed."""
        sources = {module.path for view in (self.base, self.head) for module in view.sources}
        return bool(sources & self.changed)

    def apart(self, names: Iterable[str]) -> Iterator[tuple[str, ...]]:
        """Test files of head, or tests: those whose file is as it was, then the others, where what these do to their
        process could decide what the old ones come to; all together where not.
        """
        changed = set(self.selection.changed_head) if self.meddling else set[str]()
        parts: tuple[list[str], list[str]] = ([], [])
        for name in names:
            parts[name.partition("::")[0] in changed].append(name)
        yield from (tuple(part) for part in parts if part)

    def plan(self, project: Project) -> Plan:
        """How every run of a tree begins."""
        return Plan(
            env={"PYTHONPATH": search_path(project), **self.request.env},
            seconds=self.request.seconds,
            test_seconds=self.request.test_seconds,
            guests={"origin": {"names": self._traced(project)}, **behaviour.GUESTS},
            modules=behaviour.modules(),
            compiled=self.compiled,
        )

    def _traced(self, project: Project) -> list[str]:
        """Also modules that are new at head: what goes by their names at base may be another's."""
        there = {module.name for module in self.base.sources}
        new = (module.name for module in self.head.sources if module.name not in there)
        fresh = [name for name in new if "." not in name][:_MOST_WATCHED]
        return list(dict.fromkeys((*self.watched(project), *fresh)))

    def watched(self, project: Project) -> list[str]:
        """Modules that must come from the tree: those that are changed, and the packages at the top."""
        changed = self.changed
        names = [module.name for module in project.sources if module.path in changed]
        names += [module.name for module in project.sources if "." not in module.name]
        return list(dict.fromkeys(name for name in names if name))[:_MOST_WATCHED]


def _moved(name: str, places: Mapping[str, str]) -> str:
    file, colons, rest = name.partition("::")
    return f"{places.get(file, file)}{colons}{rest}"


def ground_of(pull: Pull, base: Side, head: Side, request: PrRequest) -> Ground:
    """Read both sides. Takes seconds for a large tree; runs nothing of it."""
    at_base, at_head = view_of(base), view_of(head)
    sheets = Sheets()
    return Ground(
        pull=pull,
        request=request,
        base=at_base,
        head=at_head,
        trees=trees_of(pull, at_base, at_head),
        selection=choose(pull, at_base, at_head, request, sheets),
        moved=renamed(pull),
        sheets=sheets,
        meddling=meddles(pull, at_head),
    )


def search_path(project: Project) -> str:
    """For processes that tests start."""
    return ":".join(f"{ROOT}/{root}".rstrip("/") for root in project.roots)


def narrowed(project: Project, tests: Iterable[str]) -> Project:
    """The project with these test files alone."""
    wanted = set(tests)
    return replace(project, tests=tuple(path for path in project.tests if path in wanted))
