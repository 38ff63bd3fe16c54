"""Weigh tests: what they cover, whether they notice a broken function, which mutants they kill.

All of it happens in one more run of a fresh process, where `guest.worth` forks for every question and never
runs a test itself. Mutants that gave no clear answer are tried once more in a run of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...server.programs import OpenSandbox
from .events import Record, TestRun
from .findings import Finding
from .measured import Coverage, FileCoverage, Mutant, Mutation, Reached, Worth, WorthOptions
from .project import ROOT, Project
from .running import Plan, run_all

OnDone = Callable[[str], None]
"""Called with a sentence on how far it is."""

CPU_SECONDS = {"quick": 20.0, "thorough": 240.0}
"""What mutation may use where the caller gives no budget of its own: a few hundred mutants of fast
tests, and a few thousand."""

VACUITY_CPU_SECONDS = 120.0
"""What breaking functions may use at least. A caller who gives a budget for mutation gives as much for this."""

_MOST_RECHECKED = 20
_RECHECK_CPU_SECONDS = 60.0
_SHOWN_REACHED = 3


async def weigh(
    project: Project,
    baseline: TestRun,
    open_sandbox: OpenSandbox,
    options: WorthOptions,
    on_done: OnDone = lambda said: None,
) -> Worth:
    """Weigh the tests that passed in `baseline`. What goes wrong is in the result; nothing is raised for it."""
    tests = tuple(name for name, test in baseline.tests.items() if test.outcome == "passed")
    if not tests:
        return Worth(True, coverage=_coverage((), options.coverage_target))
    if not project.sources:
        return Worth(False, problems=("There is no source under test to weigh the tests by.",))
    [run] = await run_all(project, [plan(project, tests, options)], open_sandbox)
    worth = read(run, tests, options)
    on_done("Coverage, vacuity and mutation are measured.")
    unsure = _unsure(worth)
    if unsure:
        again = plan(project, tests, options, only=[mutant.id for mutant in unsure])
        [rerun] = await run_all(project, [again], open_sandbox)
        worth = _confirmed(worth, read(rerun, tests, options))
        on_done("Mutants without a clear answer were tried again.")
    return worth


def plan(
    project: Project,
    tests: Sequence[str],
    options: WorthOptions,
    *,
    only: Sequence[str] | None = None,
) -> Plan:
    """The run that weighs these tests; with `only`, nothing but these mutants is tried."""
    budget = _budget(options)
    mutation = {"cpu_seconds": budget, "seed": options.seed, "only": None}
    if only is not None:
        mutation = {**mutation, "cpu_seconds": _RECHECK_CPU_SECONDS, "only": list(only)}
    vacuity = vacuity_seconds(options)
    seconds = 300.0 + 4 * (vacuity + (budget if options.mutation != "off" else 0.0))
    return Plan(
        ids=tuple(tests),
        hash_seed=options.hash_seed,
        timezone=options.timezone,
        env=options.env,
        probes=False,
        seconds=seconds,
        test_seconds=max(60.0, options.test_seconds * 2),
        guests={
            "worth": {
                "sources": [f"{ROOT}/{module.path}" for module in project.sources],
                "modules": [module.name for module in project.sources if module.name],
                "tests": list(tests),
                "vacuity": vacuity if only is None else None,
                "mutation": mutation if options.mutation != "off" else None,
                "test_seconds": options.test_seconds,
            }
        },
    )


def vacuity_seconds(options: WorthOptions) -> float:
    """CPU seconds that breaking functions may use."""
    return max(VACUITY_CPU_SECONDS, options.cpu_seconds or 0.0)


def _budget(options: WorthOptions) -> float:
    if options.cpu_seconds is not None:
        return options.cpu_seconds
    return CPU_SECONDS.get(options.mutation, 0.0)


def read(run: TestRun, tests: Sequence[str], options: WorthOptions) -> Worth:
    """What the run that weighed them says of the tests."""
    told = _Told(run.guests.get("worth", ()))
    trouble = [_trouble(record) for record in told.of("trouble")]
    ended = bool(told.of("end"))
    if not ended:
        trouble += list(run.problems) or ["The run that weighs the tests ended before its end."]
    judged = {record["test"] for record in [*told.of("worth"), *told.of("unrepeatable")]}
    missing = [name for name in tests if name not in judged]
    untried = [record["test"] for record in told.of("worth") if record["grade"] == "untried"]
    if untried:
        trouble.append(_too_short(untried, len(tests), vacuity_seconds(options)))
    return Worth(
        complete=ended and not trouble and not missing,
        findings=_findings(told),
        proofs={r["test"]: tuple(dict.fromkeys(r["proofs"])) for r in told.of("worth")},
        functions=tuple(
            Reached(
                _path(r["file"]), r["line"], r["name"], r["tests"], r["proved_by"], r["unproved"]
            )
            for r in told.of("function")
        ),
        coverage=_coverage(told.of("coverage"), options.coverage_target),
        mutation=_mutation(told, _budget(options)),
        problems=tuple(trouble),
        lost=run.lost,
        cpu_seconds=run.cpu_seconds,
    )


class _Told:
    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    def of(self, what: str) -> list[Record]:
        return [record for record in self._records if record.get("what") == what]


def _path(path: str) -> str:
    return path.removeprefix(f"{ROOT}/")


def _trouble(record: Record) -> str:
    where = f" in {record['test']}" if record["test"] else ""
    return f"Measuring {record['stage']} failed{where}: {record['reason']}."


def _too_short(untried: Sequence[str], total: int, seconds: float) -> str:
    return (
        f"{len(untried)} of {total} tests have not met every function that they run broken: the {seconds:g} CPU "
        "seconds for that were used up. Give more cpu_seconds, or name fewer files with only."
    )


def _findings(told: _Told) -> dict[str, Sequence[Finding]]:
    found: dict[str, Sequence[Finding]] = {}
    for record in told.of("worth"):
        finding = _graded(record)
        if finding is not None:
            found[record["test"]] = (finding,)
    for record in told.of("unrepeatable"):
        message = f"Run again in a fresh process it does not pass: {record['detail']}."
        found[record["test"]] = (Finding("unrepeatable", message, severity="mend"),)
    return found


def _graded(record: Record) -> Finding | None:
    grade = record["grade"]
    if grade == "unreached":
        message = "It runs no code of the source under test, so it passes whatever that does."
        return Finding("unreached", message, severity="drop")
    if grade == "untried":
        names = _named(record["untried"])
        message = f"There was no time to see whether it notices that {names} is broken."
        return Finding("untried", message, severity="note")
    names = _named(record["reached"])
    if grade == "vacuous":
        message = f"It passes even when {names} is made to do nothing, or to return other values."
        return Finding("vacuous", message, severity="drop")
    if grade == "weak" and record["empty"]:
        message = f"It passes when {_named(record['empty'])} returns wrong values of the right type: check values."
        return Finding("weak", message)
    if grade == "weak":
        message = f"It checks nothing about {names}: it only fails where the source itself raises."
        return Finding("weak", message)
    return None


def _named(names: Sequence[str]) -> str:
    known = [f"`{name}`" for name in dict.fromkeys(names)]
    rest = len(known) - _SHOWN_REACHED
    shown = ", ".join(known[:_SHOWN_REACHED])
    return f"{shown} or {rest} others" if rest > 0 else shown


def _coverage(records: Sequence[Record], target: float | None) -> Coverage | None:
    if not records:
        return None
    record = records[0]
    files = {_path(path): _file(said) for path, said in record["files"].items()}
    done = sum(len(one.executed) + len(one.branches) for one in files.values())
    open_ = sum(len(one.missing) + len(one.missing_branches) for one in files.values())
    per_test = {
        test: {_path(path): tuple((a, b) for a, b in runs) for path, runs in by_file.items()}
        for test, by_file in record["tests"].items()
    }
    percent = 100 * done / (done + open_) if done + open_ else 0.0
    return Coverage(percent, files, per_test, target)


def _file(said: Mapping[str, Any]) -> FileCoverage:
    return FileCoverage(
        executed=tuple(said["executed"]),
        missing=tuple(said["missing"]),
        branches=tuple((a, b) for a, b in said["branches"]),
        missing_branches=tuple((a, b) for a, b in said["missing_branches"]),
    )


def _mutation(told: _Told, budget: float) -> Mutation | None:
    totals = told.of("mutation")
    if not totals:
        return None
    unreliable = set(totals[0]["unreliable"])
    mutants = tuple(_mutant(record, unreliable) for record in told.of("mutant"))
    return Mutation(totals[0]["total"], mutants, totals[0]["cpu"], budget)


def _mutant(record: Record, unreliable: set[str]) -> Mutant:
    """A test that no longer passes without any mutant kills none."""
    doubt = record["status"] == "killed" and record["by"] in unreliable
    return Mutant(
        id=record["id"],
        file=_path(record["file"]),
        line=record["line"],
        function=record["function"],
        operator=record["operator"],
        before=record["before"],
        after=record["after"],
        status="infra_error" if doubt else record["status"],
        by=record["by"],
        reason="its test failed without it too, after the others" if doubt else record["reason"],
        telling=record["telling"],
        cpu_seconds=record["cpu"],
    )


def _unsure(worth: Worth) -> Sequence[Mutant]:
    if worth.mutation is None or not worth.complete:
        return ()
    unclear = [one for one in worth.mutation.mutants if one.status in {"infra_error", "timeout"}]
    return sorted(unclear, key=lambda one: one.status)[:_MOST_RECHECKED]


def _confirmed(worth: Worth, again: Worth) -> Worth:
    """A second answer takes the place of an unclear one, except where there is none."""
    if worth.mutation is None or again.mutation is None:
        return worth
    second = {mutant.id: mutant for mutant in again.mutation.mutants}
    mutants = tuple(
        second.get(one.id, one) if one.status in {"infra_error", "timeout"} else one
        for one in worth.mutation.mutants
    )
    cpu = worth.mutation.cpu_seconds + again.mutation.cpu_seconds
    mutation = replace(worth.mutation, mutants=mutants, cpu_seconds=cpu)
    return replace(worth, mutation=mutation, cpu_seconds=worth.cpu_seconds + again.cpu_seconds)
