"""Tests whose outcome decides something are run again, on both sides, before it is called.

Each rerun is a fresh process with another hash seed and time zone: the first with the whole file of the test, as
it was seen first; then without the other tests; then each alone, where there are few. What comes out differently
on one side is flaky. A test that passed in the first runs of both sides is run again only where its file or a changed
line reads what chance decides (random numbers, clocks, threads): more often than others where that costs little, and
not at all where it takes minutes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import anyio

from ....server.programs import OpenSandbox
from ...run_generated_tests.outcome import Outcome
from ...run_generated_tests.project import Project
from ...run_generated_tests.repeats import draws_on_chance, variation
from ...run_generated_tests.running import Plan
from .ground import Ground, narrowed
from .kinds import BAD, GOOD
from .runs import Told, carry_out_all
from .trees import text

Where = Literal["base", "base_with_head", "head", "head_with_base"]
"""Code of one side with the tests of one side, as `TestEvidence` names them."""

_GONE: Outcome = "not_run"
_FEW = 4
_MOST_SECONDS = 60.0
_FILE_SECONDS = 20.0
# A test that fails every other time is missed in one of a hundred cases.
_OFTEN = 6
_LITTLE_SECONDS = 1.0
_SOME_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Tests of one tree to run again, and how many times each."""

    where: Where
    project: Project
    ids: Mapping[str, int]
    told: Told


@dataclass(slots=True)
class Again:
    """Outcomes of reruns by tree and id, and the tests of which a rerun said nothing."""

    outcomes: dict[Where, dict[str, list[Outcome]]] = field(
        default_factory=lambda: {where: {} for where in get_args(Where)}
    )
    silent: set[tuple[Where, str]] = field(default_factory=set[tuple[Where, str]])

    def of(self, where: Where, name: str) -> list[Outcome]:
        """What came out, rerun by rerun."""
        return self.outcomes[where].get(name, [])


async def run_again(
    ground: Ground,
    wanted: Sequence[Wanted],
    at_base: OpenSandbox,
    at_head: OpenSandbox,
    again: Again,
) -> None:
    """Run tests again, both sides at a time, and add what came out to `again`."""

    async def side(mine: Sequence[Wanted], opened: OpenSandbox) -> None:
        jobs = [(one, *job) for one in mine for job in _jobs(ground, one)]
        told = await carry_out_all([(project, plan) for _, project, plan in jobs], opened)
        for (one, _, plan), said in zip(jobs, told, strict=True):
            _add(again, one, plan, said)

    async with anyio.create_task_group() as group:
        for opened, names in ((at_base, ("base", "base_with_head")), (at_head, ("head", "head_with_base"))):  # fmt: skip
            group.start_soon(side, [one for one in wanted if one.where in names], opened)


def _add(again: Again, one: Wanted, plan: Plan, said: Told) -> None:
    for name in one.ids if plan.ids is None else plan.ids:
        if name not in one.ids:
            continue
        if not said.whole or name in said.unknown:
            again.silent.add((one.where, name))
        else:
            again.outcomes[one.where].setdefault(name, []).append(said.outcome(name) or _GONE)


def _jobs(ground: Ground, one: Wanted) -> list[tuple[Project, Plan]]:
    """The runs of the tests of one tree."""
    plan = replace(ground.plan(one.project), guests={})
    breaking = [name for name in one.ids if one.told.outcome(name) in {"timed_out", "ended"}]
    others = {name: times for name, times in one.ids.items() if name not in breaking}
    found = [_job(one.project, plan, (name,), 1) for name in breaking]
    if others:
        spent = sum(one.told.results[name].seconds for name in others if name in one.told.results)
        most = max(1, int(_MOST_SECONDS / max(spent, 1.0)))
        found += _of_others(one, plan, {name: min(times, most) for name, times in others.items()})
    return found


def _of_others(one: Wanted, plan: Plan, times: Mapping[str, int]) -> list[tuple[Project, Plan]]:
    files = {name.partition("::")[0] for name in times}
    around = sum(
        result.seconds
        for name, result in one.told.results.items()
        if name.partition("::")[0] in files
    )
    broken = any(one.told.outcome(name) in {"timed_out", "ended"} for name in one.told.results)
    found: list[tuple[Project, Plan]] = []
    for number in range(1, max(times.values()) + 1):
        names = tuple(name for name, count in times.items() if count >= number)
        if number == 1 and around < _FILE_SECONDS and not broken:
            varied = replace(variation(plan, number), order="natural", count_assertions=False)
            found.append((narrowed(one.project, files), varied))
        elif number == 3 and len(names) <= _FEW:
            found += [_job(one.project, plan, (name,), number) for name in names]
        else:
            found.append(_job(one.project, plan, names, number))
    return found


def _job(project: Project, plan: Plan, names: tuple[str, ...], number: int) -> tuple[Project, Plan]:
    varied = replace(variation(plan, number), order="natural", count_assertions=False, ids=names)
    return narrowed(project, {name.partition("::")[0] for name in names}), varied


def by_chance(ground: Ground, told: Told, names: Iterable[str]) -> tuple[str, ...]:
    """Those of the tests whose file, or a changed line of the code, reads what chance decides."""
    if _change_draws_on_chance(ground):
        return tuple(names)
    files = {name: name.partition("::")[0] for name in names}
    both = (ground.base.files, ground.head.files)
    chancy = {
        path
        for path in set(files.values())
        if any(path in each and draws_on_chance(text(each[path])) for each in both)
    }
    return tuple(
        name
        for name, file in files.items()
        if file in chancy or (name in told.results and "random" in told.results[name].left)
    )


def _change_draws_on_chance(ground: Ground) -> bool:
    sources = {module.path for view in (ground.base, ground.head) for module in view.sources}
    for change in ground.pull.changes:
        sides = (
            (ground.base.files, change.old_path, change.removed),
            (ground.head.files, change.path, change.added),
        )
        for files, path, numbers in sides:
            if path in sources and path in files:
                lines = text(files[path]).splitlines()
                if draws_on_chance(
                    "\n".join(lines[one - 1] for one in numbers if one <= len(lines))
                ):
                    return True
    return False


def times_by_chance(told: Told, names: Iterable[str], times: int) -> int:
    """How often to run tests again that may depend on chance. What it costs to start a process is left out,
    so that a busy machine comes to the same result as one that is not.
    """
    spent = sum(told.results[name].seconds for name in names if name in told.results)
    if spent <= _LITTLE_SECONDS:
        return max(times, _OFTEN)
    return times if spent <= _SOME_SECONDS else int(spent <= _MOST_SECONDS)


def disagree(first: Outcome | None, reruns: Sequence[Outcome]) -> bool:
    """Whether a test does not always come out alike."""
    outcomes = list(reruns)
    if first is not None:
        outcomes.append(first)
    return len(set(map(_class, outcomes))) > 1


def _class(outcome: Outcome) -> str:
    if outcome in GOOD:
        return "good"
    return "bad" if outcome in BAD else outcome
