"""What a test shows, from its outcomes on both sides. The rules are all here; each outcome has one answer."""

from dataclasses import dataclass

from ...run_generated_tests.outcome import Outcome
from ..words import Kind

GOOD = frozenset({"passed", "xfailed", "xpassed"})
BAD = frozenset({"failed", "error", "timed_out", "ended"})
INSIDE = frozenset({"failed", "timed_out", "ended"})
"""The test itself failed, rather than what it needs to begin."""

_HOW = {
    "error": "It could not be collected or set up at head",
    "timed_out": "It did not end at head in the time that it had",
    "ended": "It ended the process of the tests at head",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A test's outcomes; see `TestEvidence`. None: it was not there, or was not run.

    Attributes:
        at_base, at_head: whether it was collected there, or its file could not be.
        doubt: why an outcome is missing that was to be had.
        varies: whether reruns of one side did not agree.
        written: whether it stands in head's file as a test that pytest does not collect.
        in_code: whether it stands in the code that it tests, so that neither can be run without the other.
    """

    base: Outcome | None = None
    base_with_head: Outcome | None = None
    head: Outcome | None = None
    head_with_base: Outcome | None = None
    at_base: bool = False
    at_head: bool = False
    doubt: str = ""
    varies: bool = False
    written: bool = False
    in_code: bool = False


def classify(seen: Seen) -> tuple[Kind, str]:
    """The kind of a test, and one sentence where the kind does not speak for itself."""
    if seen.varies:
        return "flaky", "It does not always come out alike"
    if seen.doubt:
        return "unknown", seen.doubt
    if not seen.at_head:
        return _not_at_head(seen)
    needed = [seen.head, seen.base if seen.at_base else seen.base_with_head or "error"]
    if None in needed or "not_run" in needed:
        return "unknown", "It was not run on both sides"
    if seen.at_base:
        return _on_both(seen)
    return _new(seen)


def _not_at_head(seen: Seen) -> tuple[Kind, str]:
    if seen.written:
        return "not_collected", "It is written as a test, but pytest does not find it"
    if not seen.at_base:
        return "unknown", "It was collected in one run and not in the others"
    if seen.head_with_base in BAD and seen.base in GOOD:
        return "removed", "Base's version of it fails at head"
    return "removed", ""


def _on_both(seen: Seen) -> tuple[Kind, str]:
    if seen.head in BAD:
        return _bad_at_head(seen)
    if seen.base in BAD:
        if seen.head in {"skipped", "xfailed"}:
            return "skipped", f"It failed at base, and is {_said(seen.head)} at head"
        strong = (seen.base_with_head or seen.base) in INSIDE or seen.base in INSIDE
        return ("fail_to_pass_strong", "") if strong else ("fail_to_pass_weak", _weak(seen.base))
    if seen.base == "skipped":
        return _was_skipped(seen)
    if seen.head == "skipped":
        return "newly_skipped", ""
    if seen.head == "xfailed" and seen.base != "xfailed":
        return "newly_skipped", "It passed at base, and is expected to fail at head"
    return _good_on_both(seen)


def _bad_at_head(seen: Seen) -> tuple[Kind, str]:
    if seen.base in BAD:
        return "fail_to_fail", ""
    if seen.base == "skipped":
        if seen.base_with_head in GOOD:
            return "pass_to_fail", "It was skipped at base, where head's version of it passes"
        if seen.base_with_head in BAD:
            return "fail_to_fail", "It was skipped at base, where head's version of it fails too"
        return "new_and_fails", "It was skipped at base"
    if seen.head_with_base in GOOD:
        return "pass_to_fail", "It was changed; base's version of it passes at head"
    return "pass_to_fail", _HOW.get(seen.head or "", "")


def _was_skipped(seen: Seen) -> tuple[Kind, str]:
    if seen.head not in GOOD or seen.head == "xfailed":
        return "skipped", ""
    if seen.base_with_head in INSIDE:
        return "fail_to_pass_strong", "It was skipped at base, where head's version of it fails"
    return "pass_to_pass", "It was skipped at base"


def _good_on_both(seen: Seen) -> tuple[Kind, str]:
    if seen.base_with_head in INSIDE and seen.head != "xfailed":
        return (
            "fail_to_pass_strong",
            "Head's version of it fails at base; base's version passes there",
        )
    if seen.head_with_base in BAD:
        return "pass_to_pass", "It was changed; base's version of it fails at head"
    return "pass_to_pass", ""


def _new(seen: Seen) -> tuple[Kind, str]:
    if seen.head in BAD:
        return "new_and_fails", _HOW.get(seen.head or "", "")
    if seen.head in {"skipped", "xfailed"}:
        return (
            "skipped",
            "It is new" if seen.head == "skipped" else "It is new and expected to fail",
        )
    if seen.base_with_head in INSIDE:
        return "fail_to_pass_strong", ""
    if seen.base_with_head == "skipped":
        return (
            "new_but_pass_at_base",
            "It is skipped at base, so it proves nothing about the change",
        )
    if seen.base_with_head in GOOD:
        return "new_but_pass_at_base", ""
    if seen.in_code:
        return "new_but_pass_at_base", "It stands in the code that it tests, so it proves nothing"
    return "fail_to_pass_weak", _weak(seen.base_with_head)


def _weak(outcome: Outcome | None) -> str:
    if outcome == "error":
        return "At base it could not be collected, or what it needs could not be set up"
    return "At base it is not collected"


def _said(outcome: Outcome) -> str:
    return "skipped" if outcome == "skipped" else "expected to fail"
