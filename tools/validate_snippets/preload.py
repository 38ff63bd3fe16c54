"""Which modules the snippets of a run have so often that a sandbox should import them once for all."""

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from .names import analyse
from .snippet import Snippet

_KNOWN = frozenset(
    {"asyncio", "attr", "attrs", "httpx", "numpy", "pandas", "pydantic", "requests", "sqlalchemy"}
)
"""Only these: what is imported early runs where programs are judged, and must neither print, start threads
nor read what a snippet could have set.
"""
PUT_OFF = {
    "pydantic": (
        *("pydantic.dataclasses", "pydantic.main", "pydantic.type_adapter"),
        # For its first model it looks for plugins by importlib.metadata, half of whose time goes into these.
        *("bz2", "calendar", "csv", "locale", "lzma", "quopri", "shutil", "socket", "string"),
        *("tempfile", "zipfile"),
    )
}
"""What a module imports when it is first used, which is most of it. Of other packages no parts: `import email` alone
would then give `email.message` as well, and an example that lacks the import would pass.
"""
_ENOUGH = 8
"""Snippets that import it; below that, importing it in each costs less than a sandbox of its own."""


class _Case(Protocol):
    @property
    def snippet(self) -> Snippet: ...


def preloaded(cases: Iterable[_Case]) -> tuple[str, ...]:
    """Return the modules to import beforehand, in alphabetical order."""
    counts: Counter[str] = Counter()
    for case in cases:
        if case.snippet.language in {"python", "pycon"}:
            counts.update(analyse(case.snippet.source).imports & _KNOWN)
    often = [name for name, count in counts.items() if count >= _ENOUGH]
    return tuple(sorted(part for name in often for part in early(name)))


def early(name: str) -> tuple[str, ...]:
    """A module, and what it imports when it is first used."""
    return (name, *PUT_OFF.get(name, ()))
