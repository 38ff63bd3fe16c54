"""Run collected tests in forks of a process that has collected and never run any.

What a fork does to its memory ends with it, so every run begins as the first one did. A test that has been run is
never run again in the same process: many cannot be.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from . import failures

Before = Callable[[], None]
Message = dict[str, Any]


@dataclass(frozen=True)
class Pace:
    """How long a test may take: CPU seconds, and seconds of the clock for one that waits."""

    cpu: float
    wall: float

    @classmethod
    def after(cls, cpu: float, wall: float) -> Pace:
        """What a test may take that has taken so much before."""
        return cls(cpu * 5 + 0.5, wall * 10 + 5)

    def times(self, patience: float) -> Pace:
        """So many times as long."""
        return Pace(self.cpu * patience, self.wall * patience)


@dataclass
class Outcome:
    """What became of one test: passed, check, crash, skipped or timeout; `detail` is its exception.

    `check` means that the test noticed, `crash` that the source under test broke before it could.
    `touched` counts the values that a swapped function changed while it ran.
    """

    status: str = "passed"
    detail: str = ""
    cpu: float = 0.0
    wall: float = 0.0
    touched: int = 0


@dataclass
class Forked:
    """What became of a fork: `done`, `timeout` or `died`; then `running` is the test it was in."""

    ended: str = "died"
    running: str = ""
    reason: str = ""
    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    said: Message = field(default_factory=dict[str, Any])
    cpu: float = 0.0

    @property
    def failed(self) -> str:
        """The first test that did not pass; empty where there is none."""
        bad = (name for name, one in self.outcomes.items() if one.status in {"check", "crash"})
        return next(bad, "")


class Forks:
    """Runs items of one session, each time in a new fork."""

    def __init__(
        self, session: pytest.Session, sources: frozenset[str], on_word: Callable[[], None]
    ) -> None:
        self._session = session
        self._sources = sources
        self._on_word = on_word
        self.on_fixture: Callable[[str], None] | None = None
        self._now: Outcome | None = None
        self._current = ""
        self._write: Callable[[Message], None] = lambda message: None
        self.cpu = 0.0

    def run(
        self,
        items: Sequence[pytest.Item],
        paces: Callable[[str], Pace],
        *,
        before: Before = lambda: None,
        around: Callable[[pytest.Item], None] = lambda item: None,
        after: Callable[[], Message] = dict,
        touched: Callable[[], int] = lambda: 0,
        stop_early: bool = False,
    ) -> Forked:
        """Run items in a fork in which `before` was called first.

        `around` is called before each of them, `after` when all have ended: what it returns is `said`.
        """
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a test module may have started threads
            pid = os.fork()
        if not pid:
            os.close(reader)
            self._child(items, writer, paces, before, around, after, touched, stop_early)
        os.close(writer)
        forked = _listen(pid, reader, paces, self._on_word)
        os.close(reader)
        self.cpu += forked.cpu
        return forked

    def _child(
        self,
        items: Sequence[pytest.Item],
        writer: int,
        paces: Callable[[str], Pace],
        before: Before,
        around: Callable[[pytest.Item], None],
        after: Callable[[], Message],
        touched: Callable[[], int],
        stop_early: bool,
    ) -> None:
        """Never returns."""
        try:
            os.setsid()
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            _be_quiet()
            self._unplug()
            ourselves = os.getpid()
            self._write = lambda message: (
                _send(writer, message) if os.getpid() == ourselves else None
            )
            before()
            for number, item in enumerate(items):
                following = items[number + 1] if number + 1 < len(items) else None
                self._write({"t": "begin", "test": item.nodeid})
                around(item)
                outcome = self._run_one(item, following, paces(item.nodeid), touched)
                self._write({"t": "end", "test": item.nodeid, **outcome.__dict__})
                if stop_early and outcome.status in {"check", "crash"}:
                    break
            self._write({"t": "done", "said": after()})
        except BaseException as error:  # noqa: BLE001 - nothing may leave a fork
            self._write({"t": "error", "reason": f"{type(error).__name__}: {error}"[:500]})
        finally:
            os._exit(0)

    def _unplug(self) -> None:
        """Nobody reads what these would say here."""
        manager = self._session.config.pluginmanager
        for plugin in list(manager.get_plugins()):
            if type(plugin).__name__ in {"Recorder", "TerminalReporter"}:
                manager.unregister(plugin)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        """Tells `on_fixture` of fixtures that more than one test may use."""
        if self.on_fixture is None or fixturedef.scope == "function":
            return (yield)  # pyright: ignore[reportUnknownVariableType] - what hooks return is Any
        self.on_fixture(f"fixture {fixturedef.argname}")
        try:
            return (yield)  # pyright: ignore[reportUnknownVariableType]
        finally:
            self.on_fixture(self._current)

    def _run_one(
        self,
        item: pytest.Item,
        following: pytest.Item | None,
        pace: Pace,
        touched: Callable[[], int],
    ) -> Outcome:
        self._now = outcome = Outcome()
        self._current = item.nodeid
        cpu, wall, before = time.process_time(), time.monotonic(), touched()
        signal.setitimer(signal.ITIMER_PROF, pace.cpu)
        ourselves = os.getpid()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if os.getpid() != ourselves:
            os._exit(1)  # a child of the test raised: it must not go on as we do
        signal.setitimer(signal.ITIMER_PROF, 0)
        outcome.cpu = time.process_time() - cpu
        outcome.wall = time.monotonic() - wall
        outcome.touched = touched() - before
        return outcome

    @pytest.hookimpl
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> pytest.TestReport | None:
        """A report without a traceback: nobody reads it, and it costs more than most tests."""
        if self._now is None or call.excinfo is None or call.when == "collect":
            return None
        if isinstance(call.excinfo.value, (pytest.skip.Exception, pytest.xfail.Exception)):
            return None
        if self._now.status == "passed":
            self._now.detail = failures.describe(call.excinfo)
            self._now.status = failures.classify(call.excinfo, self._sources)
        return pytest.TestReport(
            item.nodeid,
            item.location,
            {},
            "failed",
            self._now.detail,
            call.when,
            duration=call.duration,
        )

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """The outcome after every plugin had its say: an expected failure is none."""
        now = self._now
        if now is None:
            return
        if report.outcome == "failed":
            if now.status in {"passed", "skipped"}:
                now.status = "check"
                now.detail = str(report.longrepr)[:300]
        elif report.outcome == "skipped":
            now.status = "skipped"


def _be_quiet() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.close(null)


def _send(writer: int, message: Message) -> None:
    data = (json.dumps(message) + "\n").encode()
    while data:
        data = data[os.write(writer, data) :]


def _listen(
    pid: int, reader: int, paces: Callable[[str], Pace], on_word: Callable[[], None]
) -> Forked:
    """Take down what a fork says until it ends, or takes too long over one test."""
    forked = Forked()
    rest = b""
    deadline = time.monotonic() + 60
    while True:
        ready, _, _ = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            forked.ended, forked.reason = "timeout", "it waited too long"
            break
        data = os.read(reader, 1 << 16)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        try:
            for line in lines:
                message: Message = json.loads(line)
                if message["t"] == "begin":
                    deadline = time.monotonic() + paces(message["test"]).wall
                    on_word()
                _take(forked, message)
        except (ValueError, KeyError, TypeError):
            forked.ended, forked.reason = "died", "something else wrote where its outcome belongs"
            break
        if forked.ended == "done":
            break
    _kill(pid)
    _, status, usage = os.wait4(pid, 0)
    forked.cpu = usage.ru_utime + usage.ru_stime
    _account(forked, status)
    return forked


def _take(forked: Forked, message: Message) -> None:
    kind = message.pop("t")
    if kind == "begin":
        forked.running = message["test"]
    elif kind == "end":
        test = message.pop("test")
        forked.outcomes[test] = Outcome(**message)
        forked.running = ""
    elif kind == "done":
        forked.ended, forked.said = "done", message["said"]
    elif kind == "error":
        forked.reason = message["reason"]


def _account(forked: Forked, status: int) -> None:
    if forked.ended == "died" and os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        forked.reason = forked.reason or f"signal {signal.Signals(number).name}"
        if number == signal.SIGPROF:
            forked.ended, forked.reason = "timeout", "it used too much CPU time"
    if forked.ended == "died" and not forked.reason:
        forked.reason = f"it ended its own process with status {os.waitstatus_to_exitcode(status)}"


def _kill(pid: int) -> None:
    """The fork, and what it started in its own process group."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
