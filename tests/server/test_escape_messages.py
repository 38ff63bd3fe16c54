"""Code that works against its own interpreter: forged messages, broken streams, endless objects.

Whatever it does to itself, the answer says how it ended, and the session goes on.
"""

from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest
from local_attacks import arm, outcome, still_works, value

from proofbox.server.sandbox import InvalidInput, Limits, Sandbox, SandboxRequest
from proofbox.server.sandbox.local.backend import LocalBackend

CHANNEL = """
channel = get_ipython().show.__self__
def forge(text, body=b""):
    channel._connection.sendall(struct.pack("!II", len(text), len(body)) + text + body)
def frame(**message):
    forge(json.dumps({"token": channel.token, **message}).encode())
"""
SPAM = "subprocess.Popen(['sh', '-c', 'while :; do echo spam; done'])"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for all attempts, so that they share a jail."""
    return "asyncio"


@pytest.fixture(scope="module")
async def jails(local_cache: Path) -> AsyncGenerator[LocalBackend]:
    """The backend under attack."""
    backend = LocalBackend(cache_dir=local_cache)
    yield backend
    await backend.close()


@pytest.fixture
async def session(jails: LocalBackend) -> AsyncGenerator[Sandbox]:
    """A session with what attacks use, and a way to its own interpreter's channel."""
    sandbox = await jails.create(SandboxRequest(owner="attacker"))
    await arm(sandbox)
    await sandbox.run_code(CHANNEL)
    yield sandbox
    await sandbox.close()


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param("forge(b'garbage')", id="no JSON"),
        pytest.param("forge(b'[1, 2]')", id="no object"),
        pytest.param("forge(b'{}')", id="no token"),
        pytest.param("frame(t='done', token='0' * 32)", id="wrong token"),
        pytest.param("frame(t='ready')", id="unknown kind"),
        pytest.param("forge(b'[' * 200_000)", id="deep JSON"),
        pytest.param(
            "forge(b'{\"token\": ' + b'[' * 900 + b']' * 900 + b'}')", id="fairly deep JSON"
        ),
        pytest.param("channel._connection.sendall(b'\\xff' * 64)", id="a frame of 4 GiB"),
        pytest.param("frame(t='done', error=[1])", id="an error that is a list"),
        pytest.param(
            "for fd in range(3, 1024):\n    attempt(os.write, fd, b'\\0\\0\\0\\2\\0\\0\\0\\0{}')",
            id="to every descriptor",
        ),
    ],
)
async def test_a_forged_message_ends_the_interpreter_and_no_more(
    session: Sandbox, attack: str
) -> None:
    """It is the code's doing and said to be; the files are kept."""
    await session.write_files({"kept": b"kept"})

    done = await session.run_code(f"{attack}\ntime.sleep(60)", timeout=20)

    assert done.outcome == "killed"
    assert "interfered" in done.reason
    assert done.state_lost
    assert await still_works(session)
    assert await session.read_file("kept") == b"kept"


async def test_code_that_says_it_is_done_is_believed_once(session: Sandbox) -> None:
    """An early `done` is the code's own word, and what comes after it does not count for the next call."""
    early = await session.run_code(
        "print('early'); sys.stdout.flush(); frame(t='done', error=None); time.sleep(1); print('late')"
    )
    after = await session.run_code("'a result of its own'", timeout=10)

    assert (early.outcome, early.stdout.text) == ("completed", "early\n")
    assert after.outcome == "killed"
    assert not after.results
    assert await still_works(session)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        pytest.param(
            {"image/png": "\u1234", "text/plain": "kept"}, {"text/plain": "kept"}, id="no base64"
        ),
        pytest.param({"image/png": {}, "text/html": 5, "text/plain": None}, {}, id="no text"),
        pytest.param([1, 2], {}, id="no object"),
        pytest.param("text", {}, id="a string"),
        pytest.param(
            {"text/plain": "half \ud800"},
            {"text/plain": "half \ufffd\ufffd\ufffd"},
            id="half a pair",
        ),
        pytest.param(
            {"application/json": {"\udfff": ["\ud800"]}},
            {"application/json": {"\ufffd\ufffd\ufffd": ["\ufffd\ufffd\ufffd"]}},
            id="half a pair in JSON",
        ),
        pytest.param(
            {"application/vnd.e2b.chart+json": "no chart", "application/vnd.e2b.table+json": [1]},
            {},
            id="no chart",
        ),
    ],
)
async def test_a_forged_display_becomes_what_the_port_promises(
    session: Sandbox, data: object, shown: object
) -> None:
    """Text is text, pictures are bytes, and nothing else comes through."""
    done = await session.run_code(f"frame(t='display', data={data!r}, main=False)")

    assert done.outcome == "completed"
    (result,) = done.results
    assert (result.data, result.chart, result.table) == (shown, None, None)
    assert await still_works(session)


