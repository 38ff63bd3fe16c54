"""Whether two annotations say the same: `t.Optional[int]` is `int | None`, and `"List[int]"` is `list[int]`."""

import ast
from functools import cache

_ALIASES = {"List": "list", "Dict": "dict", "Set": "set", "FrozenSet": "frozenset", "Tuple": "tuple",
            "Type": "type", "Text": "str", "DefaultDict": "defaultdict"}  # fmt: skip
_LONGEST = 2_000


@cache
def normal(text: str) -> str:
    """The annotation in one of its forms, without the modules that names come from."""
    try:
        tree = ast.parse(text if len(text) <= _LONGEST else "...", mode="eval")
        return ast.unparse(_Normal().visit(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text


class _Normal(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, str):
            return node
        try:
            return self.visit(ast.parse(node.value, mode="eval").body)
        except SyntaxError:
            return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self.visit_Name(ast.Name(node.attr, ast.Load()))

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(_ALIASES.get(node.id, node.id), ast.Load())

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        value, inside = self.visit(node.value), self.visit(node.slice)
        name = value.id if isinstance(value, ast.Name) else ""
        if name == "Optional":
            return _union([inside, ast.Constant(None)])
        if name == "Union":
            return _union(inside.elts if isinstance(inside, ast.Tuple) else [inside])
        if name == "Literal":
            return ast.Subscript(value, node.slice, ast.Load())
        return ast.Subscript(value, inside, ast.Load())

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        return _union([self.visit(node.left), self.visit(node.right)])


def _union(parts: list[ast.expr]) -> ast.expr:
    """With its members in one order, each once."""
    flat: dict[str, ast.expr] = {}
    for part in parts:
        for each in _members(part):
            flat.setdefault(ast.unparse(each), each)
    first, *rest = [flat[text] for text in sorted(flat)]
    for each in rest:
        first = ast.BinOp(first, ast.BitOr(), each)
    return first


def _members(part: ast.expr) -> list[ast.expr]:
    if isinstance(part, ast.BinOp):
        return [*_members(part.left), *_members(part.right)]
    return [part]
