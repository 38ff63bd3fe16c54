"""Known failures: a file that lists them, so that only new ones count until they are mended.

An entry is a file and the hash of a snippet's text, so it stays good when lines move; a snippet that is
edited is another one.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ...server.sandbox import InvalidInput
from .report import Kind, SnippetReport, SnippetsReport

_HASH_CHARACTERS = 16
_MAX_BYTES = 16 * 1024**2


class Entry(BaseModel):
    """One known failure. `kind` and `line` are for readers; only `file` and `hash` are looked at."""

    model_config = ConfigDict(extra="forbid")

    file: str
    hash: str
    kind: Kind
    line: int


class Baseline(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    failures: list[Entry] = []


@dataclass(frozen=True, slots=True)
class Compared:
    """A run beside its baseline.

    `known` are the failures that it lists, by file and index. `stale` are complaints about entries that
    no longer fail, one sentence each.
    """

    known: frozenset[tuple[str, int]] = frozenset()
    stale: tuple[str, ...] = ()


def content_hash(snippet: str) -> str:
    """The name of a snippet by its text, in hexadecimal digits."""
    return hashlib.sha256(snippet.encode("utf-8", "replace")).hexdigest()[:_HASH_CHARACTERS]


def read(file: Path) -> Baseline:
    """Return what is known.

    Raises:
        InvalidInput: there is no such file, or it is none of ours.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise InvalidInput(f"The baseline {file} is too large to be one.")
        return Baseline.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise InvalidInput(
            f"There is no baseline {file}; --write-baseline makes one of the failures of a run."
        ) from None
    except (OSError, ValidationError) as error:
        why = str(error).splitlines()[0]
        raise InvalidInput(f"The baseline {file} cannot be read: {why}.") from error


def compare(
    baseline: Baseline, report: SnippetsReport, is_gone: Callable[[str], bool] = lambda file: False
) -> Compared:
    """Tell known failures from new ones, and what the baseline lists without need.

    `is_gone` tells of a file that was not looked at whether that is because it is not there any more. Nothing else
    is said of files that were not looked at, nor of snippets whose sandbox failed.
    """
    listed = Counter((entry.file, entry.hash) for entry in baseline.failures)
    known: set[tuple[str, int]] = set()
    looked_at: set[str] = set()
    for file in report.files:
        if file.verdict != "errored" or file.results:
            looked_at.add(file.file)
        for result in sorted(file.results, key=lambda result: result.snippet_index):
            key = (file.file, content_hash(result.snippet))
            if result.verdict in {"failed", "errored"} and listed[key]:
                listed[key] -= 1
                if result.verdict == "failed":
                    known.add((file.file, result.snippet_index))
    stale = tuple(
        f"{entry.file}: the known failure {entry.hash} ({entry.kind}, once at line {entry.line}) "
        "fails no longer: take it out of the baseline."
        for entry in _left(baseline.failures, listed)
        if entry.file in looked_at or is_gone(entry.file)
    )
    return Compared(frozenset(known), stale)


def _left(entries: Sequence[Entry], listed: Counter[tuple[str, str]]) -> list[Entry]:
    left = Counter(listed)
    found: list[Entry] = []
    for entry in reversed(entries):
        if left[entry.file, entry.hash]:
            left[entry.file, entry.hash] -= 1
            found.append(entry)
    return found[::-1]


def of(
    report: SnippetsReport, before: Baseline, is_gone: Callable[[str], bool] = lambda file: False
) -> Baseline:
    """Return a baseline of all failures of a run; of files that it did not look at, those from before.

    `is_gone` as for `compare`.
    """
    looked_at = {file.file for file in report.files}
    others = (entry for entry in before.failures if entry.file not in looked_at)
    entries = [entry for entry in others if not is_gone(entry.file)]
    entries += [
        _entry(file.file, result)
        for file in report.files
        for result in file.results
        if result.verdict == "failed"
    ]
    return Baseline(failures=sorted(entries, key=lambda entry: (entry.file, entry.line)))


def _entry(file: str, result: SnippetReport) -> Entry:
    return Entry(file=file, hash=content_hash(result.snippet), kind=result.kind, line=result.line)


def write(file: Path, baseline: Baseline) -> None:
    """Write the file, one entry a line, so that version control shows each by itself.

    Raises:
        InvalidInput: it cannot be written.
    """
    rows = ",\n".join(f"  {json.dumps(entry.model_dump())}" for entry in baseline.failures)
    try:
        file.write_text(f'{{"version": 1, "failures": [\n{rows}\n]}}\n', encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"The baseline {file} cannot be written: {error.strerror}.") from error
