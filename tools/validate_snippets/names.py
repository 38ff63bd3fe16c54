"""Which names a snippet needs from elsewhere, and which it defines: by reading, not by running."""

import ast
import builtins
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from .magics import without_magics
from .scopes import (
    Function,
    arguments,
    awaits,
    for_type_checkers,
    global_names,
    local_names,
    touched,
    type_parameters,
)

_ALWAYS = frozenset(dir(builtins)) | {
    "__name__",
    "__file__",
    "__doc__",
    "__builtins__",
    "__spec__",
    "__annotations__",
    "_",
}
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True, slots=True)
class Names:
    """What a snippet says about names.

    `needs` are used and defined nowhere in it before. `defines` are bound when it has run. `touches`
    are objects of its namespace that it changes: by assigning to a part, or by a call whose value is
    dropped. `stars` are the modules of its star imports, which may define anything. `imports` are the
    top modules that it imports; `builtins` are built-in names that it uses and an earlier snippet may have
    given another meaning; `imported` the names that its imports bind. `parses` is false for what is not Python; then all else is empty.
    """

    needs: frozenset[str] = frozenset()
    defines: frozenset[str] = frozenset()
    touches: frozenset[str] = frozenset()
    stars: tuple[str, ...] = ()
    imports: frozenset[str] = frozenset()
    imported: frozenset[str] = frozenset()
    builtins: frozenset[str] = frozenset()
    parses: bool = True
    awaits: bool = False


def parse(source: str) -> ast.Module | None:
    """Return the syntax tree, notebook magics blanked out; None if this is not Python."""
    for text in (source, without_magics(source)):
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


@lru_cache(maxsize=4096)
def analyse(source: str) -> Names:
    """Return what a snippet's source needs and defines, in the order in which a module runs."""
    tree = parse(source)
    if tree is None:
        return Names(parses=False)
    reader = _Reader()
    try:
        reader.body(tree.body)
    except RecursionError:
        return Names(parses=False)
    open_names = reader.needs | (reader.deferred - reader.defined)
    return Names(
        needs=frozenset(open_names - _ALWAYS),
        builtins=frozenset(open_names & _ALWAYS),
        defines=frozenset(reader.defined),
        touches=frozenset(touched(tree)),
        stars=tuple(reader.stars),
        imports=frozenset(reader.imports),
        imported=frozenset(reader.imported & reader.defined),
        awaits=awaits(tree.body),
    )


