"""The Python that environments are built for, and where it appears inside a jail."""

import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..errors import InvalidInput, SandboxRejected

PYTHON_IN_JAIL = "/opt/python"
"""Where the base interpreter's prefix is mounted, unless it is /usr or below /usr."""

_SYSTEM = Path("/usr")
_EXECUTABLE = re.compile(r"python3\.\d+")
_PROBE_SECONDS = 20
_PROBE = """
import json, os, platform, sys
print(json.dumps({
    "executable": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "base_prefix": os.path.realpath(sys.base_prefix),
    "implementation": sys.implementation.name,
    "version": ".".join(map(str, sys.version_info[:3])),
    "abi": f"{sys.implementation.cache_tag}{sys.abiflags}",
    "machine": getattr(sys.implementation, "_multiarch", "") or platform.machine(),
}))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A base interpreter (never one of a virtual environment). `abi` and `machine` decide which
    wheels fit it.
    """

    executable: str
    base_prefix: str
    implementation: str
    version: str
    abi: str
    machine: str

    @property
    def minor(self) -> str:
        """The version as directory names have it, like `3.11`."""
        return ".".join(self.version.split(".")[:2])

    @property
    def moved(self) -> bool:
        """Whether a jail shows the prefix at `/opt/python` and not where the host has it."""
        return not Path(self.base_prefix).is_relative_to(_SYSTEM)

    @property
    def in_jail(self) -> str:
        """The path of the executable inside a jail."""
        if not self.moved:
            return self.executable
        executable = Path(self.executable)
        if executable.is_relative_to(self.base_prefix):
            return str(PYTHON_IN_JAIL / executable.relative_to(self.base_prefix))
        return f"{PYTHON_IN_JAIL}/bin/python{self.minor}"


@cache
def running() -> Interpreter:
    """The interpreter that runs proofbox. Starts no process.

    Raises:
        SandboxRejected: its prefix holds more than Python, so no jail may show it.
    """
    executable: str = getattr(sys, "_base_executable", None) or sys.executable
    return _checked(
        Interpreter(
            executable=os.path.realpath(executable),
            base_prefix=os.path.realpath(sys.base_prefix),
            implementation=sys.implementation.name,
            version=".".join(map(str, sys.version_info[:3])),
            abi=f"{sys.implementation.cache_tag}{sys.abiflags}",
            machine=getattr(sys.implementation, "_multiarch", "") or platform.machine(),
        )
    )


@cache
def of(executable: Path) -> Interpreter:
    """The base interpreter behind `executable`. Asks it, once in the life of this process.

    Raises:
        SandboxRejected: it cannot be run, or its prefix holds more than Python.
    """
    if os.path.realpath(executable) == running().executable:
        return running()
    try:
        # -I and -S: no .pth file, no sitecustomize and no working directory gets to run code.
        answer = subprocess.run(
            [executable, "-I", "-S", "-c", _PROBE],
            capture_output=True,
            check=True,
            timeout=_PROBE_SECONDS,
        ).stdout
        return _checked(Interpreter(**json.loads(answer)))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError) as error:
        raise SandboxRejected(
            f"The Python interpreter {executable} does not run here ({error}). "
            "Name one that starts on this machine."
        ) from error


@cache
def with_version(version: str) -> Path:
    """The executable of an installed Python, like that of `3.12`, or `3.12.1` for just that one.

    Looks where system packages, pyenv and uv put them, and on PATH; nothing is downloaded.

    Raises:
        InvalidInput: there is none here; the message names those that there are.
    """
    if _fits(running().version, version):
        return Path(running().executable)
    others: set[str] = {running().version}
    for path in _installed():
        try:
            found = of(path)
        except SandboxRejected:
            continue  # a launcher that refuses to start, or one in a place that no jail may show
        if _fits(found.version, version) and found.implementation == "cpython":
            return Path(found.executable)
        others.add(found.version)
    known = ", ".join(sorted(others, key=lambda text: [int(part) for part in text.split(".")]))
    raise InvalidInput(f"There is no Python {version} on this machine. There are: {known}.")


def _fits(version: str, wanted: str) -> bool:
    return version == wanted or version.startswith(f"{wanted}.")


def _installed() -> list[Path]:
    """Executables that look like a Python, the newest first."""
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv/python")
    folders = [
        *(path / "bin" for path in sorted(pyenv.glob("3.*"), reverse=True)),
        *(path / "bin" for path in sorted(uv.glob("cpython-3.*"), reverse=True)),
        *map(Path, ("/usr/local/bin", "/usr/bin")),
        *map(Path, os.environ.get("PATH", "").split(os.pathsep)),
    ]
    found = [path for folder in folders for path in folder.glob("python3.*")]
    return [path for path in dict.fromkeys(found) if _EXECUTABLE.fullmatch(path.name)]


def _checked(interpreter: Interpreter) -> Interpreter:
    prefix = Path(interpreter.base_prefix)
    home = Path(os.path.realpath(os.path.expanduser("~")))
    if prefix == Path("/") or (interpreter.moved and home.is_relative_to(prefix)):
        raise SandboxRejected(
            f"Python is installed directly in {prefix}, so showing it to a sandbox would show "
            "everything else there too. Run proofbox with a Python that has a directory of its own."
        )
    return interpreter
