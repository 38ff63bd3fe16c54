"""One tree's tests run to the end, whatever single tests do to the process, and what may be believed of it."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio

from ....server.programs import OpenSandbox
from ....server.sandbox import Program, ProgramResult, ProgramRunner
from ...run_generated_tests.events import Item, Raised, Record, TestResult, TestRun
from ...run_generated_tests.outcome import Outcome
from ...run_generated_tests.project import ROOT, Project
from ...run_generated_tests.running import Plan, run_mixed
from ..beyond import reaching
from ..beyond.behaviour import behaviours_of, replaced_in
from ..environment.environment import Behaviour
from .kinds import GOOD

_MOST_CULPRITS = 12
_KILLED = -9
_LANES = 2
_CHECKED = {"AssertionError", "Failed"}


@dataclass(slots=True)
class Told:
    """What the tests of one tree came to, over as many processes as it took.

    Attributes:
        results: by id. `unknown` has the ids of which nothing is known, and why.
        not_collected: files that could not be imported, with the exception; `ended_in` those whose
            import ended the process; `left_out` those that asked to be skipped.
        endings: tests that ended their process, and how.
        problems: what failed through no fault of the tests.
        rigged: what shows that outcomes cannot be believed.
        imported: modules under test that the tests imported, and the file or folder that each came from.
        behaviours: what the tests tried that not every test does.
        replaced: what tests check with, by name, that was put out of its place.
        reached: which changed lines they ran, where that was looked at.
        whole: whether every test that there is has an outcome, or is known to have none.
        seconds: of all processes.
    """

    items: dict[str, Item] = field(default_factory=dict[str, Item])
    results: dict[str, TestResult] = field(default_factory=dict[str, TestResult])
    unknown: dict[str, str] = field(default_factory=dict[str, str])
    not_collected: dict[str, Raised] = field(default_factory=dict[str, Raised])
    ended_in: dict[str, Raised] = field(default_factory=dict[str, Raised])
    left_out: dict[str, str] = field(default_factory=dict[str, str])
    deselected: set[str] = field(default_factory=set[str])
    endings: dict[str, str] = field(default_factory=dict[str, str])
    problems: list[str] = field(default_factory=list[str])
    rigged: list[str] = field(default_factory=list[str])
    imported: dict[str, str] = field(default_factory=dict[str, str])
    behaviours: list[Behaviour] = field(default_factory=list[Behaviour])
    replaced: set[str] = field(default_factory=set[str])
    reached: list[Record] = field(default_factory=list[Record])
    seconds: float = 0.0
    whole: bool = True

    def outcome(self, name: str) -> Outcome | None:
        """What became of a test; None where it was not there, or nothing is known."""
        if name in self.unknown:
            return None
        if name in self.results:
            return _outcome(self.results[name])
        file = name.partition("::")[0]
        if file in self.ended_in:
            return "ended"
        if file in self.not_collected:
            return "error"
        return "skipped" if file in self.left_out or name in self.deselected else None

    def raised(self, name: str) -> Raised | None:
        """The exception that counts against a test, of its file where that could not be imported."""
        if name in self.results:
            return self.results[name].error
        file = name.partition("::")[0]
        return self.ended_in.get(file) or self.not_collected.get(file)

    def why(self, name: str) -> str:
        """Why a test was skipped, or expected to fail."""
        if name in self.results:
            return self.results[name].reason
        return self.left_out.get(name.partition("::")[0], "")

    @property
    def ids(self) -> set[str]:
        """Every test that was found, also what was taken out again."""
        return {*self.items, *self.unknown, *self.deselected}

    @property
    def silent(self) -> set[str]:
        """Files of whose tests nothing was found."""
        files = {*self.not_collected, *self.ended_in, *self.left_out}
        return files - {name.partition("::")[0] for name in self.ids}

    def add(self, other: "Told") -> None:
        """What other tests of the same tree came to."""
        self.items |= other.items
        self.results |= other.results
        self.unknown |= other.unknown
        self.not_collected |= other.not_collected
        self.ended_in |= other.ended_in
        self.left_out |= other.left_out
        self.deselected |= other.deselected
        self.endings |= other.endings
        self.imported |= other.imported
        self.problems += other.problems
        self.rigged += other.rigged
        self.behaviours += other.behaviours
        self.replaced |= other.replaced
        self.reached += other.reached
        self.seconds += other.seconds
        self.whole = self.whole and other.whole

    def doubt(self, apart: "Told", names: Iterable[str]) -> None:
        """Take the outcomes of these tests apart from others, where only those others let them pass."""
        for name in names:
            if self.outcome(name) not in GOOD or apart.outcome(name) in GOOD:
                continue
            if name in apart.results:
                self.results[name] = apart.results[name]
            else:
                self.lose([name], "It passes beside the tests of the pull request alone")
        self.problems += apart.problems
        self.rigged += apart.rigged
        self.seconds += apart.seconds
        self.whole = self.whole and apart.whole

    def lose(self, names: Iterable[str], why: str) -> None:
        """Of these tests nothing is known."""
        for name in names:
            self.unknown[name] = why
            self.results.pop(name, None)


def _outcome(result: TestResult) -> Outcome:
    """What became of a test. What it checks in its fixtures is a check like others: the test itself failed."""
    checked = result.error is not None and result.error.type in _CHECKED
    return "failed" if result.outcome == "error" and checked else result.outcome


def in_turn(open_sandbox: OpenSandbox, turns: anyio.CapacityLimiter) -> OpenSandbox:
    """Sandboxes of which no more programs run at one time than `turns` allows, whoever else has some of them."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[ProgramRunner]:
        async with open_sandbox() as sandbox:
            yield _InTurn(sandbox, turns)

    return opened


