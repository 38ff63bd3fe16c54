"""Whether packages that a pull request brings can be imported beside the others."""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from ....server import programs
from ....server.programs import OpenSandbox
from ....server.sandbox import Cell, Program
from .environment import Environments

_SECONDS = 120.0
_MOST = 60
_LONGEST = 300
# What a sandbox has not, and everybody's machine may have: no conflict of packages.
_LACKING = re.compile(
    r"shared object|DISPLAY|tkinter|display|No module named '_|GLIBC|lib\w+\.so|CUDA|OSError",
    re.IGNORECASE,
)
_GUEST = Path(__file__).parent / "guest" / "importing.py"


async def import_conflicts(
    both: Environments, open_base: OpenSandbox, open_head: OpenSandbox
) -> tuple[str, ...]:
    """In a sentence each, packages that head has anew and that cannot be imported. What base cannot import
    either says nothing of the change; what could not be found out is left out.
    """
    changed = [each.name for each in both.differences if each.after]
    others = [name for name in map(_name, both.head.packages) if name not in changed]
    found = await _look([*others, *changed][-_MOST:], open_head)
    failed = {name: what for name, what in found.items() if what[2] or not _LACKING.search(what[1])}
    if not failed:
        return ()
    known = await _look([n for n in map(_name, both.base.packages) if n in failed], open_base)
    versions = dict(pin.split("==", 1) for pin in both.head.packages)
    return tuple(
        _sentence(name, versions.get(name, ""), *failed[name])
        for name in failed
        if name not in known
    )


def _name(pin: str) -> str:
    return pin.split("==")[0]


def _sentence(package: str, version: str, module: str, error: str, works_alone: bool) -> str:
    beside = ", which it can be alone" if works_alone else ""
    plain = "".join(letter if letter.isprintable() else " " for letter in error)[:_LONGEST]
    return f"{package} {version} cannot be imported beside the others{beside}: import {module} raises {plain}"


async def _look(
    packages: Sequence[str], open_sandbox: OpenSandbox
) -> Mapping[str, tuple[str, str, bool]]:
    """Packages that cannot be imported: the module, the error, and whether it can be alone."""
    if not packages:
        return {}
    token = secrets.token_hex(16)
    say = f"print({token!r}, json.dumps(look({list(packages)!r})))"
    cells = (Cell(_GUEST.read_text(), "<importing>"), Cell(say, "<importing>"))
    program = Program("imports", cells, timeout=_SECONDS)
    async with programs.run([program], open_sandbox, lanes=1) as ended:
        async for ran in ended:
            if ran.result is None or ran.result.outcome != "completed":
                continue
            said, _, answer = ran.result.cells[1].stdout.text.partition(" ")
            if said == token:
                return {name: tuple(each) for name, each in json.loads(answer).items()}
    return {}