class _Reader:
    """Walks a module as it would run. Names used inside functions count when the module has ended."""

    def __init__(self) -> None:
        self.defined: set[str] = set()
        self.needs: set[str] = set()
        self.deferred: set[str] = set()
        self.stars: list[str] = []
        self.imports: set[str] = set()
        self.imported: set[str] = set()
        self._functions: list[frozenset[str]] = []
        self._classes: list[set[str]] = []
        self._future_annotations = False

    def body(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            self.visit(statement)

    def visit(self, node: ast.AST | None) -> None:
        if node is None:
            return
        method = getattr(self, f"_visit_{type(node).__name__}", None)
        if method is not None:
            method(node)
        else:
            self._children(node)

    def _children(self, node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            self.visit(child)

    def _all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            self.visit(node)

    def _use(self, name: str) -> None:
        if any(name in names for names in self._functions):
            return
        if self._classes and name in self._classes[-1]:
            return
        if self._functions:
            self.deferred.add(name)
        elif name not in self.defined:
            self.needs.add(name)

    def _bind(self, name: str) -> None:
        if self._classes:
            self._classes[-1].add(name)
        elif not self._functions:
            self.defined.add(name)

    def _visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._use(node.id)
        elif isinstance(node.ctx, ast.Store):
            self._bind(node.id)
        elif not self._functions and not self._classes:
            self._use(node.id)
            self.defined.discard(node.id)

    def _visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        self._all(node.targets)

    def _visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._annotation(node.annotation)
        self.visit(node.value)
        if node.value is not None or not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def _visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._use(node.target.id)
        self.visit(node.value)
        self.visit(node.target)

    def _visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._all([node.iter, node.target, *node.body, *node.orelse])

    _visit_AsyncFor = _visit_For

    def _visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        # What is there for type checkers does not exist when the code runs.
        self.body([] if for_type_checkers(node) else node.body)
        self.body(node.orelse)

    def _visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.visit(node.target)

    def _visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            top = alias.name.partition(".")[0]
            self.imports.add(top)
            self.imported.add(alias.asname or top)
            self._bind(alias.asname or top)

    def _visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module and not node.level:
            self.imports.add(node.module.partition(".")[0])
        for alias in node.names:
            if alias.name == "*":
                self.stars.append(node.module or ".")
            else:
                self.imported.add(alias.asname or alias.name)
                self._bind(alias.asname or alias.name)
        if node.module == "__future__":
            self._future_annotations |= any(a.name == "annotations" for a in node.names)

    def _visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.visit(node.type)
        if node.name:
            self._bind(node.name)
        self.body(node.body)

    def _visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar) -> None:
        if node.name:
            self._bind(node.name)
        self._children(node)

    _visit_MatchStar = _visit_MatchAs

    def _visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self._bind(node.rest)
        self._children(node)

    def _visit_FunctionDef(self, node: Function) -> None:
        self._all(node.decorator_list)
        self._all([*node.args.defaults, *node.args.kw_defaults])
        with self._inside(type_parameters(node)):
            for argument in arguments(node.args):
                self._annotation(argument.annotation)
            self._annotation(node.returns)
        self._bind(node.name)
        if not self._functions and not self._classes:
            # `global` inside the function binds in the module once it is called.
            self.defined |= global_names(node.body)
        with self._inside(local_names(node) | type_parameters(node), deferred=True):
            self.body(node.body)

    _visit_AsyncFunctionDef = _visit_FunctionDef

    def _visit_Lambda(self, node: ast.Lambda) -> None:
        self._all([*node.args.defaults, *node.args.kw_defaults])
        names = frozenset(argument.arg for argument in arguments(node.args))
        with self._inside(names, deferred=True):
            self.visit(node.body)

    def _visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._all(node.decorator_list)
        with self._inside(type_parameters(node)):
            self._all([*node.bases, *node.keywords])
            self._classes.append(set())
            self.body(node.body)
            self._classes.pop()
        self._bind(node.name)

    def _visit_TypeAlias(self, node: ast.AST) -> None:
        # Python 3.12; its value is evaluated when first asked for.
        self.visit(getattr(node, "name", None))
        with self._inside(type_parameters(node), deferred=True):
            self.visit(getattr(node, "value", None))

    def _comprehension(self, node: _Comprehension) -> None:
        first = node.generators[0].iter
        self.visit(first)
        bound = frozenset(
            name.id
            for generator in node.generators
            for name in ast.walk(generator.target)
            if isinstance(name, ast.Name)
        )
        rest: list[ast.AST] = [g.iter for g in node.generators[1:]]
        rest += [condition for g in node.generators for condition in g.ifs]
        rest += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        with self._inside(bound):
            self._all(rest)

    _visit_ListComp = _visit_SetComp = _visit_DictComp = _visit_GeneratorExp = _comprehension

    def _annotation(self, node: ast.expr | None) -> None:
        if not self._future_annotations:
            self.visit(node)

    @contextmanager
    def _inside(self, names: frozenset[str], *, deferred: bool = False) -> Generator[None]:
        """Names that are bound in here; `deferred` when this part runs later than the module."""
        classes = self._classes
        if deferred:
            self._classes = []
            self._functions.append(names)
            try:
                yield
            finally:
                self._functions.pop()
                self._classes = classes
            return
        fresh = names - self.defined
        self.defined |= fresh
        try:
            yield
        finally:
            self.defined -= fresh
