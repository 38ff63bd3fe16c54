"""One job: what its work is given, what others see of it, and how it came to its end."""

import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import anyio

from ..sandbox import InvalidInput, ProofboxError
from .questions import Questions

logger = logging.getLogger(__name__)

State = Literal["running", "finished", "cancelled", "failed", "interrupted"]
"""finished: the report is there. cancelled: somebody ended it. failed: proofbox or a sandbox did not
get to a report. interrupted: the proofbox process that ran it has ended. Only finished has a report."""

Report = dict[str, Any]
"""A report as JSON has it."""

_MESSAGE_CHARACTERS = 300


class JobNotFound(InvalidInput):
    """No job of this caller has that id: unknown, deleted and foreign read alike."""

    def __init__(self, trouble: str = "") -> None:
        super().__init__(
            "There is no such job: job_id is unknown, or its report was deleted because it was old."
            " Start the work again if you still need it." + (f" {trouble}" if trouble else "")
        )


class Progress:
    """How far the work is. Report as often as you like: it is noted, and looked at now and then."""

    __slots__ = ("done", "message", "total")

    def __init__(self) -> None:
        self.done = 0
        self.total: int | None = None
        self.message = ""

    def report(self, done: int, total: int | None = None, message: str = "") -> None:
        """`done` of `total` (None where that is not known), and a line about what comes now."""
        self.done = done
        self.total = total
        self.message = _storable(message[:_MESSAGE_CHARACTERS])


Work = Callable[[Progress], Awaitable[Report]]
"""Does the work and returns its report. Cancelled, it cleans up within a shield of its own, in bounded
time. What it raises makes the job `failed`."""


@dataclass(frozen=True, slots=True)
class JobState:
    """A job at one moment.

    Attributes:
        kind: the tool that started it.
        done, total, message: its progress. reason: why it is not `finished`, one sentence.
        elapsed_seconds: from its start to now or to its end.
        warning: why the job would not survive the end of this proofbox process; empty if it would.
    """

    job_id: str
    kind: str
    state: State
    done: int = 0
    total: int | None = None
    message: str = ""
    reason: str = ""
    report: Report | None = None
    elapsed_seconds: float = 0.0
    warning: str = ""


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A job in a list, without its report.

    Attributes:
        created: a reading of the wall clock.
        verdict, said: what its report begins with; empty where it has none.
    """

    job: JobState
    created: float
    verdict: str = ""
    said: str = ""


@dataclass(slots=True, eq=False)
class Job:
    """A job of this process. Times are readings of the wall clock.

    Attributes:
        handed_out: somebody may come back for it, so it is kept when it has ended.
        report: as JSON text. size: of that, in bytes.
        error: what the work raised.
        questions: what the work may ask, if it asks anything.
        ending: what to call the end if the work lets itself be cancelled, and why it was.
        over: set once it has ended and, if it can be, is written down.
    """

    principal: str
    kind: str
    created: float
    questions: Questions | None = None
    job_id: str = field(default_factory=lambda: _new_id())
    progress: Progress = field(default_factory=Progress)
    handed_out: bool = False
    state: State = "running"
    report: str | None = None
    reason: str = ""
    error: Exception | None = None
    ended: float | None = None
    ending: tuple[State, str] = ("interrupted", "proofbox was stopped while it ran.")
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    over: anyio.Event = field(default_factory=anyio.Event)

    @property
    def size(self) -> int:
        return len((self.report or "").encode())

    async def do(self, work: Work) -> None:
        """Do the work, and note how it ended."""
        with self.scope:
            try:
                report = await work(self.progress)
                self.report = _storable(json.dumps(report, ensure_ascii=False))
                self.state = "finished"
            except Exception as error:  # noqa: BLE001 - a job's fault is its own, and is logged
                self._fail(_only(error))

    def stop(self, state: State, reason: str) -> None:
        """Cancel the work; it has ended when `over` is set."""
        if self.state == "running" and not self.scope.cancel_called:
            self.ending = (state, reason)
            self.scope.cancel()

    def settle(self, now: float) -> None:
        """Note the end, for work that was cancelled and has nothing to say."""
        if self.state == "running":
            self.state, self.reason = self.ending
        self.ended = now

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, ProofboxError):
            logger.error("The work of a %s job failed", self.kind, exc_info=error)
        # Work that is cancelled may well say so with an error.
        if self.scope.cancel_called:
            return
        self.error = error
        self.state = "failed"
        self.reason = (
            _storable(str(error))
            if isinstance(error, ProofboxError)
            else "proofbox has a fault: its log says more. The work can be started again."
        )


def _new_id() -> str:
    # A command line would take one that begins with a dash for a flag.
    return f"j{secrets.token_urlsafe(24)}"


def _only(error: Exception) -> Exception:
    """What is in a group of one, as task groups make them."""
    if isinstance(error, ExceptionGroup):
        group = cast(ExceptionGroup[Exception], error)
        return _only(group.exceptions[0]) if len(group.exceptions) == 1 else group
    return error


def _storable(text: str) -> str:
    """Lone surrogates, as in odd file names, cannot be written down."""
    return text.encode("utf-8", "replace").decode()
