"""What the tests use that attack the local backend from inside one of its sessions."""

import ast
import os
from typing import Any

from proofbox.server.sandbox import Execution, Sandbox
from proofbox.server.sandbox.guest import seccomp

MACHINE = os.uname().machine

PRELUDE = """
import ctypes, errno, fcntl, glob, json, os, resource, signal, socket, stat, struct, subprocess
import sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def call(number, *arguments):
    "The result of a system call, or the name of its error."
    ctypes.set_errno(0)
    ready = [a if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *ready)
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]

def attempt(function, *arguments):
    "What a call returns, or the name of the error that it raises."
    try:
        return function(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)

def write(path, text="x"):
    "Write to a file; how many characters went in."
    with open(path, "w") as file:
        return file.write(text)

def read(path):
    "The first bytes of a file."
    with open(path, "rb") as file:
        return file.read(100_000)
"""


async def arm(sandbox: Sandbox) -> None:
    """Define in a session what attacks use."""
    done = await sandbox.run_code(PRELUDE)
    assert done.outcome == "completed", done


async def outcome(sandbox: Sandbox, code: str, timeout: float = 20.0) -> Any:
    """Run an attack that must come to its end; the value of its last expression, a literal."""
    done = await sandbox.run_code(code, timeout=timeout)
    assert done.outcome == "completed", done
    return value(done)


def value(done: Execution) -> Any:
    """The value of the last expression."""
    (shown,) = [result for result in done.results if result.is_main]
    assert shown.text is not None
    return ast.literal_eval(shown.text)


async def still_works(sandbox: Sandbox) -> bool:
    """Whether a session computes and starts processes."""
    done = await sandbox.run_code("6 * 7", timeout=10)
    command = await sandbox.run_command("echo $((6 * 7))", timeout=10)
    return value(done) == 42 and command.stdout.text == "42\n"


def number(name: str) -> int:
    """The number of a system call that the filter knows, on this machine."""
    found = seccomp.REFUSED[name][0 if MACHINE == "x86_64" else 1]
    assert found is not None
    return found
