"""Which Python environments are for, and what a jail calls it."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from proofbox.server.sandbox import SandboxRejected
from proofbox.server.sandbox.local import interpreters
from proofbox.server.sandbox.local.environments import ensure
from proofbox.server.sandbox.local.interpreters import Interpreter

PYENV = Interpreter(
    executable="/home/somebody/.pyenv/versions/3.12.1/bin/python3.12",
    base_prefix="/home/somebody/.pyenv/versions/3.12.1",
    implementation="cpython",
    version="3.12.1",
    abi="cpython-312",
    machine="x86_64-linux-gnu",
)
SCRIPT = "#!/bin/sh\necho '{answer}'\n"


@pytest.mark.parametrize(
    ("executable", "prefix", "in_jail"),
    [
        (PYENV.executable, PYENV.base_prefix, "/opt/python/bin/python3.12"),
        ("/usr/bin/python3.12", "/usr", "/usr/bin/python3.12"),
        ("/usr/local/bin/python3.12", "/usr/local", "/usr/local/bin/python3.12"),
        ("/opt/conda/bin/python3.12", "/opt/conda", "/opt/python/bin/python3.12"),
        ("/snap/bin/python3.12", "/snap/python/3", "/opt/python/bin/python3.12"),
    ],
)
def test_a_jail_shows_the_interpreter_where_it_finds_its_library(
    executable: str, prefix: str, in_jail: str
) -> None:
    """Below /usr it stays where it is; anything else, a home above all, gets a neutral name."""
    python = replace(PYENV, executable=executable, base_prefix=prefix)

    assert python.in_jail == in_jail
    assert python.moved is in_jail.startswith("/opt/python/")


def test_the_running_interpreter_is_never_that_of_a_virtual_environment() -> None:
    """A jail could not follow the links of one."""
    python = interpreters.running()

    assert python.executable == os.path.realpath(python.executable)
    assert python.base_prefix == os.path.realpath(sys.base_prefix)
    assert python.version == ".".join(map(str, sys.version_info[:3]))


def test_the_interpreter_of_a_virtual_environment_stands_for_its_base() -> None:
    """Asked by path, in a process of its own where it is not the one that runs."""
    assert interpreters.of(Path(sys.executable)) == interpreters.running()


def test_another_interpreter_is_asked_what_it_is(tmp_path: Path) -> None:
    """By running it, once."""
    other = _program(
        tmp_path,
        '{"executable": "/opt/pypy/bin/pypy3", "base_prefix": "/opt/pypy", "implementation": '
        '"pypy", "version": "3.11.13", "abi": "pypy311", "machine": "x86_64-linux-gnu"}',
    )

    python = interpreters.of(other)
    other.unlink()

    assert (python.implementation, python.minor) == ("pypy", "3.11")
    assert interpreters.of(other) is python


@pytest.mark.parametrize("answer", ["no JSON", "{}", "[]"])
async def test_what_is_no_interpreter_is_refused(answer: str, tmp_path: Path) -> None:
    """With the path that was given, before anything is built."""
    with pytest.raises(SandboxRejected, match=r"other .*does not run here"):
        await ensure([], cache_dir=tmp_path / "cache", interpreter=_program(tmp_path, answer))

    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("below_home", [True, False], ids=["home", "root"])
def test_a_prefix_that_holds_more_than_python_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, below_home: bool
) -> None:
    """Mounting it would show a home directory, or everything."""
    monkeypatch.setenv("HOME", str(tmp_path))
    prefix = str(tmp_path) if below_home else "/"
    other = _program(
        tmp_path,
        f'{{"executable": "{prefix}/bin/python3", "base_prefix": "{prefix}", "implementation": '
        '"cpython", "version": "3.12.1", "abi": "cpython-312", "machine": "x86_64-linux-gnu"}',
    )

    with pytest.raises(SandboxRejected, match="directory of its own"):
        interpreters.of(other)


def _program(directory: Path, answer: str) -> Path:
    program = directory / "other"
    program.write_text(SCRIPT.format(answer=answer))
    program.chmod(0o755)
    return program
