"""What every backend must do with programs: one suite, run unchanged on each (`tests/server/test_programs_contract.py`).

Each alone, and none believed on its word. All tests of a backend share one sandbox with limits like `SMALL`, so
each also finds what the others left. The fixture `isolation` names what is to keep programs apart.
"""

import contextlib
import hashlib
from pathlib import Path

import anyio
import pytest

from proofbox.server.sandbox import (
    Cell,
    InvalidInput,
    Limits,
    Program,
    ProgramResult,
    ProgramRunner,
)

SMALL = Limits(
    memory_bytes=512 * 1024**2,
    processes=32,
    disk_bytes=32 * 1024**2,
    file_bytes=16 * 1024**2,
    output_bytes=64 * 1024,
)
# Deaf to every signal that can be ignored, in a session of its own, and known by its name.
DAEMON = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    for number in range(1, 32):
        if number not in (9, 19): signal.signal(number, signal.SIG_IGN)
    open('/proc/self/comm', 'w').write('survivor')
    while True:
        if os.fork(): os._exit(0)
        time.sleep(0.01)
"""


def cells(*code: str, timeout: float = 20.0) -> Program:
    """A program of these cells."""
    return Program("p", tuple(Cell(part) for part in code), timeout=timeout)


def last_line(result: ProgramResult) -> str:
    return result.cells[-1].stdout.text.strip().rpartition("\n")[2]


async def test_cells_share_a_namespace_and_programs_do_not(sandbox: ProgramRunner) -> None:
    """What one program defines, writes or leaves in the environment, the next does not find."""
    first = await sandbox.run_program(
        cells("x = 41", "import os; os.environ['X'] = '1'; open('f', 'w').write('x')", "x + 1")
    )
    second = await sandbox.run_program(
        cells("import os; 'x' in globals(), 'X' in os.environ, os.listdir()")
    )

    assert [cell.outcome for cell in first.cells] == ["completed"] * 3
    assert first.cells[-1].value == "42"
    assert second.cells[0].value == "(False, False, [])"


async def test_code_runs_in_a_real_main_module(sandbox: ProgramRunner) -> None:
    """Pickling, dataclasses and `__name__` work as in a script."""
    result = await sandbox.run_program(
        cells(
            "import pickle, sys, __main__\nclass A: pass",
            "type(pickle.loads(pickle.dumps(A()))) is A, __name__, sys.modules['__main__'].A is A",
        )
    )

    assert result.cells[-1].value == "(True, '__main__', True)"


async def test_no_trace_of_ipython_is_left_in_programs(sandbox: ProgramRunner) -> None:
    """A program sees the builtins that Python has, and no others."""
    result = await sandbox.run_program(
        cells(
            "import builtins, sys; extra = {'display', 'get_ipython', '__IPYTHON__'}",
            "sorted(extra & set(dir(builtins))), 'IPython' in sys.modules",
        )
    )

    assert result.cells[-1].value == "([], False)"


async def test_standard_output_is_what_a_script_has(sandbox: ProgramRunner) -> None:
    """Libraries wrap it again, and ask what it is called and whether one can seek in it."""
    result = await sandbox.run_program(
        cells(
            "import io, sys\nsys.stdout.name, sys.stdout.mode, sys.stdout.seekable()",
            "io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, 'w', closefd=False))).write('a')",
            "io.TextIOWrapper(sys.stdout.buffer).write('b')",
        )
    )

    assert result.outcome == "completed"
    assert result.cells[0].value == "('<stdout>', 'w', False)"


async def test_code_larger_than_a_sockets_buffer_runs(sandbox: ProgramRunner) -> None:
    """It goes to the interpreter in pieces, while that says nothing."""
    result = await sandbox.run_program(cells(f"x = {'a' * 1_000_000!r}\nlen(x)"))

    assert [cell.value for cell in result.cells] == ["1000000"]


async def test_top_level_await_works_across_cells(sandbox: ProgramRunner) -> None:
    """One event loop serves the whole program."""
    result = await sandbox.run_program(
        cells("import asyncio\nevent = asyncio.Event()", "event.set()\nawait event.wait()")
    )

    assert result.cells[-1].value == "True"


async def test_a_value_is_the_text_that_repr_gave_whatever_its_class(
    sandbox: ProgramRunner,
) -> None:
    """A subclass of str that slices into something else does not reach the answer."""
    code = (
        "class Liar(str):\n"
        "    __getitem__ = __str__ = lambda self, *_: print\n"
        "class Shown:\n"
        "    __repr__ = lambda self: Liar('said')\n"
        "Shown()"
    )

    result = await sandbox.run_program(cells(code))

    assert (result.outcome, result.cells[-1].value) == ("completed", "said")


async def test_single_mode_prints_what_the_prompt_would(sandbox: ProgramRunner) -> None:
    """Every expression statement shows its value; None shows nothing."""
    code = "1 + 1\nNone\nfor i in range(2):\n    i * 10\n"

    result = await sandbox.run_program(Program("p", (Cell(code, mode="single"),)))

    assert result.cells[0].stdout.text == "2\n0\n10\n"


async def test_tracebacks_name_the_documents_file_and_line(sandbox: ProgramRunner) -> None:
    """Lines are those of the page that the cells come from, with their source."""
    program = Program(
        "p",
        (Cell("def f():\n    return 1 / 0", "docs/page.md", 10), Cell("f()", "docs/page.md", 20)),
    )

    error = (await sandbox.run_program(program)).cells[-1].error

    assert error is not None
    assert error.line == 11
    assert 'File "docs/page.md", line 20' in error.traceback
    assert "    return 1 / 0" in error.traceback
    assert "guest" not in error.traceback


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        pytest.param("import os; os._exit(0)", "exited", id="os-exit"),
        pytest.param("import sys; sys.exit(0)", "exited", id="sys-exit"),
        pytest.param("raise SystemExit", "exited", id="system-exit"),
        pytest.param(
            "import atexit, os; atexit.register(os._exit, 0); 1 / 0", "raised", id="atexit"
        ),
        pytest.param("import os; os.closerange(0, 100)", "exited", id="closed-descriptors"),
        pytest.param(
            "import os\nfor fd in range(3, 64):\n"
            '    try: os.write(fd, b\'\\0\\0\\0\\x0d\\0\\0\\0\\0{"t":"done"}\')\n'
            "    except OSError: pass",
            "killed",
            id="forged-on-every-descriptor",
        ),
        pytest.param("import os; os.kill(os.getpid(), 9)", "killed", id="sigkill"),
        pytest.param("import ctypes; ctypes.string_at(0)", "killed", id="segfault"),
        pytest.param("while True: pass", "timed_out", id="endless"),
        pytest.param(
            "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", "timed_out", id="stop"
        ),
        pytest.param(
            "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
            "timed_out",
            id="swallows-interrupts",
        ),
        pytest.param("x = bytearray(2**40)", "raised", id="memory"),
        pytest.param("open('f', 'wb').write(b'x' * 2**27)", "raised", id="large-file"),
        pytest.param(
            "import os\nfor n in range(1000):\n    open(f'f{n}', 'wb').write(bytes(2**23))",
            "raised",
            id="full-disk",
        ),
        pytest.param("import os; os.kill(0, 9)", "killed", id="kills-its-group"),
        pytest.param(
            "import os\ntry: os.kill(-1, 9)\nexcept OSError: pass\nos._exit(0)",
            "exited",
            id="kills-all",
        ),
        pytest.param(
            "import os, signal\nos.kill(os.getppid() or 1, signal.SIGKILL)\nos._exit(0)",
            ("exited", "raised"),
            id="kills-its-parent",
        ),
        pytest.param(
            "import os, signal\nos.kill(os.getppid() or 1, signal.SIGSTOP)\nos._exit(0)",
            ("exited", "raised"),
            id="stops-its-parent",
        ),
        pytest.param(
            "import os, sys\nsys.settrace(lambda *_: os._exit(0))\n(lambda: 1)()",
            "exited",
            id="settrace",
        ),
        pytest.param(
            "import sys\n"
            "def forge(frame, event, argument):\n"
            "    frame.f_trace_lines = False\n"
            "    raise SystemExit(0)\n"
            "sys.settrace(forge)\n"
            "(lambda: 1)()",
            "exited",
            id="settrace-raises",
        ),
        pytest.param(
            "import time\n"
            "time.time = time.monotonic = time.perf_counter = lambda: 0.0\n"
            "time.sleep = lambda seconds: None\n"
            "while True: pass",
            "timed_out",
            id="stopped-clocks",
        ),
        pytest.param(
            "import signal, time\nsignal.setitimer(signal.ITIMER_REAL, 0.01)\ntime.sleep(5)",
            "killed",
            id="own-alarm",
        ),
        pytest.param(
            "import time\ntime.clock_settime(time.CLOCK_REALTIME, 0.0)",
            "raised",
            id="sets-the-clock",
        ),
        pytest.param("def f(:", "raised", id="syntax"),
    ],
)
async def test_only_a_program_that_ran_to_its_end_completes(
    sandbox: ProgramRunner, code: str, outcome: str | tuple[str, ...]
) -> None:
    """Every other end has its own name, and the next program is not affected."""
    seconds = 1.0 if outcome == "timed_out" else 30.0
    bad = await sandbox.run_program(cells("1", code, "print('the end')", timeout=seconds))
    good = await sandbox.run_program(cells("6 * 7"))

    assert bad.outcome in (outcome if isinstance(outcome, tuple) else (outcome,)), bad
    assert bad.reason
    assert len(bad.cells) == 2
    assert good.outcome == "completed"
    assert good.cells[0].value == "42"


def survivors() -> list[str]:
    """Processes of this machine, in whatever sandbox, that `DAEMON` left."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if path.read_text() == "survivor\n":
                found.append(path.parent.name)
    return found


