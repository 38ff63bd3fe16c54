"""One running jail: the process, its control socket, and the sessions opened in it."""

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..base import Limits
from ..driving.connection import Connection, attach, connect
from ..errors import SandboxRejected, SandboxUnavailable
from ..guest import seccomp
from . import launch, plan
from .cgroups import Cgroup
from .environments import Environment

logger = logging.getLogger(__name__)

_SPARES = 2
_SESSIONS_WORTH_OF_PROCESSES = 8
_STDERR_KEPT = 8192
_EXIT_SECONDS = 5.0
_NOBODY = 65534


class Jail:
    """A supervisor in a bubblewrap jail. Made by `start`, ended by `close`; it dies with this process.

    `sessions` counts who is in it or about to be, `idle_since` is when the last one left; `worked` is whether one
    was ever open.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, control: socket.socket, cgroup: Cgroup | None
    ) -> None:
        self.sessions = 0
        self.idle_since = 0.0
        self.worked = False
        self.cgroup = cgroup
        self._process = process
        self._control = control
        self._spares: list[tuple[Connection, dict[str, Any]]] = []
        self._spares_kept = 0
        self._opening = 0
        self._oom_kills_seen = 0
        self._filling: asyncio.Task[None] | None = None
        self._held = ExitStack()
        self._stderr = b""
        self._reading = asyncio.create_task(self._read_stderr())
        asyncio.get_running_loop().add_reader(control, self._became_warm)

    @classmethod
    async def start(
        cls,
        environment: Environment,
        limits: Limits,
        *,
        bwrap: Path,
        node: str | None,
        cache_dir: Path,
        name: str,
        shell: bool,
        site: bool,
        preload: Sequence[str],
    ) -> "Jail":
        """Start one. It takes sessions at once; they wait until it is up.

        `preload` names the modules that its processes have imported already; with `shell` they have
        IPython too, which sessions need and programs do not. `site`: packages may be imported in them, which
        runs what packages have in `.pth` files, in the supervisor too.

        Raises:
            SandboxUnavailable: the process could not be started.
            SandboxRejected: the cache cannot be written to.
        """
        # A session's own number is an rlimit; this one is for all of them, and one must not have it alone.
        processes = _SESSIONS_WORTH_OF_PROCESSES * limits.processes
        cgroup = Cgroup.create(replace(limits, processes=processes), name)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs, ExitStack() as held:
            held.enter_context(environment.hold())
            if cgroup is not None:
                held.callback(cgroup.remove)
            held.callback(ours.close)
            cache = _supervisor_cache(cache_dir, environment)
            with _filter() as filter_:
                inherited = (theirs.fileno(), filter_)
                jail_plan = plan.make(
                    environment,
                    limits,
                    bwrap=bwrap,
                    cache=cache,
                    control=inherited[0],
                    filter_=filter_,
                    site=site,
                )
                process = await _launch(jail_plan, cgroup, inherited)
            jail = cls(process, ours, cgroup)
            jail._spares_kept = _SPARES if shell else 0
            jail._held = held.pop_all()
        config = {
            "limits": asdict(limits),
            "node": node,
            "kernel": shell,
            "preload": list(preload),
        }
        with suppress(OSError):  # it has ended already; whoever opens a session is told why
            ours.send(json.dumps(config).encode())
        return jail

    @property
    def alive(self) -> bool:
        """Whether its process still runs."""
        return self._process.returncode is None

    def take_oom_kill(self) -> bool:
        """Whether the kernel killed a process of it for lack of memory that nobody has asked about.

        Always false where nobody counts. Asked only of a process that SIGKILL ended: reading the
        counters takes as long as running a line of code.
        """
        if self.cgroup is None or self.cgroup.oom_kills() <= self._oom_kills_seen:
            return False
        self._oom_kills_seen += 1
        return True

    async def open(self) -> tuple[Connection, dict[str, Any]]:
        """A new session's keeper and its first message: `ready`, `failed`, or `gone`.

        A few are kept ready, so that a session usually starts with what waits already.

        Raises:
            SandboxUnavailable: the jail is gone or does not answer; nothing was started.
        """
        while self._spares:
            spare = self._spares.pop()
            if not spare[0].lost:
                self._refill()
                return spare
        self._opening += 1
        try:
            return await connect(await self._connect("session"))
        finally:
            self._opening -= 1
            self._refill()

    async def open_program(self) -> tuple[Connection, dict[str, Any]]:
        """The same for one program; in a jail that `worked`, `ready` is taken for granted, and if it is not,
        the first request fails.
        """
        if not self.worked:
            return await connect(await self._connect("program"))
        return await attach(await self._connect("program at once")), {"t": "ready"}

    def _became_warm(self) -> None:
        """The supervisor has imported everything: what was kept ready before has not. Or it is gone."""
        asyncio.get_running_loop().remove_reader(self._control)
        while self._spares:
            self._spares.pop()[0].abort()
        self._refill()

    def _refill(self) -> None:
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill())

    async def _fill(self) -> None:
        # Whoever waits for a session goes first.
        while self.alive and not self._opening and len(self._spares) < self._spares_kept:
            try:
                connection, first = await connect(await self._connect("session"))
            except SandboxUnavailable:
                return
            if first["t"] != "ready":
                connection.abort()
                return
            self._spares.append((connection, first))

    async def _connect(self, kind: str) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                while True:
                    try:
                        socket.send_fds(self._control, [kind.encode()], [theirs.fileno()])
                        return ours
                    except BlockingIOError:
                        await asyncio.sleep(0.002)  # the supervisor has many to open before us
            except BaseException as error:
                ours.close()
                if isinstance(error, OSError):
                    raise SandboxUnavailable("The local jail is gone.") from error
                raise

    async def last_words(self) -> str:
        """What its process wrote to stderr before it ended; waits for the end, briefly."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_EXIT_SECONDS):
                await asyncio.shield(self._reading)
        return self._stderr.decode(errors="replace").strip()

    async def close(self) -> None:
        """End it and everything in it. Idempotent."""
        if self._filling is not None:
            self._filling.cancel()
        while self._spares:
            self._spares.pop()[0].abort()
        if self._control.fileno() != -1:  # two may close it, like a sandbox and the backend
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
        try:
            async with asyncio.timeout(_EXIT_SECONDS):
                await self._process.wait()
        except TimeoutError:
            logger.warning("A jail did not end when told to; killing it")
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self._reading.cancel()
        # Emptying a control group can take the kernel seconds.
        await asyncio.to_thread(self._release)

    def _release(self) -> None:
        if self.cgroup is not None:
            self.cgroup.kill()
        self._held.close()

    async def _read_stderr(self) -> None:
        stream = self._process.stderr
        assert stream is not None
        while data := await stream.read(4096):
            self._stderr = (self._stderr + data)[-_STDERR_KEPT:]


