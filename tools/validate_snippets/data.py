"""Parse the data formats that documentation shows: JSON and TOML, and YAML where a library is there."""

import importlib
import json
import re
import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

_TOML_PLACE = re.compile(r"\(at line (?P<line>\d+), column (?P<column>\d+)\)")
_LEFT_OUT = re.compile(r"\.\.\.|\u2026")


@dataclass(frozen=True, slots=True)
class DataError:
    """Why a document does not parse. Line and column count from 1 in the snippet.

    `placeholder` is true where it only shows `...` for what it leaves out: then nothing is wrong with it.
    """

    line: int
    column: int
    message: str
    placeholder: bool = False


def can_parse(language: str) -> bool:
    """Whether documents of this language can be parsed here; YAML has no parser in the standard library."""
    return language in {"json", "toml"} or (language == "yaml" and find_spec("yaml") is not None)


def error(language: str, code: str) -> DataError | None:
    """Return what is wrong with a document, None if it parses.

    Raises ValueError for a language that `can_parse` denies.
    """
    if not can_parse(language):
        raise ValueError(f"no parser for {language}")
    found = {"json": _json, "toml": _toml, "yaml": _yaml}[language](code)
    if found is not None and _LEFT_OUT.search(without_strings(code)):
        return DataError(found.line, found.column, found.message, placeholder=True)
    return found


def without_strings(code: str) -> str:
    """Return the text with its strings emptied."""
    return re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', code)


def _json(code: str) -> DataError | None:
    if not code.strip():
        return DataError(1, 1, "The document is empty.")
    decoder = json.JSONDecoder()
    index = 0
    try:
        # Documentation shows several documents in a row: JSON lines, requests and answers.
        while index < len(code):
            while index < len(code) and code[index].isspace():
                index += 1
            if index < len(code):
                _, index = decoder.raw_decode(code, index)
    except json.JSONDecodeError as problem:
        if _is_fragment(code):
            return None
        return DataError(problem.lineno, problem.colno, f"{problem.msg}.")
    except RecursionError:
        return DataError(1, 1, "It is nested too deeply to be read.")
    return None


def _is_fragment(code: str) -> bool:
    """Whether these are members of an object, shown without their braces."""
    try:
        json.loads("{" + code.strip().rstrip(",") + "}")
    except (ValueError, RecursionError):
        return False
    return True


def _toml(code: str) -> DataError | None:
    try:
        tomllib.loads(code)
    except tomllib.TOMLDecodeError as problem:
        place = _TOML_PLACE.search(str(problem))
        message = _TOML_PLACE.sub("", str(problem)).strip()
        if place is None:
            return DataError(max(1, code.count("\n")), 1, f"{message}.")
        return DataError(int(place["line"]), int(place["column"]), f"{message}.")
    except RecursionError:
        return DataError(1, 1, "It is nested too deeply to be read.")
    return None


def _yaml(code: str) -> DataError | None:
    yaml: Any = importlib.import_module("yaml")
    try:
        # Composing checks the syntax and builds no objects, whatever tags the document has.
        list(yaml.compose_all(code, Loader=yaml.SafeLoader))
    except yaml.YAMLError as problem:
        mark: Any = getattr(problem, "problem_mark", None)
        message = str(getattr(problem, "problem", None) or problem)
        if mark is None:
            return DataError(1, 1, f"{message}.")
        return DataError(int(mark.line) + 1, int(mark.column) + 1, f"{message}.")
    except RecursionError:
        return DataError(1, 1, "It is nested too deeply to be read.")
    return None
