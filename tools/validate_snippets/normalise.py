"""Make outputs alike that differ only in what no author can know: addresses, colours, clocks, set order."""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Name = Literal[
    "ansi", "address", "version", "whitespace", "float", "set", "ellipsis", "spacing", "time"
]

DEFAULT: tuple[Name, ...] = (
    "ansi",
    "address",
    "version",
    "whitespace",
    "set",
    "float",
    "ellipsis",
    "spacing",
)
"""In the order in which they are tried. `time` must be asked for: it would hide a wrong date."""

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")
_ADDRESS = re.compile(r"(?<=\bat )0x[0-9A-Fa-f]*(?:\.\.\.)?|\b0x\.\.\.")
# Elsewhere a number may be what matters: of hex() nobody wants another one.
_IN_BRACKETS = re.compile(r"<[^<>\n]*>")
_BARE_ADDRESS = re.compile(r"\b0x[0-9A-Fa-f]{6,16}\b")
_TIMES = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"
    r"|\b\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?\b"
    r"|\b\d+(?:\.\d+)?\s?(?:ns|us|\u00b5s|ms|s|sec|seconds|minutes)\b"
)
_URL_VERSION = re.compile(r"(?P<start>https?://[\w.-]+/(?:[\w./-]*?/)?)v?\d+(?:\.\d+)*(?=/)")
_NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?(?![\w.])|\b(?:nan|inf)\b"
)
_SET = re.compile(r"(?P<open>(?:frozenset\()?)\{(?P<items>[^{}]*)\}(?P<close>\)?)")
_ITEM = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\([^()]*\)|[^,'"()]+""")


@dataclass(frozen=True, slots=True)
class Filter:
    """A project's own rule: what `pattern` matches reads as `replacement` on both sides."""

    pattern: str
    replacement: str = ""

    def apply(self, text: str) -> str:
        """Return the text with every match replaced. Raises re.error for a bad pattern."""
        return re.sub(self.pattern, self.replacement, text, flags=re.MULTILINE)


def strip_ansi(text: str) -> str:
    """Return the text without terminal escape sequences."""
    return _ANSI.sub("", text) if "\x1b" in text else text


def hide_addresses(text: str) -> str:
    """Return the text with one stand-in for every memory address."""
    if "0x" not in text:
        return text
    text = _IN_BRACKETS.sub(lambda match: _BARE_ADDRESS.sub("0x...", match[0]), text)
    return _ADDRESS.sub("0x...", text)


def hide_times(text: str) -> str:
    """Return the text with one stand-in for every date, clock time and duration."""
    return _TIMES.sub("<time>", text)


def hide_versions(text: str) -> str:
    """Return the text without the version in links to documentation, which follows the package's."""
    return _URL_VERSION.sub(r"\g<start><version>", text) if "://" in text else text


def collapse(text: str) -> str:
    """Return the text without spaces at line ends and without empty lines around it."""
    return "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))


def one_space(text: str) -> str:
    """Return the text with every run of blanks and line ends made one space."""
    return " ".join(text.split())


def sort_sets(text: str) -> str:
    """Return the text with the elements of every printed set in order."""
    return _SET.sub(_sorted, text) if "{" in text else text


def _sorted(match: re.Match[str]) -> str:
    items = [item.strip() for item in _ITEM.findall(match["items"])]
    items = [item for item in items if item]
    if ":" in match["items"] or len(items) < 2:
        # A dictionary keeps its order.
        return match[0]
    return f"{match['open']}{{{', '.join(sorted(items))}}}{match['close']}"


def round_like(want: str, got: str) -> str:
    """Return `got` with its decimal numbers written as exactly as those in `want` at the same place.

    A number that agrees with the shown digits becomes the shown one, so that 3.14159 passes for 3.14
    and 3.15 does not.
    """
    shown, real = list(_NUMBER.finditer(want)), list(_NUMBER.finditer(got))
    if len(shown) != len(real):
        return got
    pieces: list[str] = []
    end = 0
    for expected, actual in zip(shown, real, strict=True):
        pieces += [got[end : actual.start()], _agreed(expected[0], actual[0])]
        end = actual.end()
    return "".join([*pieces, got[end:]])


def _agreed(want: str, got: str) -> str:
    try:
        shown, real = float(want), float(got)
    except ValueError:
        return got
    if not (math.isfinite(shown) and math.isfinite(real)):
        return got
    mantissa, _, exponent = want.lower().partition("e")
    digits = mantissa.partition(".")[2]
    if digits in {"", "0"}:
        # So a whole number is written, and no other: 0.96 is not 1.0, whoever rounds.
        return want if abs(shown - real) <= max(abs(shown) * 1e-6, 1e-9) else got
    decimals = len(digits)
    unit = 10.0 ** (int(exponent or 0) - decimals)
    # Rounding and cutting are both common; the last digit decides nothing in binary.
    close = abs(shown - real) <= max(unit * 0.51, abs(shown) * 1e-12)
    cut = shown == real or (abs(real) >= abs(shown) and abs(real - shown) < unit * (1 - 1e-9))
    return want if close or (cut and decimals >= 2) else got


SIMPLE: dict[str, Callable[[str], str]] = {
    "ansi": strip_ansi,
    "address": hide_addresses,
    "version": hide_versions,
    "time": hide_times,
    "whitespace": collapse,
    "set": sort_sets,
}


def matches_ellipsis(want: str, got: str) -> bool:
    """Whether `got` fits `want`, in which `...` stands for anything, also across lines."""
    pieces = want.split("...")
    if len(pieces) == 1:
        return want == got
    start, end = 0, len(got)
    if not got.startswith(pieces[0]) or not got.endswith(pieces[-1]):
        return False
    start, end = len(pieces[0]), len(got) - len(pieces[-1])
    if start > end:
        return False
    for piece in pieces[1:-1]:
        start = got.find(piece, start, end)
        if start < 0:
            return False
        start += len(piece)
    return True


def apply_filters(text: str, filters: Iterable[Filter]) -> str:
    """Return the text after a project's own rules."""
    for rule in filters:
        text = rule.apply(text)
    return text
