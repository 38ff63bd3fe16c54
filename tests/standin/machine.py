"""The machine of one stand-in sandbox: namespaces, and an agent in them."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE = Path(__file__).parent / "image"
HOME = "/home/user"
ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
    "HOME": HOME,
    "USER": "user",
    "LANG": "C.UTF-8",
    "PYTHONPATH": "/opt/standin:/opt/site",
    "PYTHONDONTWRITEBYTECODE": "1",
    "IPYTHONDIR": "/tmp/.ipython",
    "MPLCONFIGDIR": "/tmp/.matplotlib",
    "OPENBLAS_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Size:
    """What a template gives a sandbox, in bytes and processes. `namespaces`, `users`: whether its root may make
    the ones and become the others.
    """

    memory: int = 2 * 1024**3
    disk: int = 64 * 1024**2
    kernel_processes: int = 100
    command_processes: int = 200
    namespaces: bool = True
    users: bool = True


class Zygote:
    """The process that machines are forked from; see `zygote`."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._control, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        self._lock = asyncio.Lock()

    async def fork(self, request: dict[str, Any]) -> int:
        """The first process of a new machine."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            if self._process is None:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-B", zygote_script(), str(self._theirs.fileno())),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(self._theirs.fileno(),),
                    start_new_session=True,
                )
                self._theirs.close()
            await loop.sock_sendall(self._control, json.dumps(request).encode())
            answer = await loop.sock_recv(self._control, 1 << 16)
        if not answer:
            raise RuntimeError("the zygote ended")
        return int(answer)

    async def stop(self) -> None:
        """Every machine ends too."""
        self._control.close()
        if self._process is not None:
            await self._process.wait()
        else:
            self._theirs.close()


def zygote_script() -> str:
    return str(Path(__file__).with_name("zygote.py"))


class Machine:
    """Starts in `start`; everything in it is dead when `stop` returns."""

    def __init__(self, folder: Path, size: Size, zygote: Zygote) -> None:
        self.folder = folder
        self.size = size
        self._zygote = zygote
        self._first: int | None = None
        self._ended = asyncio.Event()
        self._agent = str(folder / "agent")
        self._vmstat = folder.with_name(f"{folder.name}.vmstat")

    async def start(self) -> None:
        self.folder.mkdir()
        # The folder around it is closed to everybody else.
        self.folder.chmod(0o777)
        self.set_network(index=False)
        self.count_memory_kills(0)
        prefixes = [
            prefix
            for prefix in dict.fromkeys((sys.base_prefix, sys.prefix))
            if not Path(prefix).is_relative_to("/usr")
        ]
        self._watch(
            await self._zygote.fork(
                {
                    "folder": str(self.folder),
                    "vmstat": str(self._vmstat),
                    "image": str(IMAGE),
                    "shown": prefixes,
                    "disk": self.size.disk,
                    "memory": self.size.memory,
                    "namespaces": self.size.namespaces,
                    "users": self.size.users,
                }
            )
        )
        while not Path(self._agent).exists():
            if not self.alive:
                raise RuntimeError("the machine ended while it started")
            await asyncio.sleep(0.002)

    def _watch(self, pid: int) -> None:
        self._first = os.pidfd_open(pid)
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(first)
            self._ended.set()

        first = self._first
        loop.add_reader(first, ended)

    def set_network(self, *, index: bool) -> None:
        """Whether a package index can be reached. There is no other network."""
        (self.folder / "network.json").write_text(json.dumps({"index": index}))

    def count_memory_kills(self, count: int) -> None:
        """How often the machine's kernel has killed something for want of memory."""
        self._vmstat.write_text(f"oom_kill {count}\n")

    @property
    def alive(self) -> bool:
        return self._first is not None and not self._ended.is_set()

    async def stop(self) -> None:
        """Kill the namespaces' first process, and with it all others."""
        if self._first is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
            await self._ended.wait()
            os.close(self._first)
            self._first = None
        shutil.rmtree(self.folder, ignore_errors=True)
        self._vmstat.unlink(missing_ok=True)

    async def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """One request to the agent. Raises OSError as the agent met it."""
        connection = await self._send({"do": do, **request}, [])
        with connection:
            return _checked(json.loads(await _line(connection)))

    async def open(self, path: str, mode: str, user: str = "user") -> int:
        """A descriptor of a file inside."""
        connection = await self._send({"do": "open", "path": path, "mode": mode, "user": user}, [])
        with connection:
            await _readable(connection)
            data, descriptors, _, _ = socket.recv_fds(connection, 65536, 1)
        if not descriptors:
            _checked(json.loads(data))
        return descriptors[0]

    async def spawn(
        self,
        argv: list[str],
        *,
        stdout: int,
        stderr: int,
        stdin: int | None = None,
        env: dict[str, str] | None = None,
        cwd: str = HOME,
        kernel: bool = False,
        user: str = "root",
        processes: int,
    ) -> tuple[int, Callable[[], Awaitable[int]]]:
        """Start a process, or a Python kernel with these arguments; its number inside, and a function that waits
        for its status.
        """
        connection = await self._send(
            {
                "do": "kernel" if kernel else "spawn",
                "argv": argv,
                "env": {**ENVIRONMENT, **(env or {})},
                "cwd": cwd,
                "user": user,
                "processes": processes,
            },
            [stdout, stderr, *([] if stdin is None else [stdin])],
        )
        try:
            # A process that has ended already is told of in the same breath.
            line, _, rest = (await _line(connection)).partition(b"\n")
            first = json.loads(line)
            if "pid" not in first:
                raise OSError(first.get("error", "the agent died"))
        except BaseException:
            connection.close()
            raise

        async def wait() -> int:
            with connection:
                return json.loads(rest or await _line(connection) or b'{"exit": -9}')["exit"]

        return first["pid"], wait

    async def _send(self, request: dict[str, Any], descriptors: list[int]) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, self._agent)
            data = json.dumps(request).encode() + b"\n"
            connection.setblocking(True)
            socket.send_fds(connection, [data], descriptors)
            connection.setblocking(False)
        except BaseException:
            connection.close()
            raise
        return connection


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(connection, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(connection)


async def _line(connection: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while not data.endswith(b"\n"):
        try:
            piece = await loop.sock_recv(connection, 1 << 20)
        except ConnectionResetError:
            piece = b""
        if not piece:
            return data
        data += piece
    return data


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if "errno" in answer:
        raise OSError(answer["errno"], answer["message"])
    return answer
