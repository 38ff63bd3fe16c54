"""Compare what a document shows with what its code printed.

A comparison tries the strictest reading first and says which leniency it needed. What differs comes
back as a unified diff.
"""

import ast
import difflib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from . import normalise
from .normalise import DEFAULT, Filter
from .snippet import IN_CODE, Expected

_TOKEN = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|\w+|\s+|.""", re.DOTALL)
_TRAILING_COMMA = frozenset({")", "]", "}"})
# Flags of doctest runners other than the standard library's: the output is only an example.
_UNCHECKED_FLAGS = ("IGNORE_RESULT", "IGNORE_OUTPUT", "IGNORE_WANT")
MAX_DIFF_LINES = 60
"""A longer diff tells no more; the head of it shows what went wrong."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether an output matches. `used` names the leniencies that it took, `diff` shows what differs.

    `checked` is false where nothing was printed that could be compared: the shown output proves nothing.
    """

    matches: bool
    used: tuple[str, ...] = ()
    diff: str = ""
    checked: bool = True


@dataclass(frozen=True, slots=True)
class Rules:
    """How outputs of a project are compared: which normalisers, its own filters, doctest's flags."""

    normalisers: tuple[str, ...] = DEFAULT
    filters: tuple[Filter, ...] = ()
    flags: Mapping[str, bool] | None = None


DEFAULT_RULES = Rules()


def compare(
    expected: Expected, got: str, rules: Rules = DEFAULT_RULES, *, unordered: bool = False
) -> Comparison:
    """Compare shown output with what was printed."""
    flags = {**(rules.flags or {}), **expected.flags}
    all_left_out = "..." in expected.text and not expected.text.replace("...", "").strip()
    if all_left_out or any(flags.get(name) for name in _UNCHECKED_FLAGS):
        return Comparison(True, checked=False)
    if expected.source in {"doctest", "testoutput"} and doctest_matches(expected.text, got, flags):
        return Comparison(True)
    want = expected.text
    if expected.source in {"doctest", "testoutput"} and not flags.get("DONT_ACCEPT_BLANKLINE"):
        want = re.sub(r"(?m)^<BLANKLINE>\s*?$", "", want)
    if unordered:
        want, got = _sorted_lines(want), _sorted_lines(got)
    loose = expected.source in IN_CODE
    return compare_text(want, got, rules, loose=loose)


def _sorted_lines(text: str) -> str:
    return "\n".join(sorted(text.strip("\n").split("\n"))) + "\n"


def doctest_matches(want: str, got: str, flags: Mapping[str, bool]) -> bool:
    """Whether doctest, given these flags, takes `got` for `want`."""
    # doctest imports unittest and pdb, which take longer than everything else here.
    import doctest

    bits = 0
    for name, on in flags.items():
        bit = doctest.OPTIONFLAGS_BY_NAME.get(name, 0)
        bits = bits | bit if on else bits & ~bit
    return doctest.OutputChecker().check_output(want, got, bits)


def compare_text(
    want: str, got: str, rules: Rules = DEFAULT_RULES, *, loose: bool = False
) -> Comparison:
    """Compare two outputs under a project's rules.

    `loose` also accepts a value that is only laid out differently: authors format what they show
    with the same tools as their code.
    """
    if want == got:
        return Comparison(True)
    want, got = _filtered(want, rules), _filtered(got, rules)
    used: list[str] = ["filter"] if rules.filters and want == got else []
    for name in ("whitespace", *rules.normalisers):
        if want == got:
            return Comparison(True, tuple(used))
        if name in normalise.SIMPLE:
            plain = normalise.SIMPLE[name]
            before = (want, got)
            want, got = plain(want), plain(got)
            used += [name] if (want, got) != before and name != "whitespace" else []
        elif name == "float":
            rounded = normalise.round_like(want, got)
            used += ["float"] if rounded != got else []
            got = rounded
    if want == got:
        return Comparison(True, tuple(dict.fromkeys(used)))
    if loose and same_value(want, got):
        return Comparison(True, (*dict.fromkeys(used), "layout"))
    if "ellipsis" in rules.normalisers and normalise.matches_ellipsis(want, got):
        return Comparison(True, (*dict.fromkeys(used), "ellipsis"))
    if "spacing" in rules.normalisers and _same_but_spacing(want, got, rules):
        return Comparison(True, (*dict.fromkeys(used), "spacing"))
    return Comparison(False, (), difference(want, got))


