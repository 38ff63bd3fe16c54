"""A `benchmark` fixture that tells the CPU time of batches of calls, whether pytest-benchmark is there or not."""

from __future__ import annotations

import gc
import math
import os
import resource
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from .counting import count

Say = Callable[..., None]

_SHORTEST = 0.002
_LONGEST_BATCH = 0.1
_MOST_SECONDS = 10.0
_MOST_COUNTED = 0.5
_MOST_LOOPS = 1_000_000
_FEWEST = 5
_MOST_BATCHES = 100
_ELSEWHERE = ("pytest_benchmark", "pytest_codspeed")

# Code under test may replace these in their modules.
_clock = time.monotonic
_usage = resource.getrusage


def _cpu() -> float:
    """CPU seconds of this process; `time.process_time` only moves with the kernel's tick where a limit on CPU time
    is set, as it is in a sandbox.
    """
    used = _usage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def plugin(options: dict[str, Any], say: Say) -> Timing:
    """The plugin. Options: `loops` by test, calibrated where a test has none; `batch_seconds` of the CPU;
    `seconds` that a benchmark is timed; `count` whether events are counted; `core` which of the machine's
    cores to keep to.
    """
    return Timing(options, say)


class Timing:
    """Gives the fixture, also in the place of that of the plugins that have one of this name."""

    def __init__(self, options: dict[str, Any], say: Say) -> None:
        self._options = options
        self._say = say
        self._made: dict[str, Benchmark] = {}
        _keep_to(options["core"])

    def pytest_configure(self, config: pytest.Config) -> None:
        """The mark of the plugin that may be absent."""
        config.addinivalue_line("markers", "benchmark: options of a benchmark")

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """What measures nothing need not run."""
        others = [item for item in items if "benchmark" not in getattr(item, "fixturenames", ())]
        if others:
            items[:] = [item for item in items if item not in others]
            config.hook.pytest_deselected(items=others)

    @pytest.fixture
    def benchmark(self, request: pytest.FixtureRequest) -> Benchmark:
        """Calls a function many times."""
        return self._of(request.node)

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Benchmark | None:
        """Whatever plugin's fixture has been chosen for a test, it gets ours."""
        made_by = getattr(fixturedef.func, "__module__", "") or ""
        if fixturedef.argname != "benchmark" or not made_by.startswith(_ELSEWHERE):
            return None
        found = self._of(request.node)
        fixturedef.cached_result = (found, None, None)
        return found

    def _of(self, node: Any) -> Benchmark:
        name = node.nodeid
        if name not in self._made:
            self._made[name] = Benchmark(node, Measure(name, self._options, self._say))
        return self._made[name]


