"""The `proofbox` command: what it prints, and the status that it ends with."""

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import anyio
import click
import pytest
from fakes import FakeBackend
from played import Play, PlayedBackend, PlayedSandbox, gives

from proofbox.server import assembly
from proofbox.server.cli import commands
from proofbox.server.cli.ending import EXIT_CODES
from proofbox.server.cli.probes import LIMITS, PROBES
from proofbox.server.sandbox import (
    Captured,
    CodeError,
    Execution,
    OnOutput,
    Result,
    SandboxRejected,
)
from proofbox.server.settings import OPTIONS, Settings

PNG = b"\x89PNG\r\n\x1a\n" + b"picture"
CONSOLE_SCRIPT = Path(sysconfig.get_path("scripts")) / "proofbox"


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def facts(self) -> dict[str, Any]:
        """What it printed as JSON."""
        return json.loads(self.out)


Proofbox = Callable[..., Ended]


@pytest.fixture
def proofbox(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], backend: FakeBackend
) -> Proofbox:
    """Runs the command in this process, over fake sandboxes or those of `over`."""

    def invoke(*arguments: str, over: FakeBackend = backend) -> Ended:
        def factory(
            settings: Settings, on_progress: assembly.OnProgress, team: object
        ) -> FakeBackend:
            on_progress("Building an environment")
            return over

        monkeypatch.setitem(assembly.BACKENDS, "local", factory)
        monkeypatch.setattr(sys, "argv", ["proofbox", *arguments])
        with pytest.raises(SystemExit) as ended:
            commands.main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, captured.out, captured.err)

    return invoke


def test_code_that_passes_prints_like_an_interpreter(proofbox: Proofbox) -> None:
    """Output and the last value on stdout; the verdict and what took long on stderr."""
    ended = proofbox("run", "-c", "print('hi')\n6 * 7")

    assert (ended.status, ended.out) == (0, "hi\n42\n")
    assert "passed in" in ended.err
    assert "Building an environment" in ended.err


@pytest.mark.parametrize(
    ("code", "status", "verdict"),
    [("1", 0, "passed"), ("1 / 0", 1, "failed"), ("# nothing", 4, "skipped")],
)
def test_the_status_is_the_verdict(
    proofbox: Proofbox, code: str, status: int, verdict: str
) -> None:
    """With --json too, where the report is all that is on stdout."""
    assert proofbox("run", "-c", code).status == status
    ended = proofbox("run", "-c", code, "--json")

    assert (ended.status, ended.facts["verdict"]) == (status, verdict)
    assert "session_id" not in ended.facts


def test_failing_code_shows_its_traceback(proofbox: Proofbox) -> None:
    """On stderr, and the last line is the verdict with the reason."""
    error = CodeError("ValueError", "bad", 1, "Traceback\nValueError: bad\n")
    failing = PlayedBackend(gives(Execution("raised", reason="It raised.", error=error)))
    ended = proofbox("run", "-c", "code", over=failing)

    assert ended.status == 1
    assert "Traceback\nValueError: bad\nfailed in 0 s: It raised.\n" in ended.err


def test_output_is_shown_as_it_comes(proofbox: Proofbox) -> None:
    """Each stream to its own, without control characters."""

    async def play(sandbox: PlayedSandbox, code: str, on_output: OnOutput) -> Execution:
        on_output("stdout", "out\x1b[2J\n")
        on_output("stderr", "err\n")
        return Execution("completed", stdout=Captured("out\n"), stderr=Captured("err\n"))

    ended = proofbox("run", "-c", "code", over=PlayedBackend(play))

    assert ended.out == "out\n"
    assert "err\n" in ended.err


