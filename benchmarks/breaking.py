"""Break a working example in one realistic way, and say which lines may be blamed for it."""

import ast
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

WAYS = ("renamed attribute", "removed argument", "wrong output", "missing import", "syntax")


@dataclass(frozen=True, slots=True)
class Broken:
    """Code that is wrong, and the lines (from 1) at which a reader would look for it."""

    code: str
    lines: frozenset[int]


def broken(code: str, way: str, chance: random.Random) -> Broken | None:
    """Return the code broken in this way, None if it offers nothing to break so."""
    tree = ast.parse(code)
    found = list(_BREAKERS[way](code, tree))
    chance.shuffle(found)
    return found[0] if found else None


def _spans(node: ast.AST) -> frozenset[int]:
    first = getattr(node, "lineno", 1)
    return frozenset(range(first, getattr(node, "end_lineno", first) + 1))


def _replaced(code: str, node: ast.expr, old: str, new: str) -> str | None:
    """The code with the last `old` of an expression's last line replaced."""
    lines = code.split("\n")
    number = (node.end_lineno or node.lineno) - 1
    data = lines[number].encode()
    head, tail = data[: node.end_col_offset].decode(), data[node.end_col_offset :].decode()
    if not head.endswith(old):
        return None
    lines[number] = head.removesuffix(old) + new + tail
    return "\n".join(lines)


def _run_at_once(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield what runs when the module runs, once for certain: no bodies of functions or branches."""
    stack: list[ast.AST] = list(tree.body)
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            stack += node.decorator_list
        elif not isinstance(node, ast.If | ast.Try | ast.For | ast.While | ast.Lambda | ast.With):
            stack += ast.iter_child_nodes(node)


def _attributes(code: str, tree: ast.Module) -> Iterator[Broken]:
    for node in _run_at_once(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            changed = _replaced(code, node, node.attr, f"{node.attr}_x")
            if changed is not None:
                yield Broken(changed, _spans(node))


def _arguments(code: str, tree: ast.Module) -> Iterator[Broken]:
    """Remove an argument without which the call cannot be made, from calls on one line."""
    required = _required(tree)
    for node in _run_at_once(tree):
        if not isinstance(node, ast.Call) or node.lineno != node.end_lineno:
            continue
        for keyword in node.keywords:
            if keyword.arg in required.get(getattr(node.func, "id", ""), ()):
                left = [other for other in node.keywords if other is not keyword]
                yield _called_with(code, node, ast.Call(node.func, node.args, left))
        if _VALIDATES.fullmatch(getattr(node.func, "attr", "")) and len(node.args) == 1:
            yield _called_with(code, node, ast.Call(node.func, [], node.keywords))


_VALIDATES = re.compile(r"(?:model_)?validate(?:_python|_json|_strings)?")


def _required(tree: ast.Module) -> dict[str, set[str]]:
    """The fields without a default of each class whose name says enough: a model of pydantic."""
    found: dict[str, set[str]] = {}
    for node in tree.body:
        bases = [getattr(base, "id", "") for base in getattr(node, "bases", [])]
        if isinstance(node, ast.ClassDef) and bases == ["BaseModel"]:
            found[node.name] = {
                field.target.id
                for field in node.body
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and field.value is None
                and isinstance(field.annotation, ast.Name)
            }
    return found


def _called_with(code: str, old: ast.Call, new: ast.Call) -> Broken:
    lines = code.split("\n")
    line = lines[old.lineno - 1].encode()
    changed = line[: old.col_offset] + ast.unparse(new).encode() + line[old.end_col_offset :]
    lines[old.lineno - 1] = changed.decode()
    return Broken("\n".join(lines), _spans(old))


def _outputs(code: str, tree: ast.Module) -> Iterator[Broken]:
    ends = {node.end_lineno for node in tree.body}
    for number, line in enumerate(code.split("\n"), 1):
        match = re.match(r"#> (.*\w)", line)
        if match and number - 1 in ends:
            lines = code.split("\n")
            lines[number - 1] = f"{line}7"
            block = {number}
            while number < len(lines) and lines[number].startswith("#>"):
                number += 1
                block.add(number)
            yield Broken("\n".join(lines), frozenset(block))


def _imports(code: str, tree: ast.Module) -> Iterator[Broken]:
    """Remove an import whose name is needed when the module runs, and blame where it is first used."""
    for node in tree.body:
        if not isinstance(node, ast.Import | ast.ImportFrom) or node.lineno != node.end_lineno:
            continue
        names = {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        uses = sorted(
            use.lineno
            for use in _run_at_once(tree)
            if isinstance(use, ast.Name) and use.id in names and isinstance(use.ctx, ast.Load)
        )
        if uses and getattr(node, "module", "") != "__future__":
            lines = code.split("\n")
            lines[node.lineno - 1] = ""
            yield Broken("\n".join(lines), frozenset(uses))


def _syntax(code: str, tree: ast.Module) -> Iterator[Broken]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            lines = code.split("\n")
            number = node.lineno - 1
            if lines[number].endswith(":"):
                lines[number] = lines[number].removesuffix(":")
                yield Broken("\n".join(lines), frozenset({number + 1}))


_BREAKERS: dict[str, Callable[[str, ast.Module], Iterator[Broken]]] = {
    "renamed attribute": _attributes,
    "removed argument": _arguments,
    "wrong output": _outputs,
    "missing import": _imports,
    "syntax": _syntax,
}
