"""Run the tests several times, each in a fresh process, and find those that do not always come out alike.

The first run is in the order of the files, the second in the reverse: every pair of tests is seen in both
orders. A single run says nothing of orders and of chance. Hash seed and time zone differ from run to run. A test that ends its process, hangs or writes on
our channel is named and left out, and the others run without it.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ...server.programs import OpenSandbox
from .events import TestResult, TestRun
from .outcome import Outcome
from .project import Project
from .running import Plan, Ran, run_all

OnDone = Callable[[str], None]
"""Called with a sentence on how far it is."""

_MOST_CULPRITS = 8
_ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Kiritimati")
_HASH_SEEDS = (0, 1741, 90210, 4242)
_SUSPECT_RUNS = 14
_FAILING_RUNS = 6
_FEW_SOURCES = 20
_SUSPECT_SECONDS = 40.0
# What can make two runs of the same code differ.
_CHANCE = re.compile(
    r"\b(random|secrets|uuid[14]?|urandom|time_ns|perf_counter|monotonic|getpid|Thread(?:PoolExecutor)?"
    r"|ProcessPoolExecutor|multiprocessing|create_task|gather|time\.time|os\.times)\b"
)


@dataclass(frozen=True, slots=True)
class Repeats:
    """All runs of a suite.

    Attributes:
        runs: those of all tests (of the culprits none but the first); the first in the files' order.
        plans: how each was run.
        culprits: tests or files that ended a run early, with what the run says of it.
        extra: more runs, of the tests that may depend on chance.
        untrusted: why nothing that the suite says may be believed, empty where it may.
        lost: why runs are missing through no fault of the tests.
        project: without the files that cannot be imported.
    """

    runs: tuple[TestRun, ...]
    plans: tuple[Plan, ...]
    culprits: dict[str, TestRun] = field(default_factory=dict[str, TestRun])
    extra: tuple[TestRun, ...] = ()
    untrusted: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    project: Project | None = None

    @property
    def first(self) -> TestRun:
        """In the files' own order."""
        return self.runs[0]

    def outcomes(self, name: str) -> list[Outcome]:
        """What became of a test, run by run, the extra ones last."""
        return [result.outcome for result in self.results(name)]

    def results(self, name: str) -> list[TestResult]:
        """The same with all that is known."""
        return [run.tests[name] for run in (*self.runs, *self.extra) if name in run.tests]


def draws_on_chance(text: str) -> bool:
    """Whether code reads what can make two runs of it differ."""
    return bool(_CHANCE.search(text))


def variation(base: Plan, index: int) -> Plan:
    """The plan of the run with this index."""
    orders = ("natural", "reversed", "shuffled")
    return replace(
        base,
        order=orders[min(index, 2)],
        seed=index,
        hash_seed=_HASH_SEEDS[index % len(_HASH_SEEDS)] + index // len(_HASH_SEEDS),
        timezone=_ZONES[index % len(_ZONES)],
    )


async def repeat(
    project: Project,
    base: Plan,
    times: int,
    open_sandbox: OpenSandbox,
    on_done: OnDone = lambda said: None,
    *,
    sandboxes: int = 1,
) -> Repeats:
    """Run all tests `times` times. Where a run takes long, up to so many sandboxes share them."""
    # Counting costs a millisecond for each, and the other runs wait for the first.
    counting = replace(base, count_assertions=True)
    found = await _first(project, base if times > 1 else counting, open_sandbox, on_done)
    if found.untrusted or found.lost or not found.first.tests:
        return found
    ids = tuple(found.first.tests) if found.culprits else None
    project = found.project or project
    plans = [
        replace(variation(counting if index == 1 else base, index), ids=ids)
        for index in range(1, times)
    ]

    def told(ran: Ran) -> None:
        on_done(f"Run {ran.index + 2} of {len(plans) + 1} is done: {len(ran.run.tests)} tests")

    more = await run_all(project, plans, open_sandbox, told, sandboxes=sandboxes)
    found = replace(
        found,
        runs=(*found.runs, *more),
        plans=(*found.plans, *plans),
        untrusted=tuple(_distrust(found.first, more)),
        lost=tuple(p for run in more if run.lost for p in run.problems),
    )
    extra = _by_chance(project, found, base) if times > 1 else []
    if extra:
        on_done(f"Tests that may depend on chance: {len(extra)} more runs of them")
        ran = await run_all(project, extra, open_sandbox, sandboxes=sandboxes)
        found = replace(found, extra=tuple(run for run in ran if run.complete))
    return found