@pytest.mark.parametrize("as_json", [True, False])
def test_without_a_sandbox_the_status_is_errored(proofbox: Proofbox, *, as_json: bool) -> None:
    """With the advice, and no traceback."""
    broken = FakeBackend()
    broken.create_errors = [SandboxRejected("User namespaces are off; do this.")]
    ended = proofbox("run", "-c", "1", *(["--json"] if as_json else []), over=broken)

    assert ended.status == 3
    assert "do this." in (ended.facts["reason"] if as_json else ended.err)
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "-c", "1", "file.py"],
        ["run", "no-such-file.py"],
        ["run", "-c", "1", "--timeout", "0"],
        ["run", "-c", "1", "--env", "NAME"],
        ["run", "-c", "1", "--language", "cobol"],
        ["run", "-c", "1", "--memory", "none"],
        ["--memory", "none", "run", "-c", "1"],
        ["no-such-command"],
        ["--no-such-flag"],
    ],
)
def test_bad_usage_has_a_status_of_its_own(
    proofbox: Proofbox, arguments: list[str], backend: FakeBackend
) -> None:
    """And nothing runs."""
    ended = proofbox(*arguments)

    assert ended.status == 2
    assert ended.err
    assert "Traceback" not in ended.err
    assert not any("run_code" in sandbox.calls for sandbox in backend.created)


def test_a_file_is_run_in_the_language_of_its_name(proofbox: Proofbox, tmp_path: Path) -> None:
    """Unless another is given."""
    backend = PlayedBackend(gives(Execution("completed")))
    script = tmp_path / "script.sh"
    script.write_text("ls")

    proofbox("run", str(script), over=backend)
    proofbox("run", str(script), "-l", "Python", "-t", "7", "-e", "A=b=c", over=backend)

    assert [sandbox.asked for sandbox in backend.played] == [
        [{"language": "bash", "env": {}, "timeout": 30.0}],
        [{"language": "python", "env": {"A": "b=c"}, "timeout": 7.0}],
    ]


def test_a_byte_order_mark_is_no_code(proofbox: Proofbox, tmp_path: Path) -> None:
    """Python itself skips what editors on Windows put there."""
    script = tmp_path / "script.py"
    script.write_bytes(b"\xef\xbb\xbf6 * 7\r\n")

    assert proofbox("run", str(script)).out == "42\n"


def test_a_file_that_is_not_text_is_refused(proofbox: Proofbox, tmp_path: Path) -> None:
    """With a sentence."""
    script = tmp_path / "script.py"
    script.write_bytes(b"\xff\xfe")

    ended = proofbox("run", str(script))

    assert ended.status == 2
    assert "not UTF-8" in ended.err


def test_what_code_made_is_kept_on_request(proofbox: Proofbox, tmp_path: Path) -> None:
    """Below the folder that was named, whatever the code called it."""

    async def play(sandbox: PlayedSandbox, code: str, on_output: OnOutput) -> Execution:
        sandbox.files["/home/user/data/a.csv"] = b"1,2\n"
        return Execution("completed", results=(Result({"image/png": PNG}),))

    folder = tmp_path / "made"
    ended = proofbox("run", "-c", "x", "--save", str(folder), "--json", over=PlayedBackend(play))
    unsaved = proofbox("run", "-c", "x", over=PlayedBackend(play))

    assert (folder / "plot-1.png").read_bytes() == PNG
    assert (folder / "data/a.csv").read_bytes() == b"1,2\n"
    assert ended.facts["saved"] == [str(folder / "plot-1.png"), str(folder / "data/a.csv")]
    assert "--save FOLDER keeps them" in unsaved.err


def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_runs(
    proofbox: Proofbox, tmp_path: Path, backend: FakeBackend
) -> None:
    """What the code makes would be lost."""
    file = tmp_path / "file"
    file.touch()

    ended = proofbox("run", "-c", "1", "--save", str(file / "folder"))

    assert (ended.status, backend.created) == (2, [])
    assert "nothing can be written to" in ended.err
    assert len(ended.err.splitlines()) == 1


def _full() -> TextIO:
    return open("/dev/full", "w")


def _unread() -> TextIO:
    read, write = os.pipe()
    os.close(read)
    return open(write, "w")


def _closed() -> None:
    return None


@pytest.mark.parametrize("make", [_full, _unread, _closed])
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "-c", "print('hi')"],
        ["run", "-c", "print('x' * 1_000_000)"],
        ["run", "-c", "1", "--json"],
        ["run", "--json"],
        ["doctor"],
        ["--help"],
    ],
)
def test_a_verdict_that_cannot_be_written_is_none(
    proofbox: Proofbox,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    make: Callable[[], TextIO | None],
) -> None:
    """A full disk or a reader that has gone: not 0, nor 1, which would be a verdict."""
    stdout = make()
    monkeypatch.setattr(sys, "stdout", stdout)

    ended = proofbox(*arguments)

    assert ended.status == 3
    assert "nobody got the verdict" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err
    if stdout is not None:
        # Nor does the interpreter complain when it closes it at its own end.
        stdout.close()


