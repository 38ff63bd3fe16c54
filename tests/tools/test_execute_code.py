"""execute_code, without MCP: what comes of a run, and what is kept of it."""

from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from fakes import FakeBackend, settle
from played import PlayedBackend, PlayedSandbox, gives

from proofbox.server.assembly import open_app
from proofbox.server.sandbox import (
    Captured,
    CodeError,
    Execution,
    InvalidInput,
    OnOutput,
    Outcome,
    Result,
    SandboxUnavailable,
)
from proofbox.server.sessions import SessionNotFound
from proofbox.server.settings import Settings
from proofbox.tools._app import App
from proofbox.tools._progress import Feed
from proofbox.tools._request import CodeRequest, language_of
from proofbox.tools.execute_code.report import Report, render
from proofbox.tools.execute_code.run import Answer, run
from proofbox.tools.execute_code.tool import to_result

PNG = b"\x89PNG\r\n\x1a\n" + b"picture"


async def execute(app: App, code: str, session_id: str | None = None, **more: Any) -> Report:
    """The report of one run."""
    request = CodeRequest(code, session_id=session_id, **more)
    return (await run(app, "local", request, Feed())).report


async def execute_played(execution: Execution, code: str = "code") -> Answer:
    """The answer when the sandbox gives this execution."""
    async with open_app(Settings(), backend=PlayedBackend(gives(execution))) as app:
        return await run(app, "local", CodeRequest(code), Feed())


async def test_code_that_runs_passes_with_its_output_and_last_value(app: App) -> None:
    """And the report says in which session, and in which Python."""
    report = await execute(app, "print('hi')\n40 + 2")

    assert (report.verdict, report.stdout, report.value) == ("passed", "hi\n", "42")
    assert (report.session, report.python, report.reason) == ("new", "3.11.7", None)
    assert report.expires_in_seconds == 900


async def test_a_session_goes_on_with_its_variables(app: App) -> None:
    """The handle of one report leads to the same sandbox."""
    first = await execute(app, "x = 20")
    second = await execute(app, "x + 1", first.session_id)

    assert (second.value, second.session) == ("21", "continued")
    assert second.session_id == first.session_id


async def test_calls_without_a_handle_share_nothing(app: App) -> None:
    """Each gets a fresh sandbox."""
    await execute(app, "x = 20")
    report = await execute(app, "x")

    assert report.error is not None
    assert report.error.name == "NameError"


async def test_code_that_raises_fails_and_the_error_names_its_line(app: App) -> None:
    """What it printed before is there."""
    report = await execute(app, "print('before')\n\n1 / 0")

    assert (report.verdict, report.stdout) == ("failed", "before\n")
    assert report.error is not None
    assert (report.error.name, report.error.line) == ("ZeroDivisionError", 3)
    assert report.reason


@pytest.mark.parametrize("code", ["", " \n\t", "# only a comment\n\n  # and another"])
async def test_nothing_to_run_is_skipped(app: App, backend: FakeBackend, code: str) -> None:
    """No sandbox is even started: an empty run can never pass."""
    report = await execute(app, code)

    assert report.verdict == "skipped"
    assert report.reason
    assert not backend.created


@pytest.mark.parametrize(
    ("language", "code", "empty"),
    [
        ("bash", "# nothing", True),
        ("javascript", "// a\n/* b\n c */", True),
        ("javascript", "/* a */ 1 /* b */", False),
        ("python", "'''a docstring'''", False),
        ("python", "// 1", False),
    ],
)
def test_what_counts_as_empty_depends_on_the_language(
    language: str, code: str, *, empty: bool
) -> None:
    """A comment of one language is code of another."""
    assert CodeRequest(code, language=language).is_empty is empty


@pytest.mark.parametrize(
    ("name", "language"),
    [(" Python ", "python"), ("python3", "python"), ("js", "javascript"), ("sh", "bash")],
)
def test_a_language_has_the_names_that_people_use(name: str, language: str) -> None:
    """What is not known is left for the sandbox to refuse."""
    assert language_of(name) == language
    assert language_of("Ruby") == "ruby"


async def test_files_are_there_when_the_code_runs(app: App, backend: FakeBackend) -> None:
    """Relative to the home directory or below /tmp, and they do not count as made by the code."""
    report = await execute(app, "1", files={"data/a.csv": "1,2\n", "/tmp/b.txt": "\u00e9"})

    assert backend.created[0].files == {
        "/home/user/data/a.csv": b"1,2\n",
        "/tmp/b.txt": b"\xc3\xa9",
    }
    assert report.artifacts == []