def _same_but_spacing(want: str, got: str, rules: Rules) -> bool:
    want, got = normalise.one_space(want), normalise.one_space(got)
    if want == got:
        return True
    return "ellipsis" in rules.normalisers and normalise.matches_ellipsis(want, got)


def _filtered(text: str, rules: Rules) -> str:
    return normalise.apply_filters(text, rules.filters) if rules.filters else text


def same_value(want: str, got: str) -> bool:
    """Whether two texts are the same value in different layout: quotes, commas, line breaks."""
    if _tokens(want) == _tokens(got):
        return True
    try:
        return _parsed(want) == _parsed(got)
    except (ValueError, RecursionError):
        return False


def _parsed(text: str) -> str:
    """What a text of JSON holds: for Python 2 is 2.0 and 1 is True, and objects have no order."""
    return repr(json.loads(text, object_pairs_hook=tuple))


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    for token in _TOKEN.findall(text):
        if token.isspace():
            continue
        if token in _TRAILING_COMMA and tokens and tokens[-1] == ",":
            tokens.pop()
        tokens.append(_string(token) if token[0] in "'\"" and len(token) > 1 else token)
    return tokens


def _string(token: str) -> str:
    try:
        return repr(ast.literal_eval(token))
    except (SyntaxError, ValueError):
        return token


