"""Run the tests of base and head on base and head, and tell what changed.

Base with base's tests, base with head's, head with head's, and head with those tests of base that head has no more
or has otherwise. Whatever is about to be called changed is run again first (`reruns`). Head is judged with base's
conftest files and configuration; tests that cannot begin with those are run with head's own, and said to be.
"""

import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, get_args

import anyio

from ....server.programs import Kept, OpenSandbox
from ...run_generated_tests.project import ROOT, Project
from ..beyond import reaching
from ..environment.side import Side
from ..pull.pull import Pull
from ..request import PrRequest
from .beside import Beside
from .chance import by_chance, times_by_chance
from .compiled import with_compiled
from .deciding import deciding, may_vary, sides
from .evidence import Evidence, Suspect, TestEvidence
from .ground import Ground, ground_of, narrowed
from .harness import with_own_harness
from .importing import broken_imports
from .leftover import take_leftovers
from .reruns import Again, Wanted, Where, run_again
from .runs import Told, carry_out, in_turn
from .support import of_support
from .suspects import of_files, of_harness, of_tests
from .table import Ran, Table, ordered

Tell = Callable[[str], None]
"""Called with a sentence on how far it is."""


_AT_ONCE = 2
_MOST_IMPORTS = 40


async def compare(
    pull: Pull,
    base: Side,
    head: Side,
    request: PrRequest,
    tell: Tell = lambda said: None,
    beside: Beside | None = None,
) -> Evidence:
    """What the tests say of a pull request. What goes wrong is in the result; nothing is raised for it."""
    began = time.monotonic()
    ground = await anyio.to_thread.run_sync(ground_of, pull, base, head, request)
    async with Kept(base.open_sandbox) as at_base, Kept(head.open_sandbox) as at_head:
        ground = await with_compiled(ground, base, head, at_base.open, at_head.open)
        turns = anyio.CapacityLimiter(_AT_ONCE)
        comparison = _Comparison(
            ground, in_turn(at_base.open, turns), in_turn(at_head.open, turns), tell
        )
        evidence = await comparison.evidence(beside)
    return replace(evidence, seconds=time.monotonic() - began)


