"""What every backend must do: one suite, run unchanged on each (`tests/server/test_contract.py`).

A test takes the fixture `sandbox` (fresh, of the backend under test), `backend`, `unused` (one that has
opened nothing yet) or `expected`, which
holds the few points where the port's docstrings leave a backend a choice.
"""

import base64
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from pathlib import Path

import anyio
import pytest

from proofbox.server.sandbox import (
    Backend,
    Captured,
    Execution,
    InvalidInput,
    Limits,
    Outcome,
    Sandbox,
    SandboxRequest,
    SandboxUnavailable,
    Stream,
)

# Long enough for a kernel to be replaced on a busy machine; nothing waits for it in a passing test.
PATIENCE = 60
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


@dataclass(frozen=True)
class Expected:
    """Where backends may differ.

    Attributes:
        own_exit: the outcome of `os._exit`. E2B does not tell an exit from a signal.
    """

    own_exit: Outcome


async def value_of(sandbox: Sandbox, code: str) -> str | None:
    """The text of the last expression of code that must complete."""
    execution = await sandbox.run_code(code)
    assert execution.outcome == "completed", execution
    return execution.results[-1].text if execution.results else None


async def assert_works(sandbox: Sandbox) -> None:
    """The very next calls work."""
    assert await value_of(sandbox, "6 * 7") == "42"
    result = await sandbox.run_command("echo alive")
    assert (result.exit_code, result.stdout.text) == (0, "alive\n")


async def assert_gone(sandbox: Sandbox, mark: str) -> None:
    """No process in the sandbox has `mark` in its command line."""
    finder = (
        "import os\n"
        "for name in filter(str.isdigit, os.listdir('/proc')):\n"
        "    try:\n"
        "        words = open(f'/proc/{name}/cmdline', 'rb').read()\n"
        "    except OSError:\n"
        "        continue\n"
        f"    if ('{mark[:2]}' + '{mark[2:]}').encode() in words and int(name) != os.getpid():\n"
        "        print(words)\n"
    )
    await sandbox.write_files({"finder.py": finder.encode()})
    seen_by_commands = await sandbox.run_command("python3 finder.py")
    seen_by_code = await sandbox.run_code("exec(open('finder.py').read())")
    assert (seen_by_commands.exit_code, seen_by_commands.stdout.text) == (0, ""), seen_by_commands
    assert (seen_by_code.outcome, seen_by_code.stdout.text) == ("completed", ""), seen_by_code


def processes(mark: str) -> int:
    """How many processes of this machine have `mark` in their command line."""
    count = 0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            count += entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes()
    return count


# State and values


async def test_variables_persist_between_calls(sandbox: Sandbox) -> None:
    """What one call binds the next one sees."""
    await sandbox.run_code("x = 20\ndef double(n):\n    return 2 * n")

    execution = await sandbox.run_code("double(x) + 2")

    assert execution.outcome == "completed"
    assert execution.reason == ""
    assert execution.error is None
    assert [(result.text, result.is_main) for result in execution.results] == [("42", True)]
    assert not execution.state_lost
    assert execution.duration_seconds > 0


async def test_python_version_is_that_of_the_code(sandbox: Sandbox) -> None:
    """`python` names the version that code sees, once known."""
    version = await value_of(sandbox, "import platform; print(platform.python_version())")

    printed = await sandbox.run_code("print(platform.python_version())")

    assert version is None
    assert sandbox.python in {"", printed.stdout.text.strip()}


async def test_code_and_commands_start_in_the_home_directory(sandbox: Sandbox) -> None:
    """Both see /home/user as where they are, and each other's files."""
    executed = await sandbox.run_code("import os; print(os.getcwd()); open('made', 'w').write('m')")
    commanded = await sandbox.run_command("pwd; cat made; echo; echo $HOME; echo more >> made")
    again = await sandbox.run_code("print(open('made').read())")

    assert executed.stdout.text == "/home/user\n"
    assert commanded.stdout.text == "/home/user\nm\n/home/user\n"
    assert again.stdout.text == "mmore\n\n"


async def test_a_way_to_show_numbers_that_the_user_registers_is_used(sandbox: Sandbox) -> None:
    """Built-in types are not so plain that nobody could teach IPython another picture of them."""
    html = "get_ipython().display_formatter.formatters['text/html']"
    await sandbox.run_code(f"{html}.for_type(int, lambda number: f'<b>{{number}}</b>')")

    execution = await sandbox.run_code("6 * 7")

    assert execution.results[0].data == {"text/plain": "42", "text/html": "<b>42</b>"}


async def test_top_level_await_magics_and_shell_escapes_work(sandbox: Sandbox) -> None:
    """Code is a notebook cell."""
    execution = await sandbox.run_code(
        "import asyncio\nprint(await asyncio.sleep(0, 'awaited'))\n!echo shell\n%env HOME"
    )

    assert execution.outcome == "completed", execution
    assert execution.stdout.text.splitlines() == ["awaited", "shell"]
    assert "/home/user" in (execution.results[-1].text or "")


# Results