async def _first(
    project: Project, base: Plan, open_sandbox: OpenSandbox, on_done: OnDone
) -> Repeats:
    """The run in the files' order; again without whatever ends it early."""
    culprits: dict[str, TestRun] = {}
    plan = variation(base, 0)
    while True:
        [run] = await run_all(project, [plan], open_sandbox)
        run = _with_what_was_known(run, culprits.values())
        on_done(f"First run is done: {len(run.tests)} tests")
        if run.complete or run.lost or not run.culprit or len(culprits) >= _MOST_CULPRITS:
            break
        culprits[run.culprit] = run
        if run.culprit in run.tests:
            rest = tuple(name for name in run.tests if name != run.culprit)
            plan = replace(plan, ids=rest)
        else:
            # A file that cannot even be imported.
            left = tuple(path for path in project.tests if path != run.culprit)
            project = replace(project, tests=left)
            rest = left
        if not rest:
            break
    return Repeats(
        (run,),
        (plan,),
        culprits,
        untrusted=()
        if run.complete or run.lost or culprits and run.culprit in culprits
        else run.problems,
        lost=run.problems if run.lost else (),
        project=project,
    )


def _with_what_was_known(run: TestRun, earlier: Iterable[TestRun]) -> TestRun:
    """A run of some tests reads their files only; of the others the runs before it tell."""
    for one in reversed(list(earlier)):
        items = {item.id: item for item in (*one.items, *run.items)}
        run = replace(
            run,
            items=tuple(items.values()),
            not_collected={**one.not_collected, **run.not_collected},
            left_out={**one.left_out, **run.left_out},
            deselected=tuple(dict.fromkeys((*one.deselected, *run.deselected))),
        )
    return run


def _distrust(first: TestRun, more: Sequence[TestRun]) -> list[str]:
    """What later runs say against the suite as a whole. Outcomes may differ, what there is may not."""
    said: list[str] = []
    for run in more:
        if run.lost:
            continue
        if not run.complete and not run.culprit:
            said += run.problems
        elif run.tests and set(run.tests) != set(first.tests):
            # Parameters made of a set, of the time or of addresses have other ids in every process.
            different = sorted(set(run.tests) ^ set(first.tests))[:3]
            said.append(
                "Two processes did not collect the same tests; the parameters of some are not the same "
                f"from run to run: {', '.join(different)}."
            )
    return list(dict.fromkeys(said))


def _by_chance(project: Project, found: Repeats, base: Plan) -> list[Plan]:
    """More runs of tests that may depend on chance: three miss a flake of 30 % in one of three cases, and take
    it for a test that always fails in one of forty.
    """
    suspects = tuple(name for name in found.first.tests if _may_vary(project, found, name))
    if not suspects or found.untrusted or found.lost:
        return []
    share = len(suspects) / max(1, len(found.first.tests))
    each = max(0.5, found.first.seconds * share)
    passing = any(found.results(name)[0].outcome == "passed" for name in suspects)
    most = _SUSPECT_RUNS if passing else _FAILING_RUNS
    count = max(3, min(most, int(_SUSPECT_SECONDS / each)))
    return [
        replace(base, ids=suspects, hash_seed=7 * index + 3, timezone=_ZONES[index % len(_ZONES)])
        for index in range(count)
    ]


def _may_vary(project: Project, found: Repeats, name: str) -> bool:
    """Whether a test is stable so far but draws on something that is not the same in every run."""
    results = found.results(name)
    if {result.outcome for result in results} not in ({"passed"}, {"failed"}):
        return False
    if any("random" in result.left for result in results):
        return True
    read = [name.partition("::")[0]]
    if len(project.sources) <= _FEW_SOURCES:
        read += [module.path for module in project.sources]
    return any(path in project.files and draws_on_chance(project.text(path)) for path in read)
