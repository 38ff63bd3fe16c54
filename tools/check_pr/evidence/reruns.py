"""Tests whose outcome decides something are run again, on both sides, before it is called.

Each rerun is a fresh process with another hash seed and time zone, and without the tests of which nothing is asked:
in their order, in the reverse, so that each of them is seen before and after every other, and in their order again if they
read what chance decides.
Where there is time for one only, it is with the whole files, as the tests were seen first. What comes out differently on
one side is flaky. A test that passed in the first runs of both sides is run again only where it reads what chance
decides (`chance`), and not at all where that takes minutes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import anyio

from ....server.programs import OpenSandbox
from ...run_generated_tests.outcome import Outcome
from ...run_generated_tests.project import Project
from ...run_generated_tests.repeats import variation
from ...run_generated_tests.running import Plan
from .ground import Ground, narrowed
from .kinds import BAD, GOOD
from .runs import Told, carry_out_all

Where = Literal["base", "base_with_head", "head", "head_with_base"]
"""Code of one side with the tests of one side, as `TestEvidence` names them."""

_GONE: Outcome = "not_run"
_MOST_SECONDS = 60.0
_FILE_SECONDS = 20.0


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
    if max(times.values()) == 1 and around < _FILE_SECONDS and not broken:
        varied = replace(variation(plan, 1), order="natural", count_assertions=False)
        return [(narrowed(one.project, files), varied)]
    return [
        _job(
            one.project,
            plan,
            tuple(name for name, count in times.items() if count >= number),
            number,
        )
        for number in range(1, max(times.values()) + 1)
    ]


def _job(project: Project, plan: Plan, names: tuple[str, ...], number: int) -> tuple[Project, Plan]:
    order = "reversed" if number == 2 else "natural"
    varied = replace(variation(plan, number), order=order, count_assertions=False, ids=names)
    return narrowed(project, {name.partition("::")[0] for name in names}), varied


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