class _Comparison:
    """One comparison, step by step."""

    def __init__(
        self, ground: Ground, at_base: OpenSandbox, at_head: OpenSandbox, tell: Tell
    ) -> None:
        self._ground = ground
        self._at_base = at_base
        self._at_head = at_head
        self._tell = tell
        self._ran = Ran(Told(), Told(), Told(), Told())
        self._again = Again()
        self._suspects: list[Suspect] = []

    async def evidence(self, beside: Beside | None) -> Evidence:
        """All of it."""
        await self._first(beside)
        ground, ran = self._ground, self._ran
        await take_leftovers(ground, ran, self._at_head)
        if ground.trees.own_head is not None:
            self._tell("Running tests with head's own conftest files and configuration")
            self._suspects += await with_own_harness(ground, ran, self._at_base, self._at_head)
        regressions: list[str] = []
        again: list[Table] = []

        async def decide() -> None:
            regressions.extend([*await self._rigged(), *self._nothing_left(), *self._unchecked()])
            regressions.extend(await self._imports())
            again.append(await self._reruns())

        async with anyio.create_task_group() as group:
            group.start_soon(decide)
            if beside is not None:
                group.start_soon(beside.beside, ran.head, self._at_head, ground.compiled)
        [table] = again
        tests = ordered(table.every())
        return Evidence(
            tests=tests,
            counts=Counter(test.kind for test in tests),
            selected=ground.selection.said,
            partial=ground.selection.partial,
            suspects=tuple(self._all_suspects(tests)),
            problems=tuple(self._problems()),
            regressions=tuple(regressions),
            commands=dict(self._commands()),
            behaviours={
                "base": tuple(self._ran.base.behaviours),
                "head": tuple(self._ran.head.behaviours),
            },
        )

    async def _first(self, beside: Beside | None) -> None:
        """Every tree once, base's and head's code at the same time."""
        trees, selection = self._ground.trees, self._ground.selection
        looking: Mapping[str, Mapping[str, Any]] = {}
        if beside is not None and trees.own_head is None:
            looking = await beside.looking()

        async def base() -> None:
            self._ran.base = await self._run(trees.base, selection.base, self._at_base)
            files = selection.changed_head
            self._ran.base_with_head = await self._run(
                trees.base_with_head, files, self._at_base, but=selection.same
            )

        async def head() -> None:
            self._ran.head = await self._run_head(looking)
            files = selection.changed_base
            self._ran.head_with_base = await self._run(
                trees.head_with_base, files, self._at_head, but=selection.same
            )

        self._tell(f"Running tests at base and at head: {selection.said}")
        async with anyio.create_task_group() as group:
            group.start_soon(base)
            group.start_soon(head)

    async def _run_head(
        self, looking: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    ) -> Told:
        """Head with its own tests; old tests once more without the new ones, which might have let them pass."""
        project, files = self._ground.trees.head, self._ground.selection.head
        told = await self._run(project, files, self._at_head, looking=looking)
        if old := self._old():
            apart, theirs = await self._run(project, old, self._at_head), set(old)
            told.doubt(apart, [name for name in told.ids if name.partition("::")[0] in theirs])
        return told

    def _old(self) -> tuple[str, ...]:
        """Head's test files that are as they were, if what the others do may decide what they come to."""
        parts = tuple(self._ground.apart(self._ground.selection.head))
        return parts[0] if len(parts) > 1 else ()

    async def _run(
        self,
        project: Project,
        tests: Sequence[str],
        opened: OpenSandbox,
        *,
        but: frozenset[str] = frozenset(),
        looking: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> Told:
        plan = self._ground.plan(project)
        plan = replace(
            plan,
            but=but,
            guests={**plan.guests, **looking},
            modules={**plan.modules, **reaching.modules()},
        )
        return await carry_out(narrowed(project, tests), plan, opened)

    async def _rigged(self) -> list[str]:
        """Whether head's outcomes cannot be believed where base's can; seen twice, it is the change's doing."""
        head = self._ran.head
        if not head.rigged:
            return []
        if self._ran.base.rigged:
            head.problems += head.rigged
            return []
        if not head.whole:
            again = await self._run_head()
            if not again.rigged:
                self._ran.head = again
                again.problems += [f"Once, and not again: {said}" for said in head.rigged]
                return []
            head.lose(list(head.results), head.rigged[0])
        self._suspects.append(self._hiding(head.rigged[0]))
        return [f"The outcomes of tests at head cannot be believed: {head.rigged[0]}"]

    def _hiding(self, said: str) -> Suspect:
        pull = self._ground.pull
        named = said.partition("::")[0]
        changed = [one.path for one in pull.changes if one.kind != "deleted"]
        tests = [path for path in changed if self._ground.head.is_test_side(path)]
        path = named if named in changed else next(iter([*tests, *changed]), "")
        return Suspect("hides_failures", path, 0, said)

    def _nothing_left(self) -> Iterator[str]:
        base, head = self._ran.base, self._ran.head
        has_code = any(path.endswith(".py") for path in self._ground.head.files)
        if base.items and not head.items and head.whole and has_code:
            yield f"Nothing is collected at head any more; at base {len(base.items)} tests are."

    def _unchecked(self) -> Iterator[str]:
        fresh = sorted(self._ran.head.replaced - self._ran.base.replaced)
        if fresh:
            more = f" and {len(fresh) - 1} more" if len(fresh) > 1 else ""
            yield f"Head puts something else in the place of {fresh[0]}{more}, which tests check with; base does not."

    async def _imports(self) -> list[str]:
        """Changed modules that cannot be imported at head, where they could at base; new ones that are no Python."""
        ground = self._ground
        trees = ground.trees
        names = [
            name
            for name in ground.watched(trees.head)
            if name not in self._ran.head.imported and not name.endswith("__main__")
        ][:_MOST_IMPORTS]
        if not names or not ground.has_changed_sources:
            return []
        env = ground.plan(trees.head).env
        broken = await broken_imports(trees.head, names, env, self._at_head)
        if not broken:
            return []
        there = {module.name for module in trees.base.sources}
        garbled = [name for name in broken if name not in there and "SyntaxError:" in broken[name]]
        names = [name for name in broken if name in there]
        before = await broken_imports(trees.base, names, env, self._at_base) if names else {}
        known = names if before is None else before
        return [
            f"{name} cannot be imported at head: {broken[name]}."
            for name in (*names, *garbled)
            if name not in known
        ]

    async def _reruns(self) -> Table:
        table = Table(self._ground, self._ran)
        times = self._ground.request.reruns
        if times < 1:
            return table
        tests = [table.test(name) for name in table.names]
        chancy = by_chance(self._ground, self._ran.head, table.names)
        often = times_by_chance(self._ran.head, chancy, times)
        wanted_times = {
            test.id: times if test.id in chancy else max(1, times - 1)
            for test in tests
            if deciding(test)
        } | {test.id: often for test in tests if may_vary(test) and test.id in chancy and often}
        if wanted_times:
            self._tell(f"Running again, on both sides: {len(wanted_times)} of {len(tests)} tests")
        again = [test for test in tests if test.id in wanted_times]
        wanted = [
            one
            for where in get_args(Where)
            for one in self._wanted(table, where, again, wanted_times)
        ]
        await run_again(self._ground, wanted, self._at_base, self._at_head, self._again)
        table.with_reruns(self._again)
        return table

    def _wanted(
        self, table: Table, where: Where, tests: Sequence[TestEvidence], times: Mapping[str, int]
    ) -> Iterator[Wanted]:
        """What is to be run again in one tree, with base's conftest files or head's own."""
        told, trees = self._ran.of(where), self._ground.trees
        own, with_own = {
            "head": (trees.own_head, self._ran.own),
            "base_with_head": (trees.own_base_with_head, self._ran.own_at_base),
        }.get(where, (None, frozenset[str]()))
        common: Project = getattr(trees, where)
        for project, mine in ((common, False), (own, True)):
            ids = {
                name: times[test.id]
                for test in tests
                if where in sides(test)
                and told.outcome(name := table.id_at(where, test.id))
                and (own is not None and test.id in with_own) is mine
            }
            if ids and project is not None:
                for some in self._ground.apart(ids) if where == "head" else (tuple(ids),):
                    yield Wanted(where, project, {name: ids[name] for name in some}, told)

    def _all_suspects(self, tests: Sequence[TestEvidence]) -> Iterator[Suspect]:
        found = [
            *self._suspects,
            *of_harness(self._ground, self._ran.own),
            *of_files(self._ground.pull),
            *of_support(self._ground),
            *of_tests(self._ground, tests),
        ]
        yield from dict.fromkeys(found)

    def _problems(self) -> Iterator[str]:
        sides = {
            "base": self._ran.base,
            "base with head's tests": self._ran.base_with_head,
            "head": self._ran.head,
            "head with base's tests": self._ran.head_with_base,
        }
        for name, told in sides.items():
            for said in dict.fromkeys(told.problems):
                yield f"Running {name}: {said}"
        if self._ran.base.rigged:
            yield f"At base outcomes of tests cannot be believed: {self._ran.base.rigged[0]}"
        yield from self._replaced()

    def _replaced(self) -> Iterator[str]:
        """Modules of which head's tests have another copy than base's had, though that is still there."""
        before = self._ran.base.imported
        for name, place in self._ran.head.imported.items():
            old, new = (each.removeprefix(f"{ROOT}/") for each in (before.get(name, place), place))
            if old != new and (old in self._ground.head.files or old.startswith("/")):
                yield f"Tests at head import {name} from {new} and not from {old}, as those of base do."

    def _commands(self) -> Iterator[tuple[str, str]]:
        trees, selection = self._ground.trees, self._ground.selection
        for name, project, tests in (
            ("base", trees.base, selection.base),
            ("base with head's tests", trees.base_with_head, selection.changed_head),
            ("head", trees.head, selection.head),
            ("head without tests of the pull request", trees.head, self._old()),
            ("head with base's tests", trees.head_with_base, selection.changed_base),
        ):
            if tests:
                yield name, _command(project, tests)


def _command(project: Project, tests: Sequence[str]) -> str:
    config = ["-c", project.config] if project.config else ["-c", "/dev/null"]
    words = ["python", "-m", "pytest", *config, "--rootdir=.", "-o", "addopts=", *project.arguments]
    return f"PYTHONPATH={':'.join(root or '.' for root in project.roots)} {shlex.join([*words, *tests])}"
