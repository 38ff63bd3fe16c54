"""IPython's shell without ZeroMQ, as the kernel of a session uses it: it sends instead of printing.

Where IPython takes long over what is plain, it is spared the trouble: the result is the same.
"""

# IPython annotates only some of its parameters.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import ast
import contextlib
import sys
import warnings
from collections.abc import Callable, Generator
from typing import Any, NoReturn

from IPython.core.autocall import ExitAutocall
from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.formatters import DisplayFormatter
from IPython.core.inputtransformer2 import TransformerManager, leading_empty_lines
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.process import system  # pyright: ignore[reportPrivateImportUsage]
from traitlets import Type, default
from traitlets.config import Config

from . import rich, tracebacks

_TEXT = "text/plain"
# Built-in types have no way of showing themselves but their text.
_PLAIN = frozenset({bool, bytes, complex, dict, float, frozenset, int, list, set, str, tuple})


class _Compiler(CachingCompiler):
    """Names cells as a reader would: `<cell 3>`."""

    cell = 0

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        return tracebacks.cell_name(self.cell)


class _Transformer(TransformerManager):
    """Knows whether it is as IPython made it."""

    def __init__(self) -> None:
        super().__init__()
        self.cleanup_transforms[self.cleanup_transforms.index(leading_empty_lines)] = _keep_lines
        self._usual = self._all()

    def _all(self) -> list[Any]:
        return [*self.cleanup_transforms, *self.line_transforms, *self.token_transformers]

    def is_usual(self) -> bool:
        """Whether nobody has taught it another syntax."""
        return self._all() == self._usual


def _keep_lines(lines: list[str]) -> list[str]:
    """All lines, unless they end in a cell magic, which must come first.

    IPython drops empty lines at the top, and with them the numbers of all others.
    """
    without: list[str] = leading_empty_lines(lines)
    return without if without and without[0].startswith("%%") else lines


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


class _Exit(ExitAutocall):
    """`exit` and `quit` end the code, with a status if one is given, as in a script."""

    def __call__(self, code: object = 0, keep_kernel: object = None) -> NoReturn:
        raise SystemExit(code)


class ExitStatus(Exception):
    """A command behind `!` did not end well, of which IPython says nothing."""


class Shell(InteractiveShell):
    """IPython's shell that sends instead of printing, and leaves tracebacks to us."""

    displayhook_class = Type(_Hook)
    display_pub_class = Type(_Publisher)
    compiler_class = Type(_Compiler)
    current_code = ""
    shown: BaseException | None = None
    # The first command behind `!` of a cell that did not end well.
    failed: ExitStatus | None = None
    # Takes a bundle of MIME representations, and whether it is the value of the last expression.
    show: Callable[[dict[str, Any], bool], None] | None = None

    def send_display(self, data: dict[str, Any], *, is_main: bool) -> None:
        """Send one bundle of MIME representations to whoever listens."""
        if self.show is not None:
            self.show(data, is_main)

    def init_display_formatter(self) -> None:
        """Called by IPython."""
        self.display_formatter = _Formatter(parent=self)
        configurables: Any = self.configurables  # its type is wrong in IPython
        configurables.append(self.display_formatter)

    def transform_cell(self, raw_cell: str) -> Any:
        """Called by IPython. It looks for magics in ten times the time that it takes to parse Python."""
        syntax: _Transformer = self.input_transformer_manager
        # A line that begins with a word may be `ls` or `exit`, which are Python, too.
        word = raw_cell[:1].isidentifier() and len(raw_cell.splitlines()) == 1
        usual = syntax.is_usual() and not self.input_transformers_post
        prompt = raw_cell.startswith("In [")
        if usual and not word and not prompt and _is_python(raw_cell):
            return raw_cell if raw_cell.endswith("\n") else raw_cell + "\n"
        return super().transform_cell(raw_cell)

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
        """Kept instead, to be reported as data. What IPython only shows and goes on after, like an error of
        a `%%capture` or in the display of a value, must not read like success.
        """
        if self.shown is None:
            self.shown = exc_tuple[1] if exc_tuple else sys.exc_info()[1]

    def showsyntaxerror(self, *args: Any, **kwargs: Any) -> None:
        """As `showtraceback`."""
        self.showtraceback()

    def _format_exception_for_storage(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Nothing: IPython would ask the user's exception for its text, and fail as that does."""
        return {}

    @contextlib.contextmanager
    def _tee(self, channel: str) -> Generator[None, None, None]:
        """Nothing: IPython would keep everything that is printed, for as long as the session lives."""
        yield

    def system_piped(self, cmd: str) -> None:
        """As IPython's, but a failure is remembered: the cell goes on after it, and must not read like success."""
        command: str = self.var_expand(cmd, depth=1)
        status: int = system(command)  # pyright: ignore[reportUnknownArgumentType]
        self.user_ns["_exit_code"] = status
        if status and self.failed is None:
            self.failed = ExitStatus(f"exit status {status}: !{cmd}")

    system = system_piped

    def enable_gui(self, gui: Any = None) -> None:
        """Nothing: there is no screen to integrate with."""

    @default("exiter")
    def _make_exiter(self) -> ExitAutocall:
        return _Exit(self)


def make_shell() -> Shell:
    """The shell that sessions are forked from, with what a first cell would load already loaded."""
    config = Config()
    config.HistoryManager.enabled = False  # it starts a thread and writes to the home directory
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.xmode = "Plain"
    warnings.filterwarnings("ignore", "To exit: use", UserWarning)
    shell = Shell.instance(config=config)
    shell.input_transformer_manager = _Transformer()
    rich.register(shell)
    shell.run_cell("None", silent=True)
    return shell