async def test_files_without_code_are_written_and_the_verdict_is_skipped(
    app: App, backend: FakeBackend
) -> None:
    """The session is there to go on with."""
    report = await execute(app, "", files={"a.txt": "a"})

    assert report.verdict == "skipped"
    assert report.session_id
    assert list(backend.created[0].files) == ["/home/user/a.txt"]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../other/x",
        "a/../../../x",
        "/home/user",
        "",
        "/tmp",
        "a/",
        "x\0y",
        "/home/u/x",
    ],
)
async def test_paths_outside_the_writable_places_are_refused(
    app: App, backend: FakeBackend, path: str
) -> None:
    """Before a sandbox is started."""
    with pytest.raises(InvalidInput, match="file's path"):
        await execute(app, "1", files={path: "x"})

    assert not backend.created


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"files": {"a": "x" * 5_000_000}}, "at most"),
        ({"files": {f"f{number}": "" for number in range(201)}}, "at most"),
        ({"env": {"A B": "1"}}, "env has 'A B'"),
        ({"env": {"A": "\0"}}, "env has 'A'"),
        ({"language": "cobol"}, "cobol"),
    ],
)
async def test_what_cannot_be_honoured_is_refused(
    app: App, more: dict[str, Any], says: str
) -> None:
    """With a sentence that says which argument it was."""
    with pytest.raises(InvalidInput, match=says):
        await execute(app, "1", **more)


async def test_an_unknown_session_is_refused(app: App) -> None:
    """It is never silently replaced by a fresh one."""
    with pytest.raises(SessionNotFound):
        await execute(app, "1", "no-such-session")


async def test_the_language_the_variables_and_the_time_reach_the_sandbox() -> None:
    """As they were asked for."""
    backend = PlayedBackend(gives(Execution("completed")))
    async with open_app(Settings(), backend=backend) as app:
        request = CodeRequest("ls", language="bash", env={"A": "1"}, timeout_seconds=7)
        await run(app, "local", request, Feed())

    assert backend.played[0].asked == [{"language": "bash", "env": {"A": "1"}, "timeout": 7}]


@pytest.mark.parametrize(
    "outcome",
    ["raised", "timed_out", "exited", "killed", "out_of_memory", "output_limit"],
)
async def test_every_bad_end_of_code_is_a_failure_with_a_reason(outcome: Outcome) -> None:
    """Only code that came to its end passes."""
    answer = await execute_played(Execution(outcome, reason="It went wrong."))

    assert (answer.report.verdict, answer.report.reason) == ("failed", "It went wrong.")


EXITS_IN_MAIN = "import sys\ndef main():\n    sys.exit(0)\nif __name__ == '__main__':\n    main()"


