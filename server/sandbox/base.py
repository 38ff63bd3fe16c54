"""The port: what a sandbox is to everything above it.

Two adapters implement it (`local`, `e2b`) and one contract suite holds both to it
(`tests/sandbox_contract.py`). The line that matters runs between results and errors. Code that
raises, exits, runs out of time or memory, or floods its output gives a *result*. An exception means
that we do not know what the code would have done.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from .results import CommandResult, Execution, FileInfo, ProgramResult, Stream

OnOutput = Callable[[Stream, str], None]
"""Called with each piece of output as it arrives; must not block."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sandbox may use. Sizes in bytes, times in seconds.

    `memory_bytes`, `processes` and `disk_bytes` hold for the whole sandbox where the machine lets us
    (cgroups), else for each process; `doctor` tells. `output_bytes` is what is kept of each of stdout
    and stderr of one call: the first half and the last half; what lies between is counted.
    """

    memory_bytes: int = 2 * 1024**3
    processes: int = 128
    disk_bytes: int = 512 * 1024**2
    file_bytes: int = 256 * 1024**2
    open_files: int = 1024
    cpu_seconds: int = 3600
    output_bytes: int = 1024**2


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of Python in a program. Its first line is line `line` of the file `name` in tracebacks.

    `mode` is `exec`, where the value of a last expression is kept apart, or `single`, where the value of
    every expression statement is printed as the interactive prompt prints it. `timeout` is in seconds,
    None for the program's own. `may_raise`: the program goes on after an exception here.
    """

    code: str
    name: str = "<cell>"
    line: int = 1
    mode: Literal["exec", "single"] = "exec"
    timeout: float | None = None
    may_raise: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """What the workflows run by the hundred: cells that share one namespace, or a command.

    It starts in an empty home directory of its own, with `files` written into it and `env` added to
    its environment. `timeout` bounds all of it, in seconds.
    """

    id: str
    cells: tuple[Cell, ...] = ()
    command: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class SandboxRequest:
    """What a new sandbox must be.

    `owner` is an opaque name for the principal; sandboxes of two owners never share anything but
    read-only packages. `packages` are requirement specifiers on top of the default ones. `shared` false
    asks for isolation from the owner's other sandboxes too, down to the jail (hostile code).
    `bare` leaves out the backend's default packages, so that only what is named can be imported, as far as
    the backend can; then only programs can be run, and their cells know none of the packages before they call
    `site.main()`: what packages run at the start of every Python is not to run in what watches them. `wheels` are files by their names, installed besides.
    `programs_only`: nothing but programs will be run, so a backend need not start what sessions take.
    `preload` names modules that programs will import, so that a backend can do it once for all.
    `python` is a version like `3.12`; empty for whatever the backend has. `labels` go into E2B's metadata.
    """

    owner: str
    packages: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    shared: bool = True
    preload: tuple[str, ...] = ()
    python: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    bare: bool = False
    programs_only: bool = False
    wheels: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


@runtime_checkable
class ProgramRunner(Protocol):
    """What the workflows need of a sandbox."""

    async def run_program(self, program: Program) -> ProgramResult:
        """Run a program in a process tree, directory and (where the kernel allows) namespaces of its own.

        It shares nothing with the sandbox's interpreters or with other programs but the installed
        packages, and reaches no network. May be called concurrently, also beside the other methods.

        Raises:
            InvalidInput: a file cannot be written; nothing was run.
            SandboxUnavailable: the sandbox was lost.
        """
        ...


