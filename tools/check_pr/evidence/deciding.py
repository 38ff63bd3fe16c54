"""Of which tests something would be said, and in which trees that is decided."""

from ..words import Kind
from .evidence import TestEvidence
from .kinds import BAD, GOOD
from .reruns import Where

_DECIDING: tuple[Kind, ...] = (
    "pass_to_fail",
    "fail_to_pass_strong",
    "fail_to_pass_weak",
    "new_and_fails",
    "newly_skipped",
)


def is_hidden(test: TestEvidence) -> bool:
    """Whether base's version of it held at base, and fails at head."""
    return test.head_with_base in BAD and test.base in GOOD


def deciding(test: TestEvidence) -> bool:
    """Whether something would be said of the pull request for this test alone."""
    return is_hidden(test) or test.kind in _DECIDING


def may_vary(test: TestEvidence) -> bool:
    """Whether nothing would be said of it, unless it fails at times."""
    return not deciding(test) and test.base in GOOD and test.head in GOOD


def sides(test: TestEvidence) -> tuple[Where, ...]:
    """The trees whose outcomes make a test what it is said to be."""
    found: list[Where] = ["base", "head"]
    if test.kind in {"fail_to_pass_strong", "fail_to_pass_weak", "new_and_fails"}:
        mixed = test.base_with_head in BAD or test.base is None
        found = ["base_with_head", "head"] if mixed else found
    return (*found, "head_with_base") if is_hidden(test) else tuple(found)