@pytest.mark.parametrize(
    ("code", "value", "line", "verdict"),
    [
        pytest.param("import sys\nsys.exit(0)", "0", 2, "passed", id="last"),
        pytest.param("import sys\nsys.exit()", "", 2, "passed", id="last-without-status"),
        pytest.param("import sys\nsys.exit(1)", "1", 2, "failed", id="failure"),
        pytest.param("import sys\nsys.exit('no')", "no", 2, "failed", id="message"),
        pytest.param("import sys\nsys.exit(0)\nassert False", "0", 2, "failed", id="too-early"),
        pytest.param("%magic\nsys.exit(0)", "0", 2, "failed", id="cannot-be-told"),
        pytest.param("import sys\nsys.exit(0)", "0", None, "failed", id="line-unknown"),
        pytest.param("import sys; sys.exit(0)", "0", 1, "passed", id="last-of-a-line"),
        pytest.param("import sys; sys.exit(0); assert f()", "0", 1, "failed", id="within-a-line"),
        pytest.param("main(); assert f()", "0", 1, "failed", id="which-of-a-line"),
        pytest.param("if ok:\n    sys.exit(0)", "0", 2, "passed", id="last-of-a-block"),
        pytest.param("if ok:\n    sys.exit(0)\n    f()", "0", 2, "failed", id="within-a-block"),
        pytest.param("if ok: f(); exit()", "", 1, "passed", id="last-of-a-block-of-a-line"),
        pytest.param("if f(): assert g()", "0", 1, "failed", id="head-of-a-line"),
        pytest.param("if f():\n    g()", "0", 1, "failed", id="head-of-a-block"),
        pytest.param("if __name__ == '__main__': f()", "0", 1, "passed", id="main-of-a-line"),
        pytest.param("for x in y:\n    raise SystemExit", "", 2, "passed", id="loop"),
        pytest.param("for x in y:\n    f()\nelse:\n    g()", "", 2, "failed", id="else-of-a-loop"),
        pytest.param("try:\n    f()\nelse:\n    g()", "0", 2, "failed", id="else-of-a-try"),
        pytest.param("if x:\n    f()\nelse:\n    g()", "0", 2, "passed", id="not-its-else"),
        pytest.param("try:\n    f()\nexcept E:\n    g()", "0", 4, "passed", id="handler"),
        pytest.param("match x:\n    case 1:\n        f()", "0", 3, "passed", id="case"),
        pytest.param("@f()\ndef g():\n    h()", "0", 1, "failed", id="decorator"),
    ],
)
async def test_leaving_by_sys_exit_passes_only_with_success_in_the_last_statement(
    code: str, value: str, line: int | None, verdict: str
) -> None:
    """Many scripts end so; anywhere else the rest did not run. It is said in either case, with the line."""
    error = CodeError("SystemExit", value, line)
    answer = await execute_played(Execution("exited", reason="It left.", error=error), code)

    where = f" at line {line}" if line else ""
    said = {
        "passed": ", in its last statement or called by it: nothing after that call was run.",
        "failed": " before its end: what stands after that call was not run.",
    }
    success = f"The code ended itself by sys.exit({value}){where}{said[verdict]}"
    assert answer.report.verdict == verdict
    assert answer.report.reason == (success if value in {"", "0"} else "It left.")
    assert (answer.report.error is None) is (verdict == "passed")


@pytest.mark.parametrize(
    "traceback",
    [
        'File "<cell 1>", line 5, in <module>\nFile "<cell 1>", line 3, in main\n',
        "Cell In[4], line 5\n----> 5 main()\nCell In[4], line 3, in main()\n----> 3 sys.exit(0)\n",
    ],
    ids=["python", "ipython"],
)
async def test_an_exit_deep_in_a_function_counts_where_the_function_was_called(
    traceback: str,
) -> None:
    """The outermost line of the traceback decides."""
    error = CodeError("SystemExit", "0", 3, traceback)

    answer = await execute_played(Execution("exited", error=error), EXITS_IN_MAIN)

    assert answer.report.verdict == "passed"


async def test_an_exit_without_a_status_that_we_know_of_fails() -> None:
    """`os._exit(0)` skips everything that a script does at its end."""
    answer = await execute_played(Execution("exited", reason="The interpreter ended."))

    assert answer.report.verdict == "failed"


THREAD = """\
Exception in thread Thread-1 (f):
Traceback (most recent call last):
  File "/opt/python/lib/python3.11/threading.py", line 982, in run
    self._target(*self._args, **self._kwargs)
  File "{file}", line 3, in f
ZeroDivisionError: division by zero
"""
TASK = """\
Task exception was never retrieved
future: <Task finished name='Task-6' coro=<f() done> exception=KeyError('x')>
Traceback (most recent call last):
  File "<cell 1>", line 3, in f
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "<cell 1>", line 5, in f
ValueError: x
"""
PROCESS = THREAD.replace("Exception in thread Thread-1 (f):", "Process ForkProcess-1:")
WARNING = "{file}:3: RuntimeWarning: coroutine 'f' was never awaited\n  f()\n"
UNITTEST = "Ran {count} tests in 0.010s\n\n{end}\n"


