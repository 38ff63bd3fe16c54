"""Real servers of Redis and PostgreSQL, for the time of a block, on free ports of this machine."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from wanted import do_without

_START_SECONDS = 60.0
_PASSWORD = "canary-of-the-store"


@contextmanager
def store(kind: str, folder: Path) -> Generator[str]:
    """The address of an empty store: `redis`, `postgresql`, or a file of `sqlite` in a folder."""
    match kind:
        case "redis":
            with redis() as url:
                yield url
        case "postgresql":
            with postgres() as url:
                yield url
        case _:
            yield f"sqlite://{folder}/shared.sqlite3"


@contextmanager
def redis() -> Generator[str]:
    """The address of a Redis that keeps nothing on disk."""
    program = _program("redis-server")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        command += ["--save", "", "--appendonly", "no", "--requirepass", _PASSWORD]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            try:
                _wait_for(port, server)
                yield f"redis://:{_PASSWORD}@127.0.0.1:{port}/0"
            finally:
                server.kill()


@contextmanager
def postgres() -> Generator[str]:
    """The address of a fresh PostgreSQL."""
    program, making = _program("postgres"), _program("initdb")
    port = _free_port()
    # It runs as anybody but root.
    who = "postgres" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        place = Path(folder)
        secret = place / "password"
        secret.write_text(_PASSWORD)
        if who:
            user = pwd.getpwnam(who)
            for path in (place, secret):
                os.chown(path, user.pw_uid, user.pw_gid)
        data = str(place / "data")
        command = [making, "-D", data, "-U", "proofbox", "-A", "scram-sha-256", "--no-sync"]
        subprocess.run(
            [*command, "--pwfile", secret],
            check=True,
            user=who,
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        command = [program, "-D", data, "-p", str(port), "-k", folder, "-F", "-h", "127.0.0.1"]
        with subprocess.Popen(
            command, user=who, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as server:
            try:
                _wait_for(port, server)
                yield f"postgresql://proofbox:{_PASSWORD}@127.0.0.1:{port}/postgres"
            finally:
                server.send_signal(signal.SIGQUIT)  # at once


def _program(name: str) -> str:
    """The program, wherever Debian puts it."""
    places = [str(path) for path in Path("/usr/lib/postgresql").glob("*/bin")]
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        reason = f"{name} is not installed (apt-get install redis-server postgresql): its store is NOT tested"
        do_without("redis-server" if name == "redis-server" else "postgresql", reason)
    return found


def _free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        with closing(socket.socket()) as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise RuntimeError(f"a server did not start (status {server.returncode})")