@pytest.mark.parametrize(
    ("code", "mime", "content"),
    [
        ("display(HTML('<b>h</b>'))", "text/html", "<b>h</b>"),
        ("display(Markdown('*m*'))", "text/markdown", "*m*"),
        ("display(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'))", "image/svg+xml", "<svg"),
        ("display(Image(data=PIXEL, format='png'))", "image/png", PIXEL),
        ("display({'image/jpeg': ENCODED}, raw=True)", "image/jpeg", PIXEL),
        ("display({'application/pdf': ENCODED}, raw=True)", "application/pdf", PIXEL),
        ("display(Latex('$x$'))", "text/latex", "$x$"),
        ("display(JSON({'a': [1, None]}))", "application/json", {"a": [1, None]}),
        ("display(Javascript('1'))", "application/javascript", "1"),
        ("'plain'.upper()", "text/plain", "PLAIN"),
    ],
)
async def test_each_kind_of_result_has_its_content(
    sandbox: Sandbox, code: str, mime: str, content: object
) -> None:
    """Every MIME type arrives as the port says: bytes, JSON or text."""
    encoded = base64.b64encode(PIXEL).decode()
    await sandbox.run_code(
        "import base64\nfrom IPython.display import *\n"
        f"ENCODED = {encoded!r}\nPIXEL = base64.b64decode(ENCODED)"
    )

    execution = await sandbox.run_code(code)

    assert execution.outcome == "completed", execution
    assert len(execution.results) == 1
    got = execution.results[0].data[mime]
    if isinstance(content, str):
        assert content in got
    else:
        assert got == content


async def test_several_displays_come_in_order_before_the_last_expression(sandbox: Sandbox) -> None:
    """One result each, and only the last expression is the main one."""
    execution = await sandbox.run_code(
        "from IPython.display import display\ndisplay(1)\ndisplay(2)\n3"
    )

    assert [(result.text, result.is_main) for result in execution.results] == [
        ("1", False),
        ("2", False),
        ("3", True),
    ]


@pytest.mark.slow
async def test_a_figure_is_a_picture_and_chart_data(sandbox: Sandbox) -> None:
    """A matplotlib figure comes as PNG, and as what e2b_charts makes of it."""
    execution = await sandbox.run_code(
        "import matplotlib.pyplot as plt\nplt.bar(['a', 'b'], [1, 2])\nplt.title('T')\nplt.show()",
        timeout=PATIENCE,
    )

    assert execution.outcome == "completed", execution
    (result,) = [one for one in execution.results if "image/png" in one.data]
    assert result.data["image/png"].startswith(b"\x89PNG")
    assert result.chart is not None
    assert (result.chart["type"], result.chart["title"]) == ("bar", "T")


@pytest.mark.slow
async def test_a_data_frame_is_a_table(sandbox: Sandbox) -> None:
    """A DataFrame comes as text, as HTML, and as its columns."""
    execution = await sandbox.run_code(
        "import pandas as pd\npd.DataFrame({'n': [1, 2], 's': ['x', 'y']})", timeout=PATIENCE
    )

    assert execution.outcome == "completed", execution
    (result,) = execution.results
    assert result.table == {"n": [1, 2], "s": ["x", "y"]}
    assert "<table" in result.data["text/html"]


# Output


async def test_output_streams_while_code_runs(sandbox: Sandbox) -> None:
    """Output arrives in order and before the code has ended, that of child processes too."""
    pieces: list[tuple[Stream, str]] = []
    seen = anyio.Event()

    def on_output(stream: Stream, text: str) -> None:
        pieces.append((stream, text))
        if "child" in text:
            seen.set()

    async def run() -> Execution:
        return await sandbox.run_code(
            "import subprocess, time\n"
            "print('first', flush=True)\n"
            "time.sleep(.3)\n"
            "subprocess.run(['echo', 'child'])\n"
            "time.sleep(1000)",
            timeout=PATIENCE,
            on_output=on_output,
        )

    results: list[Execution] = []
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:

            async def work() -> None:
                results.append(await run())

            group.start_soon(work)
            await seen.wait()
            assert not results
            group.cancel_scope.cancel()
    printed = "".join(text for stream, text in pieces if stream == "stdout")
    assert printed.split() == ["first", "child"]


async def test_both_streams_are_captured_apart(sandbox: Sandbox) -> None:
    """stdout and stderr keep their text, whole and in order."""
    execution = await sandbox.run_code(
        "import sys\nfor n in range(3):\n    print('o', n)\n    print('e', n, file=sys.stderr)"
    )

    assert execution.stdout == Captured("o 0\no 1\no 2\n")
    assert execution.stderr == Captured("e 0\ne 1\ne 2\n")


async def test_unicode_survives_everywhere(sandbox: Sandbox) -> None:
    """Text outside ASCII passes through code, output, results, commands and environments."""
    text = "é漢字🎉"

    execution = await sandbox.run_code(f"print({text!r}); {text!r} * 1", env={"WORD": text})
    command = await sandbox.run_command(
        f"printf %s '{text}'; printf %s \"$WORD\"", env={"WORD": text}
    )

    assert execution.stdout.text == text + "\n"
    assert text in (execution.results[0].text or "")
    assert command.stdout.text == text + text


async def test_bytes_that_are_no_text_read_as_replacements(sandbox: Sandbox) -> None:
    """A command's output that is not UTF-8 is text with U+FFFD in it."""
    result = await sandbox.run_command(r"printf 'a\xff\xfeb'")

    assert result.stdout.text == "a\ufffd\ufffdb"


def assert_cut(captured: Captured, limit: int, letter: str) -> None:
    """The capture is bounded and its omission counted."""
    assert len(captured.head.encode()) + len(captured.tail.encode()) <= limit
    assert captured.omitted > 0
    assert captured.head.startswith(letter * 100)


