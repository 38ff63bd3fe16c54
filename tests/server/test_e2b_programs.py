"""Programs on E2B, against the stand-in: what only a machine with other services in it can get wrong."""

import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from standin import API_KEY, Size, StandIn

from proofbox.server import programs
from proofbox.server.sandbox import (
    Cell,
    Limits,
    Program,
    ProgramRunner,
    SandboxRejected,
    SandboxRequest,
    SandboxUnavailable,
)
from proofbox.server.sandbox.e2b import E2BBackend, E2BSandbox
from proofbox.server.sandbox.e2b.bounded import AsyncSandbox
from proofbox.server.sandbox.e2b.relay import Relay

pytestmark = pytest.mark.slow


WAITING = "open('/proc/self/comm', 'w').write('waiting')\nimport time\ntime.sleep(100)"


def any_process_is_called(name: str) -> bool:
    """On this machine, in whatever sandbox."""
    for path in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            if path.read_text() == f"{name}\n":
                return True
    return False


def cells(*code: str, timeout: float = 20.0) -> Program:
    """A program of these cells."""
    return Program("p", tuple(Cell(part) for part in code), timeout=timeout)


@pytest.fixture(params=[True, False], ids=["namespaces", "none"])
def size(request: pytest.FixtureRequest, standin: StandIn) -> Iterator[Size]:
    """Machines whose root may make namespaces, and others."""
    if not request.param and os.geteuid() != 0:
        pytest.skip("without namespaces programs need users of their own, which only root can give")
    standin.fleet.size = Size(namespaces=request.param)
    yield standin.fleet.size
    standin.fleet.size = Size()


async def test_a_program_reaches_no_service_of_the_machine(
    size: Size, e2b_sandbox: E2BSandbox
) -> None:
    """The interpreter's port runs code as root for whoever connects."""
    await e2b_sandbox.run_code("import socket\nserver = socket.create_server(('127.0.0.1', 49999))")
    connect = "import socket; socket.create_connection(('127.0.0.1', 49999), timeout=5)"

    from_outside = await e2b_sandbox.run_command(["python3", "-c", connect])
    from_program = await e2b_sandbox.run_program(cells(connect))

    assert from_outside.exit_code == 0, from_outside
    assert from_program.outcome == "raised"
    assert from_program.cells[0].error is not None
    assert from_program.cells[0].error.name in {"ConnectionRefusedError", "OSError"}


async def test_a_program_can_neither_read_nor_write_nor_signal_what_judges_it(
    size: Size, e2b_sandbox: E2BSandbox
) -> None:
    """Its supervisor is root's, and so are its files and streams."""
    attack = (
        "import glob, os, signal\n"
        "done = []\n"
        "def attempt(function, *arguments):\n"
        "    try:\n"
        "        done.append((function.__name__, arguments, function(*arguments)))\n"
        "    except OSError:\n"
        "        pass\n"
        "others = [int(n) for n in os.listdir('/proc') if n.isdigit() and int(n) != os.getpid()]\n"
        "tried = 0\n"
        "for pid in others:\n"
        "    if size_of_namespace == 1 and pid == 1: continue\n"
        "    tried += 1\n"
        "    attempt(os.kill, pid, signal.SIGKILL)\n"
        "    attempt(os.listdir, f'/proc/{pid}/fd')\n"
        "    attempt(open, f'/proc/{pid}/fd/0', 'rb')\n"
        "    attempt(open, f'/proc/{pid}/mem', 'r+b')\n"
        "guest = glob.glob('/opt/proofbox/proofbox_guest/*.py')\n"
        "for path in guest: attempt(open, path, 'a'); attempt(os.remove, path)\n"
        "attempt(os.mkdir, '/opt/proofbox/proofbox_guest/more')\n"
        "done, len(guest) > 10, tried > 0"
    ).replace("size_of_namespace", str(int(size.namespaces)))

    result = await e2b_sandbox.run_program(cells(attack))
    after = await e2b_sandbox.run_program(cells("6 * 7"))

    assert result.outcome == "completed", result
    assert result.cells[0].value == f"([], True, {not size.namespaces})"
    assert after.cells[0].value == "42"


async def test_a_bare_sandbox_has_nothing_of_the_template(e2b: E2BBackend) -> None:
    """Its programs run in an environment of their own, with what was asked for and the same Python."""
    sandbox = await e2b.create(SandboxRequest(owner="o", packages=("tinyfact",), bare=True))
    look = "import importlib.util as u, site; site.main(); [n for n in ('tinyfact', 'numpy', 'IPython') if u.find_spec(n)]"

    result = await sandbox.run_program(
        cells(
            look, "import tinyfact, sys; tinyfact.factorial(5), '%d.%d.%d' % sys.version_info[:3]"
        )
    )

    assert [cell.value for cell in result.cells] == ["['tinyfact']", f"(120, '{sandbox.python}')"]
    await sandbox.close()


async def test_programs_have_the_packages_and_the_python_of_the_sandbox(e2b: E2BBackend) -> None:
    """What was installed for the interpreter, and what was preloaded; commands find that Python too."""
    request = SandboxRequest(
        owner="somebody", packages=("tinyfact",), preload=("tinyfact", "no_such_module")
    )
    sandbox = await e2b.create(request)
    version = "import sys; print('%d.%d.%d' % sys.version_info[:3], sys.prefix)"

    result = await sandbox.run_program(
        cells(
            "import sys; 'tinyfact' in sys.modules",
            "import tinyfact; tinyfact.factorial(5)",
            version,
        )
    )
    command = await sandbox.run_program(Program("c", command=("python", "-c", version)))

    assert [cell.value for cell in result.cells] == ["True", "120", None]
    assert result.cells[2].stdout.text.split()[0] == sandbox.python
    assert command.cells[0].stdout.text == result.cells[2].stdout.text