@pytest.mark.parametrize(
    ("stderr", "value", "said"),
    [
        (THREAD.format(file="<cell 1>"), "", "A thread failed at line 3 of <cell 1>: ZeroDivision"),
        (THREAD.format(file="/env/lib/python3.11/site-packages/x/y.py"), "", ""),
        (TASK, "", "nobody awaits failed at line 5 of <cell 1>: ValueError: x"),
        (PROCESS.format(file="/home/user/a.py"), "", "A process failed at line 3 of /home/user/a"),
        (WARNING.format(file="<cell 1>"), "", "The coroutine f() did not run"),
        (WARNING.format(file="/opt/python/lib/python3.11/x.py"), "", ""),
        ("", "<coroutine object f at 0x7f61>", "The coroutine f() did not run"),
        ("", "[<coroutine object f at 0x7f61>]", ""),
        (UNITTEST.format(count=2, end="FAILED (failures=1)"), "", "FAILED (failures=1)"),
        (UNITTEST.format(count=0, end="OK"), "", "none ran"),
        (UNITTEST.format(count=2, end="OK (skipped=1)"), "", ""),
        (
            UNITTEST.format(count=2, end="FAILED (errors=1)") + UNITTEST.format(count=2, end="OK"),
            "",
            "",
        ),
        ("", "<ExitCode.TESTS_FAILED: 1>", "TESTS_FAILED"),
        ("", "<ExitCode.NO_TESTS_COLLECTED: 5>", "NO_TESTS_COLLECTED"),
        ("", "<ExitCode.OK: 0>", ""),
        ("", "<unittest.runner.TextTestResult run=2 errors=1 failures=0>", "errors=1"),
        ("", "<unittest.runner.TextTestResult run=2 errors=0 failures=1>", "failures=1"),
        ("", "<unittest.runner.TextTestResult run=2 errors=0 failures=0>", ""),
        ("", "<unittest.runner.TextTestResult run=0 errors=0 failures=0>", "no tests"),
        ("", "TestResults(failed=1, attempted=3)", "failed=1"),
        ("", "CompletedProcess(args='exit 3', returncode=3)", "status 3"),
        ("", "CompletedProcess(args=['a'], returncode=-9, stdout='x\ny', stderr='')", "status -9"),
        ("", "CompletedProcess(args=['a'], returncode=0, stdout='returncode=1')", ""),
        ("", "TestResults(failed=0, attempted=3)", ""),
        ("", "TestResults(failed=0, attempted=0)", "no examples"),
    ],
)
async def test_what_fails_beside_code_that_comes_to_its_end_is_no_pass(
    stderr: str, value: str, said: str
) -> None:
    """In threads, tasks and processes, in tests that it ran, and where nothing ran for want of an await."""
    results = (Result({"text/plain": value}, is_main=True),) if value else ()
    execution = Execution("completed", stderr=Captured(stderr), results=results)

    answer = await execute_played(execution)

    assert (answer.report.verdict, bool(answer.report.reason)) == (
        ("failed", True) if said else ("passed", False)
    )
    assert said in (answer.report.reason or "")
    assert answer.report.stderr == stderr


@pytest.mark.parametrize(
    ("name", "value", "code", "advice"),
    [
        (
            "ExitStatus",
            "exit status 1",
            "x = 1\n!pip install x",
            "packages`, without a session_id.",
        ),
        ("ExitStatus", "exit status 1", "!false", "exit status 1"),
        (
            "SyntaxError",
            "Cannot use import statement outside a module",
            "import fs from 'fs'",
            "or require('...') instead.",
        ),
    ],
)
async def test_what_cannot_be_done_here_comes_with_how_else(
    name: str, value: str, code: str, advice: str
) -> None:
    """What pip and Node say of it leads nowhere."""
    error = CodeError(name, value)
    answer = await execute_played(Execution("raised", f"{name}: {value}", error=error), code)

    assert (answer.report.reason or "").endswith(advice)


async def test_lost_state_is_reported() -> None:
    """In the structured form and in the text."""
    answer = await execute_played(Execution("killed", reason="A signal.", state_lost=True))

    assert answer.report.state_lost
    assert "variables are gone" in render(answer.report)


async def test_a_sandbox_lost_while_code_ran_is_errored_with_what_was_heard() -> None:
    """The code is not blamed, and the session can be gone on with."""

    async def play(sandbox: PlayedSandbox, code: str, on_output: OnOutput) -> Execution:
        on_output("stdout", "half the ")
        on_output("stdout", "story\n")
        raise SandboxUnavailable("The sandbox was lost.", may_have_started=True)

    async with open_app(Settings(), backend=PlayedBackend(play)) as app:
        answer = await run(app, "local", CodeRequest("code"), Feed())

    assert answer.report.verdict == "errored"
    assert answer.report.reason == "The sandbox was lost."
    assert answer.report.stdout == "half the story\n"
    assert answer.report.session_id
    assert to_result(answer).is_error


