"""A project's own rules for outputs: `normalise`, patterns and what stands for what they match.

Patterns come with the documentation and meet what its code printed, so both are hostile, and one can keep the
other busy for years. They are applied in a process of their own, which has seconds.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio

from ...server.sandbox import InvalidInput, ProgramResult
from . import javascript, judge_shell
from .build import Built
from .judge import judge
from .judged import Judged
from .normalise import DEFAULT, Filter
from .oracles import Rules
from .snippet import Snippet

HIDE_TIMES = "<time>"
"""In the place of a pattern: hide dates, clock times and durations, which by themselves must agree."""
SECONDS = 10.0
_APPLY = """
import json, re, sys
order = json.load(sys.stdin)
texts = order["texts"]
for pattern, replacement in order["rules"]:
    texts = [re.sub(pattern, replacement, text, flags=re.MULTILINE) for text in texts]
json.dump(texts, sys.stdout)
"""
_MOST = 50
_LONGEST = 1000


def check(normalise: Mapping[str, str]) -> None:
    """Raise InvalidInput if these are not patterns and replacements."""
    if len(normalise) > _MOST:
        raise InvalidInput(f"normalise has {len(normalise)} patterns; at most {_MOST} are taken.")
    for pattern, replacement in normalise.items():
        if len(pattern) > _LONGEST or len(replacement) > _LONGEST:
            raise InvalidInput(f"normalise takes at most {_LONGEST} characters in each pattern.")
        try:
            groups = re.compile(pattern, re.MULTILINE)
            names = {number: name for name, number in groups.groupindex.items()}
            numbers = range(1, groups.groups + 1)
            like = "".join(f"(?P<{names[n]}>)" if n in names else "()" for n in numbers)
            re.sub(like, replacement, "")
        except (re.error, IndexError, RecursionError, OverflowError) as error:
            raise InvalidInput(f"normalise: {pattern!r} cannot be used: {error}.") from error


def rules(normalise: Mapping[str, str], flags: Mapping[str, bool]) -> Rules:
    """Return how outputs are compared under these patterns and doctest flags."""
    filters = tuple(Filter(p, to) for p, to in normalise.items() if p != HIDE_TIMES)
    names = (*DEFAULT, "time") if HIDE_TIMES in normalise else DEFAULT
    return Rules(names, filters, flags)


async def judged_again(
    snippet: Snippet, built: Built, result: ProgramResult, rules: Rules, token: str
) -> Judged:
    """Judge a result under a project's own patterns, which are applied in a process that can be killed."""
    known: dict[str, str] = {}
    with anyio.move_on_after(SECONDS):
        while True:
            asked = _Asked("", known=known)
            judged = _judge(snippet, built, result, replace(rules, filters=(asked,)), token)
            if not asked.unknown:
                return judged
            known |= await _applied(rules.filters, asked.unknown)
    reason = f"The patterns in normalise did not come to an end on its output within {SECONDS:g} s."
    return Judged("infra", reason)


@dataclass(frozen=True, slots=True)
class _Asked(Filter):
    """Stands for all patterns: knows what they make of some texts, and notes which others it is asked for."""

    known: Mapping[str, str] = field(default_factory=dict[str, str])
    unknown: list[str] = field(default_factory=list[str])

    def apply(self, text: str) -> str:
        if text not in self.known:
            self.unknown.append(text)
        return self.known.get(text, text)


async def _applied(filters: Sequence[Filter], texts: Sequence[str]) -> dict[str, str]:
    order = {"rules": [(one.pattern, one.replacement) for one in filters], "texts": texts}
    ended = await anyio.run_process(
        [sys.executable, "-I", "-S", "-c", _APPLY], input=json.dumps(order).encode()
    )
    return dict(zip(texts, json.loads(ended.stdout), strict=True))


def _judge(
    snippet: Snippet, built: Built, result: ProgramResult, rules: Rules, token: str
) -> Judged:
    if snippet.language in {"python", "pycon"}:
        return judge(snippet, built, result, rules, token)
    if snippet.language == "javascript":
        return javascript.judge(snippet, result, rules, token)
    return judge_shell.judge(snippet, result, rules, token)