async def _launch(
    jail_plan: plan.Plan, cgroup: Cgroup | None, inherited: Sequence[int]
) -> asyncio.subprocess.Process:
    orders = {
        "cgroup_files": [os.fspath(path) for path in cgroup.procs_files] if cgroup else [],
        "sources": jail_plan.sources,
        "arguments": jail_plan.arguments,
    }
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", "-B", launch.__file__, json.dumps(orders)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=inherited,
            env={},
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxUnavailable(
            f"The local sandbox could not be started: {error.strerror}. The machine may be out of "
            f"memory or processes; close other programs and try again."
        ) from error


@contextmanager
def _filter() -> Generator[int]:
    """A file of what the supervisor itself is refused: packages bring code that Python runs in it, before
    any of ours.
    """
    try:
        instructions = seccomp.build(namespaces=True)
    except OSError as error:
        raise SandboxRejected(
            f"The local sandbox cannot run on this machine: {error.strerror}. Set E2B_API_KEY to run code "
            "in E2B's cloud."
        ) from error
    descriptor = os.memfd_create("filter")
    try:
        os.write(descriptor, instructions)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _supervisor_cache(cache_dir: Path, environment: Environment) -> Path:
    cache = cache_dir / "supervisor" / environment.path.name
    try:
        cache.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(cache, _NOBODY, _NOBODY)
    except OSError as error:
        raise SandboxRejected(
            f"The cache directory {cache} cannot be made: {error.strerror}. Set PROOFBOX_CACHE_DIR to "
            "a directory that you may write."
        ) from error
    return cache