@pytest.mark.slow
@pytest.mark.parametrize("mebibytes", [3, 100])
async def test_much_output_is_cut_and_counted(sandbox: Sandbox, mebibytes: int) -> None:
    """A little too much is cut; a flood is cut or ends the code; either way the next call works."""
    size = mebibytes * 1024**2
    with anyio.fail_after(2 * PATIENCE):
        execution = await sandbox.run_code(
            f"for _ in range({mebibytes}):\n    print('x' * {1024**2 - 1})", timeout=PATIENCE
        )

    assert_cut(execution.stdout, 1024**2, "x")
    if mebibytes < 10:
        assert execution.outcome == "completed"
    assert execution.outcome in {"completed", "output_limit"}
    if execution.outcome == "completed":
        kept = len(execution.stdout.head) + len(execution.stdout.tail)
        assert kept + execution.stdout.omitted == size
    await assert_works(sandbox)


@pytest.mark.slow
async def test_much_output_of_a_command_is_cut_and_counted(sandbox: Sandbox) -> None:
    """100 MB from a command are bounded like those of code."""
    with anyio.fail_after(2 * PATIENCE):
        result = await sandbox.run_command(
            "head -c 100000000 /dev/zero | tr '\\0' x", timeout=PATIENCE
        )

    assert_cut(result.stdout, 1024**2, "x")
    assert result.outcome in {"exited", "output_limit"}
    await assert_works(sandbox)


# Errors


async def test_an_exception_has_its_line_and_only_the_users_frames(sandbox: Sandbox) -> None:
    """Name, value and line are the code's; the traceback shows no machinery and no colour."""
    await sandbox.run_code("def inner(n):\n    return 1 / n")

    execution = await sandbox.run_code("# comment\n\ninner(0)")

    assert execution.outcome == "raised"
    assert execution.error is not None
    assert (execution.error.name, execution.error.value) == (
        "ZeroDivisionError",
        "division by zero",
    )
    assert execution.error.line == 3
    assert "inner" in execution.error.traceback
    for machinery in ("proofbox", "ipykernel", "interactiveshell", "\x1b"):
        assert machinery not in execution.error.traceback
    assert "ZeroDivisionError" in execution.reason
    assert not execution.state_lost


async def test_a_syntax_error_has_its_line(sandbox: Sandbox) -> None:
    """A cell that does not parse is `raised` with the offending line."""
    execution = await sandbox.run_code("x = 1\ny = 2\nz = (3,\n  4 5)\n")

    assert execution.outcome == "raised"
    assert execution.error is not None
    assert execution.error.name == "SyntaxError"
    assert execution.error.line in {3, 4}


async def test_an_exception_may_carry_any_text(sandbox: Sandbox) -> None:
    """Names that a backend uses itself are the user's when the user raises them."""
    for name in ("ContextRestarting", "WebSocketError", "TimeoutException", "SandboxUnavailable"):
        execution = await sandbox.run_code(
            f"class {name}(Exception):\n    pass\nraise {name}('lost\\nline two')"
        )

        assert execution.outcome == "raised"
        assert execution.error is not None
        assert (execution.error.name, execution.error.value) == (name, "lost\nline two")
        assert not execution.state_lost


async def test_output_before_an_exception_is_kept(sandbox: Sandbox) -> None:
    """What was printed and displayed before the end is in the result."""
    execution = await sandbox.run_code(
        "from IPython.display import display\nprint('before')\ndisplay(5)\nraise KeyError('k')"
    )

    assert execution.outcome == "raised"
    assert execution.stdout.text == "before\n"
    assert [result.text for result in execution.results] == ["5"]


# Deadlines


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "while True:\n    pass",
        "import time\ntime.sleep(1000)",
        "import subprocess\nsubprocess.run(['sleep', '1000'])",
        "import threading\nthreading.Event().wait()",
        "await __import__('asyncio').sleep(1000)",
    ],
    ids=["busy", "sleep", "child", "thread", "await"],
)
async def test_code_is_stopped_at_its_deadline(sandbox: Sandbox, code: str) -> None:
    """The outcome is `timed_out`, and what can be interrupted keeps its variables."""
    await sandbox.run_code("kept = 'kept'")

    with anyio.fail_after(PATIENCE):
        execution = await sandbox.run_code(f"print('started', flush=True)\n{code}", timeout=1)

    assert execution.outcome == "timed_out"
    assert execution.error is None
    assert execution.reason
    assert execution.stdout.text == "started\n"
    await assert_works(sandbox)
    assert execution.state_lost or await value_of(sandbox, "kept") in {"kept", "'kept'"}


@pytest.mark.slow
async def test_code_that_swallows_the_interrupt_is_stopped_with_its_state(sandbox: Sandbox) -> None:
    """An interpreter that will not stop is replaced, and the result says so; files stay."""
    await sandbox.run_code("kept = 1; open('file', 'w').write('still')")

    with anyio.fail_after(PATIENCE):
        execution = await sandbox.run_code(
            "import time\n"
            "while True:\n"
            "    try:\n"
            "        time.sleep(1)\n"
            "    except BaseException:\n"
            "        pass",
            timeout=1,
        )

    assert execution.outcome == "timed_out"
    assert execution.state_lost
    after = await sandbox.run_code("print(open('file').read()); kept")
    assert after.stdout.text == "still\n"
    assert after.error is not None
    assert after.error.name == "NameError"
    assert not after.state_lost


@pytest.mark.slow
@pytest.mark.parametrize("detach", ["", "setsid "], ids=["child", "daemon"])
async def test_a_deadline_kills_children_that_ignore_signals(sandbox: Sandbox, detach: str) -> None:
    """At the deadline everything that the call started dies, whatever it ignores."""
    stubborn = f"{detach}bash -c 'trap \"\" TERM INT HUP; while :; do sleep 7317; done' &"

    with anyio.fail_after(PATIENCE):
        execution = await sandbox.run_code(
            f"import os, time\nos.system({stubborn!r})\ntime.sleep(1000)", timeout=1
        )
        command = await sandbox.run_command(f"{stubborn} sleep 7317", timeout=1)

    assert (execution.outcome, command.outcome) == ("timed_out", "timed_out")
    await assert_gone(sandbox, "7317")
    await assert_works(sandbox)


