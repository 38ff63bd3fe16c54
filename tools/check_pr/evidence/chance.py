"""Which tests may come out otherwise without any change: those that read what chance decides, or a change that does."""

import ast
import re
from collections.abc import Iterable, Iterator

from ...run_generated_tests.repeats import draws_on_chance
from ...run_generated_tests.suite import every_statement, parsed
from .ground import Ground
from .runs import Told
from .statements import statements
from .trees import View, text

_MOST_MODULES = 200
_LITTLE_SECONDS = 0.3
_MOST_SECONDS = 60.0
_WORD = re.compile(r"\w+")
_COMMENT = re.compile(r"(^|\s)#.*")
_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def by_chance(ground: Ground, told: Told, names: Iterable[str]) -> frozenset[str]:
    """Those of the tests that drew from the shared generator of random numbers, whose own text or what it needs
    of its file reads what chance decides, or names something that a changed line makes depend on chance.
    """
    drawing = drawing_names(ground)
    known: dict[str, bool] = {}
    found = set[str]()

    def is_chancy(piece: str) -> bool:
        if piece not in known:
            words = drawing and _WORD.findall(piece)
            known[piece] = draws_on_chance(piece) or not drawing.isdisjoint(words)
        return known[piece]

    for name in names:
        file, _, rest = name.partition("::")
        views = ((ground.base, ground.at_base(file)), (ground.head, file))
        sheets = [ground.sheets.of(view.files[path]) for view, path in views if path in view.files]
        drew = name in told.results and "random" in told.results[name].left
        if drew or any(map(is_chancy, (p for s in sheets for p in s.of(rest.partition("[")[0])))):
            found.add(name)
    return frozenset(found)


def times_by_chance(told: Told, names: Iterable[str], times: int) -> int:
    """How often to run tests again that may depend on chance: all `times` where that is next to nothing, once
    where it is not, and not at all where it takes minutes. What it costs to start a process is left out, so that a
    busy machine comes to the same result as one that is not.
    """
    spent = sum(told.results[name].seconds for name in names if name in told.results)
    return times if spent <= _LITTLE_SECONDS else int(spent <= _MOST_SECONDS)


def drawing_names(ground: Ground) -> set[str]:
    """Functions, classes and variables of which a changed line reads what chance decides, and what uses them."""
    found = set[str]()
    for view, changed in ((ground.base, _lines(ground, 0)), (ground.head, _lines(ground, 1))):
        names = {
            name for path, numbers in changed.items() for name in _drawing(view, path, numbers)
        }
        found |= _with_users(view, names)
    return found


def _lines(ground: Ground, side: int) -> dict[str, set[int]]:
    view = ground.head if side else ground.base
    sources = {module.path for module in view.sources}
    found: dict[str, set[int]] = {}
    for change in ground.pull.changes:
        path, numbers = (change.path, change.added) if side else (change.old_path, change.removed)
        if path in sources and path in view.files:
            found[path] = set(numbers)
    return found


def _drawing(view: View, path: str, numbers: set[int]) -> Iterator[str]:
    source = text(view.files[path])
    tree = parsed(source)
    if tree is None or not draws_on_chance(source):
        return
    lines = source.splitlines()
    scopes = [node for node in every_statement(tree) if isinstance(node, _Scope)]
    for node, span in statements(tree):
        if numbers.isdisjoint(span) or isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if draws_on_chance("\n".join(_COMMENT.sub("", lines[one - 1]) for one in span)):
            around = [
                one.name for one in scopes if one.lineno <= node.lineno <= (one.end_lineno or 0)
            ]
            yield from (name for name in around if not name.startswith("__"))
            yield from (
                each.id for each in ast.walk(node) if isinstance(each, ast.Name) and not around
            )


def _with_users(view: View, names: set[str]) -> set[str]:
    """Also the functions whose text names one of these, over however many others."""
    users: list[tuple[str, set[str]]] = []
    for module in view.sources[:_MOST_MODULES] if names else ():
        source = text(view.files[module.path])
        tree, lines = parsed(source), source.splitlines()
        for node in every_statement(tree) if tree is not None else ():
            if isinstance(node, _Scope) and not node.name.startswith("__"):
                body = "\n".join(lines[node.lineno - 1 : node.end_lineno])
                users.append((node.name, set(_WORD.findall(body))))
    found, fresh = set(names), set(names)
    while fresh:
        fresh = {name for name, words in users if words & fresh} - found
        found |= fresh
    return found
