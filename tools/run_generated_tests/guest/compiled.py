"""Test files compiled as pytest does it, once for many processes: half of what it takes to begin is that.

Sent into a sandbox twice: alone, where nothing of the project runs, to compile them; and as a plugin that takes what
was compiled there. Code that somebody else would have made, or of another text, is left alone.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import importlib.util
import marshal
import warnings
import zlib
from collections.abc import Callable
from types import CodeType
from typing import Any

import _pytest
from _pytest.assertion import rewrite


def maker() -> str:
    """Who compiles here."""
    return f"{importlib.util.MAGIC_NUMBER.hex()} {_pytest.__version__}"


def compiled(path: str, source: bytes) -> str:
    """The code of a test file that will be at this absolute path; empty where whoever imports it has to be told
    something, like that it is no Python, or of a warning.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tree = ast.parse(source, filename=path)
            rewrite.rewrite_asserts(tree, source, path, None)
            code = compile(tree, path, "exec", dont_inherit=True)
        return base64.b64encode(zlib.compress(marshal.dumps(code), 1)).decode()
    except Exception:  # noqa: BLE001 - pytest is to say it, in its own words
        return ""


def plugin(options: dict[str, Any], say: Callable[..., None]) -> object:
    """The plugin. Options: `files`: by absolute path who compiled it, the digest of its text, and the code."""
    mine = maker()
    known = {path: one for path, one in options["files"].items() if one[0] == mine}
    plain: Any = getattr(rewrite, "_read_pyc", None)

    def read(fn: Any, *others: Any) -> CodeType | None:
        if (one := known.get(str(fn))) is not None and digest(fn.read_bytes()) == one[1]:
            return marshal.loads(zlib.decompress(base64.b64decode(one[2])))
        return plain(fn, *others)

    if plain is not None and known:
        setattr(rewrite, "_read_pyc", read)  # noqa: B010 - pytest has no types for it
    return object()


def digest(source: bytes) -> str:
    """Of a text, whatever its length."""
    return hashlib.blake2b(source).hexdigest()