async def test_a_background_process_outlives_a_call_that_ends_well(sandbox: Sandbox) -> None:
    """Only a deadline or a cancellation kills what a call started."""
    await sandbox.run_code("import subprocess\nserver = subprocess.Popen(['sleep', '7318'])")

    assert await value_of(sandbox, "server.poll() is None") == "True"


# Ends of the interpreter


@pytest.mark.slow
async def test_an_interpreter_that_exits_is_replaced(sandbox: Sandbox, expected: Expected) -> None:
    """`os._exit` is a result, the output before it is kept, and files survive."""
    await sandbox.run_code("gone = 1; open('file', 'w').write('still')")

    with anyio.fail_after(PATIENCE):
        execution = await sandbox.run_code(
            "import os, time\nprint('before', flush=True)\ntime.sleep(.5)\nos._exit(3)"
        )

    assert execution.outcome == expected.own_exit
    assert execution.state_lost
    assert execution.error is None
    assert execution.reason
    assert execution.stdout.text == "before\n"
    await assert_works(sandbox)
    assert (await sandbox.run_code("gone")).outcome == "raised"
    assert await sandbox.read_file("file") == b"still"


@pytest.mark.parametrize("call", ["sys.exit", "exit", "quit"])
async def test_sys_exit_is_an_exit_and_says_its_status_and_line(
    sandbox: Sandbox, call: str
) -> None:
    """It ends the code with outcome `exited` and the error set; `exit` and `quit` as in a script."""
    execution = await sandbox.run_code(f"import sys\nprint('x')\n{call}(3)\nprint('y')")

    assert execution.outcome == "exited"
    assert execution.error is not None
    assert (execution.error.name, execution.error.value) == ("SystemExit", "3")
    assert execution.error.line == 3
    assert "end_like_a_script" not in execution.error.traceback
    assert execution.stdout.text == "x\n"
    assert execution.stderr.text == ""
    await assert_works(sandbox)


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "import ctypes\nctypes.string_at(0)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    ],
    ids=["segfault", "kill"],
)
async def test_an_interpreter_that_crashes_is_replaced(sandbox: Sandbox, code: str) -> None:
    """A signal that ends the interpreter is `killed`, never an exception."""
    with anyio.fail_after(PATIENCE):
        execution = await sandbox.run_code(code)

    assert execution.outcome in {"killed", "out_of_memory"}
    assert execution.state_lost
    assert execution.error is None
    await assert_works(sandbox)


@pytest.mark.slow
async def test_a_memory_hog_is_stopped(sandbox: Sandbox) -> None:
    """Memory without end is a MemoryError or a kill, and the sandbox goes on."""
    with anyio.fail_after(2 * PATIENCE):
        execution = await sandbox.run_code(
            "hoard = []\nwhile True:\n    hoard.append(bytearray(64 * 1024**2))", timeout=PATIENCE
        )

    assert execution.outcome in {"raised", "killed", "out_of_memory"}, execution
    if execution.outcome == "raised":
        assert execution.error is not None
        assert execution.error.name == "MemoryError"
    await sandbox.run_code("hoard = None")
    await assert_works(sandbox)


@pytest.mark.slow
async def test_a_fork_bomb_is_stopped(sandbox: Sandbox) -> None:
    """Processes without end are stopped at the deadline at the latest, and the sandbox goes on."""
    with anyio.fail_after(2 * PATIENCE):
        execution = await sandbox.run_code(
            "import os\n"
            "while True:\n"
            "    try:\n"
            "        os.fork()\n"
            "    except OSError:\n"
            "        pass",
            timeout=3,
        )
        await assert_works(sandbox)

    assert execution.outcome in {"timed_out", "killed", "out_of_memory"}


@pytest.mark.slow
async def test_a_full_disk_is_the_codes_error(sandbox: Sandbox) -> None:
    """Writing without end fails in the code; removing the file makes room again."""
    with anyio.fail_after(2 * PATIENCE):
        execution = await sandbox.run_code(
            "from pathlib import Path\n"
            "for n in range(10**6):\n"
            "    Path(f'filler{n}').write_bytes(bytes(8 * 1024**2))",
            timeout=PATIENCE,
        )

    assert execution.outcome == "raised", execution
    assert execution.error is not None
    assert execution.error.name == "OSError"
    cleaned = await sandbox.run_command("rm filler*")
    assert cleaned.exit_code == 0
    await sandbox.write_files({"room": bytes(1024**2)})
    await assert_works(sandbox)


# Commands


async def test_a_command_that_fails_is_a_result(sandbox: Sandbox) -> None:
    """A non-zero exit code comes back with both streams."""
    result = await sandbox.run_command("echo out; echo err >&2; exit 3")

    assert result.outcome == "exited"
    assert result.exit_code == 3
    assert (result.stdout.text, result.stderr.text) == ("out\n", "err\n")


@pytest.mark.parametrize("command", ["no-such-command --flag", ["no-such-command", "--flag"]])
async def test_a_command_that_is_not_there_exits_with_127(
    sandbox: Sandbox, command: str | list[str]
) -> None:
    """Both forms report a missing command as the shell does."""
    result = await sandbox.run_command(command)

    assert (result.outcome, result.exit_code) == ("exited", 127)