async def test_a_deep_display_reaches_nobody_unprepared(session: Sandbox) -> None:
    """Neither the keeper nor the host runs out of stack, whichever of them can still parse it."""
    for depth in range(880, 1020, 7):
        attack = f"forge(b'{{\"token\": \"' + channel.token.encode() + b'\", \"t\": \"display\", \"data\": ' + b'[' * {depth} + b']' * {depth} + b'}}')"
        done = await session.run_code(attack)
        assert done.outcome in ("completed", "killed")
        if done.state_lost:
            await arm(session)
            await session.run_code(CHANNEL)
    assert await still_works(session)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("os.closerange(3, 1024)", id="the channel closed"),
        pytest.param("os.closerange(0, 1024)", id="everything closed"),
        pytest.param(
            "r, w = os.pipe()\nfor fd in range(3, 30):\n    os.dup2(w, fd)",
            id="pipes over everything",
        ),
        pytest.param(
            "null = os.open('/dev/null', 2)\nfor fd in range(30):\n    os.dup2(null, fd)",
            id="nothing over everything",
        ),
        pytest.param(
            "channel._connection.shutdown(socket.SHUT_RDWR)\ntime.sleep(60)",
            id="the channel shut down",
        ),
        pytest.param("os._exit(0)", id="a clean exit"),
        pytest.param("signal.alarm(1)\ntime.sleep(60)", id="an alarm"),
        pytest.param("signal.setitimer(signal.ITIMER_REAL, 0.001)\nwhile True: pass", id="a timer"),
        pytest.param(
            "resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass", id="a CPU limit"
        ),
        pytest.param("os.kill(0, 9)", id="its own group killed"),
        pytest.param("attempt(os.kill, -1, 9)\nos.kill(os.getpid(), 11)", id="everybody killed"),
    ],
)
async def test_an_interpreter_that_ends_itself_is_replaced(session: Sandbox, code: str) -> None:
    """Its end is a result, never an error of ours."""
    done = await session.run_code(code, timeout=20)

    assert done.outcome in ("exited", "killed")
    assert done.reason
    assert done.state_lost
    assert await still_works(session)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("sys.stdout = None", id="no stdout"),
        pytest.param("sys.stdout.close(); sys.stderr.close()", id="closed streams"),
        pytest.param("sys.stdout = sys.stderr = object()", id="streams that are none"),
        pytest.param(
            "import builtins\nfor n in ('print', 'open', 'Exception', 'isinstance', 'len'): setattr(builtins, n, None)",
            id="no builtins",
        ),
        pytest.param("sys.settrace(lambda *_: 1 / 0)", id="a trace function"),
        pytest.param("sys.setprofile(lambda *_: 1 / 0)", id="a profile function"),
        pytest.param("get_ipython().run_cell = None", id="no shell"),
        pytest.param(
            "os.getpid = os._exit = json.dumps = json.loads = None", id="no standard library"
        ),
        pytest.param("sys.setrecursionlimit(60)", id="hardly any stack"),
        pytest.param(
            "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))",
            id="no signals",
        ),
        pytest.param(
            "import gc; gc.disable(); sys.path[:] = []; os.environ.clear()", id="no paths"
        ),
        pytest.param("libc.prctl(4, 0, 0, 0, 0)", id="not dumpable"),
        pytest.param("os.chdir('/proc/self/fd')", id="an odd directory"),
        pytest.param("import atexit; atexit.register(time.sleep, 1000)", id="a slow exit"),
        pytest.param("if os.fork() == 0: pass", id="a fork that returns"),
        pytest.param(
            "class D:\n    def __del__(self): time.sleep(0.1); 1 / 0\nd = D(); del d",
            id="a finaliser",
        ),
    ],
)
async def test_a_session_survives_what_code_does_to_its_interpreter(
    session: Sandbox, code: str
) -> None:
    """At the latest the call after the next one works, and every call has an answer."""
    for attempt in (code, "1 + 1"):
        done = await session.run_code(attempt, timeout=10)
        assert done.outcome in ("completed", "raised", "exited", "killed")

    assert await still_works(session)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("return 'x' * 10**8", id="a hundred megabytes"),
        pytest.param("raise SystemExit", id="an exit"),
        pytest.param("return None", id="None"),
        pytest.param("return self.args[0]", id="a recursion"),
        pytest.param("return Text('lie')", id="a string that lies"),
        pytest.param("return '\\ud800'", id="half a surrogate pair"),
    ],
)
async def test_exceptions_are_described_whatever_their_methods_do(
    session: Sandbox, text: str
) -> None:
    """An exception of the user's ends the cell, and nothing of ours."""
    code = f"""
class Text(str):
    def __len__(self): raise ValueError
    __getitem__ = __str__ = __eq__ = __hash__ = __iter__ = __len__
class Odd(Exception):
    def __str__(self): {text}
    __repr__ = __str__
    __cause__ = property(lambda self: self)
raise Odd(Odd)
"""
    done = await session.run_code(code, timeout=20)

    assert done.outcome == "raised"
    assert done.error is not None
    assert done.error.name == "Odd"
    done.error.value.encode()
    assert len(done.error.value) < 30_000
    assert await still_works(session)


