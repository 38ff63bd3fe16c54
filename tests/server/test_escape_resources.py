"""Code that takes all it can get: its own session pays, and the call after it works."""

import resource
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest
from local_attacks import arm, outcome, still_works, value

from proofbox.server.sandbox import Execution, Limits, Sandbox, SandboxRequest
from proofbox.server.sandbox.local.backend import LocalBackend

pytestmark = pytest.mark.slow

MIB = 1024**2
LIMITS = Limits(
    memory_bytes=1024 * MIB,
    processes=64,
    disk_bytes=64 * MIB,
    file_bytes=48 * MIB,
    open_files=256,
    output_bytes=MIB,
)
ENDS = {"timed_out", "killed", "out_of_memory", "raised"}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for all, so that they share a jail."""
    return "asyncio"


@pytest.fixture(scope="module")
async def jails(local_cache: Path) -> AsyncGenerator[LocalBackend]:
    """The backend under attack."""
    backend = LocalBackend(cache_dir=local_cache)
    yield backend
    await backend.close()


@pytest.fixture
async def hog(jails: LocalBackend) -> AsyncGenerator[Sandbox]:
    """The session that takes."""
    sandbox = await jails.create(SandboxRequest(owner="hog", limits=LIMITS))
    await arm(sandbox)
    yield sandbox
    await sandbox.close()


@pytest.fixture(params=["hog", "somebody else"])
async def neighbour(jails: LocalBackend, request: pytest.FixtureRequest) -> AsyncGenerator[Sandbox]:
    """Another session, in the same jail or of another owner, with a variable of its own."""
    sandbox = await jails.create(SandboxRequest(owner=request.param, limits=LIMITS))
    await sandbox.run_code("kept = 'kept'")
    yield sandbox
    await sandbox.close()


async def run_beside(hog: Sandbox, code: str, neighbour: Sandbox, timeout: float) -> Execution:
    """Run the hog's code while the neighbour goes on with its work; how the hog's ended."""
    ended: list[Execution] = []

    async def take() -> None:
        ended.append(await hog.run_code(code, timeout=timeout))

    with anyio.fail_after(timeout + 60):
        async with anyio.create_task_group() as both:
            both.start_soon(take)
            await anyio.lowlevel.checkpoint()
            for _ in range(3):
                assert await still_works(neighbour)
    return ended[0]


FORKS = {
    "a fork bomb": "while True:\n    attempt(os.fork)",
    "a fork bomb of daemons": (
        "while True:\n    if attempt(os.fork) == 0:\n        os.setsid()\n"
        "        for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)"
    ),
    "a fork bomb in the shell": "subprocess.run(['bash', '-c', 'b() { b | b & }; b; sleep 60'])",
    "threads": "while True:\n    try: threading.Thread(target=time.sleep, args=(100,)).start()\n    except RuntimeError: pass",
}


@pytest.mark.parametrize("bomb", FORKS)
async def test_processes_run_out_for_nobody_else(
    hog: Sandbox, neighbour: Sandbox, bomb: str
) -> None:
    """The deadline ends all of them, and the neighbour still starts processes meanwhile."""
    done = await run_beside(hog, FORKS[bomb], neighbour, timeout=1)

    assert done.outcome in ENDS
    assert await still_works(hog)
    assert await outcome(neighbour, "kept") == "kept"


async def test_processes_left_behind_do_not_stop_the_session(
    hog: Sandbox, neighbour: Sandbox
) -> None:
    """Code that ended left as many as there may be; what comes next still works."""
    code = "for _ in range(200): attempt(subprocess.Popen, ['sleep', '1000'])"

    await run_beside(hog, code, neighbour, timeout=30)

    assert (await hog.run_command("echo through")).stdout.text == "through\n"
    assert value(await hog.run_code("6 * 7")) == 42
    done = await hog.run_code("echo through", language="bash")
    assert done.stdout.text == "through\n"


MEMORY = {
    "one object": "b = bytearray(2**20)\nwhile True: b = b + b",
    "shared memory": "import mmap\nkept = []\nwhile True:\n    kept.append(mmap.mmap(-1, 2**26))\n    for at in range(0, 2**26, 4096): kept[-1][at] = 1",
    "many lists": "kept = []\nwhile True: kept.append([0] * 10**6)",
}


@pytest.mark.parametrize("kind", MEMORY)
async def test_memory_runs_out_for_nobody_else(hog: Sandbox, neighbour: Sandbox, kind: str) -> None:
    """The process that takes it all is the one that ends."""
    done = await run_beside(hog, MEMORY[kind], neighbour, timeout=30)

    assert done.outcome in {"raised", "killed", "out_of_memory"}
    if done.outcome == "raised":
        assert done.error is not None
        assert done.error.name in {"MemoryError", "OSError"}
    assert await still_works(hog)
    assert await outcome(neighbour, "kept") == "kept"


TOGETHER = {
    "many processes": "for _ in range(30):\n    if attempt(os.fork) == 0:\n        kept = bytearray(10**8); time.sleep(60)\ntime.sleep(60)",
    "memory files": "kept = []\nfor _ in range(60):\n    kept.append(os.memfd_create('m')); attempt(os.write, kept[-1], bytes(2**25))\ntime.sleep(60)",
}


@pytest.mark.parametrize("kind", TOGETHER)
async def test_many_small_takers_end_with_the_call(hog: Sandbox, kind: str) -> None:
    """Each is below the limit of a process; with a control group, together they are not."""
    with anyio.fail_after(60):
        done = await hog.run_code(TOGETHER[kind], timeout=4)

    assert done.outcome in ENDS
    assert await still_works(hog)


FILLERS = {
    "one directory": ["/home/user"],
    "all directories": ["/tmp", "/home/user", "/dev/shm"],
}


@pytest.mark.parametrize("kind", FILLERS)
async def test_the_disk_runs_out_for_nobody_else(
    hog: Sandbox, neighbour: Sandbox, kind: str
) -> None:
    """`disk_bytes` is the most of all directories together; a full disk is an ordinary error."""
    code = f"""