async def test_a_sequence_is_not_read_by_a_shell(sandbox: Sandbox) -> None:
    """Arguments arrive as they are, quotes, newlines, dollars and all."""
    arguments = ["a b", "it's", '"', "$HOME", "new\nline", "", "*", "\\"]

    result = await sandbox.run_command(
        ["python3", "-c", "import json, sys; print(json.dumps(sys.argv[1:]))", *arguments]
    )

    assert json.loads(result.stdout.text) == arguments


async def test_a_command_has_an_empty_stdin(sandbox: Sandbox) -> None:
    """Reading stdin ends at once."""
    with anyio.fail_after(PATIENCE):
        result = await sandbox.run_command("cat; echo end", timeout=PATIENCE)

    assert result.stdout.text == "end\n"


async def test_a_command_runs_in_the_directory_and_environment_asked_for(sandbox: Sandbox) -> None:
    """`cwd` may be relative to the home directory; `env` holds for this command only."""
    await sandbox.write_files({"folder/inner/file": b"x"})

    inside = await sandbox.run_command(
        'pwd; printf %s "$WORD"', cwd="folder/inner", env={"WORD": "a'b\nc"}
    )
    after = await sandbox.run_command('printf %s "$WORD"')

    assert inside.stdout.text == "/home/user/folder/inner\na'b\nc"
    assert after.stdout.text == ""


@pytest.mark.parametrize("cwd", ["nowhere", "/home/user/file", "a\0b"])
async def test_a_command_in_no_directory_is_the_callers_mistake(sandbox: Sandbox, cwd: str) -> None:
    """It is refused before anything starts, and the next command works."""
    await sandbox.write_files({"file": b""})

    with pytest.raises(InvalidInput):
        await sandbox.run_command("echo run > trace", cwd=cwd)

    after = await sandbox.run_command("ls")
    assert after.stdout.text == "file\n"


async def test_a_signal_ends_a_command_as_killed(sandbox: Sandbox) -> None:
    """Death by signal has exit code 128 and its number."""
    result = await sandbox.run_command("kill -9 $$")

    assert (result.outcome, result.exit_code) == ("killed", 137)
    assert result.stderr.text == ""


@pytest.mark.slow
async def test_a_command_is_stopped_at_its_deadline(sandbox: Sandbox) -> None:
    """A command that will not end is `timed_out` without an exit code, its output kept."""
    with anyio.fail_after(PATIENCE):
        result = await sandbox.run_command("echo started; trap '' TERM; sleep 1000", timeout=1)

    assert (result.outcome, result.exit_code) == ("timed_out", None)
    assert result.stdout.text == "started\n"
    await assert_works(sandbox)


# Environments


async def test_an_environment_holds_for_one_call(sandbox: Sandbox) -> None:
    """Values of any form arrive, children see them, and what was there before comes back."""
    values = {"PLAIN": "1", "QUOTES": 'it\'s "so" \\ $HOME `x`', "LINES": "a\nb\n", "EMPTY": ""}
    names = [*values, "HOME"]
    show = f"import json, os\nprint(json.dumps({{n: os.environ.get(n) for n in {names!r}}}))"
    await sandbox.run_code("import os\nos.environ['PLAIN'] = 'mine'")

    during = await sandbox.run_code(show, env={**values, "HOME": "/tmp"})
    after = await sandbox.run_code(show)

    assert json.loads(during.stdout.text) == {**values, "HOME": "/tmp"}
    nothing = dict.fromkeys(values)
    assert json.loads(after.stdout.text) == {**nothing, "PLAIN": "mine", "HOME": "/home/user"}


async def test_an_environment_does_not_move_lines(sandbox: Sandbox) -> None:
    """Line numbers are those of the code that was passed."""
    execution = await sandbox.run_code("\n1 / 0", env={"A": "1", "B": "2"})

    assert execution.error is not None
    assert execution.error.line == 2
    assert (await sandbox.run_code("import os; os.environ['A']")).outcome == "raised"


async def test_an_environment_cannot_smuggle_code(sandbox: Sandbox) -> None:
    """A value that looks like code is a value."""
    evil = "'; import os; os.environ['SMUGGLED'] = 'yes'; '"

    execution = await sandbox.run_code("import os; print(os.environ['E'])", env={"E": evil})

    assert execution.stdout.text == evil + "\n"
    after = await sandbox.run_code("print(os.environ.get('SMUGGLED'))", env={"F": evil})
    assert after.stdout.text == "None\n"


@pytest.mark.parametrize(
    "code",
    [
        "%%capture\n1 / 0",
        "get_ipython().run_cell('1 / 0'); 5",
        "class Bad:\n    def __repr__(self):\n        return 1 / 0\n\nBad()",
    ],
)
async def test_an_error_that_is_only_shown_is_an_error(sandbox: Sandbox, code: str) -> None:
    """IPython goes on after an error in a nested cell or in the display of a value."""
    execution = await sandbox.run_code(code)

    assert execution.outcome == "raised"
    assert execution.error is not None
    assert execution.error.name == "ZeroDivisionError"
    await assert_works(sandbox)


# Languages


async def test_an_unknown_language_is_refused(sandbox: Sandbox) -> None:
    """Nothing is started for a language that the backend does not have."""
    with pytest.raises(InvalidInput, match="cobol"):
        await sandbox.run_code("DISPLAY 1", language="cobol")