@pytest.mark.parametrize("ending", ["", "os._exit(0)", "while True: pass"])
async def test_nothing_that_a_program_started_outlives_its_result(
    sandbox: ProgramRunner, ending: str
) -> None:
    """Daemons in sessions of their own, deaf to signals, each a moment old: all dead, however it ended."""
    result = await sandbox.run_program(cells(DAEMON, ending, timeout=1.0))

    assert survivors() == []
    assert result.outcome == {"": "completed", "os._exit(0)": "exited"}.get(ending, "timed_out")


async def test_orphans_that_end_do_not_count_for_ever(sandbox: ProgramRunner) -> None:
    """Whoever adopts them reaps them: more have come and gone than there may be at once."""
    result = await sandbox.run_program(
        cells(
            f"import os\n"
            f"for _ in range({2 * SMALL.processes}):\n"
            f"    child = os.fork()\n"
            f"    if child == 0:\n"
            f"        os.fork()\n"
            f"        os._exit(0)\n"
            f"    os.waitpid(child, 0)"
        )
    )

    assert (result.outcome, result.reason) == ("completed", "")


async def test_a_fork_bomb_ends_and_the_next_program_runs(sandbox: ProgramRunner) -> None:
    """Processes are limited, and the deadline kills all of them at once."""
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"

    bad = await sandbox.run_program(cells(bomb, timeout=1.0))
    good = await sandbox.run_program(cells("'next'"))

    assert bad.outcome == "timed_out"
    assert good.cells[0].value == "'next'"


