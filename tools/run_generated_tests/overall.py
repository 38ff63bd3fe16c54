"""Judge a whole suite by its tests and by what they are worth."""

from collections.abc import Iterable, Sequence

from .._verdict import Verdict
from .measured import Worth
from .verdicts import Evidence, Judged


def suite_verdict(
    evidence: Evidence, judged: Sequence[Judged], *, weighed: bool = True
) -> tuple[Verdict, str]:
    """The verdict on all of it, and the reason in a sentence. `weighed`: what it is worth counts too."""
    repeats = evidence.repeats
    if repeats.lost:
        return "errored", f"The tests could not be run: {repeats.lost[0]}"
    if repeats.untrusted:
        return "failed", f"Nothing that this suite says can be believed. {repeats.untrusted[0]}"
    kept = [one for one in judged if one.verdict == "keep"]
    unjudged = [one for one in judged if one.unjudged]
    bad = [one for one in judged if one.verdict != "keep" and not one.unjudged]
    if not judged:
        return "skipped", "NO TESTS were collected: nothing was checked."
    if bad:
        return "failed", _counts(kept, bad, unjudged)
    if not kept:
        if all(one.reasons[0].kind == "skipped" for one in unjudged):
            return "skipped", f"All {len(unjudged)} tests were skipped: NOTHING was checked."
        return (
            "failed",
            "No test is left that could show a fault: all are skipped or expected to fail.",
        )
    counts = _counts(kept, bad, unjudged)
    return _by_worth(evidence.worth, counts) if weighed else ("passed", counts)


def _by_worth(worth: Worth | None, counts: str) -> tuple[Verdict, str]:
    if worth is None or not worth.complete:
        why = worth.problems[0] if worth and worth.problems else "it was not measured."
        return "errored", f"{counts} What they are worth is not known: {why}"
    coverage = worth.coverage
    if coverage is not None and coverage.met is False:
        said = f"coverage is {coverage.percent:.1f} %, below the target of {coverage.target:g} %"
        return "failed", f"{counts} But {said}."
    return "passed", counts


def _counts(kept: Sequence[Judged], bad: Sequence[Judged], unjudged: Sequence[Judged]) -> str:
    total = len(kept) + len(bad) + len(unjudged)
    said = [f"{len(kept)} to keep"]
    for verdict in ("mend", "drop"):
        number = sum(one.verdict == verdict for one in bad)
        said += [f"{number} to {verdict}"] if number else []
    said += [f"{len(unjudged)} skipped or expected to fail"] if unjudged else []
    return f"{total} test{'s' if total != 1 else ''}: {', '.join(said)}."


def worst_first(judged: Iterable[Judged]) -> list[Judged]:
    """Those to drop and to mend before those to keep."""
    order = {"drop": 0, "mend": 1, "keep": 2}
    return sorted(judged, key=lambda one: (one.unjudged, order[one.verdict]))
