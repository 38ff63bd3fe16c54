"""Tell what is not code at all from code with a mistake in it.

The difference decides between `skipped` and `failed`, so a block is called not code only on strong
evidence: a missing bracket must stay a syntax error.
"""

import ast
import json
import re
from textwrap import dedent

from .names import parse

_SHELL = re.compile(
    r"(?:\$ |pip3? |uv |python3? -m |python3? [\w./-]+\.py|npm |npx |git |curl |cd |export \w+=|conda |"
    r"brew |apt(?:-get)? |docker |poetry |pipx |make(?: |$)|sudo |mkdir |source )"
)
_WORD = re.compile(r"[A-Za-z][a-z'\u2019-]*[,.;:!?]?$")
_CODE_LINE = re.compile(
    r"\s*(?:(?:from|import|def|class|async|await|return|raise|assert|with|for|while|if|elif|else|try|"
    r"except|finally|lambda|pass|print)\b|@|#|[\w.\[\]'\"]+\s*(?:[-+*/|&^%@:]|//|\*\*|<<|>>)?=[^=]|"
    r"[\w.]+\()|.*[=(){}\[\]]"
)
_DIRECTIVE = re.compile(
    r"\s*#\s*(?:type:\s*ignore|(?:pyright|mypy|ruff|pylint|isort|flake8):|noqa\b|fmt:|pragma:)"
)
_TEMPLATE = re.compile(r"\{%.*?%\}|\{\{.*?\}\}")
_ANGLE = re.compile(r"<[A-Za-z][\w .-]*>")
_HEADER = re.compile(r"^(?:async def|def|class)\b.*$", re.MULTILINE)
_ERROR = re.compile(r"(?:[a-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Warning): \S")
_TABLE = re.compile(r"\s*(?:[\u2500-\u257f]|\+[-=+]+\+\s*$|\|.*\|\s*$)")


def not_code(code: str) -> str | None:
    """Return one sentence on why a Python block is not code to run, None if it is meant as code."""
    tree = parse(code)
    if tree is not None:
        return _nothing_to_run(code, tree)
    text = code.strip("\n")
    lines = [line for line in text.split("\n") if line.strip()]
    return (
        _other_language(text, lines)
        or _diff(text, lines)
        or _placeholder(text)
        or _fragment(text, lines)
        or _signature(text)
        or _prose(lines)
    )


def _nothing_to_run(code: str, tree: ast.Module) -> str | None:
    if not code.strip():
        return "The block is empty."
    if not tree.body and not _only_directives(code):
        return "The block holds only comments."
    if tree.body and all(_is_ellipsis(node) for node in tree.body):
        return "The block holds only the placeholder `...`."
    return None


def _only_directives(code: str) -> bool:
    """Whether every line is an instruction to a tool, which is code to it and does nothing when run."""
    return all(_DIRECTIVE.match(line) for line in code.split("\n") if line.strip())


def _is_ellipsis(node: ast.stmt) -> bool:
    constant = node.value if isinstance(node, ast.Expr) else None
    return isinstance(constant, ast.Constant) and constant.value is ...


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _other_language(text: str, lines: list[str]) -> str | None:
    if text.startswith("Traceback (most recent call last)") or _ERROR.match(text):
        return "This is a traceback, not code."
    if _SHELL.match(lines[0]) and all(_SHELL.match(x) or x[:1] in "# \t-" for x in lines):
        return "These are shell commands, not Python."
    if sum(1 for line in lines if _TABLE.match(line)) * 2 > len(lines):
        return "This is a table that a program printed, not code."
    if text[:1] in {"{", "["} and _is_json(text):
        return "This is JSON, not Python."
    if text.lstrip().startswith("<") and text.rstrip().endswith(">"):
        return "This is markup, not Python."
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _diff(text: str, lines: list[str]) -> str | None:
    said = "This is a diff, not code."
    if text.startswith(("diff --git", "--- ", "@@ ")):
        return said
    changed = [line for line in lines if line[0] in "+-"]
    if not changed or not all(line[0] in "+- @" for line in lines):
        return None
    after = "\n".join(line[1:] for line in lines if line[0] in "+ ")
    before = "\n".join(line[1:] for line in lines if line[0] in "- ")
    return said if _parses(dedent(after)) and _parses(dedent(before)) else None


def _placeholder(text: str) -> str | None:
    said = "It has placeholders where code belongs."
    if "\u2026" in text and _parses(text.replace("\u2026", "...")):
        return said
    if _ANGLE.search(text) and _parses(_ANGLE.sub("_", text)):
        return said
    if _TEMPLATE.search(text) and _parses(_TEMPLATE.sub("_", text)):
        return "This is a template that another program fills in."
    if "..." in text:
        # `f(a, ..., key=1, ...)` stands for arguments that are left out.
        for left_out in (r",\s*\.\.\.(?=\s*[,)])", r"\.\.\.\s*,", r"\(\s*\.\.\.\s*\)"):
            replacement = "()" if left_out.startswith(r"\(") else ""
            if _parses(re.sub(left_out, replacement, text)):
                return said
    return None


def _fragment(text: str, lines: list[str]) -> str | None:
    """Recognise code that is cut off where the reader knows how it goes on."""
    if lines[-1].lstrip().startswith("@") and _parses(f"{text}\ndef _(): ..."):
        return "These are decorators without what they decorate."
    if lines[-1].rstrip().endswith(":") and not _HEADER.match(lines[-1]) and _parses(f"{text} ..."):
        return "It ends where a body would begin."
    for line in lines:
        bare = line.strip()
        cut = bare.startswith("... ") or (bare.endswith("...") and not bare.endswith(": ..."))
        if cut and not _parses(bare) and len(lines) <= 3:
            return "It has placeholders where code belongs."
    return None


def _signature(text: str) -> str | None:
    headers = _HEADER.findall(text)
    body = [x for x in text.split("\n") if x.strip() and not x.startswith(("@", "#"))]
    if not headers or len(headers) != len(body):
        return None
    # Every line is a header: nothing was meant to follow it.
    closed = _HEADER.sub(lambda m: f"{m[0].rstrip().removesuffix(':')}: ...", text)
    return "This is a signature, not a definition." if _parses(closed) else None


def _prose(lines: list[str]) -> str | None:
    if any(_CODE_LINE.match(line) for line in lines):
        return None
    # `form x import Y` is four words, too.
    if not lines[0].strip()[0].isupper() and lines[-1].rstrip()[-1] not in ".:!?":
        return None
    sentences = 0
    for line in lines:
        words = line.strip().split()
        plain = sum(1 for word in words if _WORD.fullmatch(word))
        sentences += len(words) >= 4 and plain >= 0.75 * len(words)
    return "This is prose, not code." if sentences * 2 > len(lines) else None
