"""`proofbox doctor`: which backend and why, whether it holds, and what limits are in force."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast

from ...tools._app import App
from ..sandbox import Limits, ProofboxError, Sandbox
from ..settings import BackendName, Settings
from .probes import LIMITS, PROBES, Probe

_PAGE_BYTES = 1 << 16  # the largest that Linux has

Outcome = Literal["refused", "got out", "errored"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one attempt to break out. Only `refused` is good."""

    attempt: str
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the doctor found. `problem` is set where no sandbox could be examined."""

    backend: BackendName
    why: str
    python: str = ""
    findings: tuple[Finding, ...] = ()
    configured: Mapping[str, int] = field(default_factory=dict[str, int])
    seen: Mapping[str, int | None] = field(default_factory=dict[str, "int | None"])
    held_by: Mapping[str, str] = field(default_factory=dict[str, str])
    problem: str = ""

    @property
    def exit_code(self) -> int:
        if any(finding.outcome == "got out" for finding in self.findings) or self.loose:
            return 1
        proven = self.findings and all(one.outcome == "refused" for one in self.findings)
        return 0 if proven and not self.problem else 3

    @property
    def loose(self) -> tuple[str, ...]:
        """Limits that code sees none of, or a looser one than is configured. Elsewhere they are not ours."""
        if self.backend != "local":
            return ()
        # None where there is no limit; the size of a file system is rounded up to pages.
        return tuple(
            name
            for name, seen in self.seen.items()
            if seen is None or seen > self.configured[name] + _PAGE_BYTES
        )

    def as_json(self) -> str:
        return json.dumps({"ok": self.exit_code == 0, **asdict(self)}, indent=2)

    def as_text(self) -> str:
        lines = [f"backend: {self.backend}, because {self.why}"]
        if self.python:
            lines.append(f"python in a sandbox: {self.python}")
        if self.findings:
            lines.append("\nfrom inside a sandbox, an attempt to ...")
            lines.extend(
                f"  {one.outcome.upper() if one.outcome != 'refused' else 'refused':<8} "
                f"{one.attempt}  ({one.detail})"
                for one in self.findings
            )
        if self.configured:
            lines.append(f"\n{'limits of a sandbox':<20} {'set':>15} {'seen by code':>15}  held by")
            lines.extend(
                f"  {name:<18} {value:>15,} {self._seen(name):>15}  {self.held_by.get(name, '-')}"
                for name, value in self.configured.items()
            )
        if self.problem:
            lines.append(f"\nproblem: {self.problem}")
        return "\n".join(lines)

    def _seen(self, name: str) -> str:
        if name not in self.seen:
            return "-"
        value = self.seen[name]
        words = "none" if value is None else f"{value:,}"
        return f"{words} (!)" if name in self.loose else words


async def examine(
    settings: Settings, open_app: Callable[[], AbstractAsyncContextManager[App]]
) -> Findings:
    """Start a sandbox and try to break out of it. What goes wrong is in the findings."""
    backend, why = settings.chosen_backend, _why(settings)
    probes = tuple(probe for probe in PROBES if backend == "local" or not probe.in_jail)
    try:
        # What must not be seen has to be there before the backend starts anything.
        with _bait() as given:
            async with open_app() as app, app.sessions.lease("local", purpose="doctor") as lease:
                findings = [await _attempt(lease.sandbox, probe, given) for probe in probes]
                seen = await _limits(lease.sandbox)
                held_by = dict(app.sessions.limits_held())
                python = lease.sandbox.python
    except (ProofboxError, OSError) as error:
        return Findings(backend, why, configured=_configured(settings), problem=str(error))
    problem = "" if seen else "The limits that code sees could not be read."
    return Findings(
        backend, why, python, tuple(findings), _configured(settings), seen, held_by, problem
    )


def _why(settings: Settings) -> str:
    if settings.backend != "auto":
        return "the settings say so"
    return "a key for E2B is set" if settings.e2b_api_key else "no key for E2B is set"


def _configured(settings: Settings) -> dict[str, int]:
    return asdict(settings.limits)


@contextmanager
def _bait() -> Generator[dict[str, object]]:
    """Put a secret into this machine's files, environment, processes and sockets."""
    token = secrets.token_hex(16)
    with ExitStack() as stack:
        folders = (str(Path.home()), tempfile.gettempdir())
        files = [
            stack.enter_context(_file(folder, token))
            for folder in folders
            if os.access(folder, os.W_OK)
        ]
        stack.enter_context(_variable(token))
        stack.enter_context(_process(token))
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        if sys.platform == "linux":
            abstract.bind("\0proofbox-" + token)
            abstract.listen()
        port: int = listener.getsockname()[1]
        yield {"token": token, "files": files, "port": port, "abstract": "proofbox-" + token}


@contextmanager
def _file(folder: str, token: str) -> Generator[str]:
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".proofbox-doctor-") as file:
        file.write(token)
        file.flush()
        yield file.name


@contextmanager
def _variable(token: str) -> Generator[None]:
    os.environ["DOCTOR_SECRET"] = token
    try:
        yield
    finally:
        del os.environ["DOCTOR_SECRET"]


@contextmanager
def _process(token: str) -> Generator[None]:
    waiting = [sys.executable, "-c", "import sys; sys.stdin.read()", token]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE):
        # Leaving the block closes its stdin, which ends it.
        yield


async def _attempt(sandbox: Sandbox, probe: Probe, given: Mapping[str, object]) -> Finding:
    execution = await sandbox.run_code(probe.source(given), timeout=20)
    answer = _answer(execution.stdout.text)
    token = str(given["token"])
    if answer.get("ran") != token[::-1]:
        detail = execution.reason or "the probe gave no answer"
        return Finding(probe.name, "errored", detail)
    if answer["got"] is not None:
        return Finding(probe.name, "got out", str(answer["got"]))
    return Finding(probe.name, "refused", str(answer["why"]))


async def _limits(sandbox: Sandbox) -> dict[str, int | None]:
    answer = _answer((await sandbox.run_code(LIMITS, timeout=20)).stdout.text)
    known = {limit.name for limit in fields(Limits)}
    return {name: value for name, value in answer.items() if name in known}


def _answer(text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {}
    return cast(dict[str, Any], answer) if isinstance(answer, dict) else {}
