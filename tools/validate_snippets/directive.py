"""Our own directive, by which authors say how a snippet runs.

It is a comment in front of the snippet, in the comment syntax of the format:
`<!-- proofbox: skip reason="needs a key" -->`, `{/* proofbox: group=intro */}` in MDX, `% proofbox:
continue` in MyST, `.. proofbox: raises=ValueError` in reStructuredText, or `# proofbox: output=ignore`
as the code's own first line. Words: skip, skip-start, skip-end, skip-file, setup, cleanup, hidden, continue,
clear. Values: reason, group, raises, output (ignore, unordered), python, needs, timeout (seconds), exit.
`env` is followed by NAME=value pairs.
"""

import re
import shlex
from difflib import get_close_matches

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from .snippet import Mark

_SKIPS = frozenset({"skip", "skip-start", "skip-end", "skip-file"})
WORDS = _SKIPS | {"setup", "cleanup", "hidden", "continue", "clear", "env"}
KEYS = frozenset(
    {"reason", "group", "raises", "output", "python", "needs", "timeout", "exit", "env"}
)
OUTPUT_MODES = frozenset({"ignore", "unordered"})


class BadDirective(ValueError):
    """Our directive says something that we do not know."""


def parse(rest: str, line: int) -> tuple[Mark, ...]:
    """Return the marks of a directive: the text behind `proofbox:`.

    Raises:
        BadDirective: it says something unknown.
    """
    try:
        tokens = shlex.split(rest, posix=True)
    except ValueError as error:
        raise BadDirective(f"This proofbox directive cannot be read: {error}.") from None
    marks: list[Mark] = []
    in_env = False
    for token in tokens:
        key, equals, value = token.partition("=")
        if not equals:
            in_env = token == "env"
            marks += [] if in_env else [Mark(_known(token, WORDS), "", line)]
        elif in_env or key == "env":
            pairs = [token] if in_env else shlex.split(value)
            marks += [Mark("env", _variable(pair), line) for pair in pairs]
        else:
            marks.append(_value(_known(key, KEYS), value, line))
    return _with_reason(marks)


def _known(word: str, known: frozenset[str]) -> str:
    if word in known:
        return word
    if word in KEYS:
        raise BadDirective(f"In a proofbox directive {word} needs a value: {word}=VALUE.")
    if word in WORDS:
        raise BadDirective(f"In a proofbox directive {word} takes no value.")
    near = get_close_matches(word, sorted(WORDS | KEYS), n=1)
    hint = f" Did you mean {near[0]}?" if near else f" It knows {', '.join(sorted(WORDS | KEYS))}."
    raise BadDirective(f"The proofbox directive does not know {word!r} here.{hint}")


def _value(key: str, value: str, line: int) -> Mark:
    if key == "output" and value not in OUTPUT_MODES:
        raise BadDirective(f"output={value} is unknown: use output=ignore or output=unordered.")
    if key in {"timeout", "exit"} and not re.fullmatch(r"\d+(?:\.\d+)?", value):
        raise BadDirective(f"{key}={value} is not a number.")
    if not value:
        raise BadDirective(f"In a proofbox directive {key} needs a value: {key}=VALUE.")
    if key == "python":
        return Mark(key, _version(value), line)
    return Mark(key, value, line)


def _version(value: str) -> str:
    try:
        return str(SpecifierSet(f">={value}" if value[:1].isdecimal() else value))
    except InvalidSpecifier:
        raise BadDirective(f'python={value} is no range of versions like ">=3.12".') from None


def _variable(pair: str) -> str:
    if not re.match(r"[A-Za-z_]\w*=", pair):
        raise BadDirective(f"{pair!r} sets no environment variable: write NAME=value.")
    return pair


def _with_reason(marks: list[Mark]) -> tuple[Mark, ...]:
    reason = next((mark.value for mark in marks if mark.name == "reason"), "")
    return tuple(
        Mark(mark.name, reason, mark.line, mark.by) if mark.name.startswith("skip") else mark
        for mark in marks
        if mark.name != "reason"
    )
