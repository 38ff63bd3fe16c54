"""A project is built in a sandbox without a network, by a process that is watched."""

import base64
import binascii
import json
import re
import secrets
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast, get_args

from ....server import programs
from ....server.programs import OpenSandbox
from ....server.sandbox import Cell, Program, ProgramResult
from ...run_generated_tests import guest as shared_guest
from ...run_generated_tests.project import ROOT
from ..words import BehaviourKind
from .build_system import BuildSystem
from .environment import Behaviour

SECONDS = 300.0

_SHARED = Path(shared_guest.__file__).parent
_OWN = Path(__file__).parent / "guest"
_MARGIN_SECONDS = 60.0
_START_SECONDS = 60.0
_PART = 640_000  # base64 of it fits what is kept of a cell's output
_MOST_PARTS = 64
_OUT = "proofbox-built"
_LONGEST = 1500
_MOST_BEHAVIOURS = 200
# Cells that follow the driver's: nothing of the project runs in their process.
_SEND = f"""
import base64, os, stat, sys, tempfile

def find():
    folder = os.path.join(os.environ.get("TMPDIR") or "/tmp", {_OUT!r})
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".whl"))
    except OSError:
        return None
    paths = [os.path.join(folder, name) for name in names]
    whole = [path for path in paths if stat.S_ISREG(os.lstat(path).st_mode)]
    return whole[0] if whole else None

def send(number):
    path = find()
    if path is not None:
        with open(path, "rb") as file:
            file.seek(number * {_PART})
            sys.stdout.write(base64.b64encode(file.read({_PART})).decode())

path = find()
sys.stdout.write("" if path is None else os.path.basename(path))
"""
_LACKING = re.compile(
    r"(unable to execute|command not found|No such file or directory): '?(\w*-?g?cc|g\+\+|c\+\+|clang|cargo|rustc|"
    r"cmake|ninja|make|meson|pkg-config|gfortran|swig|git|go)\b|error: command '?\S*(gcc|g\+\+|cc|clang)\S*' failed: "
    r"No such|fatal error: [\w/.+-]+\.h(pp)?: No such file|(Rust|cargo|CMake|Fortran|compiler)\b.{0,60}not (found|"
    r"installed|available)|No space left on device|MemoryError|Cannot allocate memory|Killed signal terminated",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Built:
    """What a build came to.

    Attributes:
        wheel: the file; empty if there is none. `name` is its name.
        needs: what the backend wants installed before it builds; then it has not built.
        problem: why there is no wheel, for people; `fault`: `project` or `ours`.
        lacking: it failed for want of a compiler, a header, memory, a disk or time.
        behaviours: what it tried to do.
    """

    wheel: bytes = b""
    name: str = ""
    needs: tuple[str, ...] = ()
    problem: str = ""
    fault: Literal["", "project", "ours"] = ""
    lacking: bool = False
    behaviours: tuple[Behaviour, ...] = ()


async def build(
    files: Mapping[str, bytes],
    system: BuildSystem,
    open_sandbox: OpenSandbox,
    *,
    env: Mapping[str, str],
    last: bool,
    seconds: float = SECONDS,
) -> Built:
    """Build a wheel of a project. `last`: whatever more the backend wants, it is to build. Raises nothing for
    what a build does.
    """
    token = secrets.token_hex(16)
    program = _program(files, _config(system, token, env, last=last, seconds=seconds), seconds)
    async with programs.run([program], open_sandbox, lanes=1) as ended:
        async for ran in ended:
            if ran.result is None:
                return Built(problem=ran.error, fault="ours")
            return _read(ran.result, token)
    raise AssertionError


def _program(files: Mapping[str, bytes], config: Mapping[str, Any], seconds: float) -> Program:
    driver = (_SHARED / "driver.py").read_text()
    cells = [
        Cell(f"{driver}\n\nmain(json.loads({json.dumps(config)!r}))\n", "<driver>"),
        Cell(_SEND, "<send>"),
        *(Cell(f"send({number})", "<send>") for number in range(_MOST_PARTS)),
    ]
    laid = {f"project/{path}": content for path, content in files.items()}
    return Program("build", tuple(cells), files=laid, timeout=seconds + _MARGIN_SECONDS)


def _config(
    system: BuildSystem, token: str, env: Mapping[str, str], *, last: bool, seconds: float
) -> dict[str, Any]:
    child = {
        "key": secrets.token_hex(32),
        "modules": _modules(),
        "root": ROOT,
        "out": _OUT,
        "backend": system.backend,
        "backend_path": system.path,
        "last": last,
    }
    return {
        "token": token,
        "boot": (_SHARED / "boot.py").read_text(),
        "child": child,
        "cwd": ROOT,
        "env": {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PIP_NO_INDEX": "1", **env},
        "seconds": seconds,
        "still_seconds": seconds,
        "start_seconds": _START_SECONDS,
        "watched": [],
    }


@cache
def _modules() -> Mapping[str, str]:
    """What the process of the build is made of, by the names that it has in the sandbox."""
    return {
        "proofbox_guest": "",
        "proofbox_guest.channel": (_SHARED / "channel.py").read_text(),
        "proofbox_guest.session": (_OWN / "session.py").read_text(),
        "proofbox_guest.watcher": (_OWN / "watcher.py").read_text(),
    }


def _read(result: ProgramResult, token: str) -> Built:
    answer = _answer(result, token)
    if answer is None:
        said = result.cells[0].stderr.text.strip()[-500:] if result.cells else ""
        why = f"{result.reason} {said}".strip() or "it was ended from inside"
        lacking = result.outcome in ("out_of_memory", "timed_out")
        # An exception is the driver's own: no code of the project is in its process.
        fault = "ours" if result.outcome == "raised" else "project"
        return Built(problem=f"The build gave no answer: {why}", fault=fault, lacking=lacking)
    if answer["how"] == "not_started":
        said = str(answer.get("stderr", ""))[-500:]
        return Built(problem=f"The build could not be started: {said}", fault="ours")
    records: list[dict[str, Any]] = answer["records"]
    behaviours = tuple(_behaviours(records))
    needs = [record for record in records if record["t"] == "needs"]
    if needs:
        wanted = tuple(map(str, needs[-1]["requires"]))
        return Built(needs=wanted, behaviours=behaviours)
    name, wheel = _wheel(result)
    if wheel and answer["how"] == "ended" and not answer["broken"]:
        return Built(wheel=wheel, name=name, behaviours=behaviours)
    problem = _problem(answer, records)
    text = "\n".join([problem, answer["stderr"], answer["stdout"]])
    lacking = answer["how"] == "timed_out" or _LACKING.search(text) is not None
    return Built(problem=problem, fault="project", lacking=lacking, behaviours=behaviours)


def _answer(result: ProgramResult, token: str) -> dict[str, Any] | None:
    """What the driver says; None where it could not speak to its end."""
    if not result.cells or result.cells[0].outcome != "completed":
        return None
    stdout = result.cells[0].stdout
    said, _, packed = stdout.text.strip().partition(" ")
    if said != token or stdout.omitted:
        return None
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def _behaviours(records: Sequence[Mapping[str, Any]]) -> list[Behaviour]:
    kinds = get_args(BehaviourKind)
    found = [
        Behaviour(
            cast("BehaviourKind", record["kind"]),
            str(record.get("what", ""))[:300],
            str(record.get("where", ""))[:300],
            "install",
        )
        for record in records
        if record["t"] == "behaviour" and record.get("kind") in kinds
    ]
    return list(dict.fromkeys(found))[:_MOST_BEHAVIOURS]


def _wheel(result: ProgramResult) -> tuple[str, bytes]:
    """The file that the last cells have sent."""
    if len(result.cells) < 2 + _MOST_PARTS or result.outcome != "completed":
        return "", b""
    name = result.cells[1].stdout.text.strip()
    if not re.fullmatch(r"[\w.+!-]+\.whl", name):
        return "", b""
    parts: list[bytes] = []
    for cell in result.cells[2:]:
        if cell.stdout.omitted:
            return "", b""
        try:
            parts.append(base64.b64decode(cell.stdout.text, validate=True))
        except binascii.Error:
            return "", b""
        if len(parts[-1]) < _PART:
            break
    return name, b"".join(parts)


def _problem(answer: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> str:
    failed = [record for record in records if record["t"] == "failed"]
    if answer["how"] == "timed_out":
        return "The build did not end in time."
    if failed:
        error, lines = str(failed[-1]["error"]), [str(line) for line in failed[-1]["lines"]]
        output = _last(f"{answer['stdout']}\n{answer['stderr']}") if "SystemExit" in error else ""
        place = next((line.strip() for line in reversed(lines) if ROOT in line), "")
        parts = (error, place.replace(f"{ROOT}/", ""), output)
        return _plain(f"The build failed: {'; '.join(filter(None, parts))}")
    status = answer["status"]
    how = f"with signal {-status}" if status < 0 else f"with status {status}"
    said = _last(f"{answer['stdout']}\n{answer['stderr']}")
    ended = any(record["t"] == "built" for record in records)
    why = "said that it was done" if ended else f"ended its process {how}"
    return _plain(f"The build {why} and left no wheel. {said}".strip())


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-4:])


def _plain(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]} ..."
