"""How the keeper of programs tells one end of a program from another."""

import os
import signal
import socket
import subprocess
import sys

import pytest

if sys.platform != "linux":
    pytest.skip("only Linux has what the keeper stands on", allow_module_level=True)

from proofbox.server.sandbox.guest import wire
from proofbox.server.sandbox.guest.children import Child
from proofbox.server.sandbox.guest.program import Place, Program
from proofbox.server.sandbox.guest.run import Run

REQUEST: wire.Message = {
    "id": 1,
    "language": "cells",
    "env": {},
    "name": "cell",
    "line": 1,
    "mode": "exec",
    "timeout": 0.0,
}


def test_a_program_that_dies_as_its_time_is_up_is_told_by_its_status() -> None:
    """Its channel closes before its status is known; that alone is no attack, whatever the clock says."""
    host, keepers_host = socket.socketpair()
    its_end, channel = socket.socketpair()
    with subprocess.Popen(["sleep", "1000"]) as process, host:
        child = Child(process.pid, {}, channel)
        program = Program(
            keepers_host, {"output_bytes": 1000}, Place(os.pidfd_open(process.pid), child)
        )
        run = Run(program, REQUEST, b"while True: pass")

        its_end.close()
        run.handle({channel})
        assert not run.finished
        child.status = signal.SIGXCPU
        run.handle(())

        assert run.finished
        program.flush()
        ((answer, _),) = wire.FrameReader().feed(host.recv(1 << 16))
        program.close()

    assert (answer["how"], answer["status"]) == ("ended", signal.SIGXCPU)
    assert process.returncode == -signal.SIGKILL
