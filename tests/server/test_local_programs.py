"""Programs on the local backend: each alone, and none believed on its word."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from proofbox.server.sandbox import (
    Cell,
    InvalidInput,
    Limits,
    Program,
    ProgramResult,
    SandboxRequest,
)
from proofbox.server.sandbox.local.backend import LocalBackend
from proofbox.server.sandbox.local.sandbox import LocalSandbox

SMALL = Limits(
    memory_bytes=512 * 1024**2, processes=32, disk_bytes=32 * 1024**2, output_bytes=64 * 1024
)


@pytest.fixture
async def sandbox(local_cache: Path) -> AsyncGenerator[LocalSandbox]:
    """A sandbox of the default environment with little of everything."""
    backend = LocalBackend(cache_dir=local_cache)
    yield await backend.create(SandboxRequest(owner="programs", limits=SMALL))
    await backend.close()


def cells(*code: str, timeout: float = 20.0) -> Program:
    """A program of these cells."""
    return Program("p", tuple(Cell(part) for part in code), timeout=timeout)


def last_line(result: ProgramResult) -> str:
    return result.cells[-1].stdout.text.strip().rpartition("\n")[2]


async def test_cells_share_a_namespace_and_programs_do_not(sandbox: LocalSandbox) -> None:
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


async def test_code_runs_in_a_real_main_module(sandbox: LocalSandbox) -> None:
    """Pickling, dataclasses and `__name__` work as in a script."""
    result = await sandbox.run_program(
        cells(
            "import pickle, sys, __main__\nclass A: pass",
            "type(pickle.loads(pickle.dumps(A()))) is A, __name__, sys.modules['__main__'].A is A",
        )
    )

    assert result.cells[-1].value == "(True, '__main__', True)"


async def test_no_trace_of_ipython_is_left_in_programs(sandbox: LocalSandbox) -> None:
    """A program sees the builtins that Python has, and no others."""
    result = await sandbox.run_program(
        cells(
            "import builtins, sys; extra = {'display', 'get_ipython', '__IPYTHON__'}",
            "sorted(extra & set(dir(builtins))), 'IPython' in sys.modules",
        )
    )

    assert result.cells[-1].value == "([], False)"


async def test_top_level_await_works_across_cells(sandbox: LocalSandbox) -> None:
    """One event loop serves the whole program."""
    result = await sandbox.run_program(
        cells("import asyncio\nevent = asyncio.Event()", "event.set()\nawait event.wait()")
    )

    assert result.cells[-1].value == "True"


async def test_a_value_is_the_text_that_repr_gave_whatever_its_class(
    sandbox: LocalSandbox,
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


async def test_single_mode_prints_what_the_prompt_would(sandbox: LocalSandbox) -> None:
    """Every expression statement shows its value; None shows nothing."""
    code = "1 + 1\nNone\nfor i in range(2):\n    i * 10\n"

    result = await sandbox.run_program(Program("p", (Cell(code, mode="single"),)))

    assert result.cells[0].stdout.text == "2\n0\n10\n"


async def test_tracebacks_name_the_documents_file_and_line(sandbox: LocalSandbox) -> None:
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
        pytest.param("open('f', 'wb').write(b'x' * 2**27)", "raised", id="disk"),
        pytest.param("def f(:", "raised", id="syntax"),
    ],
)
async def test_only_a_program_that_ran_to_its_end_completes(
    sandbox: LocalSandbox, code: str, outcome: str
) -> None:
    """Every other end has its own name, and the next program is not affected."""
    bad = await sandbox.run_program(cells("1", code, "print('the end')", timeout=2.0))
    good = await sandbox.run_program(cells("6 * 7"))

    assert bad.outcome == outcome
    assert bad.reason
    assert len(bad.cells) == 2
    assert good.outcome == "completed"
    assert good.cells[0].value == "42"


async def test_nothing_that_a_program_started_outlives_its_result(sandbox: LocalSandbox) -> None:
    """Daemons in sessions of their own, deaf to signals, in the middle of forking: all dead."""
    daemon = (
        "import os, signal, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    for number in range(1, 32):\n"
        "        if number not in (9, 19): signal.signal(number, signal.SIG_IGN)\n"
        "    while True:\n"
        "        open('/proc/self/comm', 'w').write('survivor')\n"
        "        time.sleep(0.01)\n"
    )

    result = await sandbox.run_program(cells(daemon))

    assert result.outcome == "completed"
    names = [path.read_text() for path in Path("/proc").glob("[0-9]*/comm") if _there(path)]
    assert "survivor\n" not in names


def _there(path: Path) -> bool:
    try:
        return bool(path.read_text())
    except OSError:
        return False


async def test_a_fork_bomb_ends_and_the_next_program_runs(sandbox: LocalSandbox) -> None:
    """Processes are limited, and the deadline kills all of them at once."""
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"

    bad = await sandbox.run_program(cells(bomb, timeout=2.0))
    good = await sandbox.run_program(cells("'next'"))

    assert bad.outcome == "timed_out"
    assert good.cells[0].value == "'next'"


async def test_a_flood_is_cut_and_counted(sandbox: LocalSandbox) -> None:
    """Both ends of the output are kept, and how much lies between."""
    result = await sandbox.run_program(cells("for i in range(1_000_000): print(i)"))

    out = result.cells[0].stdout
    assert result.outcome == "completed"
    assert out.head.startswith("0\n1\n")
    assert out.tail.endswith("999999\n")
    assert len(out.head) + len(out.tail) + out.omitted == sum(
        len(str(i)) + 1 for i in range(1_000_000)
    )


async def test_output_belongs_to_the_cell_that_printed_it(sandbox: LocalSandbox) -> None:
    """Standard error and the output of child processes too."""
    result = await sandbox.run_program(
        cells(
            "print('one')",
            "import subprocess, sys; _ = subprocess.run(['echo', 'two']); print('err', file=sys.stderr)",
        )
    )

    assert [cell.stdout.text for cell in result.cells] == ["one\n", "two\n"]
    assert result.cells[1].stderr.text == "err\n"


async def test_a_command_has_files_environment_and_an_exit_code(sandbox: LocalSandbox) -> None:
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


async def test_the_deadline_is_for_all_cells_together(sandbox: LocalSandbox) -> None:
    """Many short cells cannot take longer than one long one."""
    result = await sandbox.run_program(cells(*["import time; time.sleep(0.4)"] * 10, timeout=1.0))

    assert result.outcome == "timed_out"
    assert 2 <= len(result.cells) <= 3


async def test_a_file_that_cannot_be_written_is_the_callers_mistake(sandbox: LocalSandbox) -> None:
    """And nothing was run."""
    with pytest.raises(InvalidInput, match="no_such"):
        await sandbox.run_program(
            Program("p", (Cell("print('ran')"),), files={"/proc/no_such/f": b""})
        )


async def test_standard_output_is_what_a_script_has(sandbox: LocalSandbox) -> None:
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
