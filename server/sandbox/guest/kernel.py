"""The Python interpreter of a session: IPython's shell without ZeroMQ.

The shell is made once, in the supervisor, and every session runs a fork of it. User code runs in this
process, so whatever this process says is the user's word and nobody's verdict: the keeper trusts it only for
what the code displayed and raised, and decides by itself how it ended.
"""

# IPython annotates only some of its parameters.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import ast
import builtins
import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.formatters import DisplayFormatter
from IPython.core.inputtransformer2 import TransformerManager, leading_empty_lines
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

from . import randomness, rich, tracebacks, wire
from .wire import Message

if TYPE_CHECKING:
    import socket

_LARGEST_DISPLAY = 16 * 1024**2
_TEXT = "text/plain"
# Built-in types have no way of showing themselves but their text.
_PLAIN = frozenset({bool, bytes, complex, dict, float, frozenset, int, list, set, str, tuple})


class _Compiler(CachingCompiler):
    """Names cells as a reader would: `<cell 3>`."""

    cell = 0

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        return tracebacks.cell_name(self.cell)


class _Transformer(TransformerManager):
    """Looks for magics only in what is no Python as it stands: it takes ten times as long as parsing."""

    def __init__(self) -> None:
        super().__init__()
        self._usual = tuple(self.token_transformers)

    def do_token_transforms(self, lines: list[str]) -> list[str]:
        changed = tuple(self.token_transformers) != self._usual
        return (
            lines
            if not changed and _is_python("".join(lines))
            else super().do_token_transforms(lines)
        )


def _is_python(code: str) -> bool:
    if "\\" in code:
        return False  # parsing warns of unknown escapes, and once is enough
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


class _Publisher(DisplayPublisher):
    """Sends what `display()` shows."""

    shell: Shell

    def publish(self, data: dict[str, Any], *_args: Any, **_kwargs: Any) -> None:
        self.shell.send_display(data, is_main=False)


class _Formatter(DisplayFormatter):
    """Asks thirteen formatters about an object only if more than one may know it."""

    def format(self, obj: Any, include: Any = None, exclude: Any = None) -> tuple[Any, Any]:
        kind: type = type(obj)
        if kind not in _PLAIN or include or exclude or self._is_known(kind):
            return super().format(obj, include, exclude)
        return {_TEXT: self.formatters[_TEXT](obj)}, {}

    def _is_known(self, kind: type) -> bool:
        special = (self.ipython_display_formatter, self.mimebundle_formatter)
        others = (each for name, each in self.formatters.items() if name != _TEXT)
        name = ("builtins", kind.__name__)
        return any(
            kind in each.type_printers or name in each.deferred_printers
            for each in (*special, *others)
        )


class _Hook(DisplayHook):
    """Sends the value of the last expression."""

    shell: Shell

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
        self.shell.send_display(format_dict, is_main=True)

    def finish_displayhook(self) -> None:
        self._is_active = False

    def log_output(self, format_dict: Any) -> None:
        """Nothing: IPython would keep every picture for as long as the session lives."""

    def quiet(self) -> bool:
        if ";" not in self.shell.current_code:
            return False
        try:
            return bool(self.semicolon_at_end_of_expression(self.shell.current_code))
        except Exception:  # noqa: BLE001 - tokenize raises many things on cells with magics
            return False