class Benchmark:
    """What pytest-benchmark's fixture is to a test; `stats` are of CPU time, in seconds a call."""

    def __init__(self, node: Any, measure: Measure) -> None:
        self.name = node.name
        self.fullname = node.nodeid
        self.group: str | None = None
        callspec = getattr(node, "callspec", None)
        self.params = dict(callspec.params) if callspec is not None else None
        self.param = callspec.id if callspec is not None else None
        self.extra_info: dict[str, Any] = {}
        self.enabled = True
        self.disabled = False
        self.skipped = False
        self.stats: Any = None
        self._measure = measure
        self._used = False

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Measure calls with these arguments; gives what the last one returned."""
        return self._run(lambda: (args, kwargs), function, fixed=(args, kwargs))

    def pedantic(
        self,
        target: Callable[..., Any],
        args: Any = (),
        kwargs: Any = None,
        setup: Callable[[], Any] | None = None,
        teardown: Callable[..., Any] | None = None,
        rounds: int = 1,
        warmup_rounds: int = 0,
        iterations: int = 1,
    ) -> Any:
        """The same with something done before or after each call, which is not measured."""
        given = tuple(args), dict(kwargs or {})

        def prepare() -> Any:
            return (setup() if setup is not None else None) or given

        if setup is None and teardown is None:
            return self._run(prepare, target, fixed=given)
        return self._run(prepare, target, teardown=teardown)

    def _run(
        self,
        prepare: Callable[[], Any],
        function: Callable[..., Any],
        *,
        fixed: Any = None,
        teardown: Callable[..., Any] | None = None,
    ) -> Any:
        if self._used:
            raise RuntimeError("The benchmark fixture can be used once in a test.")
        self._used = True
        calls = _Together(function, *fixed) if fixed else _OneByOne(function, prepare, teardown)
        seconds = self._measure.measure(calls)
        self.stats = _statistics(seconds)
        return calls.result

    def weave(self, *_: Any, **__: Any) -> None:
        """Not to be had."""
        raise NotImplementedError("proofbox measures calls that a test hands to benchmark itself.")

    patch = weave


class _Together:
    """Calls with the same arguments, timed as one."""

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self._function, self._args, self._kwargs = function, args, kwargs
        self.result: Any = None

    def once(self) -> None:
        self.result = self._function(*self._args, **self._kwargs)

    def time(self, loops: int) -> float:
        """CPU seconds of so many calls."""
        function, args, kwargs = self._function, self._args, self._kwargs
        result = None
        began = _cpu()
        for _ in range(loops):
            result = function(*args, **kwargs)
        seconds = _cpu() - began
        self.result = result
        return seconds


class _OneByOne:
    """Calls each of which needs something done before or after it."""

    def __init__(
        self,
        function: Callable[..., Any],
        prepare: Callable[[], Any],
        teardown: Callable[..., Any] | None,
    ) -> None:
        self._function, self._prepare, self._teardown = function, prepare, teardown
        self.result: Any = None

    def once(self) -> None:
        self.time(1)

    def time(self, loops: int) -> float:
        """CPU seconds of so many calls."""
        seconds = 0.0
        for _ in range(loops):
            args, kwargs = self._prepare()
            began = _cpu()
            self.result = self._function(*args, **kwargs)
            seconds += _cpu() - began
            if self._teardown is not None:
                self._teardown(*args, **kwargs)
        return seconds


class Measure:
    """Times batches for one test, and says what came out."""

    def __init__(self, name: str, options: dict[str, Any], say: Say) -> None:
        self._name = name
        self._options = options
        self._say = say

    def measure(self, calls: Any) -> list[float]:
        """CPU seconds a call, batch by batch."""
        calls.once()  # what is done only once, caches and imports, is not measured
        first = calls.time(1)
        events = self._events(calls, first)
        collecting = gc.isenabled()
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            loops = self._options["loops"].get(self._name) or self._calibrated(calls)
            batches, waited = self._batches(calls, loops)
        finally:
            gc.unfreeze()
            if collecting:
                gc.enable()
        fields = {"loops": loops, "batches": batches, "waited": waited, "events": events}
        self._say("guest", of="timing", id=self._name, **fields)
        return [seconds for _, seconds in batches]

    def _events(self, calls: Any, first: float) -> int | None:
        if not self._options["count"] or first > _MOST_COUNTED:
            return None
        return count(calls.once)

    def _calibrated(self, calls: Any) -> int:
        """So many calls that the clock's own steps do not matter."""
        loops = 1
        while True:
            began = _clock()
            seconds = calls.time(loops)
            if seconds >= _SHORTEST:
                wanted = loops * self._options["batch_seconds"] / seconds
                return max(1, min(_MOST_LOOPS, math.ceil(wanted)))
            if _clock() - began > _LONGEST_BATCH or loops >= _MOST_LOOPS:
                return loops
            loops *= 4

    def _batches(self, calls: Any, loops: int) -> tuple[list[tuple[float, float]], float]:
        """The middle of each batch by a clock that both sides share, and its CPU seconds a call; then the share
        of the time that was spent waiting for something.
        """
        found: list[tuple[float, float]] = []
        began, idle = _clock(), 0.0
        while _clock() - began < self._options["seconds"] or len(found) < _FEWEST:
            before, switches = _clock(), _given_up()
            seconds = calls.time(loops)
            after = _clock()
            if _given_up() - switches >= loops:
                idle += max(0.0, after - before - seconds)
            found.append(((before + after) / 2.0, seconds / loops))
            gc.collect()
            if len(found) >= _MOST_BATCHES or _clock() - began > _MOST_SECONDS:
                break
        return found, idle / max(_clock() - began, 1e-9)


def _keep_to(core: int) -> None:
    """Both sides run on one core in turns: what the others do to it, and how fast it is, hits both alike."""
    try:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})
    except (AttributeError, OSError):
        return  # not on Linux, or not allowed


def _given_up() -> int:
    """How often this process waited for something, rather than being made to."""
    return _usage(resource.RUSAGE_SELF).ru_nvcsw


def _statistics(seconds: list[float]) -> Any:
    values: dict[str, Any] = {
        "min": min(seconds),
        "max": max(seconds),
        "mean": statistics.fmean(seconds),
        "median": statistics.median(seconds),
        "stddev": statistics.pstdev(seconds),
        "rounds": len(seconds),
        "iterations": 1,
    }
    return _Stats(stats=SimpleNamespace(**values), **values)


class _Stats(SimpleNamespace):
    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)
