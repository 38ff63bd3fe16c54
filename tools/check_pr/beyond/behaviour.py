"""What head's code tries that base's did not: other machines, files outside, processes, credentials."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from ...run_generated_tests.events import TestRun
from ...run_generated_tests.project import ROOT
from ..environment.environment import Behaviour

_HERE = Path(__file__).parent
_NAME = "watching"
_CHECKS = "checking"
_NUMBER = re.compile(r"\d+|[0-9a-f]{8,}|(?<=[-_.])\w{8}(?=[-_.]|$)")
_PYTHON = re.compile(r"(?:\S*/)?(?:python|pypy)[\d.]*$")
_SHELLS = {"sh", "bash", "dash", "zsh", "env"}

GUESTS: Mapping[str, Mapping[str, Any]] = {_NAME: {"root": ROOT}, _CHECKS: {}}
"""For a plan's `guests`: its tests are watched."""


@cache
def modules() -> Mapping[str, str]:
    """For the `modules` of the same plan."""
    watcher = _HERE.parent / "environment" / "guest" / "watcher.py"
    return {
        _NAME: (_HERE / "guest" / "watching.py").read_text(),
        _CHECKS: (_HERE / "guest" / "checking.py").read_text(),
        "watcher": watcher.read_text(),
    }


def behaviours_of(run: TestRun) -> tuple[Behaviour, ...]:
    """What the tests of a watched run tried, each once with the first test that did."""
    return tuple(
        Behaviour(record["kind"], record["what"], record["where"], record["when"])
        for record in run.guests.get(_NAME, ())
    )


def replaced_in(run: TestRun) -> set[str]:
    """What tests check with, by name, that was something else at the end of a watched run."""
    return {record["name"] for record in run.guests.get(_CHECKS, ())}


def fresh(base: Iterable[Behaviour], head: Iterable[Behaviour]) -> tuple[Behaviour, ...]:
    """What head tried and base did not, those of one kind together: `what` then counts the others.

    Building and testing are told apart: what tests of base do, its build may not begin to do unnoticed.
    """
    known = {_key(one) for one in base}
    groups: dict[tuple[object, ...], list[Behaviour]] = {}
    for one in head:
        if _key(one) not in known:
            groups.setdefault(_key(one), []).append(one)
    found = (_together(group) for group in groups.values())
    return tuple(sorted(found, key=lambda one: (one.when != "install", one.kind, one.what)))


def _together(group: list[Behaviour]) -> Behaviour:
    others = len({one.what for one in group}) - 1
    first = group[0]
    return replace(first, what=f"{first.what} (and {others} like it)") if others else first


def _key(one: Behaviour) -> tuple[object, ...]:
    """What two of them have in common that are one behaviour, whatever the numbers in them."""
    if one.kind == "process":
        what = " ".join(_program(one.what))
    elif one.kind == "write":
        what = _NUMBER.sub("#", "/".join(_place(one.what)))
    else:
        what = one.what
    return one.when == "install", one.kind, what


def _program(command: str) -> Iterator[str]:
    """What is started; of a shell the whole of it, since that can be anything."""
    words = command.split()
    name = words[0].rpartition("/")[2] if words else ""
    if _PYTHON.match(name):
        yield "python"
        # A script of one line is the tests' own business, a tool is not.
        yield from words[1:3] if words[1:2] == ["-m"] else ()
    else:
        yield name
        yield from words[1:] if name in _SHELLS else ()


def _place(path: str) -> list[str]:
    """A file; in a folder of caches the folder."""
    parts = path.split("/")
    return parts[:3] if parts[0] == "~" and len(parts) > 3 else parts
