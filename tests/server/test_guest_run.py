"""How keepers tell one end from another, and what is stopped early from what is not."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest

if sys.platform != "linux":
    pytest.skip("only Linux has what the keeper stands on", allow_module_level=True)

from proofbox.server.sandbox import Cell, Limits, SandboxRequest, Stream
from proofbox.server.sandbox import Program as Asked
from proofbox.server.sandbox.guest import wire
from proofbox.server.sandbox.guest.children import Child
from proofbox.server.sandbox.guest.interpreters import Cells
from proofbox.server.sandbox.guest.program import Place, Program
from proofbox.server.sandbox.guest.run import Run
from proofbox.server.sandbox.local.backend import LocalBackend

REQUEST: wire.Message = {
    "id": 1,
    "language": "cells",
    "env": {},
    "name": "cell",
    "line": 1,
    "mode": "exec",
    "timeout": 0.0,
}


class Kept(NamedTuple):
    """A program with a process that sleeps in the place of its own."""

    program: Program
    init: int
    child: Child
    host: socket.socket
    keepers_host: socket.socket
    its_end: socket.socket
    process: subprocess.Popen[bytes]


@contextmanager
def kept(*, is_forked: bool = True) -> Generator[Kept]:
    """It is killed at the end."""
    host, keepers_host = socket.socketpair()
    its_end, channel = socket.socketpair()
    with subprocess.Popen(["sleep", "1000"]) as process, host, its_end:
        child = Child(process.pid if is_forked else 0, {}, channel)
        init = os.pidfd_open(process.pid)
        program = Program(keepers_host, {"output_bytes": 1000}, Place(init, child))
        try:
            yield Kept(program, init, child, host, keepers_host, its_end, process)
        finally:
            program.close()


def test_a_program_that_dies_as_its_time_is_up_is_told_by_its_status() -> None:
    """Its channel closes before its status is known; that alone is no attack, whatever the clock says."""
    with kept() as one:
        run = Run(one.program, REQUEST, b"while True: pass")

        one.its_end.close()
        run.handle({one.child.connection})
        assert not run.finished
        one.child.status = signal.SIGXCPU
        run.handle(())

        assert run.finished
        one.program.flush()
        ((answer, _),) = wire.FrameReader().feed(one.host.recv(1 << 16))

    assert (answer["how"], answer["status"]) == ("ended", signal.SIGXCPU)
    assert one.process.returncode == -signal.SIGKILL


def test_an_answer_is_never_larger_than_what_the_host_takes() -> None:
    """A program that has got hold of the token of its cell can say anything, and costs those beside it nothing."""
    with kept() as one:
        sent: list[wire.Message] = []
        one.program.send = lambda message, body=b"": sent.append(message)
        run = Run(one.program, {**REQUEST, "timeout": 1000.0}, b"1")
        cells = one.program.interpreter("cells")
        assert isinstance(cells, Cells)
        lie = wire.encode({"t": "done", "token": cells.token, "value": "x" * 5_000_000})
        writer = threading.Thread(target=one.its_end.sendall, args=(lie,))
        writer.start()
        while not run.finished:
            select.select([one.child.connection], [], [])
            run.handle({one.child.connection})
        writer.join()

    # Each character may take twelve bytes.
    assert 0 < 12 * len(sent[-1]["value"]) < wire.MAX_FRAME


def test_a_cancellation_adds_nothing_to_an_interrupt_that_is_on_its_way() -> None:
    """What was interrupted since its time is up keeps the moment that it has to end in, and so its variables."""
    with kept() as one:
        run = Run(one.program, REQUEST, b"while True: pass")

        run.handle(())
        run.cancel()
        finished = run.finished

    assert not finished


def test_a_program_that_is_cancelled_before_it_is_forked_is_killed_at_once() -> None:
    """There is nothing to interrupt yet, and signals to process 0 are for the keeper's own group."""
    with kept(is_forked=False) as one:
        asked = {**REQUEST, "op": "run", "timeout": 1000.0, "last": True}
        one.host.sendall(wire.encode(asked, b"1") + wire.encode({"op": "cancel", "id": 1}))

        assert one.program.turn({one.keepers_host})
        waits_for = one.program.readers()
        one.process.wait()
        one.program.turn({one.init})
        one.program.flush()
        ((answer, _),) = wire.FrameReader().feed(one.host.recv(1 << 16))

    assert waits_for == [one.keepers_host, one.init]
    assert (answer["how"], one.process.returncode) == ("cancelled", -signal.SIGKILL)


async def test_a_session_outlives_what_is_cancelled_in_bash_and_among_its_files(
    local_cache: Path,
) -> None:
    """What has to be killed at once, since no interrupt would end it, ends alone and costs Python no variables."""
    backend = LocalBackend(cache_dir=local_cache)
    sandbox = await backend.create(SandboxRequest(owner="cancels"))
    begun = anyio.Event()

    def heard(_stream: Stream, _text: str) -> None:
        begun.set()

    async def sleep() -> None:
        await sandbox.run_code("echo begun; sleep 7322", language="bash", on_output=heard)

    with anyio.fail_after(30):
        await sandbox.run_code("kept = 'kept'")
        async with anyio.create_task_group() as group:
            group.start_soon(sleep)
            await begun.wait()
            group.cancel_scope.cancel()
        for turns in range(4):
            async with anyio.create_task_group() as group:
                group.start_soon(sandbox.write_files, {"file": bytes(2**20)})
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        after = await sandbox.run_code("echo works", language="bash")
        kept = await sandbox.run_code("print(kept)")
        await backend.close()

    assert (after.outcome, after.stdout.text, after.state_lost) == ("completed", "works\n", True)
    assert (kept.outcome, kept.stdout.text, kept.state_lost) == ("completed", "kept\n", False)


async def test_code_that_uses_up_its_processor_time_is_told_so(local_cache: Path) -> None:
    """Not that it was killed for whatever reason, like a lack of memory."""
    backend = LocalBackend(cache_dir=local_cache)
    sandbox = await backend.create(
        SandboxRequest(owner="busy", limits=Limits(cpu_seconds=1), programs_only=True)
    )
    with anyio.fail_after(60):
        result = await sandbox.run_program(Asked("busy", (Cell("while True: pass"),), timeout=50))
        await backend.close()

    assert (result.outcome, result.reason) == (
        "killed",
        "The code used up its CPU time and was killed.",
    )
