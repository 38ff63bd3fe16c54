"""Find out why a test does not always come out alike: by itself, by its surroundings, or by another test."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ...server.programs import OpenSandbox
from .outcome import Outcome
from .project import Project
from .repeats import Repeats, draws_on_chance
from .running import Plan, run_all

Cause = Literal["flaky", "needs", "broken_by", "hash_seed", "timezone", "unexplained"]
"""flaky: it differs under the same conditions. needs: it passes only after `other`. broken_by: it fails after
`other`. hash_seed, timezone: it depends on these. unexplained: it depends on what ran before, but on
no single test.
"""

_MOST_DIAGNOSED = 10
_ALONE = 3
_AGAIN = 2
# What fails in three of ten runs does so in five of five in one of 400 cases.
_AGAIN_BY_CHANCE = 5


@dataclass(frozen=True, slots=True)
class Instability:
    """Why a test does not always come out alike, with the test that does it to it, and one sentence."""

    cause: Cause
    message: str
    other: str = ""


async def diagnose(
    project: Project,
    repeats: Repeats,
    base: Plan,
    open_sandbox: OpenSandbox,
    on_done: Callable[[str], None] = lambda said: None,
) -> dict[str, Instability]:
    """The tests whose outcome differs from run to run, each with its cause. Costs some runs for each."""
    unstable = [name for name in repeats.first.tests if len(set(repeats.outcomes(name))) > 1]
    found: dict[str, Instability] = {}
    suspects: dict[str, None] = {}
    for number, name in enumerate(unstable):
        if number < _MOST_DIAGNOSED:
            on_done(f"Looking for the cause: {name} is not stable")
            case = _Case(project, repeats, base, open_sandbox, name, suspects)
            found[name] = await case.cause()
        else:
            found[name] = Instability("flaky", _tally(repeats.outcomes(name)))
    return found


def _tally(outcomes: Sequence[Outcome]) -> str:
    bad = sum(outcome != "passed" for outcome in outcomes)
    return f"It failed in {bad} of {len(outcomes)} runs."


class _Case:
    """One test that is not stable."""

    def __init__(
        self,
        project: Project,
        repeats: Repeats,
        base: Plan,
        open_sandbox: OpenSandbox,
        name: str,
        suspects: dict[str, None],
    ) -> None:
        self._project = project
        self._repeats = repeats
        self._base = base
        self._open = open_sandbox
        self._name = name
        self._suspects = suspects
        self._outcomes = list(repeats.outcomes(name))

    async def cause(self) -> Instability:
        """Try it alone, then in the surroundings, then after the tests, with which it came out otherwise."""
        alone = await self._try(self._base, [()] * _ALONE)
        if len(set(alone)) > 1:
            return self._flaky()
        odd = self._odd_run(alone[0])
        if odd is None:
            return self._flaky()
        plan, before, wanted = odd
        there = await self._try(plan, [()] * _AGAIN)
        if len(set(there)) > 1:
            return self._flaky()
        if there[0] == wanted:
            return await self._surroundings(plan, wanted)
        return await self._order(plan, before, wanted)

    def _odd_run(self, usual: Outcome) -> tuple[Plan, tuple[str, ...], Outcome] | None:
        """A run of all tests where it came out otherwise than alone: its plan and what ran before."""
        for plan, run in zip(self._repeats.plans, self._repeats.runs, strict=True):
            result = run.tests.get(self._name)
            if result is not None and result.outcome != usual:
                names = list(run.tests)
                return plan, tuple(names[: names.index(self._name)]), result.outcome
        return None

    async def _surroundings(self, plan: Plan, wanted: Outcome) -> Instability:
        other_zone = replace(self._base, timezone=plan.timezone)
        other_seed = replace(self._base, hash_seed=plan.hash_seed)
        [zone] = await self._try(other_zone, [()])
        [seed] = await self._try(other_seed, [()])
        if zone == wanted != seed and await self._is_sure(other_zone, (), wanted):
            said = f"It depends on the time zone: {wanted} with TZ={plan.timezone}."
            return Instability("timezone", said)
        if seed == wanted != zone and await self._is_sure(other_seed, (), wanted):
            said = (
                f"It depends on the hash seed, so on the order of a set or on hash(): {wanted} with "
                f"PYTHONHASHSEED={plan.hash_seed}."
            )
            return Instability("hash_seed", said)
        return self._flaky()

    async def _order(self, plan: Plan, before: tuple[str, ...], wanted: Outcome) -> Instability:
        """Which of the tests before it did it."""
        if not before or set(await self._try(plan, [before] * _AGAIN)) != {wanted}:
            return self._flaky()
        other = await self._known(plan, before, wanted) or await self._halved(plan, before, wanted)
        if not await self._is_sure(plan, (other,) if other else before, wanted):
            return self._flaky()
        if not other:
            said = f"It is {wanted} only after several other tests: it depends on what they leave behind."
            return Instability("unexplained", said)
        self._suspects[other] = None
        if wanted == "passed":
            said = (
                f"It passes only after {other}; alone it fails. Let it make what it needs itself."
            )
            return Instability("needs", said, other)
        said = f"It fails after {other}, which leaves something changed; alone it passes."
        return Instability("broken_by", said, other)

    async def _is_sure(self, plan: Plan, before: tuple[str, ...], wanted: Outcome) -> bool:
        """Whether it comes out so with this plan and these tests before it, and alone not, time after time. Only
        where chance may be in it are many runs needed.
        """
        files = [self._name.partition("::")[0], *(m.path for m in self._project.sources)]
        texts = (self._project.text(path) for path in files if path in self._project.files)
        by_chance = any(map(draws_on_chance, texts))
        count = _AGAIN_BY_CHANCE if by_chance else _AGAIN
        if set(await self._try(plan, [before] * count)) != {wanted}:
            return False
        more = count - _ALONE
        return more <= 0 or wanted not in await self._try(self._base, [()] * more)

    async def _known(self, plan: Plan, before: Sequence[str], wanted: Outcome) -> str:
        """One test that has done it to others already, if it does it to this one."""
        there = [name for name in self._suspects if name in before]
        outcomes = await self._try(plan, [(name,) for name in there]) if there else []
        return next((name for name, one in zip(there, outcomes, strict=True) if one == wanted), "")

    async def _halved(self, plan: Plan, before: tuple[str, ...], wanted: Outcome) -> str:
        """The one test of these that is enough; empty if no single one is."""
        left = list(before)
        while len(left) > 1:
            middle = len(left) // 2
            halves = [left[:middle], left[middle:]]
            outcomes = await self._try(plan, [tuple(half) for half in halves])
            if wanted not in outcomes:
                return ""
            left = halves[outcomes.index(wanted)]
        return left[0]

    async def _try(self, plan: Plan, befores: Sequence[tuple[str, ...]]) -> list[Outcome]:
        """Its outcome after these tests, each in a fresh process."""
        plans = [
            replace(plan, ids=(*before, self._name), order="natural", probes=False)
            for before in befores
        ]
        runs = await run_all(self._project, plans, self._open)
        outcomes: list[Outcome] = []
        for run in runs:
            result = run.tests.get(self._name)
            outcomes.append(result.outcome if result else "not_run")
        self._outcomes += outcomes
        return outcomes

    def _flaky(self) -> Instability:
        said = f"{_tally(self._outcomes)} Nothing but chance differed."
        return Instability("flaky", said)
