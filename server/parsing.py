"""Python 3.11 counts how deep its parsers are in one place for all threads: two that parse at the same time can
fail with a SystemError, "AST constructor recursion depth mismatch" (https://github.com/python/cpython/issues/106905).
"""

import ast
import functools
import sys
import threading
from typing import Any

_CONCERNED = sys.version_info < (3, 12)
# Not a plain one: the garbage collector may run code that parses in the middle.
_turn = threading.RLock()


def make_safe() -> None:
    """Let threads of this process take turns at `ast.parse`, where they must. Idempotent."""
    parse = ast.parse
    if not _CONCERNED or hasattr(parse, "__wrapped__"):
        return

    @functools.wraps(parse)
    def parse_alone(*args: Any, **kwargs: Any) -> Any:
        with _turn:
            return parse(*args, **kwargs)

    ast.parse = parse_alone
