"""Figures for Prometheus, in its text format: a dozen lines of counters need no library with threads and a
registry of its own. No label holds what a caller chose.
"""

import bisect
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from .audit import Call

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 600.0)

Labels = Mapping[str, str]


class Metrics:
    """What is counted as it happens."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._started = time.time()
        self._calls: Counter[tuple[str, str]] = Counter()
        self._statuses: Counter[int] = Counter()
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(_BUCKETS) + 1))
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def count_call(self, call: Call) -> None:
        """A call has ended."""
        self._calls[call.tool, call.verdict] += 1
        self._buckets[call.tool][bisect.bisect_left(_BUCKETS, call.seconds)] += 1
        self._seconds[call.tool] += call.seconds

    def count_status(self, status: int) -> None:
        """A request was answered."""
        self._statuses[status] += 1

    def text(self, gauges: Mapping[str, float], counters: Mapping[str, float]) -> str:
        """The page, with figures that others know besides."""
        lines = [
            *_family("build_info", "gauge", {(("version", version("proofbox")),): 1}),
            *_family("start_time_seconds", "gauge", {(): self._started}),
            *_family("resident_memory_bytes", "gauge", {(): _resident_bytes()}),
            *_family("calls_in_flight", "gauge", {(): self.in_flight}),
            *_family(
                "calls_total",
                "counter",
                {(("tool", tool), ("verdict", end)): n for (tool, end), n in self._calls.items()},
            ),
            *_family(
                "http_responses_total",
                "counter",
                {(("status", str(status)),): n for status, n in self._statuses.items()},
            ),
            *self._histogram(),
        ]
        for kind, values in (("gauge", gauges), ("counter", counters)):
            for name, value in values.items():
                lines += _family(name, kind, {(): value})
        return "\n".join(lines) + "\n"

    def _histogram(self) -> Iterator[str]:
        yield "# TYPE proofbox_call_seconds histogram"
        for tool, counts in sorted(self._buckets.items()):
            total = 0
            for bound, count in zip((*map(str, _BUCKETS), "+Inf"), counts, strict=True):
                total += count
                yield f'proofbox_call_seconds_bucket{{tool="{tool}",le="{bound}"}} {total}'
            yield f'proofbox_call_seconds_sum{{tool="{tool}"}} {self._seconds[tool]:.6f}'
            yield f'proofbox_call_seconds_count{{tool="{tool}"}} {total}'


def _family(
    name: str, kind: str, values: Mapping[tuple[tuple[str, str], ...], float]
) -> Iterator[str]:
    yield f"# TYPE proofbox_{name} {kind}"
    for labels, value in sorted(values.items()):
        shown = ",".join(f'{label}="{text}"' for label, text in labels)
        yield (
            f"proofbox_{name}{{{shown}}} {value:.10g}" if shown else f"proofbox_{name} {value:.10g}"
        )


def _resident_bytes() -> int:
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
