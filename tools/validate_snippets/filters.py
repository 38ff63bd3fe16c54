"""A project's own rules for outputs: `normalise`, patterns and what stands for what they match.

Patterns come with the documentation and meet what its code printed, so both are hostile, and one can keep the
other busy for years. They are applied in a process of their own, which has seconds.
"""

import re
from collections.abc import Mapping

import anyio
from anyio import to_process

from ...server.sandbox import InvalidInput, ProgramResult
from . import judge_shell
from .build import Built
from .judge import Judged, judge
from .normalise import DEFAULT, Filter
from .oracles import Rules
from .snippet import Snippet

HIDE_TIMES = "<time>"
"""In the place of a pattern: hide dates, clock times and durations, which by themselves must agree."""
SECONDS = 10.0
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
    """Judge a result under a project's own patterns, in a process that may be killed."""
    with anyio.move_on_after(SECONDS):
        return await to_process.run_sync(
            _judge, snippet, built, result, rules, token, cancellable=True
        )
    reason = f"The patterns in normalise did not come to an end on its output within {SECONDS:g} s."
    return Judged("infra", reason)


def _judge(
    snippet: Snippet, built: Built, result: ProgramResult, rules: Rules, token: str
) -> Judged:
    if snippet.language == "python" or snippet.language == "pycon":
        return judge(snippet, built, result, rules, token)
    return judge_shell.judge(snippet, result, rules, token)