async def test_a_flood_is_cut_and_counted(sandbox: ProgramRunner) -> None:
    """Both ends of the output are kept, and how much lies between."""
    result = await sandbox.run_program(cells("for i in range(1_000_000): print(i)"))

    out = result.cells[0].stdout
    assert result.outcome == "completed"
    assert out.head.startswith("0\n1\n")
    assert out.tail.endswith("999999\n")
    assert len(out.head) + len(out.tail) + out.omitted == sum(
        len(str(i)) + 1 for i in range(1_000_000)
    )


async def test_a_gigabyte_of_output_costs_only_its_own_time(sandbox: ProgramRunner) -> None:
    """It is cut as it comes, whether or not it gets to its end in time."""
    flood = "import os\nfor _ in range(1024): os.write(1, b'x' * 2**20)"

    result = await sandbox.run_program(cells(flood, timeout=3.0))
    good = await sandbox.run_program(cells("'next'"))

    out = result.cells[0].stdout
    assert result.outcome in {"completed", "timed_out"}
    assert len(out.head) + len(out.tail) == SMALL.output_bytes
    if result.outcome == "completed":
        assert len(out.head) + len(out.tail) + out.omitted == 2**30
    assert good.cells[0].value == "'next'"


async def test_output_belongs_to_the_cell_that_printed_it(sandbox: ProgramRunner) -> None:
    """Standard error and the output of child processes too."""
    result = await sandbox.run_program(
        cells(
            "print('one')",
            "import subprocess, sys; _ = subprocess.run(['echo', 'two']); print('err', file=sys.stderr)",
        )
    )

    assert [cell.stdout.text for cell in result.cells] == ["one\n", "two\n"]
    assert result.cells[1].stderr.text == "err\n"


