"""What a keeper's answers mean, as the port's results."""

import base64
import json
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ..results import (
    Captured,
    CellResult,
    CodeError,
    CommandResult,
    Execution,
    Outcome,
    Result,
    Stream,
)

if TYPE_CHECKING:
    from .connection import Call

RanOutOfMemory = Callable[[], bool]

_CHART = "application/vnd.e2b.chart+json"
_TABLE = "application/vnd.e2b.table+json"
_BINARY = ("image/png", "image/jpeg", "application/pdf")
_STATE_LOST = "Variables are gone; files are kept."


def execution(
    message: dict[str, Any], call: "Call", *, timeout: float, ran_out_of_memory: RanOutOfMemory
) -> Execution:
    """The `Execution` for a `done` message."""
    error = _code_error(message["error"])
    outcome, reason = _how_it_ended(message, error, timeout, ran_out_of_memory)
    if outcome == "timed_out" and error is not None:
        # Its KeyboardInterrupt is ours; where it struck is worth knowing.
        reason = f"{reason} It was at line {error.line}." if error.line else reason
        error = None
    lost = bool(message["lost"])
    if message["lost_before"]:
        note = "The interpreter had died since the last call, so it started anew."
        reason = f"{reason} {note}".strip()
    elif lost:
        reason = f"{reason} {_STATE_LOST}"
    return Execution(
        outcome=outcome,
        reason=reason,
        stdout=_captured(call, "stdout", message),
        stderr=_captured(call, "stderr", message),
        results=_results(call, message["displays_left_out"]),
        error=error,
        state_lost=lost,
        duration_seconds=message["seconds"],
    )


def cell_result(
    message: dict[str, Any], call: "Call", *, timeout: float, ran_out_of_memory: RanOutOfMemory
) -> CellResult:
    """The `CellResult` for the `done` message of a program's cell."""
    done = execution(message, call, timeout=timeout, ran_out_of_memory=ran_out_of_memory)
    value = message.get("value")
    return CellResult(
        outcome=done.outcome,
        reason=done.reason.removesuffix(_STATE_LOST).strip(),
        error=done.error,
        stdout=done.stdout,
        stderr=done.stderr,
        value=as_unicode(value) if isinstance(value, str) else None,
        seconds=done.duration_seconds,
        cpu_seconds=_number(message.get("cpu")),
        peak_bytes=int(_number(message.get("peak"))),
    )


def _number(said: object) -> float:
    # It is user code's word, which may be infinite or no number at all.
    return float(said) if isinstance(said, int | float) and 0 <= said < 1e15 else 0.0


def command_result(
    message: dict[str, Any], call: "Call", *, timeout: float, ran_out_of_memory: RanOutOfMemory
) -> CommandResult:
    """The `CommandResult` for a `done` message."""
    outcome: Outcome
    outcome, reason, exit_code = "exited", "", None
    if message["how"] != "ended":
        outcome, reason = "timed_out", _too_long(timeout)
    else:
        status = os.waitstatus_to_exitcode(message["status"])
        exit_code = status if status >= 0 else 128 - status
        if status < 0:
            outcome, reason = _killed_by(-status, ran_out_of_memory)
        if outcome == "out_of_memory":
            exit_code = None
    return CommandResult(
        outcome=outcome,
        exit_code=exit_code,
        reason=reason,
        stdout=_captured(call, "stdout", message),
        stderr=_captured(call, "stderr", message),
        duration_seconds=message["seconds"],
    )


def _how_it_ended(
    message: dict[str, Any],
    error: CodeError | None,
    timeout: float,
    ran_out_of_memory: RanOutOfMemory,
) -> tuple[Outcome, str]:
    match message["how"]:
        case "":
            return _by_itself(error)
        case "timed_out" | "cancelled":
            return "timed_out", _too_long(timeout)
        case "ended":
            status = os.waitstatus_to_exitcode(message["status"])
            if status < 0:
                return _killed_by(-status, ran_out_of_memory)
            return "exited", f"The code ended its own interpreter with exit code {status}."
        case _:
            return "killed", "The code interfered with proofbox's own channel and was killed."


def _by_itself(error: CodeError | None) -> tuple[Outcome, str]:
    if error is None:
        return "completed", ""
    if error.name == "SystemExit":
        return "exited", f"The code called sys.exit({error.value}) before its end."
    return "raised", error.headline


def _too_long(timeout: float) -> str:
    return f"The code did not end within {timeout:g} s and was stopped."


def _killed_by(number: int, ran_out_of_memory: RanOutOfMemory) -> tuple[Outcome, str]:
    if number == signal.SIGXCPU:
        return "killed", "The code used up its CPU time and was killed."
    if number == signal.SIGKILL and ran_out_of_memory():
        return "out_of_memory", "The code was killed because the sandbox ran out of memory."
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    likely = ", most likely for lack of memory" if number == signal.SIGKILL else ""
    return "killed", f"The code's process was killed by {name}{likely}."


def _code_error(error: dict[str, Any] | None) -> CodeError | None:
    if error is None:
        return None
    return CodeError(
        name=as_unicode(error["name"]),
        value=as_unicode(error["value"]),
        line=error["line"],
        traceback=as_unicode(error["traceback"]),
    )


def _captured(call: "Call", stream: Stream, message: dict[str, Any]) -> Captured:
    head, tail = bytes(call.output[stream]), call.tails.get(stream, b"")
    omitted = message["dropped"][stream]
    if not omitted:
        return Captured((head + tail).decode(errors="replace"))
    return Captured(head.decode(errors="replace"), tail.decode(errors="replace"), omitted)


def _results(call: "Call", left_out: int) -> tuple[Result, ...]:
    shown = [_result(is_main, content) for is_main, content in call.displays]
    if left_out:
        shown.append(Result({"text/plain": f"[{left_out:,} more displays were not kept]"}))
    return tuple(shown)


def _result(is_main: bool, content: bytes) -> Result:
    """A display as user code sent it, which may not be what IPython would have sent."""
    said = _parse(content)
    data = _object(said) or {}
    chart, table = data.pop(_CHART, None), data.pop(_TABLE, None)
    shown = {kind: _content(kind, said) for kind, said in data.items()}
    return Result(
        data={kind: content for kind, content in shown.items() if content is not None},
        is_main=is_main,
        chart=_object(chart),
        table=_object(table),
    )


def _object(said: Any) -> dict[str, Any] | None:
    return cast("dict[str, Any]", said) if isinstance(said, dict) else None


def _parse(content: bytes) -> Any:
    try:
        said = json.loads(content)
        if b"\\ud" in content:
            # Halves of surrogate pairs are no text, and no client can be sent them.
            said = json.loads(as_unicode(json.dumps(said, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None
    return said


def _content(kind: str, said: Any) -> Any:
    """What the port promises for this MIME type, None where it is something else."""
    if kind == "application/json" or kind.endswith("+json"):
        return said
    if not isinstance(said, str):
        return None
    if kind not in _BINARY:
        return said
    try:
        return base64.b64decode(said)
    except ValueError:
        return None


def as_unicode(text: str) -> str:
    """The same without halves of surrogate pairs: no JSON that has them can be sent to a client."""
    return text.encode(errors="surrogatepass").decode(errors="replace")