def test_a_stderr_that_cannot_be_written_to_ends_without_a_verdict(
    proofbox: Proofbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nowhere to say why."""
    with _full() as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)

        ended = proofbox("run", "-c", "1")

    assert ended.status == 3


def test_flags_before_and_after_the_command_are_the_same(
    proofbox: Proofbox, backend: FakeBackend
) -> None:
    """And reach the sandbox."""
    proofbox("--processes", "32", "run", "-c", "1", "--open-files", "99")

    limits = backend.created[0].request.limits
    assert (limits.processes, limits.open_files) == (32, 99)


def test_every_setting_has_a_flag_on_every_command() -> None:
    """Of the same name, from the same table."""
    for command in (commands.cli, *commands.cli.commands.values()):
        flags = {flag for item in command.params for flag in item.opts}
        assert {option.flag for option in OPTIONS} <= flags


def test_every_subcommand_takes_json() -> None:
    """For scripts."""
    names = {
        "serve",
        "run",
        "doctor",
        "demo",
        "install",
        "uninstall",
        "report",
        "snippets",
        "tests",
        "bench",
        "token",
        "pr",
        "webhook",
    }
    assert set(commands.cli.commands) == names
    for command in commands.cli.commands.values():
        assert "--json" in {flag for item in command.params for flag in item.opts}


def test_a_fault_of_ours_is_logged_and_ends_with_a_sentence(
    proofbox: Proofbox, caplog: pytest.LogCaptureFixture
) -> None:
    """The status is that of errors."""
    broken = FakeBackend()
    broken.create_errors = [RuntimeError("a bug")]

    ended = proofbox("run", "-c", "1", over=broken)

    assert ended.status == 3
    assert "proofbox failed" in ended.err


HARMLESS = (
    "read a file in this user's home directory, or in /tmp",
    "find this machine's environment variables",
    "see this machine's processes",
    "connect to a server on this machine",
    "connect to an abstract socket of this machine",
)


async def run_outside(sandbox: PlayedSandbox, code: str, on_output: OnOutput) -> Execution:
    """Runs the harmless probes on this machine, in no sandbox at all; never the others."""
    probe = next((probe for probe in PROBES if probe.code in code), None)
    if probe is None or probe.name not in HARMLESS:
        return Execution("completed", stdout=Captured("{}"))
    done = await anyio.run_process([sys.executable, "-c", code])
    return Execution("completed", stdout=Captured(done.stdout.decode()))


def test_doctor_finds_what_can_be_reached(proofbox: Proofbox) -> None:
    """Outside a sandbox, each probe gets hold of what was laid out for it."""
    ended = proofbox("doctor", "--json", over=PlayedBackend(run_outside))

    outcomes = {item["attempt"]: item["outcome"] for item in ended.facts["findings"]}
    assert ended.status == 1
    assert not ended.facts["ok"]
    assert {outcomes[name] for name in HARMLESS} == {"got out"}


def test_doctor_shows_what_got_out(proofbox: Proofbox) -> None:
    """Loudly, beside what was refused."""
    ended = proofbox("doctor", over=PlayedBackend(run_outside))

    assert ended.status == 1
    assert "GOT OUT  connect to a server on this machine  (it answered)" in ended.out


async def forge(sandbox: PlayedSandbox, code: str, on_output: OnOutput) -> Execution:
    """An answer that looks right but proves nothing."""
    return Execution("completed", stdout=Captured('{"ran": "", "got": null, "why": ""}\n'))


async def fall_silent(sandbox: PlayedSandbox, code: str, on_output: OnOutput) -> Execution:
    """No answer at all."""
    return Execution("timed_out", reason="It took too long.")


@pytest.mark.parametrize("play", [forge, fall_silent])
def test_doctor_takes_no_silence_for_safety(proofbox: Proofbox, play: Play) -> None:
    """A probe that did not prove that it ran has found nothing."""
    ended = proofbox("doctor", "--json", over=PlayedBackend(play))

    assert ended.status == 3
    assert {item["outcome"] for item in ended.facts["findings"]} == {"errored"}


def limits_seen(**seen: int | None) -> Play:
    """A sandbox whose code sees these limits, and in which no probe says anything."""

    async def play(sandbox: PlayedSandbox, code: str, on_output: OnOutput) -> Execution:
        del sandbox, on_output
        text = json.dumps(seen) if code == LIMITS else ""
        return Execution("completed", stdout=Captured(text))

    return play


@pytest.mark.parametrize("seen", [None, 129 + 65536])
def test_doctor_fails_where_a_limit_does_not_hold(proofbox: Proofbox, seen: int | None) -> None:
    """None at all, or a looser one than is set."""
    loose = PlayedBackend(limits_seen(processes=seen, open_files=1024))
    ended = proofbox("doctor", over=loose)
    tight = proofbox("doctor", over=PlayedBackend(limits_seen(processes=128, open_files=1024)))

    assert (ended.status, tight.status) == (1, 3)
    assert ended.out.count("(!)") == 1
    assert "(!)" not in tight.out


def test_doctor_says_what_holds_each_limit(proofbox: Proofbox) -> None:
    """As the backend tells it, beside what is set and what code sees."""
    backend = PlayedBackend(limits_seen(processes=100))
    text = proofbox("doctor", over=backend).out
    facts = proofbox("doctor", "--json", over=PlayedBackend(limits_seen(processes=100))).facts

    assert re.search(r"processes +128 +100 +nothing\n", text)
    assert facts["held_by"]["processes"] == "nothing"
    assert (facts["configured"]["processes"], facts["seen"]) == (128, {"processes": 100})


def test_limits_that_doctor_cannot_read_are_a_problem(proofbox: Proofbox) -> None:
    """A sandbox that does not say what limits it has may have none."""
    ended = proofbox("doctor", over=PlayedBackend(limits_seen()))

    assert ended.status == 3
    assert "problem: The limits that code sees could not be read." in ended.out


def test_doctor_says_why_there_is_no_sandbox(proofbox: Proofbox) -> None:
    """And what to do about it."""
    broken = FakeBackend()
    broken.create_errors = [SandboxRejected("User namespaces are off; do this.")]
    ended = proofbox("doctor", over=broken)

    assert ended.status == 3
    assert "backend: local, because no key for E2B is set" in ended.out
    assert "problem: User namespaces are off; do this." in ended.out
    assert re.search(r"processes +128 +- +-\n", ended.out)


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [
        ("proofbox.server.cli import commands", ("mcp", "e2b", "uvicorn", "pydantic")),
        (
            "proofbox.server.cli import bench, doctor, pr, report, run, snippets, tests",
            ("mcp", "starlette", "uvicorn", "e2b"),
        ),
        (
            "proofbox.server import app",
            ("e2b", "platformdirs", "proofbox.server.sandbox.local.backend"),
        ),
    ],
    ids=["help", "commands that serve nobody", "the server"],
)
def test_a_start_is_quick_because_it_imports_little(
    modules: str, unwanted: tuple[str, ...]
) -> None:
    """Help needs neither the protocol nor a backend, commands no protocol, and a server no backend before it is
    chosen: a host waits for the first answer.
    """
    code = (
        f"import sys; from {modules}; print([name for name in {unwanted} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "[]\n"


@pytest.mark.slow
@pytest.mark.parametrize("command", ["demo", "doctor"])
def test_demo_and_doctor_succeed_on_this_machine(command: str) -> None:
    """With real sandboxes, and they say so as JSON."""
    done = subprocess.run(
        [CONSOLE_SCRIPT, "--backend", "local", command, "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["ok"]


def test_the_statuses_are_those_that_the_help_names() -> None:
    """They are an interface: scripts gate on them."""
    assert EXIT_CODES == {"passed": 0, "failed": 1, "errored": 3, "skipped": 4}
    shown = commands.cli.commands["run"].get_help(click.Context(commands.cli.commands["run"]))
    assert "0 passed, 1 failed, 2 bad usage or input, 3 errored" in " ".join(shown.split())
