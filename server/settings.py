"""Settings: read once from the environment or from flags of the same names, never written back.

`Settings` is the one table. Each field carries its parser and its help; the names of environment
variables (`PROOFBOX_IDLE_SECONDS`), of flags (`--idle-seconds`) and the README's table come from it.
"""

import difflib
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from .sandbox import Limits
from .sandbox.local import DEFAULT_PACKAGES

PREFIX = "PROOFBOX_"
KEY_VARIABLES = ("E2B_API_KEY", "E2B_KEY")

BackendName = Literal["local", "e2b"]


class SettingsError(Exception):
    """A setting cannot be used; the message is one sentence for the person who set it."""


def _choice(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text.lower()

    return parse


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9_]+", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low:,} to {high:,}")
        return int(text)

    return parse


def _number(low: float, high: float, unit: str = "") -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"must be a number{unit} from {low:g} to {high:g}")
        return value

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    return _number(low, high, " of seconds")


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_./:-]*", text):
        raise ValueError("must be a name of letters, digits and the signs _ . / : -")
    return text


_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


def _size(low: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        match = re.fullmatch(r"([0-9]+)\s*([kmgt]?)(?:i?b)?", text.lower())
        size = int(match[1]) * _UNITS[match[2]] if match else 0
        if size < low:
            raise ValueError(f"must be a size of at least {low:,} bytes, like 512M or 2G")
        return size

    return parse


_REQUIREMENT = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(\[[A-Za-z0-9._,-]+\])?([<>=!~]=?=?[^\s,;@]+(,|$))*"
)


def _requirements(text: str) -> tuple[str, ...]:
    words = tuple(text.split())
    for word in words:
        if not _REQUIREMENT.fullmatch(word):
            raise ValueError(
                f"must be requirements from the package index, separated by spaces and without "
                f"spaces of their own, like 'numpy pandas>=2'; {word!r} is not one"
            )
    return words


def _folders(text: str) -> tuple[Path, ...]:
    folders = tuple(os.path.expanduser(part) for part in text.split(os.pathsep) if part)
    for folder in folders:
        if not os.path.isabs(folder) or not os.path.isdir(folder):
            raise ValueError(f"must be absolute paths of folders that exist; {folder} is not one")
    return tuple(Path(folder).resolve() for folder in folders)


def _writable_folder(text: str) -> Path:
    folder = Path(os.path.expanduser(text))
    if not folder.is_absolute():
        raise ValueError("must be the absolute path of a folder")
    # Made when it is needed. Permissions alone do not tell: root may write anywhere, but not to /proc.
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ValueError(
            f"must be a folder that can be written to, and {there} cannot: {error.strerror}"
        ) from None
    return folder


def _executable_folder(text: str) -> Path:
    folder = _writable_folder(text)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if sys.platform == "linux" and os.statvfs(there).f_flag & os.ST_NOEXEC:
        raise ValueError(f"must be a folder that programs can be run from; {there} is noexec")
    return folder


def _setting(default: Any, parse: Callable[[str], Any], shown: str, about: str) -> Any:
    return field(default=default, metadata={"parse": parse, "shown": shown, "help": about})


