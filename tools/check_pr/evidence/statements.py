"""The statements of a module by the lines that are their own."""

import ast
from collections.abc import Iterator

from ...run_generated_tests.suite import every_statement


def statements(tree: ast.Module) -> Iterator[tuple[ast.stmt, range]]:
    """Every statement with its own lines, without those of the statements inside it. Docstrings and declarations
    are none: no line of them is ever run.
    """
    for node in every_statement(tree):
        if _says_nothing(node):
            continue
        body: list[ast.stmt] = getattr(node, "body", [])
        last = (node.end_lineno or node.lineno) if not body else body[0].lineno - 1
        yield node, range(node.lineno, max(node.lineno, last) + 1)


def _says_nothing(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Global | ast.Nonlocal)