@dataclass(frozen=True, slots=True)
class _InTurn:
    sandbox: ProgramRunner
    turns: anyio.CapacityLimiter

    async def run_program(self, program: Program) -> ProgramResult:
        async with self.turns:
            return await self.sandbox.run_program(program)


async def carry_out(project: Project, plan: Plan, open_sandbox: OpenSandbox) -> Told:
    """Run tests; again without those that end the process or hang, for what they kept from running."""
    told = Told()
    for _ in range(_MOST_CULPRITS):
        if not project.tests or plan.ids == ():
            return told
        [run] = await run_mixed([(project, plan)], open_sandbox, lanes=_LANES)
        rest = _take(told, run, project)
        if rest is None:
            return told
        project, plan = rest, _rest_of(plan, told, run)
    told.lose(_left(told), "Too many tests before it ended the process of the tests")
    told.whole = False
    return told


async def carry_out_all(
    wanted: Sequence[tuple[Project, Plan]], open_sandbox: OpenSandbox
) -> list[Told]:
    """Run each once, as far as it goes; in their order."""
    found: list[Told] = []
    runs = await run_mixed(wanted, open_sandbox, lanes=_LANES)
    for (project, _), run in zip(wanted, runs, strict=True):
        told = Told()
        _take(told, run, project)
        told.lose(_left(told), "The run was over before it")
        found.append(told)
    return found


def _rest_of(plan: Plan, told: Told, run: TestRun) -> Plan:
    """Those that were not run yet; everything that is left if nothing was collected."""
    return replace(plan, ids=tuple(_left(told))) if run.tests else plan


def _left(told: Told) -> list[str]:
    return [name for name, one in told.results.items() if one.outcome == "not_run"]


def _take(told: Told, run: TestRun, project: Project) -> Project | None:
    """Add a run. The project for the rest, None if there is none."""
    told.seconds += run.seconds
    told.imported |= {r["name"]: r["files"][0] for r in run.guests.get("origin", ())}
    told.behaviours += behaviours_of(run)
    told.replaced |= replaced_in(run)
    told.reached += run.guests.get(reaching.NAME, ())
    told.items |= {item.id: item for item in run.items}
    told.not_collected |= run.not_collected
    told.left_out |= run.left_out
    told.deselected |= set(run.deselected)
    told.results |= run.tests
    if elsewhere := _strangers(run, project):
        told.problems += elsewhere
        told.whole = False
        told.lose(list(told.results), elsewhere[0])
        return None
    if run.complete:
        return None
    said = _doubted(told, run)
    if not said:
        return None
    if run.lost or not run.how or run.how == "too_much":
        return _stop(told, run, said, told.problems)
    if run.how == "timed_out" or run.status == _KILLED and run.how == "ended":
        said = [f"{each}{_where(run)}{_memory(run)}" for each in said[:1]]
        return _stop(told, run, said, told.problems)
    if not run.culprit or run.how == "broken":
        return _stop(told, run, said, told.rigged)
    if run.culprit in run.tests:
        told.endings[run.culprit] = said[0]
        return project if _left(told) else None
    told.ended_in[run.culprit] = Raised("", said[0])
    left = tuple(path for path in project.tests if path != run.culprit)
    return replace(project, tests=left) if left else None


def _stop(told: Told, run: TestRun, said: Sequence[str], where: list[str]) -> None:
    """Nothing more is known of this tree than what was run before."""
    where += said
    told.whole = False
    running = {run.culprit} & set(told.results)
    told.lose([*_left(told), *running], said[0])


def _doubted(told: Told, run: TestRun) -> list[str]:
    """The problems of a run, without those of single tests whose outcome was rewritten."""
    said = list(run.problems)
    for name, result in run.tests.items():
        sentences = [each for each in said if each.startswith(f"{name} raised ")]
        if sentences and result.outcome in {"passed", "failed"}:
            told.rigged += sentences
            told.lose([name], sentences[0])
            said = [each for each in said if each not in sentences]
    return said


def _where(run: TestRun) -> str:
    return f" It was in {run.culprit}." if run.culprit else ""


def _memory(run: TestRun) -> str:
    return " It may have used more memory than there is." if run.status == _KILLED else ""


def _strangers(run: TestRun, project: Project) -> list[str]:
    """Modules under test that did not come from the tree under test, a sentence each."""
    own = {module.name for module in project.sources}
    return [
        f"{record['name']} was imported from {place}, not from the tree under test, so its tests say "
        "nothing about the change."
        for record in run.guests.get("origin", ())
        for place in record["files"][:1]
        if record["name"] in own and not place.startswith(f"{ROOT}/")
    ]
