"""Runs beside an answer, in its process: loads it, calls it as it is told, and says what came back.

Its source is sent into the sandbox, so it needs Python 3.9 and the standard library only; `values` comes with
it. Nothing that is expected of the answer is ever here but for tests that cannot be taken apart (`test`).
Whatever the answer does to this module it does to itself: what is said is compared elsewhere.
"""

from __future__ import annotations

import builtins
import json
import linecache
import random
import resource
import sys
import types
from typing import TYPE_CHECKING, Any

from .values import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "answer"
FILE = "answer.py"
_TESTS = "tests.py"
_LONGEST_TEXT = 500
_MOST_CHARACTERS = 3_900_000

_pristine = dict(builtins.__dict__)
_dumps = json.dumps
_loads = json.loads
_seed = random.seed
_compile = compile
_exec = exec


class Said:
    """What a cell ends with: its text is what the keeper passes on."""

    def __init__(self, message: dict[str, Any]) -> None:
        self.message = message
        text = _dumps(message)
        if len(text) > _MOST_CHARACTERS:
            text = _dumps({"too_large": len(text)})
        self._text = text

    def __repr__(self) -> str:
        return self._text


def limit(cpu_seconds: int, memory_bytes: int) -> None:
    """Bound what this process may use from now on, beside what the sandbox holds."""
    limit_cpu(cpu_seconds)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    most = now + memory_bytes
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    _seed(0)


def limit_cpu(cpu_seconds: int) -> None:
    """Bound the CPU time of this process, and of each that it starts."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))


def load(source: str, needs: list[str]) -> Said:
    """Run an answer as a module of its own; it must have the names that are needed."""
    module = types.ModuleType(NAME)
    module.__file__ = FILE
    sys.modules[NAME] = module
    linecache.cache[FILE] = (len(source), None, source.splitlines(True), FILE)
    try:
        code = _compile(source, FILE, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as error:
        return Said({"syntax": _text(error), "line": getattr(error, "lineno", None)})

    def run() -> None:
        _exec(code, module.__dict__)
        for name in needs:
            _entry(name)

    return _attempt(run)


def answer(source: str, needs: list[str], call: str, *arguments: Any) -> Said:
    """Load an answer and call it by one of the functions below; what kept it from loading is said apart."""
    loaded = load(source, needs)
    if "ended" not in loaded.message:
        return Said({"load": loaded.message})
    calling = {"script": script, "calls": calls, "test": test}[call]
    return calling(*arguments)


def script(source: str, entry_point: str) -> Said:
    """Run a case's code; what it hands over to `__check__` and `__raises__` is said, in its order."""
    given: list[Any] = []

    def check(value: Any) -> None:
        given.append({"value": encode(value)})

    def raises(function: Callable[[], Any]) -> None:
        try:
            given.append({"value": encode(function())})
        except Exception as error:  # noqa: BLE001 - what it raises is the answer
            given.append({"raised": _classes(error)})

    namespace = _namespace()
    namespace.update({"__check__": check, "__raises__": raises, "__name__": "tests"})

    def run() -> None:
        namespace[entry_point] = namespace["candidate"] = _entry(entry_point)
        _exec(_compile(source, _TESTS, "exec", dont_inherit=True), namespace)

    return _attempt(run, given)


def calls(text: str, entry_point: str, go_on: bool = False) -> Said:
    """Call the answer with each of the encoded arguments, until it raises.

    With `go_on` nothing stops it, and values that are too large to be passed on with the others are left out.
    """
    given: list[Any] = []
    said = [0]

    def value_of(arguments: Any, keywords: Any) -> dict[str, Any]:
        function = _entry(entry_point)
        value = {"value": encode(function(*decode(arguments), **decode(keywords)))}
        if go_on:
            size = len(_dumps(value))
            if said[0] + size > _MOST_CHARACTERS // 2:
                return {"raised": ["too large"]}
            said[0] += size
        return value

    def run() -> None:
        _entry(entry_point)
        for arguments, keywords in _loads(text):
            try:
                given.append(value_of(arguments, keywords))
            except Exception as error:
                if not go_on:
                    raise
                given.append({"raised": _classes(error)})

    return _attempt(run, given)


def record(test: str, prelude: str, entry_point: str) -> Said:
    """Run a dataset's tests on the reference, which is loaded as the answer: every call, with its result."""
    given: list[Any] = []

    def recorded(*arguments: Any, **keywords: Any) -> Any:
        call = [encode(list(arguments)), encode(keywords)]
        result = _entry(entry_point)(*arguments, **keywords)
        given.append([call, encode(result)])
        return result

    return _attempt(lambda: _run_tests(test, prelude, entry_point, recorded), given)