class Shell(InteractiveShell):
    """IPython's shell that sends instead of printing, and leaves tracebacks to us."""

    displayhook_class = Type(_Hook)
    display_pub_class = Type(_Publisher)
    compiler_class = Type(_Compiler)
    current_code = ""
    channel: _Channel | None = None

    def send_display(self, data: dict[str, Any], *, is_main: bool) -> None:
        """Send one bundle of MIME representations to the keeper."""
        if self.channel is not None:
            self.channel.send_display(data, is_main=is_main)

    def init_display_formatter(self) -> None:
        """Called by IPython."""
        self.display_formatter = _Formatter(parent=self)
        configurables: Any = self.configurables  # its type is wrong in IPython
        configurables.append(self.display_formatter)

    def showtraceback(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the exception is reported as data."""

    def showsyntaxerror(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the exception is reported as data."""

    def _format_exception_for_storage(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Nothing: IPython would ask the user's exception for its text, and fail as that does."""
        return {}

    @contextlib.contextmanager
    def _tee(self, channel: str) -> Generator[None, None, None]:
        """Nothing: IPython would keep everything that is printed, for as long as the session lives."""
        yield

    def enable_gui(self, gui: Any = None) -> None:
        """Nothing: there is no screen to integrate with."""

    def ask_exit(self) -> NoReturn:
        """`exit` and `quit` end the interpreter, as in a script."""
        raise SystemExit(0)


def make_shell() -> Shell:
    """The shell that sessions are forked from, with what a first cell would load already loaded."""
    config = Config()
    config.HistoryManager.enabled = False  # it starts a thread and writes to the home directory
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.xmode = "Plain"
    warnings.filterwarnings("ignore", "To exit: use", UserWarning)
    shell = Shell.instance(config=config)
    shell.input_transformer_manager = _Transformer()
    # IPython drops empty lines at the top, and with them the numbers of all others.
    transforms = shell.input_transformer_manager.cleanup_transforms
    transforms[transforms.index(leading_empty_lines)] = _keep_empty_lines
    rich.register(shell)
    shell.run_cell("None", silent=True)
    return shell


def _keep_empty_lines(lines: list[str]) -> list[str]:
    """All lines, unless they end in a cell magic, which must come first."""
    without: list[str] = leading_empty_lines(lines)
    return without if without and without[0].startswith("%%") else lines


class _Channel:
    """The kernel's end of the socket to the keeper. `token` proves which request is answered."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = wire.FrameReader()
        self._frames: list[tuple[Message, bytes]] = []
        self._held = b""
        self.token = ""

    def receive(self) -> tuple[Message, bytes]:
        while not self._frames:
            data = self._connection.recv(wire.READ_SIZE)
            if not data:
                os._exit(0)
            self._frames = self._reader.feed(data)
        return self._frames.pop(0)

    def send(self, message: Message) -> None:
        self._send(wire.encode(dict(message, token=self.token)))

    def send_display(self, data: dict[str, Any], *, is_main: bool) -> None:
        _flush()
        message: Message = {"t": "display", "main": is_main, "token": self.token}
        frame = wire.encode(dict(message, data=rich.jsonable(data)))
        if len(frame) > _LARGEST_DISPLAY:
            note = f"[a display of {len(frame):,} bytes was not kept; the most is {_LARGEST_DISPLAY:,}]"
            frame = wire.encode(dict(message, data={"text/plain": note}))
        if is_main:
            self._held += frame  # the end of the cell follows at once, and wakes the keeper anyway
        else:
            self._send(frame)

    def _send(self, frame: bytes) -> None:
        # A signal here would cut a frame in two.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            held, self._held = self._held, b""
            self._connection.sendall(held + frame)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def serve(connection: socket.socket, shell: Shell) -> NoReturn:
    """Answer the keeper's requests until it hangs up. Never returns."""
    channel = _Channel(connection)
    shell.channel = channel
    ourselves = os.getpid()
    _become_a_session(shell)
    while True:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        message, code = channel.receive()
        channel.token = message["token"]
        name = tracebacks.cell_name(message["cell"])
        _mend_streams()
        answer: Message = {"t": "done"}
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            answer["error"] = _run(shell, code.decode(), message)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        except KeyboardInterrupt as interrupt:
            # It arrived between two lines of ours, after the user's last.
            answer["error"] = tracebacks.describe(interrupt, name)
        except BaseException as error:  # noqa: BLE001 - a trace function or a patched builtin of the user's
            answer["error"] = tracebacks.describe(error, name)
            answer["broken"] = True  # the next cell needs an interpreter that works
        _flush()
        if os.getpid() != ourselves:
            os._exit(0)  # a fork that the user's code let run out of its cell
        channel.send(answer)


def _become_a_session(shell: Shell) -> None:
    randomness.reseed()
    builtins.input = _no_input
    sys.path.insert(0, "")
    # The first cell touches two thousand pages that the fork shares; better now than when it is waited for.
    shell.run_cell("None", silent=True)
    shell.execution_count = 1


def _no_input(prompt: object = "") -> NoReturn:
    """input() cannot be answered here."""
    raise EOFError("input() has nobody to ask: this code runs without a terminal")


def _run(shell: Shell, code: str, message: Message) -> Message | None:
    compiler: Any = shell.compile
    compiler.cell = message["cell"]
    shell.current_code = code
    with _environment(message["env"]):
        result = shell.run_cell(code, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        if error is None:
            return None
        return tracebacks.describe(error, tracebacks.cell_name(message["cell"]))


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Generator[None, None, None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _mend_streams() -> None:
    for name in ("stdout", "stderr"):
        # IPython itself cannot go on without them.
        if getattr(getattr(sys, name), "closed", True):
            descriptor = {"stdout": 1, "stderr": 2}[name]
            fresh = open(descriptor, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, fresh)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # The user may have closed or replaced it, and a full pipe is no reason to fail.
        with contextlib.suppress(Exception):
            stream.flush()
