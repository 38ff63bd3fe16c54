"""What a task's own code says, run without any answer: its reference, and tests that are taken apart."""

import json
from typing import Any

from ....server.sandbox import ProgramResult
from ..task import Task
from . import values
from .build import Plan
from .verdict import error_in, said_in, told


def calls_of(result: ProgramResult) -> tuple[str, str]:
    """Return the calls that a recording made, as JSON; or "" and why they cannot be had.

    The reason is empty where the tests ran, and only the values are no data.
    """
    said = said_in(result.cells[-1]) if result.outcome == "completed" else None
    if said is None or "given" not in said:
        return "", f"its reference solution does not run. {result.reason}".strip()
    if "ended" not in said:
        return "", f"its reference solution fails its own tests: {told(error_in(said))}"
    given: list[Any] = said["given"]
    if not values.is_data(given):
        return "", ""
    return json.dumps([call for call, _ in given]), ""


def expected_of(task: Task, result: ProgramResult) -> Plan:
    """Return the plan by which answers must give what the reference gave; calls that it refuses are left out."""
    said = said_in(result.cells[-1]) if result.outcome == "completed" else None
    if said is None or "ended" not in said:
        reason = told(error_in(said)) if said else result.reason
        return Plan("compared", problem=f"its reference solution does not run: {reason}")
    calls: list[Any] = json.loads(task.calls)
    given: list[Any] = said["given"]
    kept = [
        (call, one["value"])
        for call, one in zip(calls, given, strict=True)
        if "value" in one and values.is_data(one["value"])
    ]
    if not kept:
        return Plan(
            "compared", problem="its reference solution gives nothing that can be compared."
        )
    return Plan("compared", json.dumps([call for call, _ in kept]), tuple(v for _, v in kept))


def taken_apart(result: ProgramResult) -> tuple[str, tuple[Any, ...]] | None:
    """Return the calls that tests in JavaScript make and what they expect; None where that is not to be had."""
    said = said_in(result.cells[-1]) if result.outcome == "completed" else None
    given = said.get("given") if said is not None and "ended" in said else None
    if not given or not values.is_data(given):
        return None
    calls: list[Any] = [[arguments, {"dict": []}] for arguments, _ in given]
    return json.dumps(calls), tuple(expected for _, expected in given)