async def test_a_program_does_not_see_the_files_of_the_sandbox_nor_leave_any(
    e2b_sandbox: E2BSandbox,
) -> None:
    """The home directory of code and commands is covered by the program's own."""
    await e2b_sandbox.write_files({"secret": b"s"})

    result = await e2b_sandbox.run_program(
        cells("import os; open('made', 'w').close(); os.getcwd(), os.listdir()")
    )

    assert result.cells[0].value == "('/home/user', ['made'])"
    assert [info.path for info in await e2b_sandbox.list_files()] == ["/home/user/secret"]


async def test_programs_run_beside_code(e2b_sandbox: E2BSandbox) -> None:
    """A call that takes its time holds up no program."""
    started = anyio.Event()
    values: list[str | None] = []

    async with anyio.create_task_group() as group:
        group.start_soon(
            lambda: e2b_sandbox.run_code(
                "print('started', flush=True)\nwhile True: pass",
                on_output=lambda stream, text: started.set(),
            )
        )
        with anyio.fail_after(30):
            await started.wait()
            values.append((await e2b_sandbox.run_program(cells("6 * 7"))).cells[0].value)
        group.cancel_scope.cancel()

    assert values == ["42"]


@pytest.mark.parametrize("how", ["killed", "closed", "supervisor"])
async def test_a_sandbox_that_is_lost_under_a_program_is_unavailable(
    standin: StandIn, e2b_sandbox: E2BSandbox, how: str
) -> None:
    """It is no result, whether the machine ends, we close it, or code that runs as root kills the supervisor."""
    await e2b_sandbox.run_program(cells("1"))
    errors: list[SandboxUnavailable] = []

    async def run() -> None:
        try:
            await e2b_sandbox.run_program(cells(WAITING, timeout=100))
        except SandboxUnavailable as error:
            errors.append(error)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            while not any_process_is_called("waiting"):
                await anyio.sleep(0.01)
            if how == "killed":
                await anyio.to_thread.run_sync(standin.kill, e2b_sandbox.id)
            elif how == "closed":
                await e2b_sandbox.close()
            else:
                await e2b_sandbox.run_command("pkill -9 -f proofbox_guest")

    assert [error.may_have_started for error in errors] == [True]


async def test_a_broken_stream_is_unavailable_and_the_next_program_gets_a_new_supervisor(
    standin: StandIn, e2b_sandbox: E2BSandbox
) -> None:
    """The old one is killed, with all that it runs."""
    standin.faults.inject("start_drop")

    with pytest.raises(SandboxUnavailable):
        await e2b_sandbox.run_program(cells("1"))
    result = await e2b_sandbox.run_program(cells("6 * 7"))
    running = await e2b_sandbox.run_command("pgrep -c -f '^[^ ]*python.*proofbox_guest'")

    assert result.cells[0].value == "42"
    assert running.stdout.text == "1\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's stand-in has no root")
async def test_a_template_in_which_nothing_keeps_programs_apart_is_refused(
    standin: StandIn, e2b: E2BBackend
) -> None:
    """Nothing runs there, and a person is told."""
    standin.fleet.size = Size(namespaces=False, users=False)
    try:
        sandbox = await e2b.create(SandboxRequest(owner="somebody"))
    finally:
        standin.fleet.size = Size()

    with pytest.raises(SandboxRejected, match="template"):
        await sandbox.run_program(cells("1"))
    assert (await sandbox.run_code("6 * 7")).outcome == "completed"


async def test_a_python_that_is_too_old_is_for_a_person_to_mend(e2b_sandbox: E2BSandbox) -> None:
    """The guest needs 3.9; it says so in place of a traceback."""
    with pytest.raises(SandboxRejected, match=r"3\.8\.10"):
        await start_relay(e2b_sandbox, python="python3", version="3.8.10")


async def test_a_supervisor_that_does_not_start_says_what_it_said(e2b_sandbox: E2BSandbox) -> None:
    """An interpreter that is not there, for one."""
    with pytest.raises(SandboxUnavailable, match="no-such-python"):
        await start_relay(e2b_sandbox, python="/no-such-python", version="3.12.1")


async def start_relay(sandbox: E2BSandbox, *, python: str, version: str) -> None:
    """Start programs' supervisor in a sandbox with an interpreter that may not do."""
    sdk = await AsyncSandbox.connect(sandbox.id, api_key=API_KEY)
    assert isinstance(sdk, AsyncSandbox)
    await Relay.start(sdk, python=python, version=version, limits=Limits(), preload=())


async def test_a_sandbox_lost_among_three_costs_no_verdict(
    standin: StandIn, e2b: E2BBackend
) -> None:
    """300 programs come back right, each once, and the loss is in the results."""
    opened: list[str] = []

    @asynccontextmanager
    async def sandbox() -> AsyncGenerator[ProgramRunner]:
        made = await e2b.create(SandboxRequest(owner="somebody"))
        opened.append(made.id)
        try:
            yield made
        finally:
            await made.close()

    found: dict[str, str | None] = {}
    killed = ""
    losses = 0
    wanted = (Program(str(n), (Cell(f"{n} ** 2"),)) for n in range(300))
    with anyio.fail_after(120):
        async with programs.run(wanted, sandbox, sandboxes=3, ramp_seconds=0) as results:
            async for ran in results:
                assert ran.program.id not in found
                found[ran.program.id] = ran.result.cells[0].value if ran.result else ran.error
                losses += ran.losses
                if len(found) >= 20 and len(opened) > 1 and not killed:
                    killed = opened[1]
                    await anyio.to_thread.run_sync(standin.kill, killed)

    assert found == {str(n): str(n**2) for n in range(300)}
    assert len(opened) == 4
    assert losses >= 1
