"""Names that a test uses and the source does not have, as far as the text tells."""

import ast
import builtins
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .findings import Finding
from .project import Project

_SHOWN_NAMES = 8
_ABSENT = re.compile(r"\b(AttributeError|TypeError|NameError)\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(slots=True)
class Kind:
    """A class of the source: its members, and whether it may have others that the text does not show."""

    members: set[str] = field(default_factory=set[str])
    functions: dict[str, Function] = field(default_factory=dict[str, Function])
    open: bool = False


@dataclass(slots=True)
class Source:
    """What a module defines. `open`: it may define more than the text shows."""

    name: str
    tree: ast.Module
    names: set[str] = field(default_factory=set[str])
    functions: dict[str, Function] = field(default_factory=dict[str, Function])
    kinds: dict[str, Kind] = field(default_factory=dict[str, Kind])
    open: bool = False


def sources(project: Project) -> dict[str, Source]:
    """The modules under test by import name, those that parse."""
    found: dict[str, Source] = {}
    for module in project.sources:
        try:
            tree = ast.parse(project.text(module.path))
        except (SyntaxError, ValueError):
            continue
        found[module.name] = _source(module.name, tree)
    return found


def _source(name: str, tree: ast.Module) -> Source:
    source = Source(name, tree, names={"__name__", "__file__", "__doc__", "__all__", "__dict__"})
    for node in _reachable(tree.body):
        if isinstance(node, Function):
            source.names.add(node.name)
            source.functions[node.name] = node
        elif isinstance(node, ast.ClassDef):
            source.names.add(node.name)
            source.kinds[node.name] = _kind(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                source.open |= alias.name == "*"
                source.names.add(alias.asname or alias.name.partition(".")[0])
        else:
            source.names |= _bound(node)
    source.open |= "__getattr__" in source.functions or _calls(tree, {"globals", "vars", "locals"})
    _inherit(source)
    return source


def _reachable(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a body and of the blocks in it that are no scopes of their own."""
    for node in body:
        yield node
        if not isinstance(node, Function | ast.ClassDef):
            for part in ("body", "orelse", "finalbody"):
                yield from _reachable(getattr(node, part, ()))
            for handler in getattr(node, "handlers", ()):
                yield from _reachable(handler.body)


def _bound(node: ast.stmt) -> set[str]:
    if hasattr(node, "body"):
        targets = [
            getattr(node, "target", None),
            *(i.optional_vars for i in getattr(node, "items", ())),
        ]
        walked = [inner for target in targets if target is not None for inner in ast.walk(target)]
    else:
        walked = list(ast.walk(node))
    return {
        one.id for one in walked if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
    }


def _calls(tree: ast.AST, names: set[str]) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in names
        # Without arguments these give a scope, to which anything can be added.
        and (node.func.id == "setattr" or not node.args)
        for node in ast.walk(tree)
    )


def _kind(node: ast.ClassDef) -> Kind:
    kind = Kind(members=set(dir(object)))
    for one in _reachable(node.body):
        if isinstance(one, Function | ast.ClassDef):
            kind.members.add(one.name)
            if isinstance(one, Function):
                kind.functions[one.name] = one
        else:
            kind.members |= _bound(one)
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store):
            kind.members.add(one.attr)
    dynamic = {"__getattr__", "__getattribute__"} & kind.functions.keys()
    kind.open = bool(dynamic or node.keywords or _calls(node, {"setattr"}))
    plain = all(isinstance(base, ast.Name) for base in node.bases)
    kind.open |= not plain or any(_opening(decorator) for decorator in node.decorator_list)
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    kind.members |= {f"base {name}" for name in bases}
    return kind


def _opening(decorator: ast.expr) -> bool:
    """Whether a decorator may add members; that of dataclasses adds none that tests name."""
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    return name not in {"dataclass", "final", "total_ordering", "runtime_checkable"}


def _inherit(source: Source) -> None:
    """Members of bases; one that is not in this module may have any, unless it is a builtin."""
    for _ in range(len(source.kinds) + 1):
        for kind in source.kinds.values():
            for base in [name[5:] for name in kind.members if name.startswith("base ")]:
                if base in source.kinds:
                    kind.members |= source.kinds[base].members
                    kind.open |= source.kinds[base].open
                elif isinstance(found := getattr(builtins, base, None), type):
                    kind.members |= set(dir(found))
                else:
                    kind.open = True


@dataclass(slots=True)
class Imported:
    """What names of a test file stand for: modules under test, and things from them."""

    modules: dict[str, Source] = field(default_factory=dict[str, Source])
    things: dict[str, tuple[Source, str]] = field(default_factory=dict[str, tuple[Source, str]])


def imported(tree: ast.AST, known: Mapping[str, Source]) -> tuple[Imported, list[Finding]]:
    """The imports of a file, wherever they are, and those that cannot work."""
    found, findings = Imported(), list[Finding]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in known and (alias.asname or "." not in alias.name):
                    found.modules[alias.asname or alias.name] = known[alias.name]
                findings += _rooted(alias.name, node.lineno, known)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            findings += _rooted(node.module, node.lineno, known)
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in known:
                    found.modules[alias.asname or alias.name] = known[whole]
                elif node.module in known:
                    source = known[node.module]
                    found.things[alias.asname or alias.name] = (source, alias.name)
                    findings += _missing(source, alias.name, node.lineno)
    return found, findings


def _rooted(module: str, line: int, known: Mapping[str, Source]) -> list[Finding]:
    """An import that begins with a folder that is no package."""
    root, _, rest = module.partition(".")
    if rest in known and module not in known and root in {"src", "lib", "app", "project"}:
        message = (
            f"`{module}` cannot be imported: the module is called `{rest}`, without `{root}.`."
        )
        return [Finding("hallucinated", message, line, near=rest)]
    return []


def _missing(source: Source, name: str, line: int) -> list[Finding]:
    if name in source.names or source.open or name == "*":
        return []
    near = close(name, source.names)
    own = {*source.functions, *source.kinds}
    message = f"`{source.name}` has no `{name}`{_instead(near, own)}"
    return [Finding("hallucinated", message, line, near)]


def _instead(near: str, names: set[str]) -> str:
    """What to use: the name that was probably meant, or else what there is."""
    if near:
        return f"; did you mean `{near}`?"
    public = sorted(one for one in names if not one.startswith("_") and " " not in one)
    return f"; it has {', '.join(public[:_SHOWN_NAMES])}." if public else "."


def close(name: str, names: set[str]) -> str:
    """The most similar name; empty where none is similar."""
    public = {one for one in names if not one.startswith("_") and " " not in one}
    found = difflib.get_close_matches(name, sorted(public), 1, 0.6)
    if found:
        return found[0]
    part = [one for one in sorted(public) if one in name or name in one]
    return part[0] if part else ""


def used(test: ast.AST, names: Imported) -> list[Finding]:
    """Attributes and parameters that a test uses and that are not there."""
    findings: list[Finding] = []
    instances = _instances(test, names)
    meant = _meant_to_be_missing(test)
    for node in ast.walk(test):
        if node in meant:
            continue
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            holder = node.value.id
            if isinstance(node.ctx, ast.Load):
                if holder in names.modules and holder not in instances:
                    findings += _missing(names.modules[holder], node.attr, node.lineno)
                kind = instances.get(holder)
                if kind and not kind[1].open and node.attr not in kind[1].members:
                    findings.append(_no_member(kind[0], kind[1], node))
        elif isinstance(node, ast.Call):
            findings += _parameters(node, names)
    return findings


def _meant_to_be_missing(test: ast.AST) -> set[ast.AST]:
    """What stands in blocks that must raise what Python raises where a name or a parameter is missing."""
    blocks = [
        node
        for node in ast.walk(test)
        if isinstance(node, ast.With) and _ABSENT.search(expected_of(node))
    ]
    return {inner for block in blocks for one in block.body for inner in ast.walk(one)}


def expected_of(block: ast.With) -> str:
    """The exceptions that a block must raise, as they are written; empty where it need not raise."""
    calls = (one.context_expr for one in block.items)
    return " ".join(
        ast.unparse(call.args[0])
        for call in calls
        if isinstance(call, ast.Call) and call.args
        if ast.unparse(call.func).rpartition(".")[2] in {"raises", "assertRaises"}
    )


def _no_member(name: str, kind: Kind, node: ast.Attribute) -> Finding:
    near = close(node.attr, kind.members)
    message = f"`{name}` has no `{node.attr}`{_instead(near, kind.members - set(dir(object)))}"
    return Finding("hallucinated", message, node.lineno, near)


def _instances(test: ast.AST, names: Imported) -> dict[str, tuple[str, Kind]]:
    """Variables that are only ever assigned new objects of one class of the source."""
    found: dict[str, tuple[str, Kind]] = {}
    stored: dict[str, int] = {}
    for node in ast.walk(test):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            stored[node.id] = stored.get(node.id, 0) + 1
    for node in ast.walk(test):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name) and isinstance(node.value, ast.Call):
                called = resolve(node.value.func, names)
                if called and called[1] in called[0].kinds and stored.get(target.id) == 1:
                    found[target.id] = (called[1], called[0].kinds[called[1]])
    return found


def resolve(function: ast.expr, names: Imported) -> tuple[Source, str] | None:
    """The module and the name in it that an expression stands for, if it is one under test."""
    if isinstance(function, ast.Name):
        return names.things.get(function.id)
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        source = names.modules.get(function.value.id)
        return (source, function.attr) if source else None
    return None


def _parameters(call: ast.Call, names: Imported) -> list[Finding]:
    target = resolve(call.func, names)
    if target is None or target[1] not in target[0].functions:
        return []
    function = target[0].functions[target[1]]
    arguments = function.args
    if arguments.kwarg or function.decorator_list:
        return []
    known = {one.arg for one in [*arguments.args, *arguments.kwonlyargs]}
    found: list[Finding] = []
    for keyword in call.keywords:
        if keyword.arg and keyword.arg not in known:
            near = close(keyword.arg, known)
            message = f"`{target[1]}` has no parameter `{keyword.arg}`: {signature(function)}"
            found.append(Finding("hallucinated", message, call.lineno, near))
    return found


def signature(function: Function) -> str:
    """The first line of a function, as it would be written."""
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"{function.name}({ast.unparse(function.args)}){returns}"