class Sandbox(Protocol):
    """One isolated machine-like thing. Calls are served one at a time; a second waits.

    Relative paths are relative to the home directory `/home/user`, where code and commands start.
    Every method raises `SandboxUnavailable` if the sandbox is lost, with `may_have_started` telling
    whether the request may have taken effect. A cancelled call stops what it started before the
    cancellation is delivered (within a few seconds), and the next call works as if it had never been.
    """

    @property
    def id(self) -> str:
        """Unique name for logs. Never shown to a client: it may open doors."""
        ...

    @property
    def python(self) -> str:
        """The version of Python that runs code here, like `3.12.1`; empty where not known yet."""
        ...

    async def run_code(
        self,
        code: str,
        *,
        language: str = "python",
        env: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        on_output: OnOutput | None = None,
    ) -> Execution:
        """Run code in this sandbox's interpreter for `language`; variables persist between calls.

        `env` holds for this call only. `timeout` is in seconds; at the deadline the code is
        interrupted, then killed, and so is every process that it started in this call; both are an
        `Execution` with outcome `timed_out`.

        Raises:
            InvalidInput: the backend has no such language; nothing was started.
            SandboxUnavailable: the sandbox was lost.
        """
        ...

    async def run_command(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        on_output: OnOutput | None = None,
    ) -> CommandResult:
        """Run a command: a string by `bash -c`, a sequence as it is, with stdin empty.

        A command that fails, cannot be found (exit code 127) or runs out of time is a result. At the
        deadline everything that the command started is killed.

        Raises:
            InvalidInput: there is no directory `cwd`, or `env` cannot be set; nothing was started.
            SandboxUnavailable: the sandbox was lost.
        """
        ...

    async def write_files(self, files: Mapping[str, bytes]) -> None:
        """Write files, making directories as needed.

        Raises:
            InvalidInput: a path cannot be written (a directory is in the way, no permission, the
                disk is full). Files before it may have been written.
            SandboxUnavailable: the sandbox was lost.
        """
        ...

    async def read_file(
        self, path: str, *, offset: int = 0, max_bytes: int = 16 * 1024**2
    ) -> bytes:
        """Read at most `max_bytes` of a regular file from `offset`.

        Raises:
            InvalidInput: there is no such regular file, or it may not be read.
            SandboxUnavailable: the sandbox was lost.
        """
        ...

    async def list_files(self, path: str = ".", *, depth: int = 1) -> list[FileInfo]:
        """The entries below a directory, `depth` levels down, at most 10,000, sorted by path.

        Raises:
            InvalidInput: there is no such directory.
            SandboxUnavailable: the sandbox was lost.
        """
        ...

    async def keep_alive(self, seconds: float) -> None:
        """Put off the backend's own expiry to at least `seconds` from now; local has none.

        Raises:
            SandboxUnavailable: the sandbox is gone.
        """
        ...

    async def close(self) -> None:
        """Kill everything in it and free what it held. Idempotent; never raises SandboxError."""
        ...


class Backend(Protocol):
    """Where sandboxes come from. `languages` are those that `run_code` takes here; `max_age` is the
    number of seconds after which a sandbox dies whatever we do, None where there is no such limit.
    """

    @property
    def name(self) -> Literal["local", "e2b"]: ...

    @property
    def languages(self) -> frozenset[str]: ...

    @property
    def max_age(self) -> float | None: ...

    @property
    def spread(self) -> int:
        """How many sandboxes are worth having at one time for one large piece of work: 1 where all of them
        share a machine.
        """
        ...

    async def warm_up(self, request: SandboxRequest) -> None:
        """Do ahead of time what `create` for such a request would do first. Failing is not an error
        here: `create` will say what is wrong.
        """
        ...

    async def create(self, request: SandboxRequest) -> Sandbox:
        """A new sandbox. If the caller is cancelled, none is left behind.

        Raises:
            InvalidInput: the packages do not exist or do not go together, or there is no such Python.
            SandboxBusy: a quota or rate limit; nothing was created.
            SandboxRejected: a person must act (key, kernel setting); the message says what to do.
            SandboxUnavailable: it could not be started.
        """
        ...

    def limits_held(self) -> Mapping[str, str]:
        """What holds each limit (a field of `Limits`) of the sandboxes that are open, in words for a
        person; empty while none is.
        """
        ...

    async def sweep(self) -> int:
        """Kill sandboxes of dead proofbox processes; the number killed."""
        ...

    async def close(self) -> None:
        """Close every sandbox and stop everything. Idempotent."""
        ...


@runtime_checkable
class TeamBackend(Protocol):
    """A backend whose sandboxes any process of the team can use that has the account. A request's label
    `session` tells them apart.
    """

    def mark_of(self, sandbox: Sandbox) -> str:
        """By what any process can ask for it."""
        ...

    async def find(self, request: SandboxRequest, mark: str) -> Sandbox | None:
        """The running sandbox of that mark which was created by such a request, here or in another process, as it is
        now; None if it is gone or does not answer. What else was created by the request is killed.

        Raises:
            SandboxBusy, SandboxRejected, SandboxUnavailable: it could not be looked for.
        """
        ...

    async def kill(self, request: SandboxRequest, mark: str) -> None:
        """Kill every sandbox that was created by such a request, in whatever process. That of `mark` may be gone
        already; nothing is held for it any more.

        Raises:
            SandboxBusy, SandboxRejected, SandboxUnavailable: that could not be done.
        """
        ...

    async def let_go(self, sandbox: Sandbox) -> None:
        """Forget a sandbox that another process uses now: it lives on, and calls that run in it here end."""
        ...