async def test_code_that_may_have_run_is_not_run_again(app: App, backend: FakeBackend) -> None:
    """The next call is told that the session starts over."""
    first = await execute(app, "x = 1")
    backend.created[0].lose(started=True)

    lost = await execute(app, "x = 2", first.session_id)
    after = await execute(app, "'x' in dir()", first.session_id)

    assert lost.verdict == "errored"
    assert (after.value, after.session) == ("False", "reset")
    assert after.session_reason


async def test_a_sandbox_lost_before_the_code_is_replaced_and_the_loss_is_told(
    app: App, backend: FakeBackend
) -> None:
    """The code runs once, in the new one."""
    first = await execute(app, "x = 1")
    backend.created[0].lose()

    report = await execute(app, "5", first.session_id)

    assert (report.verdict, report.value, report.session) == ("passed", "5", "reset")
    assert len(backend.created) == 2


async def test_without_a_sandbox_there_is_no_report(app: App, backend: FakeBackend) -> None:
    """The error goes up with its advice."""
    backend.create_errors = [SandboxUnavailable("No sandbox; try later.")]

    with pytest.raises(SandboxUnavailable, match="try later"):
        await execute(app, "1")


async def test_cancelling_the_call_cancels_the_code(app: App, backend: FakeBackend) -> None:
    """The sandbox sees the cancellation, and the session's next call works."""
    first = await execute(app, "x = 1")
    backend.created[0].hold_calls = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(execute, app, "x = 2", first.session_id)
        await settle()
        tasks.cancel_scope.cancel()
    backend.created[0].hold_calls = None

    report = await execute(app, "x", first.session_id)

    assert (report.value, report.session) == ("1", "continued")


async def test_files_that_code_made_or_changed_are_listed() -> None:
    """Not those that were there, nor hidden ones, nor caches, nor names that are no plain text."""

    async def play(sandbox: PlayedSandbox, code: str, on_output: OnOutput) -> Execution:
        sandbox.files.update(dict.fromkeys(code.split(), code.encode()))
        return Execution("completed")

    def files(*names: str) -> str:
        return " ".join(f"/home/user/{name}" for name in names)

    async with open_app(Settings(), backend=PlayedBackend(play)) as app:
        first = await execute(
            app, files("a.csv", "b/c.png", ".cache/x", "__pycache__/y.pyc", "d\x1b[31m")
        )
        second = await execute(app, files("a.csv", "plot-1.png"), first.session_id)
        third = await execute(app, "/tmp/elsewhere", first.session_id)

    assert [(item.name, item.mime_type) for item in first.artifacts] == [
        ("a.csv", "text/csv"),
        ("b/c.png", "image/png"),
    ]
    assert [item.name for item in second.artifacts] == ["a.csv", "/home/user/plot-1.png"]
    assert third.artifacts == []


async def test_many_files_are_counted_not_listed() -> None:
    """A run that unpacks an archive does not flood the answer."""

    async def play(sandbox: PlayedSandbox, code: str, on_output: OnOutput) -> Execution:
        sandbox.files.update({f"/home/user/{number:03}.txt": b"" for number in range(50)})
        return Execution("completed")

    async with open_app(Settings(), backend=PlayedBackend(play)) as app:
        report = await execute(app, "code")

    assert (len(report.artifacts), report.more_files) == (20, 30)
    assert "and 30 more files" in render(report)


async def test_a_plot_is_a_picture_and_an_artifact() -> None:
    """Once in the content for hosts that show it, once by name for those that drop it."""
    figure = Result(
        {"text/plain": "<Figure>", "image/png": PNG}, chart={"type": "line", "elements": []}
    )
    answer = await execute_played(Execution("completed", results=(figure, figure)))

    result = to_result(answer)

    assert [block.type for block in result.content] == ["text", "image", "image"]
    assert [item.name for item in answer.report.artifacts] == [
        "plot-1.png",
        "chart-1.json",
        "plot-2.png",
        "chart-2.json",
    ]
    assert answer.report.displayed == []


async def test_a_false_picture_is_not_sent_as_one() -> None:
    """A host that gets one refuses everything, so code could end a conversation."""
    fake = Result({"image/png": b"not a picture"})

    result = to_result(await execute_played(Execution("completed", results=(fake,))))

    assert [block.type for block in result.content] == ["text"]


