"""What was meant by a wrong name: asked of the sandbox while the failed snippet's objects are still there.

Nothing of this decides a verdict. A snippet that failed is run once more, and a last cell looks at its
exception: which attributes the object has, which names there are, what the function's signature is.
"""

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from ...server.sandbox import Cell, Program, ProgramResult
from .build import Built
from .judged import Judged
from .oracles import near_misses

_NAMED = frozenset(
    {"AttributeError", "ImportError", "ModuleNotFoundError", "NameError", "TypeError"}
)
_MOST_NAMES = 2000
_LONGEST_SIGNATURE = 300
_CERTAIN = 0.8
"""How alike two names are before one is certainly a slip for the other: `valeus` and `values` are."""

_LOOK = r"""
def _proofbox_look():
    import ast, builtins, importlib, inspect, json, linecache, pkgutil, re, sys
    error = getattr(sys, "last_value", None)
    said = str(error)
    frames = []
    tb = getattr(error, "__traceback__", None)
    while tb is not None:
        frames.append((tb.tb_frame, tb.tb_lineno))
        tb = tb.tb_next
    found = {{}}
    def named(wrong, owner, names):
        found.update(wrong=str(wrong), owner=owner, names=sorted(map(str, names))[:{most}])
    def called(node, frame):
        if isinstance(node, ast.Name):
            scope = {{**vars(builtins), **frame.f_globals, **frame.f_locals}}
            return scope.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = called(node.value, frame)
            return None if owner is None else getattr(owner, node.attr, None)
        return None
    def calls(frame, line):
        text = linecache.getlines(frame.f_code.co_filename)
        try:
            tree = ast.parse("".join(text))
        except SyntaxError:
            tree = ast.parse("\n" * (line - 1) + text[line - 1].strip())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.lineno <= line <= (node.end_lineno or line):
                yield node
    if isinstance(error, ModuleNotFoundError):
        parent, _, last = str(error.name).rpartition(".")
        if parent:
            module = importlib.import_module(parent)
            inner = [m.name for m in pkgutil.iter_modules(getattr(module, "__path__", []))]
            named(last, parent, [*inner, *dir(module)])
    elif isinstance(error, ImportError):
        match = re.match(r"cannot import name '(\w+)' from '([\w.]+)'", said)
        if match:
            module = importlib.import_module(match[2])
            inner = [m.name for m in pkgutil.iter_modules(getattr(module, "__path__", []))]
            named(match[1], match[2], [*inner, *dir(module)])
    elif isinstance(error, AttributeError):
        match = re.search(r"has no attribute '(\w+)'", said)
        wrong = getattr(error, "name", None) or (match and match[1])
        if wrong and getattr(error, "obj", None) is not None:
            thing = error.obj
            owner = getattr(thing, "__name__", None) or "a " + type(thing).__name__
            named(wrong, str(owner), dir(thing))
    elif isinstance(error, NameError):
        match = re.search(r"name '(\w+)' is not defined", said)
        if match and frames:
            frame = frames[-1][0]
            names = {{*frame.f_locals, *frame.f_globals, *dir(builtins)}}
            named(match[1], "", [n for n in names if "proofbox" not in n])
    elif isinstance(error, TypeError) and frames:
        match = re.match(r"([\w.<>]+)\(\) (?:got an unexpected keyword argument '(\w+)'|missing|takes)", said)
        if match:
            parts = match[1].split(".")
            last = parts[-2] if parts[-1] in ("__init__", "__new__") and parts[1:] else parts[-1]
            frame, line = frames[-1]
            for node in calls(frame, line):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                thing = called(node.func, frame)
                if thing is not None and name == last:
                    signature = inspect.signature(thing)
                    found.update(signature=name + str(signature))
                    if match[2]:
                        named(match[2], name, signature.parameters)
                    break
    sys.__stdout__.write("\x1e{token}" + json.dumps(found) + "\x1f")
    sys.__stdout__.flush()
_proofbox_look()
"""


def worth_asking(judged: Judged) -> bool:
    """Whether the sandbox can say more about this failure."""
    return judged.kind == "raises" and judged.failure.name in _NAMED and judged.reached


def program(built: Built, ran: int, token: str, name: str) -> Program:
    """Return the program that runs the first `ran` cells of a failed one again and then looks."""
    whole = built.program
    cells = [*whole.cells[: ran - 1], replace(whole.cells[ran - 1], may_raise=True)]
    look = Cell(_LOOK.format(token=token, most=_MOST_NAMES), "<look>")
    return replace(whole, id=name, cells=(*cells, look))


def hint(result: ProgramResult, token: str, line: str) -> str:
    """Return what was probably meant, "" where that is not known; `line` is the text that failed."""
    found = _read(result, token)
    parts: list[str] = []
    wrong, names = str(found.get("wrong", "")), _texts(found.get("names"))
    meant = near_misses(wrong, names) if wrong else ()
    if meant:
        where = f"{found['owner']} has" if found.get("owner") else "There is"
        parts.append(f"{where} {', '.join(meant)}; it has no {wrong}." if found.get("owner")
                     else f"{where} {', '.join(meant)}.")  # fmt: skip
    if signature := str(found.get("signature", ""))[:_LONGEST_SIGNATURE]:
        parts.append(f"The signature is {signature}.")
    if fixed := fix(line, wrong, meant):
        parts.append(f"Smallest fix: {fixed}")
    return " ".join(parts)


def fix(line: str, wrong: str, meant: Sequence[str]) -> str:
    """Return the line with the wrong name put right, "" unless only one name can have been meant."""
    found = re.findall(rf"\b{re.escape(wrong)}\b", line) if wrong else []
    if len(found) != 1 or not meant:
        return ""
    alike = [difflib.SequenceMatcher(None, wrong.lower(), name.lower()).ratio() for name in meant]
    if alike[0] < _CERTAIN or any(other > alike[0] - 0.1 for other in alike[1:]):
        return ""
    return re.sub(rf"\b{re.escape(wrong)}\b", meant[0], line).strip()


def _read(result: ProgramResult, token: str) -> dict[str, Any]:
    said = result.cells[-1].stdout.text if result.cells else ""
    text = said.rpartition(f"\x1e{token}")[2].partition("\x1f")[0] if token in said else ""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _texts(value: object) -> list[str]:
    if not isinstance(value, list):
        return []
    return [name for name in cast("list[object]", value) if isinstance(name, str)]
