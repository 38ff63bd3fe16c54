"""What a cell that has ended means."""

from ..errors import SandboxUnavailable
from ..results import CodeError, Execution, Outcome
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
    raised = cell.error
    if raised is not None and not raised.traceback and raised.name in _LOST:
        raise SandboxUnavailable(
            f"E2B lost the code that was running ({raised.name}). Start a new session.",
            may_have_started=_LOST[raised.name],
        )
    shown = None
    if raised is not None and not kernel_ended(cell):
        shown = results.error(raised, language, cell.number)
    outcome, reason = _outcome(cell, shown, timeout, memory)
    return Execution(
        outcome=outcome,
        reason=f"{reason} Variables are gone; files are kept.".strip() if lost else reason,
        stdout=recorder.stdout.captured(),
        stderr=recorder.stderr.captured(),
        results=tuple(cell.results),
        error=shown,
        state_lost=lost,
        duration_seconds=cell.seconds,
    )


def _outcome(
    cell: Cell, error: CodeError | None, timeout: float, memory: bool
) -> tuple[Outcome, str]:
    if cell.ended == "deadline":
        return "timed_out", f"The code did not end within {timeout:g} s and was stopped."
    if cell.ended == "flood":
        return "output_limit", (
            f"The code was stopped because it printed over {FLOOD} times what is kept."
        )
    if cell.ended == "exit":
        return "exited", "The code ended its own interpreter before its end."
    if kernel_ended(cell):
        if memory:
            return "out_of_memory", "The code was killed because the sandbox ran out of memory."
        # E2B does not tell an exit from a signal.
        return (
            "killed",
            "The interpreter died while the code ran: it exited, crashed or was killed.",
        )
    if error is None:
        return "completed", ""
    if error.name == "SystemExit":
        return "exited", f"The code called sys.exit({error.value}) before its end."
    return "raised", error.headline
