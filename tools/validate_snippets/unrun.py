"""What is known of a snippet without running it."""

import fnmatch
import re
from collections.abc import Collection, Sequence

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ...server.sandbox import ProgramResult
from . import data
from .build import runnable
from .content import not_code
from .hints import hints
from .judged import Judged
from .magics import only_magics
from .probe import Facts
from .snippet import Snippet

_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_JSON_COMMENT = re.compile(r"^\s*#|//|/\*", re.MULTILINE)
_JS_COMMENTS = re.compile(r"(?:[\s;]|//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)*")
RUN = frozenset({"python", "pycon", "bash", "console", "yaml", "javascript"})


def is_judged(snippet: Snippet) -> bool:
    """Whether a snippet gets a verdict of its own, and is not only setup or output of others."""
    return snippet.kind not in {"setup", "cleanup", "output"}


def judge(snippet: Snippet, python: str, modules: Collection[str]) -> Judged | None:
    """Return the verdict on what need not or must not be run, None for what is to be run.

    `python` is the sandbox's version, `modules` those that can be imported there.
    """
    return (
        _of_author(snippet, python)
        or _of_needs(snippet, modules)
        or _of_language(snippet)
        or _of_bytes(snippet)
        or _of_data(snippet)
        or _of_content(snippet)
    )


def left_out(snippet: Snippet, facts: Facts) -> bool:
    """Whether its author leaves a snippet out where this is so, be it only setup of others."""
    if snippet.marks.skip_if in facts.true or _of_needs(snippet, facts.modules) is not None:
        return True
    return _of_author(snippet, facts.python) is not None


def named_by(
    patterns: Sequence[str], names: Collection[str], snippet: Snippet, id: str | None
) -> str:
    """Return the pattern that leaves this snippet out, "" if none does; `names` are all those of its file."""
    for pattern in patterns:
        file, _, line = pattern.rpartition(":")
        if id is not None and id == pattern:
            return pattern
        if any(fnmatch.fnmatch(name, pattern) for name in names):
            return pattern
        at = int(line) if line.isdigit() and file else 0
        there = snippet.opening_line <= at <= snippet.end_line
        if at and there and any(fnmatch.fnmatch(name, file) for name in names):
            return pattern
    return ""


def _of_author(snippet: Snippet, python: str) -> Judged | None:
    said = snippet.marks
    if said.skip is not None:
        return Judged("skipped_by_author", f"Its author skips it: {said.skip}")
    if said.fixtures:
        names = ", ".join(said.fixtures)
        return Judged("skipped_by_author", f"It needs the pytest fixtures {names} of its project.")
    if said.python and python:
        try:
            fits = SpecifierSet(said.python).contains(python, prereleases=True)
        except InvalidSpecifier:
            return None
        if not fits:
            return Judged(
                "skipped_by_author", f"It is for Python {said.python}, and this is {python}."
            )
    return None


def _of_needs(snippet: Snippet, modules: Collection[str]) -> Judged | None:
    missing = [name for name in snippet.marks.needs if name.partition(".")[0] not in modules]
    if not missing:
        return None
    return Judged("needs_dependency", f"Its author says that it needs {', '.join(missing)}.")


def _of_language(snippet: Snippet) -> Judged | None:
    if snippet.unresolved:
        reason = f"Its code is in {snippet.unresolved}, which cannot be read."
        return Judged("needs_file", reason)
    if snippet.kind == "other" or snippet.language not in RUN | {"json", "toml"}:
        if snippet.language == "console":
            return Judged("language", "It is a console session, and nothing in it has a prompt.")
        name = snippet.language or "no language"
        return Judged("language", f"The block says {name}, which is not run here.")
    return None


def _of_bytes(snippet: Snippet) -> Judged | None:
    # Bytes that are not UTF-8 came as lone surrogates, which can be sent nowhere.
    for number, row in enumerate(snippet.code.split("\n"), 1):
        if _NO_TEXT.search(row):
            reason = "It holds NUL or bytes that are not UTF-8, which no code may."
            return Judged("syntax", reason, line=snippet.position(number).line)
    return None


def _of_data(snippet: Snippet) -> Judged | None:
    if snippet.language not in {"json", "toml", "yaml"}:
        return None
    rows = [row.strip() for row in snippet.code.split("\n") if row.strip()]
    if all(row.startswith("#") for row in rows) and (not rows or snippet.language != "json"):
        said = "The block holds only comments." if rows else "The block is empty."
        return Judged("not_code", said)
    if snippet.language == "yaml":
        return None
    error = data.error(snippet.language, snippet.code)
    if error is None:
        return Judged("works")
    if error.placeholder:
        return Judged("not_code", "It leaves parts out, so it cannot be parsed.")
    if snippet.language == "json" and _JSON_COMMENT.search(data.without_strings(snippet.code)):
        return Judged("language", "It is JSON with comments, which is not checked here.")
    line = snippet.position(error.line).line
    return Judged("syntax", f"It is not valid {snippet.language}.", error.message, line)


def _of_content(snippet: Snippet) -> Judged | None:
    if snippet.kind == "doctest" and not snippet.source.strip():
        return Judged("not_code", "It has no example that runs.")
    if snippet.kind == "console" and not snippet.commands:
        return Judged("not_code", "It has no command.")
    if snippet.language == "bash" and not _shell_code(snippet.code):
        return Judged("not_code", "The block has no command.")
    if snippet.language == "javascript" and _JS_COMMENTS.fullmatch(snippet.code):
        return Judged("not_code", "The block holds only comments.")
    if snippet.language != "python" or snippet.kind != "code":
        return None
    if runnable(snippet.code) != snippet.code and only_magics(snippet.code):
        return Judged("language", "All of it are magics of IPython, which are not run here.")
    if reason := not_code(snippet.code):
        return Judged("not_code", reason)
    if any(
        hint.kind == "interactive" and hint.what == "breakpoint" for hint in hints(snippet.code)
    ):
        return Judged("interactive", "It stops in a debugger, and here is nobody to go on.")
    return None


def _shell_code(code: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in code.split("\n"))


def of_yaml(snippet: Snippet, result: ProgramResult) -> Judged:
    """Judge what became of parsing a YAML document in the sandbox."""
    if result.outcome == "completed":
        return Judged("works")
    error = result.cells[-1].error if result.cells else None
    if result.outcome == "timed_out":
        return Judged("timeout", result.reason)
    if error is None:
        return Judged("unsafe", result.reason)
    if error.name == "ModuleNotFoundError":
        return Judged("needs_dependency", "To check it, name pyyaml in packages.")
    match = re.search(r"line (\d+), column", error.value)
    line = snippet.position(int(match[1]) if match else 1).line
    return Judged("syntax", "It is not valid yaml.", error.value, line)
