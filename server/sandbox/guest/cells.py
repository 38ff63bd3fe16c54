"""A program's own process: runs cells in a real `__main__` module, one after another, as told.

Nothing of ours but this module's frames is in the process that user code could use, and what it says
is believed only with the token of the cell that was asked for.
"""

from __future__ import annotations

import ast
import builtins
import io
import linecache
import os
import resource
import signal
import sys
import types
from typing import TYPE_CHECKING, Any

from . import randomness, tracebacks, wire

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Iterator
    from types import CodeType

_LONGEST_VALUE = 4_000_000
_REHEARSALS = 40
_CO_COROUTINE = 0x80  # as in inspect, with which each fork would have a tenth more to copy


def prepare() -> Runner:
    """As the process that is to `serve`, or one that it is a fork of: what does not depend on the program.

    Standard output and standard error must be pipes, as they will be.
    """
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = module
    sys.argv = [""]
    sys.path.insert(0, "")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _renew_outputs()
    _forget_the_shell()
    return Runner(module)


def serve(
    connection: socket.socket, runner: Runner, frames: Iterator[tuple[wire.Message, bytes]]
) -> None:
    """Run each cell of `frames` and of those that arrive, and answer; ends when the keeper hangs up.

    No list of them is kept where code that looks at the stack finds it.
    """
    randomness.reseed()
    reader = wire.FrameReader()
    ourselves = os.getpid()
    while True:
        for message, code in frames:
            answer = runner.run(code.decode(), message)
            if os.getpid() != ourselves:
                os._exit(0)  # a fork that the user's code let run out of its cell
            connection.sendall(wire.encode(dict(answer, t="done", token=message["token"])))
        data = connection.recv(wire.READ_SIZE)
        if not data:
            os._exit(0)
        frames = iter(reader.feed(data))


def _forget_the_shell() -> None:
    """The interpreter that we are a fork of has IPython in it, which code can tell by these."""
    for name in ("__IPYTHON__", "display", "get_ipython"):
        builtins.__dict__.pop(name, None)
    os.environ["MPLBACKEND"] = "agg"
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.switch_backend("agg")


def _renew_outputs() -> None:
    """Ours were made for another file, and remember of it that one could seek there."""
    for name, number in (("stdout", 1), ("stderr", 2)):
        old = getattr(sys, name)
        raw = io.FileIO(number, "w", closefd=False)
        raw.name = f"<{name}>"
        new = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=old.encoding,
            errors=old.errors,
            line_buffering=old.line_buffering,
        )
        vars(new)["mode"] = "w"
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


class Runner:
    """What runs a program's cells."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module
        self._loop: asyncio.AbstractEventLoop | None = None
        self._names: set[str] = set()

    def rehearse(self) -> None:
        """Run a cell so often that the interpreter has adapted our code to it, which writes to the code."""
        stage = Runner(types.ModuleType("rehearsal"))
        message: wire.Message = {
            "env": {},
            "name": "<rehearsal>",
            "line": 1,
            "mode": "exec",
            "token": "",
        }
        for _ in range(_REHEARSALS):
            for said, code in wire.FrameReader().feed(wire.encode(message, b"1 + 1")):
                wire.encode(stage.run(code.decode(), said))
        del linecache.cache["<rehearsal>"]

    def run(self, code: str, message: dict[str, Any]) -> dict[str, Any]:
        """Run one cell; a JSON-able account of it."""
        name, line = message["name"], message["line"]
        _remember_source(name, line, code)
        self._names.add(name)
        self._module.__dict__["__file__"] = name
        if message["env"]:
            os.environ.update(message["env"])
        before = _usage()
        answer: dict[str, Any] = {"error": None, "value": None}
        try:
            answer["value"] = self._execute(code, name, line, message["mode"])
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is its result
            answer["error"] = tracebacks.describe(error, name, self._names.__contains__)
            # As the interactive interpreter does, for cells to come that look at it.
            sys.last_type, sys.last_value = type(error), error
            sys.last_traceback = BaseException.__dict__["__traceback__"].__get__(error)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BaseException:  # noqa: BLE001, S112 - the user may have closed or replaced it
                continue
        after = _usage()
        return {**answer, "cpu": after[0] - before[0], "peak": max(0, after[1] - before[1])}

    def _execute(self, code: str, name: str, line: int, mode: str) -> str | None:
        source = "\n" * (line - 1) + code
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        if mode == "single":
            for statement in _parse(source, name).body:
                tree = ast.Interactive([statement])
                self._evaluate(compile(tree, name, "single", flags, dont_inherit=True))
            return None
        tree = _parse(source, name)
        last = tree.body[-1] if tree.body else None
        if isinstance(last, ast.Expr):
            tree.body.pop()
        body = compile(tree, name, "exec", flags, dont_inherit=True)
        if not isinstance(last, ast.Expr):
            self._evaluate(body)
            return None
        value_of = compile(ast.Expression(last.value), name, "eval", flags, dont_inherit=True)
        # A task that is made above may be what the last line awaits.
        awaits = (body.co_flags | value_of.co_flags) & _CO_COROUTINE
        self._evaluate(body, awaits=awaits)
        value = self._evaluate(value_of, awaits=awaits)
        # repr may give a subclass of str, whose slices are anything.
        return None if value is None else str.__str__(repr(value))[:_LONGEST_VALUE]

    def _evaluate(self, code: CodeType, *, awaits: int = 0) -> Any:
        namespace = self._module.__dict__
        if not (code.co_flags | awaits) & _CO_COROUTINE:
            return eval(code, namespace)
        if self._loop is None:
            import asyncio  # with ssl, a third of what each fork without it would have to copy

            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        return self._loop.run_until_complete(_in_a_loop(code, namespace))


async def _in_a_loop(code: CodeType, namespace: dict[str, Any]) -> Any:
    value = eval(code, namespace)
    return await value if code.co_flags & _CO_COROUTINE else value


def _parse(source: str, name: str) -> ast.Module:
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = compile(source, name, "exec", flags, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    return tree


def _remember_source(name: str, line: int, code: str) -> None:
    """Let tracebacks, warnings and inspect show this cell's lines; cells of one file add up."""
    fresh = [text + "\n" for text in code.split("\n")]
    entry = linecache.cache.get(name)
    known = list(entry[2]) if entry is not None and len(entry) == 4 else []
    known += ["\n"] * (line - 1 + len(fresh) - len(known))
    known[line - 1 : line - 1 + len(fresh)] = fresh
    linecache.cache[name] = (sum(map(len, known)), None, known, name)


def _usage() -> tuple[float, int]:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return spent, own.ru_maxrss * 1024
