"""What a cell that has ended means."""

from ..base import Execution, Outcome
from ..errors import SandboxUnavailable
from . import results
from .cells import Cell
from .output import FLOOD, Recorder

_DIED = "ContextRestarting"

# Errors that E2B's server makes itself; a user's exception of the same name has a traceback.
_LOST = {
    "UnexpectedEndOfExecution": True,
    "WebSocketError": True,
    "ExecutionAborted": False,
}


def kernel_ended(cell: Cell) -> bool:
    """Whether the kernel died while it ran the cell."""
    return cell.error is not None and cell.error.name == _DIED and not cell.error.traceback


def execution_of(
    cell: Cell, recorder: Recorder, language: str, *, timeout: float, lost: bool, memory: bool
) -> Execution:
    """The port's result. `memory`: the machine killed something for want of memory meanwhile.

    Raises:
        SandboxUnavailable: the server lost the cell.
    """
    if cell.error is not None and not cell.error.traceback and cell.error.name in _LOST:
        raise SandboxUnavailable(
            f"E2B lost the code that was running ({cell.error.name}). Run it again if that does no harm.",
            may_have_started=_LOST[cell.error.name],
        )
    outcome, reason = _outcome(cell, timeout, memory)
    shown = cell.error is not None and outcome in ("raised", "exited")
    return Execution(
        outcome=outcome,
        reason=f"{reason} The interpreter was replaced: variables are gone." if lost else reason,
        stdout=recorder.stdout.captured(),
        stderr=recorder.stderr.captured(),
        results=tuple(cell.results),
        error=results.error(cell.error, language, cell.number) if cell.error and shown else None,
        state_lost=lost,
        duration_seconds=cell.seconds,
    )


def _outcome(cell: Cell, timeout: float, memory: bool) -> tuple[Outcome, str]:
    if cell.ended == "deadline":
        return "timed_out", f"The code was stopped after {timeout:g} seconds, its time limit."
    if cell.ended == "flood":
        return (
            "output_limit",
            f"The code was stopped because it printed over {FLOOD} times what is kept.",
        )
    if cell.error is None:
        return "completed", ""
    if kernel_ended(cell):
        if memory:
            return (
                "out_of_memory",
                "The interpreter was killed because the sandbox was out of memory.",
            )
        # E2B does not tell an exit from a signal.
        return (
            "killed",
            "The interpreter died while the code ran: it exited, crashed or was killed.",
        )
    if cell.error.name == "SystemExit":
        return "exited", f"The code called for an exit with status {cell.error.value or 0}."
    if not cell.error.name:
        return "raised", f"The code ended with status {cell.error.value}."
    return "raised", f"The code raised {_headline(cell.error.name, cell.error.value)}."


def _headline(name: str, value: str) -> str:
    first = value.strip().splitlines()[0][:200] if value.strip() else ""
    return f"{name}: {first}" if first else name
