"""Put other code into functions that are there already, and so into every name that they are known by.

`f.__code__ = ...` reaches `from module import f`, methods, properties, what decorators keep, and whatever else holds
the function. Functions are found by file, first line and name among all objects of the process.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any

from .mutants import codes

Key = tuple[str, int, str]
"""The file of a function, its first line (that of its first decorator), and its own name."""

_FLAG_GENERATOR, _FLAG_COROUTINE, _FLAG_ASYNC_GENERATOR = 0x20, 0x80, 0x200

_WRAPPERS = {
    "plain": "def made(*args, **kwargs):\n  {free}\n  return 'CALL'(*args, **kwargs)",
    "generator": "def made(*args, **kwargs):\n  {free}\n  return (yield from 'CALL'(*args, **kwargs))",
    "coroutine": "async def made(*args, **kwargs):\n  {free}\n  return await 'CALL'(*args, **kwargs)",
    "async generator": (
        "async def made(*args, **kwargs):\n  {free}\n"
        "  async for value in 'CALL'(*args, **kwargs):\n    yield value"
    ),
}


@dataclass
class Functions:
    """The functions of some files that exist now, by where they were written."""

    files: frozenset[str]
    by_key: dict[Key, list[FunctionType]] = field(default_factory=dict[Key, list[FunctionType]])

    def __post_init__(self) -> None:
        for one in gc.get_objects():
            if type(one) is FunctionType and one.__code__.co_filename in self.files:
                self.by_key.setdefault(key_of(one.__code__), []).append(one)

    def put(self, code: CodeType) -> int:
        """Give every function that is written in `code` its code from there; the number changed.

        Raises ValueError where the new code uses other variables of its surroundings.
        """
        changed = 0
        for inner in codes(code):
            for function in self.by_key.get(key_of(inner), ()):
                if function.__code__.co_code != inner.co_code or function.__code__ != inner:
                    function.__code__ = _with_free(inner, function.__code__)
                    changed += 1
        return changed

    def silence(self, key: Key) -> None:
        """Functions written at `key` do nothing and return nothing."""
        for function in self.by_key.get(key, ()):
            put_silence(function)

    def perturb(self, key: Key, change: Callable[[Any], Any]) -> None:
        """What functions written at `key` return goes through `change`."""
        for function in self.by_key.get(key, ()):
            put_perturbed(function, change)

    def set_default(self, file: str, line: int, name: str, which: int | str, value: object) -> int:
        """Another default value for the functions whose `def` is on `line`; the number changed."""
        changed = 0
        for (path, first, known), functions in self.by_key.items():
            if path == file and known == name and first <= line:
                for function in functions:
                    if _def_line(function.__code__, line) and _set_default(function, which, value):
                        changed += 1
        return changed


def key_of(code: CodeType) -> Key:
    """Where a function was written."""
    return code.co_filename, code.co_firstlineno, code.co_name


def _def_line(code: CodeType, line: int) -> bool:
    """Whether the `def` on `line` can be this function's: after its decorators, before its body."""
    lines = (
        [number for _, _, number in code.co_lines() if number] if hasattr(code, "co_lines") else []
    )
    later = [number for number in lines if number > code.co_firstlineno]
    return code.co_firstlineno <= line and (not later or line <= min(later))


def _set_default(function: FunctionType, which: int | str, value: object) -> bool:
    if isinstance(which, str):
        function.__kwdefaults__ = {**(function.__kwdefaults__ or {}), which: value}
        return True
    defaults: list[object] = [*(function.__defaults__ or ())]
    if which >= len(defaults):
        return False
    defaults[which] = value
    function.__defaults__ = tuple(defaults)
    return True


def kind_of(code: CodeType) -> str:
    """How a function runs: plain, generator, coroutine or async generator."""
    if code.co_flags & _FLAG_ASYNC_GENERATOR:
        return "async generator"
    if code.co_flags & _FLAG_COROUTINE:
        return "coroutine"
    return "generator" if code.co_flags & _FLAG_GENERATOR else "plain"


def put_silence(function: FunctionType) -> None:
    """It takes what it took, does nothing, and returns nothing."""
    kind = kind_of(function.__code__)
    body = {"generator": "return\n  yield", "async generator": "return\n  yield"}.get(
        kind, "return None"
    )
    prefix = "async " if kind in {"coroutine", "async generator"} else ""
    source = f"{prefix}def made(*args, **kwargs):\n  {{free}}\n  {body}"
    checked = _signature_checker(function)
    if checked is None:
        function.__code__ = _made(source, function.__code__.co_freevars, None)
    else:
        source = source.replace("{free}", "{free}\n  'CALL'(*args, **kwargs)")
        function.__code__ = _made(source, function.__code__.co_freevars, checked)


