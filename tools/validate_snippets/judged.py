"""What is known of a snippet after a run."""

from dataclasses import dataclass, field

from .oracles import Raised
from .plan import Failure
from .report import Kind
from .snippet import Expected, Position


@dataclass(frozen=True, slots=True)
class Wrong:
    """A shown output that is wrong, and what there was instead: text, or an exception."""

    shown: Expected
    real: str | Raised


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known of a snippet. `line` is the document's.

    `failure` is what the plan wants to know of an attempt that failed. `reached` is false where what
    runs before the snippet failed. `wrong` are all shown outputs that are not the real ones. `ran` counts the cells that ran, the one that failed included.
    `included` is where the code that failed stands, if that is another file than the document.
    """

    kind: Kind
    reason: str = ""
    error: str = ""
    line: int | None = None
    hint: str = ""
    diff: str = ""
    oracle: bool = False
    failure: Failure = field(default_factory=Failure)
    reached: bool = True
    wrong: tuple[Wrong, ...] = ()
    ran: int = 0
    included: Position | None = None

    @property
    def passed(self) -> bool:
        return self.kind in {"works", "works_with_setup", "expected_error"}
