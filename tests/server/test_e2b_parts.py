"""The parts of the E2B backend that need no sandbox."""

import inspect
import json
import shlex
import subprocess

import connectrpc.errors
import e2b
import e2b.exceptions
import httpx
import pyqwest
import pytest
from connectrpc.code import Code
from e2b_code_interpreter.models import ExecutionError
from e2b_code_interpreter.models import Result as E2BResult

from proofbox.server.sandbox import (
    Captured,
    InvalidInput,
    ProofboxError,
    SandboxBusy,
    SandboxRejected,
    SandboxUnavailable,
)
from proofbox.server.sandbox.e2b import environ, failures, guest, results
from proofbox.server.sandbox.e2b.failures import Progress, translate
from proofbox.server.sandbox.e2b.output import FLOOD, Flooded, Recorder, Tape

# Failures


def sdk_exceptions() -> list[type[Exception]]:
    """Every exception class that the SDK shows."""
    found = {
        value
        for module in (e2b, e2b.exceptions)
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    return sorted(found, key=lambda kind: kind.__name__)


def test_every_exception_of_the_sdk_has_a_line_of_its_own() -> None:
    """One that a new version adds is decided on by a person, not by its base class."""
    listed = {kind for kind, _, _ in failures.TABLE}

    assert len(sdk_exceptions()) > 20
    assert [kind for kind in sdk_exceptions() if kind not in listed] == []


def test_no_line_of_the_table_hides_a_later_one() -> None:
    """The most specific class comes first."""
    kinds = [kind for kind, _, _ in failures.TABLE]

    hidden = [
        (earlier, later)
        for place, later in enumerate(kinds)
        for earlier in kinds[:place]
        if issubclass(later, earlier)
    ]

    assert hidden == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (e2b.SandboxNotRunningException("was not found"), SandboxUnavailable),
        (e2b.SandboxUnreachableException("port is not open"), SandboxUnavailable),
        (e2b.TimeoutException("Request timed out"), SandboxUnavailable),
        (e2b.RateLimitException("429"), SandboxBusy),
        (e2b.ServiceBusyException("503"), SandboxBusy),
        (e2b.AuthenticationException("401"), SandboxRejected),
        (e2b.TemplateException("old"), SandboxRejected),
        (e2b.FileNotFoundException("x"), InvalidInput),
        (e2b.NotEnoughSpaceException("507"), InvalidInput),
        (httpx.ReadError("x"), SandboxUnavailable),
        (httpx.RemoteProtocolError("x"), SandboxUnavailable),
        (pyqwest.ReadError("x"), SandboxUnavailable),
        (connectrpc.errors.ConnectError(Code.UNAVAILABLE, "x"), SandboxUnavailable),
        (ConnectionResetError("x"), SandboxUnavailable),
        (TimeoutError(), SandboxUnavailable),
        (json.JSONDecodeError("x", "y", 0), SandboxUnavailable),
        (KeyError("type"), SandboxUnavailable),
        (Exception("Command ended without an end event"), SandboxUnavailable),
    ],
    ids=lambda value: (
        f"{type(value).__module__}.{type(value).__name__}" if isinstance(value, Exception) else ""
    ),
)
def test_an_error_becomes_the_ports(error: Exception, expected: type[ProofboxError]) -> None:
    """With what failed, advice, and what E2B said."""
    known = translate(error, "do it", Progress())

    assert type(known) is expected
    assert str(known).startswith("Could not do it. ")


def test_our_own_mistakes_are_not_translated() -> None:
    """A bug must look like one."""
    for bug in (AttributeError("x"), TypeError("x"), ZeroDivisionError("x")):
        assert translate(bug, "do it", Progress()) is None


@pytest.mark.parametrize(
    ("error", "progress", "may_have_started"),
    [
        (httpx.ConnectError("refused"), Progress(sent=True), False),
        (httpx.ReadError("dropped"), Progress(sent=True), True),
        (e2b.TimeoutException("502: The sandbox was not found"), Progress(sent=True), False),
        (e2b.NotFoundException("Context x not found"), Progress(sent=True), False),
        (e2b.TimeoutException("killed while in progress"), Progress(sent=True), True),
        (e2b.TimeoutException("was not found"), Progress(sent=True, begun=True), True),
        (httpx.ReadError("dropped"), Progress(), False),
    ],
)
def test_whether_the_code_may_have_started_is_told(
    error: Exception, progress: Progress, may_have_started: bool
) -> None:
    """Only what certainly never reached the sandbox may be run again."""
    known = translate(error, "run", progress)

    assert isinstance(known, SandboxUnavailable)
    assert known.may_have_started is may_have_started


# Output


def test_short_output_is_kept_whole() -> None:
    """Nothing is omitted up to the limit."""
    tape = Tape(10)
    tape.add("01234")
    tape.add("56789")

    assert tape.captured() == Captured("0123456789")


def test_long_output_keeps_both_ends_and_counts_the_rest() -> None:
    """Head, tail and omitted bytes add up."""
    tape = Tape(10)
    for letter in "abcdefghijklmnopqrstuvwxyz" * 3:
        tape.add(letter)

    assert tape.captured() == Captured("abcde", "vwxyz", 68)