async def test_a_command_has_files_environment_and_an_exit_code(sandbox: ProgramRunner) -> None:
    """Non-zero is raised, zero is completed."""
    files = {"a/in.txt": b"hello"}
    program = Program("p", command=("bash", "-c", "cat a/in.txt; echo $N; exit $N"), files=files)

    failed = await sandbox.run_program(
        Program("p", command=program.command, files=files, env={"N": "3"})
    )
    passed = await sandbox.run_program(
        Program("p", command=program.command, files=files, env={"N": "0"})
    )

    assert (failed.outcome, failed.exit_code) == ("raised", 3)
    assert failed.cells[0].stdout.text == "hello3\n"
    assert (passed.outcome, passed.exit_code) == ("completed", 0)


@pytest.mark.parametrize(
    ("command", "outcome"),
    [
        (("no-such-command",), "raised"),
        (("bash", "-c", "kill -9 $$"), "killed"),
        (("sleep", "1000"), "timed_out"),
        (("bash", "-c", "trap '' TERM INT; setsid sleep 1000 & sleep 1000"), "timed_out"),
    ],
)
async def test_a_command_that_does_not_exit_with_zero_does_not_complete(
    sandbox: ProgramRunner, command: tuple[str, ...], outcome: str
) -> None:
    """Missing, killed, too slow."""
    result = await sandbox.run_program(Program("p", command=command, timeout=1.0))

    assert result.outcome == outcome
    assert result.reason


async def test_a_cell_may_raise_and_the_program_goes_on(sandbox: ProgramRunner) -> None:
    """Where that is said of the cell; an exit is no exception."""
    raises, exits = Cell("1 / 0", may_raise=True), Cell("import os; os._exit(0)", may_raise=True)

    goes_on = await sandbox.run_program(Program("p", (raises, Cell("6 * 7"))))
    at_the_end = await sandbox.run_program(Program("p", (raises,)))
    exited = await sandbox.run_program(Program("p", (exits, Cell("6 * 7"))))

    assert [cell.outcome for cell in goes_on.cells] == ["raised", "completed"]
    assert (goes_on.outcome, goes_on.cells[1].value) == ("completed", "42")
    assert at_the_end.outcome == "completed"
    assert (exited.outcome, len(exited.cells)) == ("exited", 1)


async def test_programs_run_beside_one_another(sandbox: ProgramRunner) -> None:
    """Each with its own files and variables, none waiting for another."""
    values: dict[str, str | None] = {}

    async def run(name: str) -> None:
        steps = (f"open('mine', 'w').write('{name}')", "import time; time.sleep(0.2)")
        program = Program(name, (*map(Cell, steps), Cell("open('mine').read()")))
        values[name] = (await sandbox.run_program(program)).cells[-1].value

    async with anyio.create_task_group() as group:
        for name in "abcd":
            group.start_soon(run, name)

    assert values == {name: repr(name) for name in "abcd"}


async def test_a_cancelled_program_is_dead_and_the_next_one_runs(sandbox: ProgramRunner) -> None:
    """Nothing of it is left when the cancellation is delivered."""
    with anyio.move_on_after(0.5) as scope:
        await sandbox.run_program(cells(DAEMON, "while True: pass"))
    left = survivors()

    good = await sandbox.run_program(cells("'next'"))

    assert scope.cancelled_caught
    assert left == []
    assert good.cells[0].value == "'next'"