async def test_pictures_beyond_what_hosts_take_are_listed_only() -> None:
    """Their number and their size are bounded."""
    small = Result({"image/png": PNG})
    large = Result({"image/png": PNG + bytes(1_000_000)})
    many = await execute_played(Execution("completed", results=(small,) * 6))
    big = await execute_played(Execution("completed", results=(large,)))

    assert len(to_result(many).content) == 1 + 4
    assert len(many.report.artifacts) == 6
    assert len(to_result(big).content) == 1
    assert big.report.artifacts[0].size == len(PNG) + 1_000_000


async def test_one_result_in_several_forms_is_shown_in_the_plainest() -> None:
    """A table is text, with its data as an artifact and no second copy as a page."""
    table = Result(
        {"text/plain": "a\n1", "text/html": "<table>"}, is_main=True, table={"columns": ["a"]}
    )
    page = Result({"text/plain": "<Map>", "text/html": "<div>"})
    formula = Result({"text/latex": "$x$"})
    data = Result({"application/json": {"a": [1]}})
    answer = await execute_played(Execution("completed", results=(table, page, formula, data)))

    assert answer.report.value == "a\n1"
    assert answer.report.displayed == ["<Map>", "$x$", '{"a": [1]}']
    assert [item.name for item in answer.report.artifacts] == ["table-1.json", "page-1.html"]


async def test_many_displays_are_bounded() -> None:
    """A loop that displays does not flood the answer."""
    shown = tuple(Result({"text/plain": str(number)}) for number in range(50))
    answer = await execute_played(Execution("completed", results=shown))

    assert answer.report.displayed[:2] == ["0", "1"]
    assert len(answer.report.displayed) == 11


async def test_long_output_is_cut_and_the_rest_can_be_read() -> None:
    """What is left out is counted, and an artifact has all that was kept."""
    stdout = Captured("a" * 30_000, "b" * 30_000, omitted=1_000_000)
    backend = PlayedBackend(gives(Execution("completed", stdout=stdout)))
    async with open_app(Settings(), backend=backend) as app:
        report = await execute(app, "code")
        kept = app.artifacts.shelf(report.session_id or "").artifacts["stdout-1.txt"]

    assert len(report.stdout) < 8200
    assert [(cut.what, cut.lost, cut.read) for cut in report.cut] == [
        ("stdout", 1_000_000, "stdout-1.txt")
    ]
    assert kept.content.startswith(b"aaa")
    assert b"1,000,000 bytes not kept" in kept.content
    assert "stdout-1.txt" in render(report)


async def test_control_characters_never_reach_the_report() -> None:
    """Not in output, not in values, not in errors."""
    evil = "\x1b[31mred\x07"
    execution = Execution(
        "raised",
        reason=evil,
        stdout=Captured(evil),
        stderr=Captured(evil),
        results=(Result({"text/plain": evil}, is_main=True),),
        error=CodeError(evil, evil, 1, evil),
    )
    result = to_result(await execute_played(execution))

    assert "\x1b" not in result.model_dump_json().encode().decode("unicode_escape")
    assert "\x07" not in result.model_dump_json().encode().decode("unicode_escape")


async def test_the_text_says_all_that_the_structured_form_says() -> None:
    """Because some hosts forward one of them only."""
    execution = Execution(
        "raised",
        reason="ValueError: bad",
        stdout=Captured("out\n" * 5000),
        stderr=Captured("err"),
        results=(
            Result({"text/plain": "shown"}),
            Result({"text/plain": "main"}, is_main=True),
            Result({"image/png": PNG}),
        ),
        error=CodeError("ValueError", "bad", 3, "Traceback\nValueError: bad"),
        state_lost=True,
        duration_seconds=1.5,
    )
    answer = await execute_played(execution)
    text = render(answer.report)

    for word in _leaves(to_result(answer).structured_content):
        assert word.strip() in text


async def test_structured_content_is_compact(app: App) -> None:
    """No nulls, no empty fields, no base64."""
    request = CodeRequest("print(1)")
    result = to_result(await run(app, "local", request, Feed()))

    assert set(result.structured_content or ()) == {
        "verdict",
        "stdout",
        "duration_seconds",
        "python",
        "session_id",
        "session",
        "expires_in_seconds",
    }


def _leaves(value: Any) -> list[str]:
    """Every text in a JSON value."""
    match value:
        case str():
            return [value]
        case Mapping() | list():
            items: list[Any] = list(value.values() if isinstance(value, Mapping) else value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType] - JSON
            return [leaf for item in items for leaf in _leaves(item)]
        case _:
            return []