def _signature_checker(function: FunctionType) -> Callable[..., None] | None:
    """Wrong calls must go on failing: a test that only sees a TypeError of its own is not cleared."""
    code = function.__code__
    names = code.co_varnames
    positional = code.co_argcount
    only = code.co_posonlyargcount
    keyword = names[positional : positional + code.co_kwonlyargcount]
    parts = [*names[:only], *(["/"] if only else []), *names[only:positional]]
    defaults = function.__defaults__ or ()
    for number in range(len(defaults)):
        at = positional - 1 - number
        index = at + (1 if only and at >= only else 0)
        parts[index] += "=None"
    rest = positional + code.co_kwonlyargcount
    if code.co_flags & 0x04:
        parts.append("*" + names[rest])
        rest += 1
    elif keyword:
        parts.append("*")
    known = function.__kwdefaults__ or {}
    parts += [name + ("=None" if name in known else "") for name in keyword]
    if code.co_flags & 0x08:
        parts.append("**" + names[rest])
    if not all(part.strip("*/").partition("=")[0].isidentifier() or part in "*/" for part in parts):
        return None  # a generator expression's argument is called `.0`
    space: dict[str, Any] = {}
    name = function.__name__ if function.__name__.isidentifier() else "function"
    try:
        exec(f"def {name}({', '.join(parts)}): return None", space)  # noqa: S102 - names of parameters only
    except SyntaxError:
        return None
    return space[name]


def put_perturbed(function: FunctionType, change: Callable[[Any], Any]) -> None:
    """It does what it did, and what it returns or yields goes through `change`."""
    code = function.__code__
    real = FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    real.__kwdefaults__ = function.__kwdefaults__
    real.__qualname__ = function.__qualname__
    kind = kind_of(code)
    function.__code__ = _made(_WRAPPERS[kind], code.co_freevars, _CALLS[kind](real, change))


def _plain(real: Callable[..., Any], change: Callable[[Any], Any]) -> Callable[..., Any]:
    depth = 0

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal depth
        depth += 1
        try:
            value = real(*args, **kwargs)
        finally:
            depth -= 1
        # Only what leaves it is changed: what it gets from itself is what it would have got.
        return value if depth else change(value)

    return call


def _generator(real: Callable[..., Any], change: Callable[[Any], Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inner = real(*args, **kwargs)
        step: Callable[[Any], Any] = inner.send
        said: Any = None
        while True:
            try:
                value = step(said)
            except StopIteration as end:
                return end.value
            try:
                said = yield change(value)
                step = inner.send
            except GeneratorExit:
                inner.close()
                raise
            except BaseException as error:  # noqa: BLE001 - it is the generator's to handle
                said, step = error, inner.throw

    return call


def _coroutine(real: Callable[..., Any], change: Callable[[Any], Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        return change(await real(*args, **kwargs))

    return call


def _async_generator(real: Callable[..., Any], change: Callable[[Any], Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        async for value in real(*args, **kwargs):
            yield change(value)

    return call


_CALLS: dict[str, Callable[[Callable[..., Any], Callable[[Any], Any]], Callable[..., Any]]] = {
    "plain": _plain,
    "generator": _generator,
    "coroutine": _coroutine,
    "async generator": _async_generator,
}


def _made(source: str, free: Iterable[str], call: object) -> CodeType:
    """Compile a function that closes over `free` and calls the object `call`, which is one of its constants.

    A name in its globals would be seen by the module whose function it replaces.
    """
    names = tuple(free)
    text = source.format(free=f"if 0: {', '.join(names)}" if names else "pass")
    inner = "\n".join("  " + line for line in text.splitlines())
    assigned = "".join(f"  {name} = None\n" for name in names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 'str' object is not callable
        outer = compile(
            f"def outer():\n{assigned}{inner}\n", "<swapped>", "exec", dont_inherit=True
        )
    code = next(code for code in codes(outer) if code.co_name == "made")
    constants = tuple(call if one == "CALL" else one for one in code.co_consts)
    return code.replace(co_consts=constants)


def _with_free(code: CodeType, old: CodeType) -> CodeType:
    if code.co_freevars != old.co_freevars:
        raise ValueError(f"{code.co_name} uses other variables of its surroundings")
    return code
