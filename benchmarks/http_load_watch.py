"""A service under the eyes of `http_load.py`: its process, its memory, and what it leaves behind."""

import json
import os
import re
import signal
import subprocess
import sysconfig
import time
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
from memory import descendants, own_bytes, private_bytes

PROOFBOX = Path(sysconfig.get_path("scripts")) / "proofbox"
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Sample:
    """One look at it: seconds since the first, and bytes that nobody else has."""

    seconds: float
    server: int
    tree: int


@dataclass(frozen=True)
class Left:
    """What there is of it at one moment."""

    processes: int
    groups: int
    mounts: int
    files: frozenset[str]
    descriptors: Counter[str]

    def beyond(self, before: "Left") -> list[str]:
        """What there is more of than before, in words."""
        more = [f"file {name}" for name in sorted(self.files - before.files)]
        for name, count in (self.descriptors - before.descriptors).items():
            more.append(f"{count} more descriptors of {name}")
        for name in ("processes", "groups", "mounts"):
            now, then = getattr(self, name), getattr(before, name)
            more += [f"{now} {name}, before {then}"] if now > then else []
        return more


class Service:
    """`proofbox serve --http`, started as a user would, with a folder for all that it writes."""

    def __init__(
        self, folder: Path, process: subprocess.Popen[str], tokens: Mapping[str, str]
    ) -> None:
        self._folder = folder
        self._process = process
        self.tokens = tokens
        assert process.stdout is not None
        self.url: str = json.loads(process.stdout.readline())["url"]
        self._base = self.url.removesuffix("/mcp")
        self._began = time.monotonic()

    @property
    def log(self) -> str:
        """What it said on stderr."""
        return (self._folder / "stderr").read_text()

    def await_ready(self) -> None:
        """Until it says so."""
        deadline = time.monotonic() + _START_SECONDS
        while httpx2.get(f"{self._base}/readyz", timeout=30).status_code != 200:
            if time.monotonic() > deadline:
                raise TimeoutError(self.log)
            time.sleep(0.2)

    def figures(self) -> dict[str, float]:
        """What /metrics says, but for the histograms."""
        headers = {"Authorization": f"Bearer {self.tokens['metrics']}"}
        page = httpx2.get(f"{self._base}/metrics", headers=headers, timeout=60).text
        return {
            name: float(value)
            for name, value in re.findall(r"^proofbox_(\w+) (\S+)$", page, re.MULTILINE)
        }

    def sample(self) -> Sample:
        """Its memory now."""
        server = own_bytes(self._process.pid)
        tree = server + private_bytes(self._process.pid)
        return Sample(time.monotonic() - self._began, server, tree)

    def left(self) -> Left:
        """What there is of it now."""
        pid = self._process.pid
        return Left(
            processes=len(descendants(pid)),
            groups=len(self._groups()),
            mounts=len(Path("/proc/self/mounts").read_text().splitlines()),
            files=frozenset(str(path) for path in (self._folder / "tmp").rglob("*")),
            descriptors=Counter(_descriptors(pid)),
        )

    def _groups(self) -> list[str]:
        """Its control groups."""
        return [
            os.path.join(directory, name)
            for directory, names, _ in os.walk("/sys/fs/cgroup")
            for name in names
            if name.startswith(f"proofbox-{self._process.pid}-")
        ]

    def stop(self) -> list[str]:
        """By SIGTERM, as an operator's machine does it; what there is of it after that."""
        below = descendants(self._process.pid)
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(_STOP_SECONDS)
        left = [f"process {pid}: {_name(pid)}" for pid in below if _name(pid)]
        left += [f"file {path}" for path in (self._folder / "tmp").rglob("*")]
        return left + [f"control group {name}" for name in self._groups()]


def _descriptors(pid: int) -> Generator[str]:
    """What each is of, without what only tells it from others of its kind."""
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            yield re.sub(r"[0-9a-f]{8,}|[0-9]+", "#", os.readlink(path))


def _name(pid: int) -> str:
    """What a process is; empty where there is none, or only what is left of one."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    name, _, rest = text.partition("(")[2].rpartition(")")
    return "" if rest.split()[0] in "ZX" else name


def _token(name: str, file: Path, *flags: str) -> str:
    made = subprocess.run(
        [PROOFBOX, "token", name, "--token-file", file, *flags],
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.strip()


@contextmanager
def served(folder: Path, principals: int, *flags: str) -> Generator[Service]:
    """A service for so many principals, named p0 and so on; it is killed at the end if it still runs."""
    (folder / "tmp").mkdir()
    file = folder / "tokens"
    tokens = {name: _token(name, file) for name in (f"p{n}" for n in range(principals))}
    tokens["metrics"] = _token("metrics", file, "--metrics")
    command = [PROOFBOX, "--backend", "local", "serve", "--http", "--port", "0", "--json"]
    given = ["--token-file", file, "--data-dir", folder / "data", "--audit-file", folder / "audit"]
    environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
    with (folder / "stderr").open("w") as errors:
        process = subprocess.Popen(
            [*command, *given, *flags],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        )
    with process:
        try:
            yield Service(folder, process, tokens)
        finally:
            process.kill()
