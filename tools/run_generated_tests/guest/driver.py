"""The driver: starts the process of the tests, reads its records, and prints the sealed answer.

No code under test runs in this process. It makes itself undumpable, so that a process of the same user
can neither open its memory nor its descriptors, and gives up the way to more rights (sudo, for one) for
itself and all that it starts. What a test can do to it is kill or stop it, and then there is no answer.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
import zlib
from typing import Any

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_MOST_RECORD_BYTES = 64 * 1024**2
_MOST_ANSWER = 900_000  # characters; a megabyte of a cell's output is kept
_KEPT_OUTPUT = 8_000
_LAST_WORDS_SECONDS = 0.5
_LOOK_SECONDS = 0.25
_REST_SECONDS = 0.003
_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def main(config: dict[str, Any]) -> None:
    """Run the tests that `config` describes; print one line: the token, then the packed answer."""
    _harden()
    _make_commands(config.get("bin", ""), config.get("commands", {}))
    before = _digests(config["watched"])
    answer = _Run(config).finish()
    after = _digests(config["watched"])
    answer["changed"] = sorted(path for path in before if before[path] != after[path])
    sys.stdout.write(f"{config['token']} {_packed(answer)}\n")


def _harden() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) or libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "the driver could not be made safe from the tests")
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)


def _make_commands(folder: str, commands: dict[str, str]) -> None:
    """What the project's installation would put on the path."""
    for name, text in commands.items():
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!{sys.executable}\n{text}")
        os.chmod(path, 0o755)


def _environment(config: dict[str, Any]) -> dict[str, str]:
    found = {**os.environ, **config["env"]}
    if config.get("commands"):
        found["PATH"] = f"{config['bin']}{os.pathsep}{found.get('PATH', os.defpath)}"
    return found


def _digests(paths: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in paths:
        try:
            with open(path, "rb") as file:
                found[path] = hashlib.blake2b(file.read()).hexdigest()
        except OSError:
            found[path] = "gone"
    return found


def _packed(answer: dict[str, Any]) -> str:
    """The answer as text, without the captured output of tests if it would not fit."""
    for limit in (None, 200, 0):
        if limit is not None:
            _shorten(answer["records"], limit)
            answer["shortened"] = True
        text = base64.b64encode(zlib.compress(json.dumps(answer).encode(), 6)).decode()
        if len(text) <= _MOST_ANSWER:
            return text
    return base64.b64encode(zlib.compress(b'{"how": "too_much"}')).decode()


def _shorten(records: list[dict[str, Any]], limit: int) -> None:
    for record in records:
        for name in ("out", "err", "log"):
            if name in record:
                record[name] = record[name][:limit]


class _Run:
    """One process of tests, from its start until it and what it left are dead."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._key = bytes.fromhex(config["child"]["key"])
        self._records: list[dict[str, Any]] = []
        self._broken = ""
        self._rest = b""
        self._taken = 0
        self._output = {"stdout": b"", "stderr": b""}
        self._began = self._moved = time.monotonic()
        self._unsent = json.dumps(self._config["child"]).encode()
        self._selector = selectors.DefaultSelector()

    def _start(self) -> None:
        """Raises OSError where this machine lets no Python be started."""
        config_read, config_write = os.pipe()
        record_read, record_write = os.pipe()
        command = [sys.executable, "-c", self._config["boot"], str(config_read), str(record_write)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(config_read, record_write),
            env=_environment(self._config),
            cwd=self._config["cwd"],
            start_new_session=True,
        )
        os.close(config_read)
        os.close(record_write)
        # It may never read: nobody must wait for that.
        os.set_blocking(config_write, False)
        self._selector.register(config_write, selectors.EVENT_WRITE, "config")
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        for name, fd in (
            ("records", record_read),
            ("stdout", self._process.stdout.fileno()),
            ("stderr", self._process.stderr.fileno()),
        ):
            os.set_blocking(fd, False)
            self._selector.register(fd, selectors.EVENT_READ, name)

    def finish(self) -> dict[str, Any]:
        """Wait for the end of the tests; what they said and how they ended."""
        try:
            self._start()
        except OSError as error:
            return {"how": "not_started", "stderr": str(error)}
        how = ""
        while not how:
            self._read(_LOOK_SECONDS)
            # Whoever is woken for every record costs the tests more than what it says.
            time.sleep(_REST_SECONDS)
            how = self._over()
        if how != "ended":
            self._ask_where()
        self._kill()
        status = self._process.wait()
        self._read(0)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "how": how,
            "status": status,
            "records": self._records,
            "broken": self._broken or ("half a record" if self._rest and how == "ended" else ""),
            "stdout": self._output["stdout"].decode("utf-8", "replace"),
            "stderr": self._output["stderr"].decode("utf-8", "replace"),
            "seconds": time.monotonic() - self._began,
            "cpu": usage.ru_utime + usage.ru_stime,
        }

    def _over(self) -> str:
        if self._process.poll() is not None:
            return "not_started" if self._unsent else "ended"
        now = time.monotonic()
        if self._broken:
            return "broken"
        if now - self._began > self._config["seconds"]:
            return "timed_out"
        if not self._taken:
            return "not_started" if now - self._began > self._config["start_seconds"] else ""
        if now - self._moved > self._config["still_seconds"]:
            return "stuck"
        return ""

    def _ask_where(self) -> None:
        """Let a process that hangs say where, by the handler that it has for this signal."""
        try:
            os.kill(self._process.pid, signal.SIGUSR2)
        except OSError:
            return
        until = time.monotonic() + _LAST_WORDS_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            self._read(0.05)

    def _kill(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except OSError:
            pass

    def _read(self, seconds: float) -> None:
        """Take what is there; wait for something at most so long."""
        ready = self._selector.select(seconds)
        while ready:
            for key, _ in ready:
                self._take(key.data, key.fd)
            ready = self._selector.select(0)
            if self._broken:
                return

    def _take(self, name: str, fd: int) -> None:
        if name == "config":
            self._send(fd)
            return
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(fd)
            if name == "records" and self._process.poll() is None:
                time.sleep(0.001)  # it is about to end
        elif name == "records":
            self._moved = time.monotonic()
            self._feed(data)
        else:
            self._output[name] = (self._output[name] + data)[-_KEPT_OUTPUT:]

    def _send(self, fd: int) -> None:
        try:
            self._unsent = self._unsent[os.write(fd, self._unsent) :]
            done = not self._unsent
        except BrokenPipeError:
            done = True
        if done:
            self._selector.unregister(fd)
            os.close(fd)

    def _feed(self, data: bytes) -> None:
        self._taken += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if not self._broken:
                self._record(line)
        if self._taken > _MOST_RECORD_BYTES:
            self._broken = "more records than any suite has"

    def _record(self, line: bytes) -> None:
        seal, _, body = line.partition(b" ")
        expected = hashlib.blake2b(body, key=self._key, digest_size=16).hexdigest().encode()
        if seal != expected:
            self._broken = "something that is no record of ours"
            return
        self._key = hashlib.blake2b(b"next", key=self._key, digest_size=32).digest()
        self._records.append(json.loads(body))