written = 0
for place in {FILLERS[kind]!r}:
    for number in range(20):
        with open(f"{{place}}/{{number}}", "wb", buffering=0) as file:
            try:
                while True:
                    written += file.write(bytes(2**20))
            except OSError as error:
                last = errno.errorcode[error.errno]
[written, last]
"""
    written, last = value(await run_beside(hog, code, neighbour, timeout=60))

    assert 60 * MIB <= written <= LIMITS.disk_bytes
    assert last == "ENOSPC"
    await neighbour.write_files({"big": bytes(20 * MIB)})
    assert await still_works(hog)


async def test_a_million_files_are_too_many(hog: Sandbox, neighbour: Sandbox) -> None:
    """Empty files take memory as well."""
    code = (
        "made = 0\nwhile made < 10**6 and attempt(write, f'/tmp/{made}', '') == 0: made += 1\nmade"
    )

    made = value(await run_beside(hog, code, neighbour, timeout=120))

    assert made < 150_000
    assert len(await hog.list_files("/tmp")) == 10_000


async def test_descriptors_run_out_for_the_code_alone(hog: Sandbox, neighbour: Sandbox) -> None:
    """The interpreter still answers without a free one."""
    code = "kept = []\nwhile not isinstance(attempt(lambda: kept.extend(os.pipe())), str): pass\nlen(kept)"

    opened = value(await run_beside(hog, code, neighbour, timeout=30))

    assert 200 <= opened <= LIMITS.open_files
    assert value(await hog.run_code("6 * 7")) == 42


async def test_a_flood_of_output_is_not_kept_anywhere(hog: Sandbox, neighbour: Sandbox) -> None:
    """A hundred megabytes come out as one, and the server does not grow by them."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    done = await run_beside(hog, "for _ in range(100): os.write(1, b'x' * 2**20)", neighbour, 60)

    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert done.outcome == "completed"
    assert len(done.stdout.head) + len(done.stdout.tail) == LIMITS.output_bytes
    assert done.stdout.omitted == 99 * MIB
    assert after - before < 40 * 1024  # KiB


async def test_work_in_the_background_ends_with_the_session(
    jails: LocalBackend, hog: Sandbox
) -> None:
    """It may go on after its cell, does not stop the next one, and does not outlive the session."""
    sandbox = await jails.create(SandboxRequest(owner="hog", limits=LIMITS))
    await arm(sandbox)
    pids = await outcome(
        sandbox, "[subprocess.Popen(['sh', '-c', 'while :; do :; done']).pid for _ in range(4)]"
    )
    running = await outcome(sandbox, f"[os.path.exists(f'/proc/{{pid}}') for pid in {pids!r}]")
    assert await still_works(sandbox)

    await sandbox.close()

    assert running == [True] * 4
    assert await still_works(hog)


async def test_what_is_printed_is_not_kept_in_the_interpreter(hog: Sandbox) -> None:
    """Forty megabytes of output leave it as small as it was."""
    code = (
        "import os\n"
        "def pages(): return int(open('/proc/self/statm').read().split()[1])\n"
        "before = pages()\n"
        "for _ in range(400): print('x' * 100_000)\n"
        "(pages() - before) * os.sysconf('SC_PAGE_SIZE') < 10_000_000"
    )

    assert await outcome(hog, code, timeout=60) is True
