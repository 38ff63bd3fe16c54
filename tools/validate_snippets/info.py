"""Info strings: what stands behind a fence, in every form that documentation tools made of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

PYTHON = frozenset({"python", "py", "python3", "py3", "ipython", "ipython3", "pyodide", "cpython"})
PYCON = frozenset({"pycon", "pycon3", "python-console", "python-repl", "pyrepl", "doctest"})
SHELL = frozenset({"bash", "sh", "shell", "zsh", "ksh"})
CONSOLE = frozenset(
    {"console", "shell-session", "shellsession", "sh-session", "bash-session", "terminal"}
)
JAVASCRIPT = frozenset({"javascript", "js", "node", "mjs"})
OUTPUT = frozenset(
    {"output", "out", "stdout", "code-output", "execute_result", "pytb", "py3tb", "traceback"}
)
DATA = frozenset({"json", "yaml", "toml"})

_NAMES: dict[str, str] = {
    **dict.fromkeys(PYTHON, "python"),
    **dict.fromkeys(PYCON, "pycon"),
    **dict.fromkeys(SHELL, "bash"),
    **dict.fromkeys(CONSOLE, "console"),
    **dict.fromkeys(JAVASCRIPT, "javascript"),
    **dict.fromkeys(OUTPUT, "output"),
    "yml": "yaml",
    "plain": "text",
    "plaintext": "text",
    "txt": "text",
    "none": "text",
}

KNOWN = frozenset(_NAMES.values()) | DATA
"""The languages that something is done with."""

_LANGUAGE = re.compile(r"[A-Za-z0-9_+#-][\w+#.-]*(?![\w=])")
_DIRECTIVE = re.compile(r"\{([A-Za-z][\w:+.-]*)\}\s*(.*)")
_BRACED_LANGUAGE = re.compile(r"\{\s*(?P<dot>\.?)(?P<name>[A-Za-z][\w+#-]*)(?![\w=])")
_TOKEN = re.compile(
    r"""(?P<key>[A-Za-z_][\w.:-]*)\s*=\s*
        (?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|\{(?P<braced>[^}]*)\}|(?P<bare>[^\s{},\]]+))
      | (?P<word>[^\s{},]+)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Info:
    """An info string. `language` is normalised, "" for none; `directive` is MyST's `{name}`.

    `words` are the parts without a value, classes without their dot; `argument` is what follows the
    directive's name.
    """

    raw: str = ""
    language: str = ""
    directive: str = ""
    argument: str = ""
    words: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])


def language_name(name: str) -> str:
    """Return our name for a language, or the author's in lower case."""
    name = name.lower()
    if name in _NAMES:
        return _NAMES[name]
    if re.fullmatch(r"(?:python|py)3?\.\d+", name):
        return "python"
    return name


def parse(raw: str) -> Info:
    """Read an info string; anything unknown becomes a word, nothing is refused."""
    raw = raw.strip()
    if not raw:
        return Info()
    if match := _DIRECTIVE.fullmatch(raw):
        return _directive(raw, match[1], match[2].strip())
    rest, language = raw, ""
    if match := _BRACED_LANGUAGE.match(raw):
        if match["dot"] or language_name(match["name"]) in KNOWN:
            language, rest = match["name"], raw[match.end() :]
    elif match := _LANGUAGE.match(raw):
        language, rest = match[0], raw[match.end() :]
        rest = rest[1:] if rest[:1] in {":", ","} else rest
    words, attributes = _tokens(rest)
    return Info(raw, language_name(language), "", "", words, attributes)


def _directive(raw: str, name: str, argument: str) -> Info:
    words, attributes = _tokens(argument)
    lowered = name.lower()
    if lowered in {"code", "code-block", "sourcecode", "code-cell", "prompt", "parsed-literal"}:
        default = "python" if lowered == "code-cell" else ""
        language = language_name(words[0]) if words else default
        return Info(raw, language, lowered, argument, words[1:], attributes)
    if lowered in PYTHON or lowered in SHELL or lowered in JAVASCRIPT:
        # Quarto and R Markdown: `{python}`.
        return Info(raw, language_name(lowered), "", argument, words, attributes)
    return Info(raw, "", lowered, argument, words, attributes)


def _tokens(text: str) -> tuple[tuple[str, ...], dict[str, str]]:
    words: list[str] = []
    attributes: dict[str, str] = {}
    for match in _TOKEN.finditer(text):
        if key := match["key"]:
            values = (match["double"], match["single"], match["braced"], match["bare"])
            attributes[key] = next(value for value in values if value is not None)
        else:
            words.append(match["word"].lstrip("."))
    return tuple(word for word in words if word), attributes