@pytest.mark.slow
async def test_bash_keeps_its_state_and_reports_status(sandbox: Sandbox) -> None:
    """Variables and the directory persist; a non-zero status is `raised`; env is for one call."""
    with anyio.fail_after(2 * PATIENCE):
        await sandbox.run_code("name=value; cd /tmp", language="bash", timeout=PATIENCE)
        shown = await sandbox.run_code(
            'echo "$name $PWD $E"', language="bash", env={"E": "it's\n2"}
        )
        again = await sandbox.run_code('echo "$name[$E]"; (exit 4)', language="bash")

    assert (shown.outcome, shown.stdout.text) == ("completed", "value /tmp it's\n2\n")
    assert (again.outcome, again.stdout.text) == ("raised", "value[]\n")
    assert again.error is not None
    assert (again.error.name, again.error.value) == ("ExitStatus", "exit status 4")


@pytest.mark.slow
async def test_a_pipeline_at_the_end_of_bash_fails_where_any_part_of_it_does(
    sandbox: Sandbox,
) -> None:
    """`pytest | tail` is the way to overlook a failure; `yes | head` is none."""

    async def status_of(code: str) -> str | None:
        shown = await sandbox.run_code(code, language="bash", timeout=PATIENCE)
        return shown.error.value if shown.error else None

    with anyio.fail_after(3 * PATIENCE):
        failing = [await status_of(c) for c in ("false | cat", "echo a\nnosuch 2>&1 | tail -1 # x")]
        fine = [
            await status_of(code)
            for code in (
                "yes | head -1",
                "if false | cat; then echo yes; fi",
                "false | cat\ntrue",
                "cat <<END | cat\nfalse | cat\nEND",
                "seq 2 | while read -r n; do echo $n; done",
            )
        ]

    assert failing == ["exit status 1", "exit status 127"]
    assert fine == [None] * 5


async def test_a_command_in_a_python_cell_that_fails_fails_the_cell(sandbox: Sandbox) -> None:
    """IPython goes on after it in silence, and so would a verdict on `!pytest`."""
    names = "def f(word):\n    !echo {word} $word\nf('hi')"
    with anyio.fail_after(3 * PATIENCE):
        failed = await sandbox.run_code("!exit 3\n!true\nprint('on')", timeout=PATIENCE)
        kept = await sandbox.run_code("print(_exit_code)", timeout=PATIENCE)
        well = await sandbox.run_code(names, timeout=PATIENCE)

    assert (failed.outcome, failed.stdout.text) == ("raised", "on\n")
    assert failed.error is not None
    assert (failed.error.name, failed.error.value) == ("ExitStatus", "exit status 3: !exit 3")
    assert (kept.outcome, kept.stdout.text) == ("completed", "0\n")
    assert (well.outcome, well.stdout.text) == ("completed", "hi hi\r\n")  # from a terminal


@pytest.mark.slow
async def test_state_that_a_cancelled_call_cost_is_told_by_the_next(sandbox: Sandbox) -> None:
    """It did not end when it was interrupted; nobody heard its answer."""
    stubborn = "while True:\n  try:\n    print(1, flush=True)\n    while True: pass\n  except BaseException: pass"
    begun = anyio.Event()

    def heard(_stream: Stream, _text: str) -> None:
        begun.set()

    with anyio.fail_after(3 * PATIENCE):
        await sandbox.run_code("count = 1", timeout=PATIENCE)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: sandbox.run_code(stubborn, timeout=PATIENCE, on_output=heard))
            await begun.wait()
            group.cancel_scope.cancel()
        after = await sandbox.run_code("count", timeout=PATIENCE)
        again = await sandbox.run_code("1", timeout=PATIENCE)

    assert (after.outcome, after.state_lost, again.state_lost) == ("raised", True, False)


@pytest.mark.slow
async def test_a_bash_that_exits_is_a_success_only_at_the_end_of_its_code(sandbox: Sandbox) -> None:
    """There `exit` says how it went, and bash lives on; behind any other something did not run."""

    async def run(code: str) -> Execution:
        return await sandbox.run_code(code, language="bash", timeout=PATIENCE)

    with anyio.fail_after(3 * PATIENCE):
        well = await run("kept=yes\nif true; then exit 0; else exit 1; fi")
        badly = await run('echo "$kept"\nexit 3')
        early = [await run(code) for code in ("exit 0\necho never", "exit 3\necho never")]
        after = await run('echo "$kept."')

    assert (well.outcome, well.state_lost) == ("completed", False)
    assert (badly.outcome, badly.stdout.text, badly.state_lost) == ("raised", "yes\n", False)
    assert badly.error is not None
    assert badly.error.value == "exit status 3"
    assert [(each.outcome, each.state_lost) for each in early] == [("exited", True)] * 2
    assert "never" not in "".join(each.stdout.text for each in early)
    assert (after.outcome, after.stdout.text) == ("completed", ".\n")


@pytest.mark.slow
async def test_javascript_keeps_its_state(sandbox: Sandbox, backend: Backend) -> None:
    """Where a backend has JavaScript, globals persist and errors are `raised`."""
    if "javascript" not in backend.languages:
        with pytest.raises(InvalidInput):
            await sandbox.run_code("1", language="javascript")
        return

    with anyio.fail_after(2 * PATIENCE):
        await sandbox.run_code("globalThis.n = 20", language="javascript", timeout=PATIENCE)
        shown = await sandbox.run_code("console.log(n * 2 + 2)", language="javascript")
        failed = await sandbox.run_code("null.x", language="javascript")

    assert shown.stdout.text == "42\n"
    assert failed.outcome == "raised"
    assert failed.error is not None
    assert failed.error.name == "TypeError"


# Files