async def test_what_is_stopped_before_it_has_begun_is_stopped_alone(sandbox: ProgramRunner) -> None:
    """A time too short for the fork itself, and a cancellation as early, are that program's and no other's."""
    outcomes: list[str] = []
    long = cells("import time; time.sleep(0.3)")

    async def run(program: Program) -> None:
        outcomes.append((await sandbox.run_program(program)).outcome)

    async with anyio.create_task_group() as group:
        group.start_soon(run, long)
        for _ in range(8):
            group.start_soon(run, cells("1", timeout=0.001))
            group.start_soon(run, Program("p", command=("true",), timeout=0.001))
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as cancelled:
            for _ in range(8):
                cancelled.start_soon(run, cells("1"))
            await anyio.wait_all_tasks_blocked()
            cancelled.cancel_scope.cancel()

    assert set(outcomes) == {"completed", "timed_out"}
    assert outcomes.count("timed_out") >= 8
    assert len(outcomes) >= 17


async def test_the_result_says_what_kept_the_program_apart(
    sandbox: ProgramRunner, isolation: str
) -> None:
    """Namespaces of its own, or less."""
    result = await sandbox.run_program(cells("import os; len(os.listdir('/proc'))"))

    assert result.isolation == isolation


async def test_a_program_has_no_rights_and_finds_nothing_to_write_to_but_its_own_directories(
    sandbox: ProgramRunner,
) -> None:
    """Nor does it see what another has left in the directories that are everybody's."""
    look = (
        "import os, tempfile\n"
        "own = {os.path.realpath(os.environ['HOME']), os.path.realpath(tempfile.gettempdir())}\n"
        "status = dict(line.split(':\\t', 1) for line in open('/proc/self/status'))\n"
        "places = ['/', '/etc', '/opt', '/opt/proofbox', '/home', '/usr', '/run', os.path.dirname(os.__file__)]\n"
        "print([place for place in places if os.access(place, os.W_OK)])\n"
        "print(os.getuid() != 0, int(status['CapEff'], 16), int(status['CapBnd'], 16), status['NoNewPrivs'])\n"
        "print(os.listdir('.'), 'left' in os.listdir(tempfile.gettempdir()), len(own))\n"
        "for place in (*own, '/tmp', '/dev/shm'): open(os.path.join(place, 'left'), 'w').close()\n"
    )

    first = await sandbox.run_program(cells(look))
    again = await sandbox.run_program(cells(look))

    expected = "[]\nTrue 0 0 1\n\n[] False 2\n"
    assert (first.outcome, first.cells[0].stdout.text) == ("completed", expected), first
    assert (again.outcome, again.cells[0].stdout.text) == ("completed", expected), again


async def test_the_deadline_is_for_all_cells_together(sandbox: ProgramRunner) -> None:
    """Many short cells cannot take longer than one long one; what is told is the limit, not what was left of it."""
    result = await sandbox.run_program(cells(*["import time; time.sleep(0.4)"] * 10, timeout=1.0))

    assert result.outcome == "timed_out"
    assert result.reason.startswith("The code did not end within 1 s")
    assert 2 <= len(result.cells) <= 3


async def test_what_cannot_be_honoured_is_the_callers_mistake(sandbox: ProgramRunner) -> None:
    """And nothing was run."""
    nowhere = Program("p", (Cell("print('ran')"),), files={"/proc/no_such/f": b""})
    nameless = Program("p", (Cell("print('ran')"),), env={"A=B": "c"})

    with pytest.raises(InvalidInput, match="no_such"):
        await sandbox.run_program(nowhere)
    with pytest.raises(InvalidInput, match="A=B"):
        await sandbox.run_program(nameless)
    with pytest.raises(InvalidInput, match="neither cells nor a command"):
        await sandbox.run_program(Program("p"))
    with pytest.raises(InvalidInput, match="Put large data into files"):
        await sandbox.run_program(cells(f"x = {'a' * 2**25!r}"))


async def test_files_of_a_program_may_be_larger_than_what_is_sent_at_once(
    sandbox: ProgramRunner,
) -> None:
    """They arrive whole and apart, in as many requests as it takes."""
    files = {"a": bytes(range(256)) * 36_000, "b": b"b" * 9_000_000, "c": b""}
    code = "import hashlib\n[hashlib.sha256(open(f, 'rb').read()).hexdigest() for f in 'abc']"

    result = await sandbox.run_program(Program("p", (Cell(code),), files=files))

    digests = [hashlib.sha256(content).hexdigest() for content in files.values()]
    assert result.cells[0].value == repr(digests)
