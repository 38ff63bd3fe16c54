"""Python's scopes, read from a syntax tree: what belongs to a function, a class or the module itself."""

import ast
from collections.abc import Iterator, Sequence

Function = ast.FunctionDef | ast.AsyncFunctionDef
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def bindings(tree: ast.Module) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names that a module defines at its top level, and those that it only imports."""
    defined: set[str] = set()
    imported: set[str] = set()
    stack: list[ast.AST] = list(tree.body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imported |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.If) and for_type_checkers(node):
            stack += node.orelse
        elif isinstance(
            node, ast.If | ast.Try | ast.With | ast.For | ast.While | ast.ExceptHandler
        ):
            stack += ast.iter_child_nodes(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            parts = (part for target in targets for part in ast.walk(target))
            defined |= {part.id for part in parts if isinstance(part, ast.Name)}
    return frozenset(defined), frozenset(imported - defined)


def for_type_checkers(node: ast.If) -> bool:
    test = node.test
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def arguments(arguments: ast.arguments) -> list[ast.arg]:
    rest = [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *rest]


def type_parameters(node: ast.AST) -> frozenset[str]:
    parameters: list[ast.AST] = getattr(node, "type_params", [])
    return frozenset(str(getattr(parameter, "name", "")) for parameter in parameters)


def own_nodes(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Yield all nodes of a function's body that are not in a scope of their own."""
    stack: list[ast.AST] = list(body)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, SCOPES):
            stack += ast.iter_child_nodes(node)


def local_names(node: Function) -> frozenset[str]:
    names = {argument.arg for argument in arguments(node.args)}
    for inner in own_nodes(node.body):
        if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load):
            names.add(inner.id)
        elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(inner.name)
        elif isinstance(inner, ast.Import | ast.ImportFrom):
            names |= {a.asname or a.name.partition(".")[0] for a in inner.names}
        elif isinstance(inner, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and inner.name:
            names.add(inner.name)
    return frozenset(names - global_names(node.body))


def global_names(body: Sequence[ast.AST]) -> set[str]:
    found = (node for node in own_nodes(body) if isinstance(node, ast.Global))
    return {name for node in found for name in node.names}


def touched(tree: ast.Module) -> Iterator[str]:
    for node in own_nodes(tree.body):
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            yield from _root(node)
        elif isinstance(node, ast.AugAssign):
            yield from _root(node.target)
        elif isinstance(node, ast.Expr):
            value = node.value.value if isinstance(node.value, ast.Await) else node.value
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
                yield from _root(value.func)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                yield from _root(decorator)


def _root(node: ast.expr) -> Iterator[str]:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    if isinstance(node, ast.Name):
        yield node.id


def awaits(body: Sequence[ast.stmt]) -> bool:
    waits = (ast.Await, ast.AsyncFor, ast.AsyncWith)
    return any(
        isinstance(node, waits) or (isinstance(node, ast.comprehension) and node.is_async)
        for node in own_nodes(body)
    )