def replay(test: str, prelude: str, entry_point: str, text: str) -> Said:
    """Run a dataset's tests on results that were given elsewhere. No answer is in this process."""
    known: dict[str, list[Any]] = {}
    for call, result in _loads(text):
        known.setdefault(_dumps(call), []).append(result)
    left = [0]

    def replayed(*arguments: Any, **keywords: Any) -> Any:
        results = known.get(_dumps([encode(list(arguments)), encode(keywords)]))
        if not results:
            left[0] += 1
            raise LookupError("the tests made a call that was not recorded")
        return decode(results.pop(0) if len(results) > 1 else results[0])

    said = _attempt(lambda: _run_tests(test, prelude, entry_point, replayed))
    return Said({"unknown_call": True}) if left[0] else said


def test(source: str, prelude: str, entry_point: str, nonce: str) -> Said:
    """Run a dataset's tests in the answer's own process. The nonce is said after the last assert only."""
    done: list[str] = []

    def run() -> None:
        function = _plain(_entry(entry_point)) if entry_point else None
        sys.settrace(None)
        sys.setprofile(None)
        _run_tests(source, prelude, entry_point, function)
        done.append(nonce)

    return _attempt(run, done)


def _plain(function: Any) -> Any:
    """The function, but where it gives a number or text of a class of the answer's own, a plain one."""
    if isinstance(function, type):
        return function

    def called(*arguments: Any, **keywords: Any) -> Any:
        result = function(*arguments, **keywords)
        own = type.__dict__["__module__"].__get__(type(result)) == NAME
        return decode(encode(result)) if own and _is_scalar(result) else result

    return called


def _is_scalar(value: object) -> bool:
    return issubclass(type(value), (int, float, str))


def _run_tests(source: str, prelude: str, entry_point: str, function: Any) -> None:
    """Run tests in a namespace that has pristine builtins and the prelude's names, and nothing else."""
    _seed(0)
    namespace = _namespace()
    namespace["__name__"] = "tests"
    if prelude:
        _exec(_compile(prelude, "prelude.py", "exec", dont_inherit=True), namespace)
    if entry_point:
        namespace[entry_point] = namespace["candidate"] = function
    _exec(_compile(source, _TESTS, "exec", dont_inherit=True), namespace)
    if "check" in namespace:
        namespace["check"](function)


def _namespace() -> dict[str, Any]:
    return {"__builtins__": dict(_pristine, __import__=_import)}


_modules: dict[str, Any] = {}


def keep(names: list[str]) -> None:
    """Import modules that tests use before the answer can change them; tests get these copies."""
    for name in names:
        try:
            module: types.ModuleType = _pristine["__import__"](name)
        except Exception:  # noqa: BLE001, S112 - the tests will say what is missing
            continue
        copy = types.ModuleType(name)
        held: dict[str, Any] = vars(module)
        copy.__dict__.update(held)
        _modules[name] = copy


def _import(
    name: str,
    globals: Any = None,
    locals: Any = None,
    fromlist: Any = (),
    level: int = 0,
) -> Any:
    if level == 0 and name in _modules:
        return _modules[name]
    return _pristine["__import__"](name, globals, locals, fromlist, level)


def _entry(name: str) -> Any:
    try:
        return vars(sys.modules[NAME])[name]
    except KeyError:
        raise NameError(f"name '{name}' is not defined") from None


def _attempt(run: Callable[[], object], given: Any = None) -> Said:
    """Say what was given, and how it ended."""
    try:
        run()
    except SystemExit:
        return Said({"given": given, "left": True})
    except BaseException as error:  # noqa: BLE001 - whatever the answer raises is its result
        return Said({"given": given, "error": _describe(error)})
    return Said({"given": given, "ended": True})


def _describe(error: BaseException) -> dict[str, Any]:
    line: int | None = None
    files: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        files.append(name)
        if name == FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return {
        "classes": _classes(error),
        "text": _text(error),
        "line": line,
        "by_tests": FILE not in files,
    }


def _classes(error: BaseException) -> list[str]:
    return [str(kind.__name__) for kind in type(error).__mro__]


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_LONGEST_TEXT]
    except BaseException:  # noqa: BLE001 - an exception's own __str__ may raise anything
        return ""
