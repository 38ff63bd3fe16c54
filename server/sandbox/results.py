"""What comes back from a sandbox: data, with what ended the code as one word and one sentence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Stream = Literal["stdout", "stderr"]

Outcome = Literal[
    "completed",
    "raised",
    "timed_out",
    "exited",
    "killed",
    "out_of_memory",
    "output_limit",
]
"""How the code ended.

completed: it ran to its end. raised: an exception (or, for bash, a non-zero status) ended it; `error`
says which. timed_out: our deadline ended it. exited: it ended its own interpreter (`os._exit`,
`sys.exit`). killed: a signal ended its interpreter (a segmentation fault, a kill). out_of_memory: the
memory limit ended it. output_limit: it was stopped because it would not stop printing.
"""


@dataclass(frozen=True, slots=True)
class Captured:
    """One stream of output, cut in the middle if it was long.

    `head` and `tail` are the characters that were kept (undecodable bytes read as U+FFFD); `omitted`
    counts the bytes between them, 0 when nothing was cut, and then `tail` is empty.
    """

    head: str = ""
    tail: str = ""
    omitted: int = 0

    @property
    def text(self) -> str:
        """Head and tail, with a line between them that says how much is missing."""
        if not self.omitted:
            return self.head + self.tail
        return f"{self.head}\n[... {self.omitted:,} bytes not kept ...]\n{self.tail}"


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that code displayed, or the value of its last expression.

    `data` maps MIME types to content: `bytes` for image/png, image/jpeg and application/pdf, parsed
    JSON for application/json, `str` for everything else. `chart` and `table` hold what the
    `e2b_charts` package makes of a matplotlib figure and what E2B makes of a pandas DataFrame.
    """

    data: Mapping[str, Any]
    is_main: bool = False
    chart: Mapping[str, Any] | None = None
    table: Mapping[str, Any] | None = None

    @property
    def text(self) -> str | None:
        """The text/plain form, where there is one."""
        return self.data.get("text/plain")


@dataclass(frozen=True, slots=True)
class CodeError:
    """The exception that ended the code.

    `line` counts from 1 in the code that was passed, None where the exception came from elsewhere.
    `traceback` shows the user's frames only, without colour.
    """

    name: str
    value: str
    line: int | None = None
    traceback: str = ""

    @property
    def headline(self) -> str:
        """Name, line and the first line of the value, as far as there are any."""
        place = f" at line {self.line}" if self.line else ""
        said = self.value.strip().partition("\n")[0][:300]
        return f"{self.name}{place}: {said}" if said else f"{self.name}{place}"


@dataclass(frozen=True, slots=True)
class Execution:
    """What happened when code ran. `error` is set exactly when `outcome` is `raised` or, for
    `sys.exit`, `exited`. `reason` is one sentence for every outcome but `completed`. `state_lost` is
    true when the interpreter had to be replaced: variables are gone, files are not.
    """

    outcome: Outcome
    reason: str = ""
    stdout: Captured = field(default_factory=Captured)
    stderr: Captured = field(default_factory=Captured)
    results: tuple[Result, ...] = ()
    error: CodeError | None = None
    state_lost: bool = False
    duration_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What happened when a command ran.

    `outcome` is `exited` (then `exit_code` is set), `killed` (a signal: `exit_code` is 128 plus its
    number), `timed_out`, `out_of_memory` or `output_limit` (then `exit_code` is None).
    """

    outcome: Outcome
    exit_code: int | None = None
    reason: str = ""
    stdout: Captured = field(default_factory=Captured)
    stderr: Captured = field(default_factory=Captured)
    duration_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file in the sandbox: absolute path, kind, size in bytes, modification time in Unix seconds."""

    path: str
    kind: Literal["file", "directory", "other"]
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class CellResult:
    """What happened to one cell. `value` is the repr of its last expression, None where it had none.

    `seconds` is wall time; `cpu_seconds` and `peak_bytes` (growth of the resident set) are the program's
    own word, good for reports and for no verdict.
    """

    outcome: Outcome
    reason: str = ""
    error: CodeError | None = None
    stdout: Captured = field(default_factory=Captured)
    stderr: Captured = field(default_factory=Captured)
    value: str | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """What happened to a program, final: nothing that it started is alive.

    `outcome` is `completed` only if every cell ran to its end, or raised where it may (or the command
    exited with 0); otherwise it is that of the cell that ended it, and `cells` has the results up to
    and including that one.
    For a command `exit_code` is set where it exited, and `cells` has one entry with its output.
    `isolation` tells what it had of its own: `namespaces`, or only a `process` tree, user and directories
    where the sandbox's kernel allows no more; the latter has no network at all, loopback included.
    """

    id: str
    outcome: Outcome
    reason: str = ""
    cells: tuple[CellResult, ...] = ()
    exit_code: int | None = None
    seconds: float = 0.0
    isolation: Literal["namespaces", "process"] = "namespaces"
