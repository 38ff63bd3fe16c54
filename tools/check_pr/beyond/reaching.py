"""Which changed statements tests run: how a run is told to look, and what it found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ...run_generated_tests.events import Record
from ...run_generated_tests.project import ROOT

NAME = "reaching"
_GUEST = Path(__file__).parent / "guest" / f"{NAME}.py"

Lines = Mapping[str, Sequence[int]]
"""First lines of statements by path."""


def guests(lines: Mapping[str, Iterable[int]]) -> dict[str, Mapping[str, Any]]:
    """For a plan's `guests`: these statements are looked at."""
    wanted = {f"{ROOT}/{path}": sorted(numbers) for path, numbers in lines.items()}
    return {NAME: {"early": True, "lines": wanted}}


@cache
def modules() -> Mapping[str, str]:
    """For the `modules` of the same plan."""
    return {NAME: _GUEST.read_text()}


@dataclass(slots=True)
class Reached:
    """Statements that were run, by path, and the same of every test that ran any of them; `unmarked` are modules
    of which that is not known; `problem` says why nothing is.
    """

    lines: dict[str, set[int]] = field(default_factory=dict[str, "set[int]"])
    tests: dict[str, Lines] = field(default_factory=dict[str, Lines])
    unmarked: set[str] = field(default_factory=set[str])
    problem: str = ""

    def add(self, records: Iterable[Record]) -> None:
        """What a run told."""
        for record in records:
            lines = {_path(path): numbers for path, numbers in record["lines"].items()}
            for path, numbers in lines.items():
                self.lines.setdefault(path, set()).update(numbers)
            self.tests |= {record["test"]: lines} if record["test"] else {}
            self.unmarked |= {_path(path) for path in record.get("unmarked", ())}


def _path(path: str) -> str:
    return path.removeprefix(f"{ROOT}/")
