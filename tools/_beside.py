"""What went wrong beside code that came to its end, as Python tells of it on standard error alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Who = Literal["thread", "task", "process"]

_TRACEBACK = r"Traceback [^\n]*\n(?:[ \t][^\n]*\n)*"
_RAISED = re.compile(
    r"^(?:(?P<thread>Exception in thread )[^\n]*:|(?P<task>(?:ERROR +asyncio:\S+ )?Task exception was never retrieved)\n[^\n]*"
    rf"|(?P<process>Process )\S+:)\n(?P<traceback>(?:{_TRACEBACK}[^\n]*\n\n[^\n]*:\n\n)*{_TRACEBACK})"
    r"(?P<error>[^\n]*)",
    re.MULTILINE,
)
_FRAME = re.compile(r'^  File "(?P<file>[^"\n]+)", line (?P<line>\d+)', re.MULTILINE)
_FORGOTTEN = re.compile(
    r"^(?P<file>[^\n]*):(?P<line>\d+): RuntimeWarning: coroutine '(?P<name>[^'\n]+)' was never awaited$",
    re.MULTILINE,
)
_INSTALLED = re.compile(r"^<frozen |/(?:lib|lib64)/python3|/site-packages/")


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception that ended a thread, a task or a process; `frames` are file and line, the innermost last."""

    who: Who
    error: str
    traceback: str
    frames: tuple[tuple[str, int], ...]

    @property
    def own(self) -> tuple[str, int] | None:
        """The innermost frame that is in no library; None where a library failed behind the code's back."""
        return next((frame for frame in reversed(self.frames) if not is_installed(frame[0])), None)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A coroutine that was made and never awaited, and where that was noticed."""

    name: str
    file: str
    line: int


def is_installed(file: str) -> bool:
    """Whether a file is Python's own or a package's."""
    return _INSTALLED.search(file) is not None


def raised(said: str) -> Iterator[Raised]:
    """The exceptions that `said`, what was written to standard error, tells of."""
    whos: tuple[Who, ...] = ("thread", "task", "process")
    for match in _RAISED.finditer(said):
        frames = tuple((f["file"], int(f["line"])) for f in _FRAME.finditer(match["traceback"]))
        who: Who = next(each for each in whos if match[each])
        yield Raised(who, match["error"], match["traceback"], frames)


def forgotten(said: str) -> Iterator[Forgotten]:
    """The coroutines of which `said` tells that nobody awaited them."""
    for match in _FORGOTTEN.finditer(said):
        yield Forgotten(match["name"], match["file"], int(match["line"]))