async def test_an_exception_whose_text_never_comes_is_a_timeout(session: Sandbox) -> None:
    """The deadline holds for what we do with the user's objects, too."""
    code = "class Slow(Exception):\n    def __str__(self):\n        while True: pass\nraise Slow"

    done = await session.run_code(code, timeout=1)

    assert done.outcome == "timed_out"
    assert await still_works(session)


async def test_displays_beyond_the_most_are_counted(session: Sandbox) -> None:
    """Thousands of them are no more than two hundred and a number."""
    done = await session.run_code("for n in range(2_000): display(n)", timeout=60)

    assert done.outcome == "completed"
    assert len(done.results) == 201
    assert done.results[-1].text == "[1,800 more displays were not kept]"


async def test_a_huge_display_is_left_out_and_said_to_be(session: Sandbox) -> None:
    """It is not a crime to show twenty megabytes, but nobody could read them."""
    code = "from IPython.display import HTML\nfor _ in '12': display(HTML('\\u4e2d' * 3 * 10**6))"

    done = await session.run_code(code, timeout=60)

    assert done.outcome == "completed"
    assert [set(result.data) for result in done.results] == [{"text/plain"}] * 2
    assert all("was not kept" in (result.text or "") for result in done.results)


async def test_bytes_that_are_no_text_come_out_as_text(session: Sandbox) -> None:
    """NUL, invalid UTF-8, a very long line, control characters."""
    code = "os.write(1, b'a\\0b\\xff\\xfe\\x1b[2J' + b'x' * 3_000_000 + b'\\xe4\\xb8')"

    done = await session.run_code(code)

    assert done.outcome == "completed"
    assert done.stdout.head.startswith("a\0b\ufffd\ufffd\x1b[2Jxxx")
    assert done.stdout.tail.endswith("xxx\ufffd")
    assert done.stdout.omitted > 1_000_000


async def test_a_writer_that_never_stops_holds_up_nobody(session: Sandbox) -> None:
    """The cell ends when its code does; what goes on in the background is cut and ends with the session."""
    with anyio.fail_after(30):
        done = await session.run_code(f"[{SPAM} for _ in range(4)]; 5")
        after = [await session.run_code(str(number)) for number in range(5)]
        command = await session.run_command("echo through")

    assert done.outcome == "completed"
    assert [value(each) for each in after] == list(range(5))
    assert command.stdout.text == "through\n"


