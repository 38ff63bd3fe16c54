"""Test files compiled once for all the processes that will run them, in a sandbox where nothing of the project runs."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ...server import programs
from ...server.programs import OpenSandbox
from ...server.sandbox import Cell, Program, ProgramResult
from .project import ROOT, Project

_GUEST = Path(__file__).parent / "guest" / "compiled.py"
_SECONDS = 60.0
_LEAST_BYTES = 100_000
"""What compiles sooner than a process begins is compiled where it is run."""
_MOST_BYTES = 3_000_000
_FOLDER = "texts"
# Packages run what they like at the start of every Python that looks for them; here they are only found.
_BEGIN = """
import json, os, site, sys
prefixes = [os.path.dirname(os.path.dirname(sys.executable)), sys.prefix]
sys.path += [path for path in site.getsitepackages(prefixes) if path not in sys.path]
{source}
def tell(number, path):
    with open({folder!r} + "/" + number, "rb") as file:
        sys.stdout.write(json.dumps(compiled(path, file.read())))
sys.stdout.write(json.dumps(maker()))
"""


@dataclass(frozen=True, slots=True)
class Compiled:
    """Code by path and digest of the text, each with who made it."""

    codes: Mapping[tuple[str, str], tuple[str, str]] = field(
        default_factory=dict[tuple[str, str], tuple[str, str]]
    )

    def __or__(self, other: "Compiled") -> "Compiled":
        return Compiled({**self.codes, **other.codes})

    def options(self, project: Project, paths: Iterable[str]) -> dict[str, Any]:
        """For the guest: those of the files that are here; empty if none is."""
        files: dict[str, tuple[str, str, str]] = {}
        for path in paths if self.codes else ():
            digest = _digest(project.files[path])
            if (path, digest) in self.codes:
                by, code = self.codes[path, digest]
                files[f"{ROOT}/{path}"] = (by, digest, code)
        return {"files": files} if files else {}


async def compile_tests(texts: Mapping[str, bytes], open_sandbox: OpenSandbox) -> Compiled:
    """Compile test files, given by their paths. Those that cannot be, and all if they are small, are missing in the
    result; nothing is raised for it.
    """
    wanted = {path: text for path, text in texts.items() if path.endswith(".py")}
    if not _LEAST_BYTES <= sum(map(len, wanted.values())) <= _MOST_BYTES:
        return Compiled()
    async with programs.run([_program(wanted)], open_sandbox, lanes=1) as ended:
        async for ran in ended:
            return _read(wanted, ran.result)
    return Compiled()


def _program(texts: Mapping[str, bytes]) -> Program:
    paths = list(texts)
    cells = [
        Cell(_BEGIN.format(source=_source(), folder=_FOLDER), "<compiling>"),
        *(
            Cell(f"tell('{at}', {f'{ROOT}/{path}'!r})", "<compiling>")
            for at, path in enumerate(paths)
        ),
    ]
    files = {f"{_FOLDER}/{at}": texts[path] for at, path in enumerate(paths)}
    return Program("compile", tuple(cells), files=files, timeout=_SECONDS)


@cache
def _source() -> str:
    return _GUEST.read_text().replace("from __future__ import annotations\n", "")


def _read(texts: Mapping[str, bytes], result: ProgramResult | None) -> Compiled:
    if result is None or result.outcome != "completed":
        return Compiled()
    said = [json.loads(one.stdout.text) if not one.stdout.omitted else "" for one in result.cells]
    by, *codes = said
    return Compiled(
        {
            (path, _digest(text)): (by, code)
            for (path, text), code in zip(texts.items(), codes, strict=True)
            if code
        }
    )


def _digest(text: bytes) -> str:
    return hashlib.blake2b(text).hexdigest()
