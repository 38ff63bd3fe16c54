"""Run tests of a project in fresh processes, each in a sandbox program of its own."""

import base64
import json
import posixpath
import random
import secrets
import zlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ...server import programs
from ...server.programs import OpenSandbox
from ...server.sandbox import Cell, Program, ProgramResult
from .compiling import Compiled
from .events import Probe, ProbeKind, TestRun
from .project import ROOT, Project
from .scripts import commands
from .story import read

Order = Literal["natural", "reversed", "shuffled"]

LANES = 2
_BIN = f"{posixpath.dirname(ROOT)}/bin"
_GUEST = Path(__file__).parent / "guest"
_PACKAGE = "proofbox_guest"
_UNSENT = {"driver", "boot"}
_MARGIN_SECONDS = 20.0
# From the start of Python until pytest is imported; a busy machine takes ten.
_START_SECONDS = 45.0
_PROBES = 12
_WATCHED = 100
# They reorder, repeat or distribute tests, measure what we measure, or write where we read.
_BLOCKED = ("cacheprovider", "rerunfailures", "xdist", "randomly", "random_order", "cov", "_cov",
            "flaky", "html", "json-report", "reportlog", "timeout")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """One run in a process of its own.

    Attributes:
        ids: the tests to run, in this order; None for all. `but`: those that are not, as `file::function`,
            whatever their parameters.
        order: of all tests; `seed` is for `shuffled`.
        hash_seed, timezone: what is different from run to run without any right to matter.
        count_assertions: count assert statements that hold; costs a little for each.
        guests: modules of `guest` that plug in, with their options (JSON-able).
        modules: more guest modules, their sources by name; `guests` may name them too.
        seconds: for the whole run; `test_seconds`: for one phase of one test.
        probes: whether tests of our own must fail among them. Not where tests fail by intention.
        compiled: test files that need not be compiled once more.
    """

    ids: tuple[str, ...] | None = None
    but: frozenset[str] = frozenset()
    order: Order = "natural"
    seed: int = 0
    hash_seed: int = 0
    timezone: str = "UTC"
    count_assertions: bool = False
    guests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    modules: Mapping[str, str] = field(default_factory=dict[str, str])
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    seconds: float = 300.0
    test_seconds: float = 30.0
    probes: bool = True
    compiled: Compiled = field(default_factory=Compiled)


@dataclass(frozen=True, slots=True)
class Ran:
    """A plan and what it came to."""

    index: int
    plan: Plan
    run: TestRun


async def run_each(
    project: Project,
    plans: Sequence[Plan],
    open_sandbox: OpenSandbox,
    *,
    lanes: int = LANES,
    sandboxes: int = 1,
) -> AsyncGenerator[Ran]:
    """Carry out plans, each as it is done; `Ran.index` says which it is.

    What went wrong with a run is in it; nothing is raised for it.
    """
    async for ran in _each([(project, plan) for plan in plans], open_sandbox, lanes, sandboxes):
        yield ran


async def _each(
    wanted: Sequence[tuple[Project, Plan]],
    open_sandbox: OpenSandbox,
    lanes: int,
    sandboxes: int = 1,
) -> AsyncGenerator[Ran]:
    prepared = [_Prepared(*each, str(index)) for index, each in enumerate(wanted)]
    async with programs.run(
        (each.program for each in prepared), open_sandbox, lanes=lanes, sandboxes=sandboxes
    ) as ended:
        async for ran in ended:
            index = int(ran.program.id)
            yield Ran(index, wanted[index][1], prepared[index].read(ran.result, ran.error))


async def run_all(
    project: Project,
    plans: Sequence[Plan],
    open_sandbox: OpenSandbox,
    on_done: Callable[[Ran], None] = lambda ran: None,
    *,
    sandboxes: int = 1,
) -> list[TestRun]:
    """Carry out plans; the runs in the plans' order. `sandboxes` are the most to use, where it takes long."""
    runs: dict[int, TestRun] = {}
    async for ran in run_each(project, plans, open_sandbox, sandboxes=sandboxes):
        runs[ran.index] = ran.run
        on_done(ran)
    lost = [index for index, run in sorted(runs.items()) if run.lost]
    if lost and sandboxes > 1:
        # There may have been no room for more than one.
        again = await run_all(project, [plans[index] for index in lost], open_sandbox)
        runs |= zip(lost, again, strict=True)
    return [runs[index] for index in range(len(plans))]


async def run_mixed(
    wanted: Sequence[tuple[Project, Plan]], open_sandbox: OpenSandbox, *, lanes: int = LANES
) -> list[TestRun]:
    """Carry out plans, each for a project of its own; the runs in their order."""
    runs: dict[int, TestRun] = {}
    async for ran in _each(wanted, open_sandbox, lanes):
        runs[ran.index] = ran.run
    return [runs[index] for index in range(len(wanted))]