_LIMITS = Limits()
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Settings:
    """What one proofbox process works with. Sizes in bytes, times in seconds."""

    backend: Literal["auto", "e2b", "local"] = _setting(
        "auto", _choice("auto", "e2b", "local"), "auto",
        "Where code runs: e2b, local, or auto, which is e2b when a key is set.",
    )  # fmt: skip
    packages: tuple[str, ...] | None = _setting(
        None, _requirements, " ".join(DEFAULT_PACKAGES),
        "Packages that every sandbox has, separated by spaces; replaces the default.",
    )  # fmt: skip
    roots: tuple[Path, ...] | None = _setting(
        None, _folders, "working directory on stdio, none on HTTP",
        f"Folders that path arguments may name, separated by {os.pathsep!r}.",
    )  # fmt: skip
    memory: int = _setting(_LIMITS.memory_bytes, _size(64 * 1024**2), "2G", "Memory of a sandbox.")
    processes: int = _setting(
        _LIMITS.processes, _whole(4, 65_536), "128", "Processes and threads of a sandbox."
    )
    disk: int = _setting(_LIMITS.disk_bytes, _size(1024**2), "512M", "Disk space of a sandbox.")
    file_size: int = _setting(_LIMITS.file_bytes, _size(1024), "256M", "Size of one file.")
    open_files: int = _setting(
        _LIMITS.open_files, _whole(64, 1_048_576), "1024", "Open files of a process."
    )
    cpu_seconds: int = _setting(
        _LIMITS.cpu_seconds, _whole(1, _DAY), "3600", "Processor seconds of a process."
    )
    output: int = _setting(
        _LIMITS.output_bytes, _size(1024), "1M", "What is kept of each of stdout and stderr."
    )
    idle_seconds: float = _setting(
        900.0, _seconds(1, _DAY), "900", "A session that is not used for so long is closed."
    )
    max_age_seconds: float = _setting(
        21_600.0, _seconds(60, _DAY), "21600", "A sandbox older than this is replaced by a new one."
    )
    max_sessions: int = _setting(
        32, _whole(1, 1000), "32", "Open sessions; above it the longest idle one is closed."
    )
    queue: int = _setting(16, _whole(0, 1000), "16", "Calls that may wait for a free session.")
    queue_seconds: float = _setting(
        30.0, _seconds(0, 600), "30", "How long such a call waits before it is told 'busy'."
    )
    e2b_template: str | None = _setting(
        None, _name, "E2B's code interpreter", "The E2B template that sandboxes start from."
    )
    e2b_sandboxes: int = _setting(
        20, _whole(1, 10_000), "20", "Sandboxes at one time that the E2B plan allows."
    )
    e2b_create_rate: float = _setting(
        1.0, _number(0.01, 1000), "1", "New sandboxes a second that the E2B plan allows."
    )
    e2b_max_age_seconds: float = _setting(
        3600.0, _seconds(60, 30 * _DAY), "3600", "The longest life that the E2B plan allows."
    )
    cache_dir: Path | None = _setting(  # noqa: RUF009 - it makes a field
        None, _executable_folder, "the user's cache directory",
        "Where built Python environments are kept.",
    )  # fmt: skip
    data_dir: Path | None = _setting(  # noqa: RUF009 - it makes a field
        None, _writable_folder, "the user's data directory", "Where reports of jobs are kept."
    )  # fmt: skip
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "warning", _choice("debug", "info", "warning", "error"), "warning",
        "What is logged, always to stderr.",
    )  # fmt: skip
    e2b_api_key: str = field(default="", repr=False)

    @property
    def chosen_backend(self) -> BackendName:
        """The backend that `backend` and the key come to."""
        if self.backend != "auto":
            return self.backend
        return "e2b" if self.e2b_api_key else "local"

    @property
    def limits(self) -> Limits:
        """The limits as the sandbox port takes them."""
        return Limits(
            memory_bytes=self.memory,
            processes=self.processes,
            disk_bytes=self.disk,
            file_bytes=self.file_size,
            open_files=self.open_files,
            cpu_seconds=self.cpu_seconds,
            output_bytes=self.output,
        )


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table: a setting as the environment, the command line and the README see it."""

    name: str
    default: str
    help: str
    parse: Callable[[str], Any]

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


OPTIONS = tuple(
    Option(item.name, item.metadata["shown"], item.metadata["help"], item.metadata["parse"])
    for item in fields(Settings)
    if item.metadata
)


def read_settings(
    environment: Mapping[str, str], flags: Mapping[str, str | None] | None = None
) -> Settings:
    """Settings from the environment; `flags` (by field name) win over it. Empty means not set.

    Raises:
        SettingsError: a variable is unknown or a value cannot be used.
    """
    _refuse_unknown(environment)
    given = flags or {}
    values: dict[str, Any] = {}
    for option in OPTIONS:
        flag = given.get(option.name)
        text, source = (
            (flag, option.flag) if flag else (environment.get(option.variable), option.variable)
        )
        if text and text.strip():
            values[option.name] = _parse(option, text.strip(), source)
    key = next((environment[name] for name in KEY_VARIABLES if environment.get(name)), "")
    settings = Settings(**values, e2b_api_key=key.strip())
    if settings.backend == "e2b" and not settings.e2b_api_key:
        raise SettingsError(
            "The backend is set to e2b but neither E2B_API_KEY nor E2B_KEY is set; "
            "set one (e2b.dev gives keys), or choose the backend local."
        )
    return settings


def _parse(option: Option, text: str, source: str) -> Any:
    try:
        return option.parse(text)
    except ValueError as error:
        raise SettingsError(f"{source} {error} (it is {text!r}).") from None


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = {option.variable.removeprefix(PREFIX): option.variable for option in OPTIONS}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in known:
            near = difflib.get_close_matches(name.removeprefix(PREFIX), known, 1)
            advice = (
                f"did you mean {known[near[0]]}?"
                if near
                else f"known are {', '.join(known.values())}."
            )
            raise SettingsError(f"{name} is not a setting of proofbox; {advice}")
