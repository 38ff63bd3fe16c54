"""What the words of settings mean: parsers of text, and the rows of a table made of them."""

import math
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

PREFIX = "PROOFBOX_"


class SettingsError(Exception):
    """A setting cannot be used; the message is one sentence for the person who set it."""


class Unshown(ValueError):
    """What is wrong with a value that may hold a secret, so that it is not quoted."""


def choice(*words: str) -> Callable[[str], str]:
    """One of these words, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text.lower()

    return parse


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number from low to high."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9_]+", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low:,} to {high:,}")
        return int(text)

    return parse


def number(low: float, high: float, unit: str = "") -> Callable[[str], float]:
    """A number from low to high; `unit` is said in the complaint."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"must be a number{unit} from {low:g} to {high:g}")
        return value

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    """A number of seconds."""
    return number(low, high, " of seconds")


def word(text: str) -> str:
    """A name as of a template."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_./:-]*", text):
        raise ValueError("must be a name of letters, digits and the signs _ . / : -")
    return text


_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


def size(low: int) -> Callable[[str], int]:
    """A size in bytes, as 512M or 2G."""

    def parse(text: str) -> int:
        match = re.fullmatch(r"([0-9]+)\s*([kmgt]?)(?:i?b)?", text.lower())
        amount = int(match[1]) * _UNITS[match[2]] if match else 0
        if amount < low:
            raise ValueError(f"must be a size of at least {low:,} bytes, like 512M or 2G")
        return amount

    return parse


_REQUIREMENT = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(\[[A-Za-z0-9._,-]+\])?([<>=!~]=?=?[^\s,;@]+(,|$))*"
)


def https_address(text: str) -> str:
    """The address of a server, without a path; http only on this machine, where nobody listens in."""
    found = re.fullmatch(r"(https?)://([A-Za-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?/?", text)
    if not found or (found[1] == "http" and found[2] not in {"localhost", "127.0.0.1", "[::1]"}):
        raise ValueError("must be the https address of a server, like https://github.example.org")
    return text.rstrip("/")


def requirements(text: str) -> tuple[str, ...]:
    """Requirements from the package index."""
    words = tuple(text.split())
    for one in words:
        if not _REQUIREMENT.fullmatch(one):
            raise ValueError(
                f"must be requirements from the package index, separated by spaces and without "
                f"spaces of their own, like 'numpy pandas>=2'; {one!r} is not one"
            )
    return words


def folders(text: str) -> tuple[Path, ...]:
    """Folders that exist, resolved."""
    named = tuple(os.path.expanduser(part) for part in text.split(os.pathsep) if part)
    for folder in named:
        if not os.path.isabs(folder) or not os.path.isdir(folder):
            raise ValueError(f"must be absolute paths of folders that exist; {folder} is not one")
    return tuple(Path(folder).resolve() for folder in named)


def writable_folder(text: str) -> Path:
    """A folder that can be written to, or made."""
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


def executable_folder(text: str) -> Path:
    """The same, for programs to be run from."""
    folder = writable_folder(text)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if sys.platform == "linux" and os.statvfs(there).f_flag & os.ST_NOEXEC:
        raise ValueError(f"must be a folder that programs can be run from; {there} is noexec")
    return folder


def setting(default: Any, parse: Callable[[str], Any], shown: str, about: str) -> Any:
    """A field of a table: its default, how text is read, how the default is shown, and what it is."""
    return field(default=default, metadata={"parse": parse, "shown": shown, "help": about})


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


def options_of(table: type[Any]) -> tuple[Option, ...]:
    """The rows of a dataclass whose fields are made by `setting`, in their order."""
    return tuple(
        Option(item.name, item.metadata["shown"], item.metadata["help"], item.metadata["parse"])
        for item in fields(table)
        if item.metadata
    )


def values_of(
    options: tuple[Option, ...],
    environment: Mapping[str, str],
    flags: Mapping[str, str | None] | None,
) -> dict[str, Any]:
    """What is set, by field name; `flags` (by field name) win over the environment. Empty means not set.

    Raises:
        SettingsError: a value cannot be used.
    """
    given = flags or {}
    values: dict[str, Any] = {}
    for option in options:
        flag = given.get(option.name)
        text, source = (
            (flag, option.flag) if flag else (environment.get(option.variable), option.variable)
        )
        if text and text.strip():
            values[option.name] = _parse(option, text.strip(), source)
    return values


def _parse(option: Option, text: str, source: str) -> Any:
    try:
        return option.parse(text)
    except Unshown as error:
        raise SettingsError(f"{source} {error}.") from None
    except ValueError as error:
        raise SettingsError(f"{source} {error} (it is {text!r}).") from None