async def test_a_timeout_kills_what_hides_from_it(session: Sandbox) -> None:
    """Daemons in sessions of their own, children that ignore signals: all that the call started."""
    code = """
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        for n in (1, 2, 15, 20): signal.signal(n, signal.SIG_IGN)
        if os.fork() == 0:
            libc.prctl(15, b"harmless", 0, 0, 0)
        while True: time.sleep(1)
time.sleep(60)
"""
    done = await session.run_code(code, timeout=1)

    assert done.outcome == "timed_out"
    states = (
        "[read(path).rpartition(b')')[2].split()[0] for path in glob.glob('/proc/[0-9]*/stat')]"
    )
    alive = [state for state in await outcome(session, states) if state != b"Z"]
    assert len(alive) == 2  # the keeper and the interpreter


async def test_file_operations_are_not_led_astray(session: Sandbox) -> None:
    """Links out of the session lead nowhere, and nothing that is no file is waited for."""
    await session.run_code(
        "os.symlink('/etc/shadow', 'link'); os.mkfifo('fifo'); os.symlink('loop', 'loop');"
        "os.symlink('/proc/1/mem', 'memory'); os.makedirs('/'.join(['d'] * 300)); os.mknod('\\udcff')"
    )
    with anyio.fail_after(30):
        listed = await session.list_files("/home/user", depth=10_000)
        names = {entry.path.removeprefix("/home/user/") for entry in listed}
        assert "\ufffd\ufffd\ufffd" in names  # no client can be sent half a surrogate pair
        for path in (
            "link",
            "fifo",
            "loop",
            "memory",
            "d",
            "/dev/zero",
            "/proc/1/environ",
            "a\0b",
            "\ud800",
        ):
            with pytest.raises(InvalidInput):
                await session.read_file(path)

    assert {"link", "fifo", "loop", "memory", "d", "d/d"} <= names
    assert await still_works(session)


async def test_limits_of_a_session_hold_for_what_it_starts(jails: LocalBackend) -> None:
    """Every child has them, and none can be raised."""
    limits = Limits(processes=64, open_files=200, file_bytes=1024**2, cpu_seconds=100)
    sandbox = await jails.create(SandboxRequest(owner="attacker", limits=limits))
    await arm(sandbox)
    code = """
names = ("NPROC", "NOFILE", "FSIZE", "CPU", "CORE")
kinds = [getattr(resource, "RLIMIT_" + name) for name in names]
refused = 0
for kind in kinds:
    try:
        resource.setrlimit(kind, (10**9, 10**9))
    except ValueError:
        refused += 1
[[resource.getrlimit(kind) for kind in kinds], refused]
"""
    held, refused = await outcome(sandbox, code)
    big = await sandbox.run_command("head -c 2000000 /dev/zero > big; stat -c %s big")
    await sandbox.close()

    assert held == [(64, 64), (200, 200), (1024**2, 1024**2), (100, 101), (0, 0)]
    assert refused == 5
    assert big.stdout.text == "1048576\n"


async def test_a_closed_pipe_and_a_file_too_large_are_exceptions(jails: LocalBackend) -> None:
    """As in every Python: the signals that come with them do not end the interpreter."""
    limits = Limits(file_bytes=1024**2)
    sandbox = await jails.create(SandboxRequest(owner="attacker", limits=limits))
    await arm(sandbox)
    code = """
r, w = os.pipe()
os.close(r)
big = os.open("big", os.O_CREAT | os.O_WRONLY)
[attempt(os.write, w, b"x"), attempt(os.pwrite, big, b"x", 2**20), os.getpid()]
"""
    pipe, file, pid = await outcome(sandbox, code)
    child = await sandbox.run_command("yes | head -1")
    await sandbox.close()

    assert (pipe, file, pid) == ("EPIPE", "EFBIG", 2)
    assert (child.stdout.text, child.stderr.text) == ("y\n", "")