def difference(want: str, got: str) -> str:
    """Return a unified diff from the shown to the real output, cut after a screenful."""
    lines = list(
        difflib.unified_diff(
            want.rstrip("\n").split("\n"),
            got.rstrip("\n").split("\n"),
            "shown",
            "printed",
            lineterm="",
        )
    )
    if len(lines) > MAX_DIFF_LINES:
        left = len(lines) - MAX_DIFF_LINES
        lines = [*lines[:MAX_DIFF_LINES], f"[... {left} more lines of this diff ...]"]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception: its name, dotted or not, and its message."""

    name: str
    message: str = ""


def exception_matches(
    shown: str, raised: Raised, flags: Mapping[str, bool] | None = None
) -> Comparison:
    """Compare the last part of a shown traceback, `ValueError: no`, with what was raised."""
    flags = flags or {}
    name, _, message = shown.partition(":")
    if not _same_name(name.strip(), raised.name):
        return Comparison(False, (), difference(shown, _last_line(raised)))
    message = message.strip()
    if flags.get("IGNORE_EXCEPTION_DETAIL") or message == raised.message.strip():
        return Comparison(True)
    if doctest_matches(message + "\n", raised.message.strip() + "\n", flags):
        return Comparison(True)
    found = compare_text(message, raised.message.strip(), loose=False)
    if found.matches:
        return found
    return Comparison(False, (), difference(shown, _last_line(raised)))


def raises_matches(mark: str, raised: Raised | None) -> Comparison:
    """Compare a mark like `ValueError` or `ValueError: part of the message` with what happened."""
    if raised is None:
        wanted = "an exception" if mark == "*" else mark
        return Comparison(False, (), f"It should raise {wanted}, and it ran to its end.")
    name, _, message = mark.partition(":")
    if mark != "*" and not _same_name(name.strip(), raised.name):
        return Comparison(False, (), difference(mark, _last_line(raised)))
    if message.strip() and message.strip() not in raised.message:
        return Comparison(False, (), difference(mark, _last_line(raised)))
    return Comparison(True)


def _same_name(shown: str, real: str) -> bool:
    # `pydantic_core.ValidationError` may be shown as `ValidationError`, or the other way round.
    return shown == real or shown.rpartition(".")[2] == real.rpartition(".")[2]


def _last_line(raised: Raised) -> str:
    return f"{raised.name}: {raised.message}" if raised.message else raised.name


@dataclass(frozen=True, slots=True)
class Print:
    """One call of `print`: the snippet's line (from 1) at which its statement begins, and its text.

    `outer` is the line of the module's own statement that led to it, as where a function prints; 0 is none.
    """

    line: int
    text: str
    outer: int = 0


def compare_prints(
    code: str, shown: Sequence[Expected], prints: Sequence[Print], rules: Rules = DEFAULT_RULES
) -> list[tuple[Expected, str, Comparison]]:
    """Compare the outputs shown inside code with what the code above each of them printed.

    Returns each shown output with its real one. A print that ran several times shows all its output in
    order. Output behind code that printed nothing, like a branch that was not taken, is not checked.
    """
    behind = _Behind(code, shown, prints)
    compared: list[tuple[Expected, str, Comparison]] = []
    for expected in shown:
        indexes = behind.prints_of(expected)
        if not indexes:
            compared.append((expected, "", Comparison(True, checked=False)))
            continue
        texts = [prints[index].text for index in indexes]
        got = "".join(texts)
        found = compare(expected, got, rules)
        # pytest-examples leaves the output of the last call alone in a string.
        if not found.matches and len(texts) > 1 and expected.source == "string":
            found = next((c for t in texts if (c := compare(expected, t, rules)).matches), found)
        if not found.matches:
            # An author may show at once what several statements printed.
            since = "".join(one.text for one in prints[behind.since(indexes) : indexes[-1] + 1])
            whole = compare(expected, since, rules)
            got, found = (since, whole) if whole.matches else (got, found)
        compared.append((expected, got, found))
    return compared


class _Behind:
    """Which prints an output shown inside code stands behind, as indexes in the order of time."""

    def __init__(self, code: str, shown: Sequence[Expected], prints: Sequence[Print]) -> None:
        ends = statement_ends(code)
        self._places = {expected.after_line for expected in shown}
        self._own: dict[int, list[int]] = {}
        self._outer: dict[int, list[int]] = {}
        for index, call in enumerate(prints):
            own = ends.get(call.line, call.line)
            self._own.setdefault(own, []).append(index)
            if own not in self._places:
                self._outer.setdefault(ends.get(call.outer, call.outer), []).append(index)
        self._taken = sorted({index for one in shown for index in self.prints_of(one)})

    def prints_of(self, expected: Expected) -> list[int]:
        """What the statement above it printed itself, or else what it called."""
        line = expected.after_line
        return self._own.get(line) or self._outer.get(line) or []

    def since(self, indexes: Sequence[int]) -> int:
        """The first print after those that are shown further up."""
        mine = set(indexes)
        before = [index for index in self._taken if index < indexes[-1] and index not in mine]
        return before[-1] + 1 if before else 0


def statement_ends(code: str) -> dict[int, int]:
    """Return for each line on which a simple statement begins the line on which it ends."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    ends: dict[int, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr | ast.Assign | ast.Return | ast.AugAssign | ast.AnnAssign):
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                ends[line] = max(ends.get(line, 0), node.end_lineno or node.lineno)
    return ends


def near_misses(name: str, known: Collection[str], count: int = 3) -> tuple[str, ...]:
    """Return the known names that a wrong one was probably meant to be, likeliest first."""
    public = [k for k in known if not k.startswith("_") or name.startswith("_")]
    lowered = {k.lower(): k for k in sorted(public)}
    if (same := lowered.get(name.lower())) and same != name:
        return (same,)
    found = difflib.get_close_matches(name, public, n=count, cutoff=0.6)
    parts = [k for k in sorted(public) if len(name) > 3 and (name in k or k in name) and len(k) > 3]
    return tuple(dict.fromkeys([*found, *parts]))[:count]
