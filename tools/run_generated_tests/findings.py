"""What is wrong with a test, by kind."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "vacuous",
    "unreached",
    "weak",
    "untried",
    "unrepeatable",
    "tautology",
    "no_check",
    "swallowed",
    "hallucinated",
    "copies",
    "mocked",
    "sleeps",
    "network",
    "clock",
    "broad_raises",
    "returns",
    "async",
    "not_called",
    "unseen",
]
"""vacuous: it passes whatever function it reaches is broken. unreached: it reaches nothing of the source.
weak: it notices only that there is nothing where something was, or that the source breaks over itself.
untried: there was no time to break all that it runs, and of what was broken it noticed nothing.
unrepeatable: it does not pass when it is run again in a fresh process, so nothing can be measured with it.
tautology: a check that holds whatever the source does. no_check: nothing in it can fail. swallowed: an
exception, that of a failed check too, is caught and dropped. hallucinated: a name that the source does not
have. copies: the source's own code is the expected value. mocked: what it tests is replaced. sleeps,
network, clock: it depends on time passing, on a network, on what time it is. broad_raises: any
exception would do. returns: its result is returned and not asserted. async: nothing awaits it.
not_called: a check that is written but never made, as a mock's misspelt assert. unseen: it fails in a
thread, a task or a process, or in a coroutine that nobody awaits, and passes all the same.
"""

Severity = Literal["drop", "mend", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a test.

    `message` is a sentence for whoever wrote it; `line` counts from 1 in its file, None where it is about the
    whole test; `near` is the name that was probably meant. `severity`: with `drop` and `mend` the test
    is not worth keeping as it is, a `note` alone costs it nothing.
    """

    kind: Kind
    message: str
    line: int | None = None
    near: str = ""
    severity: Severity = "mend"
