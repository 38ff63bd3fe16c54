"""One program in a sandbox: a session of its own that ends with it."""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio

from ..base import Cell, Program
from ..errors import InvalidInput, SandboxUnavailable
from ..results import CellResult, ProgramResult
from . import answers
from .answers import RanOutOfMemory
from .connection import Connection, check_environment, could_not_start, encode_code

Open = Callable[[], Awaitable[tuple[Connection, dict[str, Any]]]]

# A file's path, a part of its content, and whether that follows on another.
_Piece = tuple[str, bytes, bool]

_END_SECONDS = 10.0
_MOST_SENT = 16 * 1024**2


async def run(
    open_program: Open, program: Program, ran_out_of_memory: RanOutOfMemory
) -> ProgramResult:
    """See `ProgramRunner`. The first message tells the `isolation`, unless it is by namespaces."""
    if not (program.cells or program.command):
        raise InvalidInput("The program has neither cells nor a command.")
    connection, first = await open_program()
    try:
        if first["t"] != "ready":
            raise SandboxUnavailable(could_not_start(first))
        return await _run(connection, first, program, ran_out_of_memory)
    finally:
        connection.abort()


async def _run(
    connection: Connection,
    first: dict[str, Any],
    program: Program,
    ran_out_of_memory: RanOutOfMemory,
) -> ProgramResult:
    try:
        began = time.monotonic()
        await _write_files(connection, program)
        if program.command:
            result = await _run_command(connection, program, ran_out_of_memory)
        else:
            result = await _run_cells(
                connection, program, began + program.timeout, ran_out_of_memory
            )
    except BaseException:
        # What earlier cells have started is not to outlive a cancellation either.
        with suppress(SandboxUnavailable):
            await _end(connection)
        raise
    if len(result.cells) < len(program.cells):
        await _end(connection)  # its last request, which ends it too, was not made
    return replace(result, isolation=first.get("isolation", "namespaces"))


async def _end(connection: Connection) -> None:
    with anyio.CancelScope(shield=True):
        await connection.request({"op": "end"}, b"", _END_SECONDS)


async def _write_files(connection: Connection, program: Program) -> None:
    for pieces in _requests_worth(program.files):
        sizes = [[path, len(content), append] for path, content, append in pieces]
        request = {"op": "write_many", "path": "the program's files", "files": sizes}
        await connection.file_request(request, b"".join(content for _, content, _ in pieces))


def _requests_worth(files: Mapping[str, bytes]) -> Iterator[list[_Piece]]:
    """The files in as many lots as it takes: one frame does not hold any number of bytes."""
    pieces: list[_Piece] = []
    size = 0
    for path, content in files.items():
        for start in range(0, max(1, len(content)), _MOST_SENT):
            piece = content[start : start + _MOST_SENT]
            if pieces and size + len(piece) > _MOST_SENT:
                yield pieces
                pieces, size = [], 0
            pieces.append((path, piece, start > 0))
            size += len(piece)
    if pieces:
        yield pieces


async def _run_cells(
    connection: Connection, program: Program, deadline: float, ran_out_of_memory: RanOutOfMemory
) -> ProgramResult:
    done: list[CellResult] = []
    began = time.monotonic()
    for number, cell in enumerate(program.cells, 1):
        left = max(0.001, deadline - time.monotonic())
        # What is told is the limit that was set, and not what earlier cells have left of it.
        limit = program.timeout if cell.timeout is None or cell.timeout > left else cell.timeout
        request = {"last": number == len(program.cells), "env": check_environment(program.env)}
        times = (min(left, limit), limit)
        result = await _run_cell(connection, request, cell, times, ran_out_of_memory)
        done.append(result)
        if not _may_go_on(cell, result):
            break
    last = done[-1] if done else CellResult("completed")
    ended_well = not done or _may_go_on(program.cells[len(done) - 1], last)
    return ProgramResult(
        id=program.id,
        outcome="completed" if ended_well else last.outcome,
        reason="" if ended_well else last.reason,
        cells=tuple(done),
        seconds=time.monotonic() - began,
    )


def _may_go_on(cell: Cell, result: CellResult) -> bool:
    return result.outcome == "completed" or (cell.may_raise and result.outcome == "raised")


async def _run_cell(
    connection: Connection,
    request: dict[str, Any],
    cell: Cell,
    times: tuple[float, float],
    ran_out_of_memory: RanOutOfMemory,
) -> CellResult:
    timeout, limit = times
    place = {"name": cell.name, "line": cell.line, "mode": cell.mode}
    request = {"op": "run", "language": "cells", **place, **request}
    code = encode_code(cell.code)
    call, message, _ = await connection.request(request, code, timeout)
    return answers.cell_result(message, call, timeout=limit, ran_out_of_memory=ran_out_of_memory)


async def _run_command(
    connection: Connection, program: Program, ran_out_of_memory: RanOutOfMemory
) -> ProgramResult:
    request = {"op": "command", "argv": list(program.command), "cwd": None, "last": True}
    call, message, _ = await connection.request(
        {**request, "env": check_environment(program.env)}, b"", program.timeout
    )
    result = answers.command_result(
        message, call, timeout=program.timeout, ran_out_of_memory=ran_out_of_memory
    )
    outcome, reason = result.outcome, result.reason
    if outcome == "exited":
        failed = result.exit_code != 0
        outcome = "raised" if failed else "completed"
        reason = f"It exited with code {result.exit_code}." if failed else ""
    cell = CellResult(
        outcome,
        reason,
        stdout=result.stdout,
        stderr=result.stderr,
        seconds=result.duration_seconds,
    )
    return ProgramResult(
        id=program.id,
        outcome=outcome,
        reason=reason,
        cells=(cell,),
        exit_code=result.exit_code,
        seconds=result.duration_seconds,
    )