async def test_binary_files_survive_the_round_trip(sandbox: Sandbox) -> None:
    """Every byte, in directories that did not exist, at paths relative and absolute."""
    every = bytes(range(256)) * 40
    names = ["a/b/c.bin", "/home/user/abs.bin", "/tmp/t.bin", "with space/é漢.bin", "empty"]

    await sandbox.write_files({name: every for name in names[:-1]} | {"empty": b""})

    assert [await sandbox.read_file(name) for name in names] == [every] * 4 + [b""]
    seen = await sandbox.run_code("len(open('a/b/c.bin', 'rb').read())")
    assert seen.results[0].text == str(len(every))


async def test_a_part_of_a_file_can_be_read(sandbox: Sandbox) -> None:
    """`offset` and `max_bytes` cut; beyond the end there is nothing."""
    await sandbox.write_files({"digits": b"0123456789" * 200_000})

    assert await sandbox.read_file("digits", offset=1_000_003, max_bytes=4) == b"3456"
    assert await sandbox.read_file("digits", max_bytes=3) == b"012"
    assert await sandbox.read_file("digits", offset=1_999_998) == b"89"
    assert await sandbox.read_file("digits", offset=5_000_000) == b""


@pytest.mark.parametrize("path", ["missing", "/home/user", "/no/such/place", "file/below"])
async def test_reading_what_is_no_file_is_refused(sandbox: Sandbox, path: str) -> None:
    """A missing file, a directory and a path through a file are the caller's mistake."""
    await sandbox.write_files({"file": b""})

    with pytest.raises(InvalidInput):
        await sandbox.read_file(path)


async def test_reading_a_pipe_is_refused(sandbox: Sandbox) -> None:
    """Only regular files are read: nothing may hang on a pipe that nobody writes."""
    await sandbox.run_command("mkfifo pipe")

    with anyio.fail_after(PATIENCE), pytest.raises(InvalidInput):
        await sandbox.read_file("pipe")


@pytest.mark.parametrize("path", ["folder", "file/below"])
async def test_writing_where_no_file_can_be_is_refused(sandbox: Sandbox, path: str) -> None:
    """A directory in the way, or a file where a directory should be."""
    await sandbox.write_files({"folder/inner": b"", "file": b""})

    with pytest.raises(InvalidInput):
        await sandbox.write_files({path: b"x"})


async def test_a_listing_shows_kinds_sizes_and_depth(sandbox: Sandbox) -> None:
    """Entries are sorted, absolute, and as deep as asked."""
    await sandbox.write_files({"top/file": b"12345", "top/sub/deep/file": b"1"})

    shallow = await sandbox.list_files("top")
    deep = await sandbox.list_files("top", depth=3)

    assert [(info.path, info.kind) for info in shallow] == [
        ("/home/user/top/file", "file"),
        ("/home/user/top/sub", "directory"),
    ]
    assert shallow[0].size == 5
    assert shallow[0].modified > 1_700_000_000
    assert [info.path for info in deep] == [
        "/home/user/top/file",
        "/home/user/top/sub",
        "/home/user/top/sub/deep",
        "/home/user/top/sub/deep/file",
    ]


async def test_a_link_is_followed_when_read_and_shown_as_what_it_is(sandbox: Sandbox) -> None:
    """A listing does not claim that a link is a file; reading goes where it leads."""
    await sandbox.write_files({"links/target": b"there"})
    await sandbox.run_command("ln -s target to-file; ln -s nowhere broken", cwd="links")

    listed = await sandbox.list_files("links")

    assert [(info.path.rpartition("/")[2], info.kind) for info in listed] == [
        ("broken", "other"),
        ("target", "file"),
        ("to-file", "other"),
    ]
    assert await sandbox.read_file("links/to-file") == b"there"
    with pytest.raises(InvalidInput):
        await sandbox.read_file("links/broken")


@pytest.mark.parametrize("path", ["missing", "file"])
async def test_listing_what_is_no_directory_is_refused(sandbox: Sandbox, path: str) -> None:
    """A missing directory and a file are the caller's mistake."""
    await sandbox.write_files({"file": b""})

    with pytest.raises(InvalidInput):
        await sandbox.list_files(path)


# Cancelling, closing, many at once


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 3])
async def test_the_call_after_a_cancelled_one_works(sandbox: Sandbox, times: int) -> None:
    """Cancelling in the middle leaves neither the code running nor the next call hanging."""
    await sandbox.run_code("kept = 'kept'")
    with anyio.fail_after(2 * PATIENCE):
        for _ in range(times):
            started = anyio.Event()

            def on_output(stream: Stream, text: str, started: anyio.Event = started) -> None:
                started.set()

            async with anyio.create_task_group() as group:

                async def work(on_output: Callable[[Stream, str], None] = on_output) -> None:
                    await sandbox.run_code(
                        "import subprocess\nprint('started', flush=True)\n"
                        "subprocess.run(['sleep', '7319'])",
                        timeout=PATIENCE,
                        on_output=on_output,
                    )

                group.start_soon(work)
                await started.wait()
                group.cancel_scope.cancel()

            assert await value_of(sandbox, "6 * 7") == "42"
        await assert_gone(sandbox, "7319")
    assert await value_of(sandbox, "kept") in {"kept", "'kept'"}


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", "kept = 1"])
async def test_what_is_cancelled_before_it_has_begun_costs_nothing(
    create: Callable[[SandboxRequest], Awaitable[Sandbox]], before: str
) -> None:
    """An interpreter that has not come to the code yet, or is not there yet, is interrupted as soon as it has."""
    with anyio.fail_after(3 * PATIENCE):
        for turns in range(6):
            sandbox = await create(SandboxRequest(owner="contract"))
            if before:
                await sandbox.run_code(before)
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: sandbox.run_code("import time\ntime.sleep(7321)"))  # noqa: B023
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()

            after = await sandbox.run_code("'kept' in globals()", timeout=PATIENCE)
            assert (after.outcome, after.state_lost) == ("completed", False)
            assert after.results[0].text == str(bool(before))
            await sandbox.close()