class _Prepared:
    """The program of a plan, and what is needed to read its answer."""

    def __init__(self, project: Project, plan: Plan, name: str) -> None:
        self._token = secrets.token_hex(16)
        self._probes = _probes() if plan.probes else ()
        self.program = self._program(project, plan, name)

    def _program(self, project: Project, plan: Plan, name: str) -> Program:
        config = json.dumps(self._config(project, plan))
        source = (_GUEST / "driver.py").read_text()
        cell = Cell(f"{source}\n\nmain(json.loads({config!r}))\n", "<driver>")
        files = {f"project/{path}": content for path, content in project.files.items()}
        return Program(name, (cell,), files=files, timeout=plan.seconds + _MARGIN_SECONDS)

    def _config(self, project: Project, plan: Plan) -> dict[str, Any]:
        path = [f"{ROOT}/{root}".rstrip("/") for root in project.roots]
        child = {
            "key": secrets.token_hex(32),
            "modules": {
                **_guest_modules(),
                **{f"{_PACKAGE}.{name}": source for name, source in plan.modules.items()},
            },
            "root": ROOT,
            "path": path,
            "arguments": arguments(project, plan),
            "ids": plan.ids,
            "but": sorted(plan.but),
            "order": plan.order,
            "seed": plan.seed,
            "probes": [asdict(probe) for probe in self._probes],
            "guests": _guests(project, plan),
            "watched": [f"{ROOT}/{path}" for path in _most_watched(project)],
        }
        return {
            "token": self._token,
            "boot": (_GUEST / "boot.py").read_text(),
            "child": child,
            "cwd": ROOT,
            "bin": _BIN,
            "commands": commands(project.files, path),
            "env": {
                "PYTHONHASHSEED": str(plan.hash_seed),
                "TZ": plan.timezone,
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "",
                **plan.env,
            },
            "seconds": plan.seconds,
            "start_seconds": _START_SECONDS,
            "still_seconds": plan.test_seconds,
            "watched": [f"{ROOT}/{path}" for path in project.files],
        }

    def read(self, result: ProgramResult | None, error: str) -> TestRun:
        if result is None:
            return TestRun(complete=False, problems=(error,), lost=True)
        answer = self._answer(result)
        if answer is None:
            # The driver's own exception is no doing of the tests; that it was killed may be.
            ours = result.outcome == "raised"
            return TestRun(complete=False, problems=(_no_answer(result),), lost=ours)
        if answer["how"] == "not_started":
            return TestRun(complete=False, problems=(_not_started(answer),), lost=True)
        return read(answer, self._probes)

    def _answer(self, result: ProgramResult) -> dict[str, Any] | None:
        if result.outcome != "completed" or not result.cells:
            return None
        stdout = result.cells[0].stdout
        token, _, packed = stdout.text.strip().partition(" ")
        if token != self._token or stdout.omitted:
            return None
        return json.loads(zlib.decompress(base64.b64decode(packed)))


def _guests(project: Project, plan: Plan) -> Mapping[str, Mapping[str, Any]]:
    known = plan.compiled.options(project, _files(project, plan))
    # Rewritten otherwise where every assertion is counted.
    return (
        {**plan.guests, "compiled": known} if known and not plan.count_assertions else plan.guests
    )


def _files(project: Project, plan: Plan) -> tuple[str, ...]:
    if plan.ids is None:
        return project.tests
    named = {name.partition("::")[0] for name in plan.ids}
    return tuple(path for path in project.tests if path in named) or project.tests


def arguments(project: Project, plan: Plan) -> list[str]:
    """What pytest is started with."""
    blocked = [word for name in _BLOCKED for word in ("-p", f"no:{name}")]
    config = ["-c", project.config] if project.config else ["-c", "/dev/null"]
    counting = str(plan.count_assertions).lower()
    return [
        *config,
        f"--rootdir={ROOT}",
        *blocked,
        *(
            "-o",
            "addopts=",
            "-o",
            "required_plugins=",
            "-o",
            f"enable_assertion_pass_hook={counting}",
        ),
        *("--tb=native", "--color=no", "-q", "--maxfail=0", "--continue-on-collection-errors"),
        *project.arguments,
        *_files(project, plan),
    ]


def _most_watched(project: Project) -> list[str]:
    """Files that a test may not change, for a look after every test; all are looked at after the last."""
    return [*project.tests, *(module.path for module in project.sources)][:_WATCHED]


def _not_started(answer: Mapping[str, Any]) -> str:
    said = " ".join(answer["stderr"].split())[-500:] or "it did not begin"
    return (
        f"Python could not be started in the sandbox for the tests, so none was run: {said}. Its users must be "
        "able to execute the interpreter and to read its library."
    )


def _no_answer(result: ProgramResult) -> str:
    said = result.cells[0].stderr.text.strip()[-500:] if result.cells else ""
    reason = result.reason or "its output was cut"
    return f"The process that watches the tests gave no answer: {reason} {said}".strip()


def _probes() -> tuple[Probe, ...]:
    draw = random.SystemRandom()
    kinds: list[ProbeKind] = ["failing", "passing", "raising"]
    more: list[ProbeKind] = ["failing"] * (_PROBES - len(kinds))
    return tuple(
        Probe(
            name=f"test_{secrets.token_hex(draw.randint(3, 6))}",
            kind=kind,
            place=draw.random(),
            side=draw.randint(0, 1),
            number=draw.randint(2, 10_000),
        )
        for kind in kinds + more
    )


@cache
def _guest_modules() -> Mapping[str, str]:
    """The guest package by the names that its modules have in the sandbox."""
    found: dict[str, str] = {}
    for path in _GUEST.rglob("*.py"):
        parts = path.relative_to(_GUEST).with_suffix("").parts
        if parts[-1] not in _UNSENT:
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join([_PACKAGE, *parts])] = path.read_text()
    return found
