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
_PUT_OFF = {"pydantic": ("pydantic.dataclasses", "pydantic.main", "pydantic.type_adapter")}
"""What a module imports when it is first used, which is most of it."""
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
    return tuple(sorted(part for name in often for part in (name, *_PUT_OFF.get(name, ()))))