def test_a_character_cut_in_two_is_left_out() -> None:
    """Half a character is counted as omitted."""
    tape = Tape(4)
    tape.add("é漢漢é")

    assert tape.captured() == Captured("é", "é", 6)


def test_a_flood_ends_the_call() -> None:
    """So does a flood of empty pieces: each costs memory in the SDK."""
    printing, flushing = Recorder(1000, None), Recorder(1000, None)
    for _ in range(FLOOD - 1):
        printing.write("stdout", "x" * 900)
    with pytest.raises(Flooded):
        printing.write("stdout", "x" * 2000)

    for _ in range(FLOOD * 1000 // 64):
        flushing.write("stderr", "")
    with pytest.raises(Flooded):
        flushing.write("stderr", "")


# Environments


@pytest.mark.parametrize("name", ["", "a b", "1A", "A=B", "é"])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    """Names are those that every shell takes."""
    with pytest.raises(InvalidInput, match="environment variable"):
        environ.cells("python", {name: "x"})


def test_a_value_with_nul_is_refused() -> None:
    """No system takes it."""
    with pytest.raises(InvalidInput, match="NUL"):
        environ.cells("bash", {"A": "x\0y"})


def test_java_cannot_change_its_environment() -> None:
    """The message says what to do instead."""
    with pytest.raises(InvalidInput, match="Put the values"):
        environ.cells("java", {"A": "x"})


VALUE = "it's \"quoted\" \\ $HOME `x` #{y}\n\ttab\x1b[0m é🎉 '; exit 9; '"


def test_bash_cells_set_and_restore() -> None:
    """Run by a real bash: every value arrives, old ones come back, new ones go."""
    before, after = environ.cells("bash", {"NEW": VALUE, "OLD": VALUE})
    script = (
        f'{before}\nprintf "%s|%s|" "$NEW" "$OLD"\n{after}\nprintf "%s|%s" "${{NEW-unset}}" "$OLD"'
    )

    done = subprocess.run(
        ["bash", "-c", script], env={"OLD": "old"}, capture_output=True, text=True, check=True
    )

    assert "\n" not in before
    assert done.stdout == f"{VALUE}|{VALUE}|unset|old"


def test_r_cells_quote_every_value() -> None:
    """A value is one R string, with no way out of it."""
    before, after = environ.cells("r", {"A": VALUE})

    assert json.dumps(VALUE, ensure_ascii=False) in before
    assert VALUE not in before
    assert "Sys.unsetenv" in after


# Commands


@pytest.mark.parametrize("command", ["echo 'a b' \"$HOME\"; exit 3", ["sh", "-c", "exit 3"]])
def test_a_wrapped_command_keeps_its_status(command: str | list[str]) -> None:
    """Through the session, the deadline and two shells."""
    done = subprocess.run(
        ["bash", "-c", guest.wrapped(command, 10)], capture_output=True, check=False
    )

    assert done.returncode == 3
    assert done.stderr == b""


def test_the_killer_is_one_command_line() -> None:
    """Its parameters are JSON in a single quoted argument."""
    words = shlex.split(guest.kill_marked("m'\""))

    assert words[:5] == ["exec", "python3", "-I", "-S", "-c"]
    assert json.loads(words[-1])["mark"] == "m'\""


# Results


def test_results_become_mime_bundles() -> None:
    """Pictures are bytes, JSON is parsed, unknown kinds are kept."""
    result = results.convert(
        E2BResult(
            text="t",
            png="aGk=",
            json={"a": 1},
            extra={"text/x-new": "n"},
            data={"c": [1]},
            is_main_result=True,
        )
    )

    assert result.data == {
        "text/plain": "t",
        "image/png": b"hi",
        "application/json": {"a": 1},
        "text/x-new": "n",
    }
    assert (result.is_main, result.table, result.chart) == (True, {"c": [1]}, None)


def test_a_picture_that_is_no_base64_is_kept_as_it_is() -> None:
    """Whatever a library displays must not fail the call."""
    assert results.convert(E2BResult(png="é")).data == {"image/png": "é".encode()}


CELL = (
    "\x1b[31m------------------------------\x1b[39m\x1b[31mValueError\x1b[39m        Traceback (most recent "
    "call last)\x1b[36mCell\x1b[39m\x1b[36m \x1b[39m\x1b[32mIn[7]\x1b[39m\x1b[32m, line 3\x1b[39m\n----> 3 f()\n"
    "\x1b[36mCell\x1b[39m In[2], line 1, in f()\n----> 1 raise\n\x1b[31mValueError\x1b[39m: a"
)


def test_a_traceback_loses_its_colour_and_finds_its_line() -> None:
    """The line is that of the cell that ran, not of an older one deeper in the stack."""
    error = results.error(ExecutionError("ValueError", "a", CELL), "python", 7)

    assert error.line == 3
    assert error.traceback == (
        "Traceback (most recent call last):\nCell In[7], line 3\n----> 3 f()\n"
        "Cell In[2], line 1, in f()\n----> 1 raise\nValueError: a"
    )


def test_a_traceback_of_endless_recursion_is_cut() -> None:
    """Both ends stay."""
    error = results.error(ExecutionError("E", "v", "Cell In[1], line 1\n" * 10_000 + "end"), "r", 1)

    assert len(error.traceback) < 21_000
    assert error.traceback.endswith("end")
    assert "left out" in error.traceback