@pytest.mark.slow
async def test_a_cancelled_command_is_dead_with_all_it_started(sandbox: Sandbox) -> None:
    """Cancelling a command kills its children too before the cancellation is delivered."""
    started = anyio.Event()

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:

            async def work() -> None:
                await sandbox.run_command(
                    "setsid sleep 7320 & sleep 7320 & echo started; wait",
                    on_output=lambda stream, text: started.set(),
                )

            group.start_soon(work)
            await started.wait()
            group.cancel_scope.cancel()

        await assert_gone(sandbox, "7320")
    await assert_works(sandbox)


@pytest.mark.slow
async def test_calls_in_one_sandbox_are_served_one_at_a_time(sandbox: Sandbox) -> None:
    """Concurrent calls neither fail nor mix."""
    seen: list[str] = []

    async def call(number: int) -> None:
        execution = await sandbox.run_code(
            f"import time\nprint({number}, flush=True)\ntime.sleep(.1)\nprint({number})",
            timeout=PATIENCE,
        )
        seen.append(execution.stdout.text)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(call, number)

    assert sorted(seen) == [f"{number}\n{number}\n" for number in range(5)]


@pytest.mark.slow
async def test_ten_sandboxes_work_at_once(
    create: Callable[[SandboxRequest], Awaitable[Sandbox]],
) -> None:
    """Each has its own variables and files."""
    values: dict[int, tuple[str, bytes]] = {}

    async def session(number: int) -> None:
        sandbox = await create(SandboxRequest(owner="contract"))
        await sandbox.run_code(
            f"x = {number}\nopen('mine', 'w').write('{number}')", timeout=PATIENCE
        )
        printed = await sandbox.run_code("print(x)", timeout=PATIENCE)
        values[number] = (printed.stdout.text, await sandbox.read_file("mine"))

    with anyio.fail_after(3 * PATIENCE):
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(session, number)

    assert values == {number: (f"{number}\n", str(number).encode()) for number in range(10)}


async def test_a_closed_sandbox_is_unavailable(sandbox: Sandbox) -> None:
    """Closing twice is fine; calls after it say that nothing was started."""
    await sandbox.close()
    await sandbox.close()

    with pytest.raises(SandboxUnavailable) as caught:
        await sandbox.run_code("1")
    assert not caught.value.may_have_started
    with pytest.raises(SandboxUnavailable):
        await sandbox.run_command("true")
    with pytest.raises(SandboxUnavailable):
        await sandbox.keep_alive(60)


@pytest.mark.slow
async def test_closing_ends_a_call_that_is_running(sandbox: Sandbox) -> None:
    """The call fails as lost, and may have started."""
    started = anyio.Event()
    errors: list[SandboxUnavailable] = []

    async def work() -> None:
        try:
            await sandbox.run_code(
                "print('started', flush=True)\nwhile True: pass",
                timeout=PATIENCE,
                on_output=lambda stream, text: started.set(),
            )
        except SandboxUnavailable as error:
            errors.append(error)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(work)
            await started.wait()
            await sandbox.close()

    assert [error.may_have_started for error in errors] == [True]


@pytest.mark.slow
async def test_nothing_survives_a_close(
    create: Callable[[SandboxRequest], Awaitable[Sandbox]],
) -> None:
    """After closing a sandbox no process of a sandbox is left, daemons included."""
    sandbox = await create(SandboxRequest(owner="contract"))
    await sandbox.run_code("import os\nos.system('setsid sleep 7321 &')")
    assert processes("7321") > 0

    with anyio.fail_after(PATIENCE):
        await sandbox.close()

        while processes("7321"):
            await anyio.sleep(0.01)


async def test_keeping_alive_a_live_sandbox_works(sandbox: Sandbox) -> None:
    """It is not an error where there is no expiry."""
    await sandbox.keep_alive(120)

    await assert_works(sandbox)


async def test_packages_that_are_none_are_refused(
    create: Callable[[SandboxRequest], Awaitable[Sandbox]],
) -> None:
    """Something that is not a requirement is the caller's mistake."""
    with pytest.raises(InvalidInput):
        await create(SandboxRequest(owner="contract", packages=("not a requirement!",)))


async def test_an_error_of_the_listener_is_its_own(sandbox: Sandbox) -> None:
    """What `on_output` raises passes, the code is stopped, and the next call works. A pipe that nobody
    reads is not the connection to the sandbox.
    """

    def listen(stream: Stream, text: str) -> None:
        raise BrokenPipeError(text)

    with anyio.fail_after(PATIENCE), pytest.raises(BrokenPipeError, match="said"):
        await sandbox.run_code("print('said', flush=True)\nwhile True: pass", on_output=listen)
    with anyio.fail_after(PATIENCE), pytest.raises(BrokenPipeError, match="said"):
        await sandbox.run_command("echo said; sleep 1000", on_output=listen)

    await assert_works(sandbox)


async def test_a_backend_says_what_holds_each_limit(unused: Backend) -> None:
    """Of open sandboxes; of none it says nothing."""
    before = unused.limits_held()

    sandbox = await unused.create(SandboxRequest(owner="limits"))
    held = unused.limits_held()

    assert before == {}
    assert set(held) == {field.name for field in fields(Limits)}
    assert all(held.values())
    await assert_works(sandbox)
    await sandbox.close()
