"""Many clients on one HTTP service: every answer right, nothing left over, memory flat; and the latencies.

    uv run benchmarks/http_load.py [--seconds 180] [--clients 64] [--json]

Starts `proofbox serve --http` on the local backend with bearer tokens for several principals, and MCP clients of both
eras of the protocol in processes of their own. They run code in sessions, plot, validate documents, judge true and false
tests, start and end jobs, compare recorded models and have a pull request checked; some vanish in the middle of a
call, some cancel one. Beyond a limit they come back when the answer says.

Exit 1, and what it was on stderr, when

- an answer is neither right nor an honest "not now", or has anything of another client in it;
- the service logs an error, or loses a line of its audit log;
- after the clients have left and sessions have expired, there is a call, a session, a job, a connection, a
  process, a control group, a mount, a temporary file or a descriptor more than before them; or anything after its end;
- memory grows: the slope by least squares over the last two thirds of the samples, less two standard errors, is above
  the bounds below, where they span a minute at least.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from http_load_watch import Left, Sample, Service, served

from proofbox.tools.benchmark_model.task import Task
from proofbox.tools.benchmark_model.tasks import load_tasks

# Megabytes a minute, of the service's own process and of it with everything below it.
_MOST_GROWTH = {"server": 4.0, "tree": 40.0}
_SAMPLE_SECONDS = 3.0
_LEAST_SECONDS = 60.0
_IDLE_SECONDS = 20.0
# Sessions expire, and are looked for every 15 seconds.
_SETTLE_SECONDS = _IDLE_SECONDS + 60.0
_QUIET_LOOKS = 15
_HELD = ("calls_in_flight", "sessions", "jobs_running", "connections")
_FLAGS = ("--idle-seconds", f"{_IDLE_SECONDS:.0f}", "--principal-calls", "6")

Numbers = defaultdict[str, list[float]]


@dataclass
class Result:
    """What came of it. `times` in milliseconds by tool; `growth` in megabytes a minute, with its error."""

    times: Numbers = field(default_factory=lambda: defaultdict(list[float]))
    refused: dict[str, int] = field(default_factory=dict[str, int])
    counts: dict[str, int] = field(default_factory=dict[str, int])
    broken: list[str] = field(default_factory=list[str])
    growth: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    megabytes: dict[str, tuple[float, float]] = field(
        default_factory=dict[str, tuple[float, float]]
    )

    def add(self, seen: dict[str, Any]) -> None:
        """Take in what the clients of one process have seen."""
        self.broken += seen["wrong"]
        for tool, times in seen["times"].items():
            self.times[tool] += times
        for tool, count in seen["refused"].items():
            self.refused[tool] = self.refused.get(tool, 0) + count
        for name in ("vanished", "cancelled", "lost"):
            self.counts[name] = self.counts.get(name, 0) + seen[name]


@dataclass(frozen=True)
class Plan:
    """How much of it. `rounds`: actions of each client, where that is not 0."""

    clients: int
    processes: int
    principals: int
    seconds: float
    rounds: int
    pause: float
    review: bool


def make_root(folder: Path) -> Path:
    """What the service may read: recorded answers of two models, and a repository with a pull request."""
    root = folder / "root"
    project = root / "project"
    project.mkdir(parents=True)
    task: Task = next(iter(load_tasks("builtin").values()))
    for name, text in (("right", task.reference), ("wrong", f"def {task.entry_point}(x): ...")):
        row = {"task_id": task.id, "text": text, "kind": "solution"}
        (root / f"{name}.jsonl").write_text(json.dumps(row))
    (project / "test_shop.py").write_text(
        "from shop import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n"
    )
    git = ["git", "-C", project, "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    for branch, prices in (("main", "prices"), ("change", "prices[1:]")):
        (project / "shop.py").write_text(f"def total(prices):\n    return sum({prices})\n")
        subprocess.run([*git, "checkout", "-q", "-B", branch], check=True)
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-q", "-m", branch], check=True)
    return root


def be_clients(
    service: Service, plan: Plan, numbers: Sequence[int], *, touch: bool = False
) -> dict[str, Any]:
    """One process of clients; what they have seen."""
    settings = {
        "url": service.url,
        "tokens": [service.tokens[f"p{n}"] for n in range(plan.principals)],
        "clients": list(numbers),
        "seconds": plan.seconds,
        "rounds": plan.rounds,
        "pause": plan.pause,
        "review": plan.review,
        "touch": touch,
    }
    script = Path(__file__).with_name("http_load_clients.py")
    done = subprocess.run(
        [sys.executable, script],
        input=json.dumps(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    return json.loads(done.stdout)


def be_all(service: Service, plan: Plan) -> tuple[list[dict[str, Any]], list[Sample]]:
    """All clients at once; what they have seen, and the memory meanwhile."""
    samples: list[Sample] = []
    with ThreadPoolExecutor(plan.processes) as pool:
        running = [
            pool.submit(be_clients, service, plan, range(first, plan.clients, plan.processes))
            for first in range(plan.processes)
        ]
        while not all(one.done() for one in running):
            samples.append(service.sample())
            time.sleep(_SAMPLE_SECONDS)
        return [one.result() for one in running], samples


def at_rest(service: Service, plan: Plan) -> Left:
    """What there is when everybody has left and sessions have expired. Each principal was there once more before, so
    that what is kept for the next time is the same.
    """
    deadline = time.monotonic() + _SETTLE_SECONDS
    while any(service.figures()[name] for name in _HELD) and time.monotonic() < deadline:
        time.sleep(0.5)
    be_clients(service, plan, range(plan.principals), touch=True)
    left = service.left()
    for _ in range(_QUIET_LOOKS):
        time.sleep(1)
        # Jails that are kept get ready for the next session, and those that are not end.
        now = service.left()
        left = min(left, now, key=lambda one: (one.processes, one.descriptors.total()))
    return left


def what_is_left(service: Service, after: Left, before: Left) -> list[str]:
    """What is there that was not before the clients came."""
    figures = service.figures()
    held = [f"{figures[name]:.0f} of {name}" for name in _HELD if figures[name]]
    return [f"left behind: {one}" for one in (*held, *after.beyond(before))]


def slope(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Of a line by least squares, and its standard error."""
    xs, ys = zip(*points, strict=True)
    gradient, offset = statistics.linear_regression(xs, ys)
    middle = statistics.fmean(xs)
    left = sum((y - offset - gradient * x) ** 2 for x, y in points) / max(1, len(xs) - 2)
    return gradient, (left / sum((x - middle) ** 2 for x in xs)) ** 0.5


def judge_memory(samples: Sequence[Sample], result: Result) -> None:
    """Whether it is flat, where it was looked at for long enough to say."""
    last = samples[len(samples) // 3 :]
    if last[-1].seconds - last[0].seconds < _LEAST_SECONDS:
        return
    for name, most in _MOST_GROWTH.items():
        points = [(one.seconds / 60, getattr(one, name) / 1024**2) for one in last]
        growth, error = slope(points)
        result.growth[name] = (growth, error)
        result.megabytes[name] = (points[0][1], points[-1][1])
        if growth - 2 * error > most:
            result.broken.append(
                f"memory of the {name} grows by {growth:.1f} (±{2 * error:.1f}) MB a minute: at most {most}"
            )


def load(plan: Plan) -> Result:
    """All of it."""
    result = Result()
    with tempfile.TemporaryDirectory(prefix="http_load-") as temporary:
        folder = Path(temporary)
        sessions = 2 * plan.clients // plan.principals + 2
        room = (
            "--max-sessions",
            f"{sessions * plan.principals}",
            "--principal-sessions",
            f"{sessions}",
        )
        roots = ("--roots", str(make_root(folder)))
        with served(folder, plan.principals, *_FLAGS, *room, *roots) as service:
            service.await_ready()
            before = at_rest(service, plan)
            seen, samples = be_all(service, plan)
            for one in seen:
                result.add(one)
            judge_memory(samples, result)
            result.broken += what_is_left(service, at_rest(service, plan), before)
            if lost := service.figures()["audit_lines_lost_total"]:
                result.broken.append(f"{lost:.0f} lines of the audit log are lost")
            result.broken += [f"left after the end: {one}" for one in service.stop()]
            if "ERROR" in service.log or "Traceback" in service.log:
                result.broken.append(f"errors in the log:\n{service.log}")
    return result


def percentile(values: Sequence[float], share: float) -> float:
    """By the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(result: Result) -> str:
    """For people."""
    lines = [f"{'tool':22}{'calls':>8}{'not now':>9}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}"]
    for tool, times in sorted(result.times.items()):
        figures = "".join(f"{percentile(times, share):9,.0f}" for share in (0.5, 0.95, 0.99))
        lines.append(f"{tool:22}{len(times):8,}{result.refused.get(tool, 0):9,}{figures}")
    everything = [time for times in result.times.values() for time in times]
    figures = "".join(f"{percentile(everything, share):9,.0f}" for share in (0.5, 0.95, 0.99))
    lines.append(f"{'all':22}{len(everything):8,}{sum(result.refused.values()):9,}{figures}")
    lines.append(", ".join(f"{count:,} {name}" for name, count in result.counts.items()))
    for name, (growth, error) in result.growth.items():
        first, last = result.megabytes[name]
        lines.append(
            f"memory of the {name}: {first:,.0f} to {last:,.0f} MB, {growth:+.1f} ±{2 * error:.1f} MB a minute"
            f" (at most {_MOST_GROWTH[name]:+.0f})"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Load, print; the status to end with."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=180, help="default 180")
    parser.add_argument("--clients", type=int, default=64, help="default 64")
    parser.add_argument("--processes", type=int, default=2, help="of clients; default 2")
    parser.add_argument("--principals", type=int, default=8, help="default 8")
    parser.add_argument("--rounds", type=int, default=0, help="actions of each client at most")
    parser.add_argument("--pause", type=float, default=1.0, help="mean seconds between two actions")
    parser.add_argument("--no-review", dest="review", action="store_false", help="no check_pr")
    parser.add_argument("--json", dest="as_json", action="store_true")
    given = vars(parser.parse_args())
    as_json = given.pop("as_json")
    result = load(Plan(**given))
    sys.stdout.write(f"{json.dumps(vars(result))}\n" if as_json else table(result))
    for line in result.broken:
        sys.stderr.write(f"{line}\n")
    return 1 if result.broken else 0


if __name__ == "__main__":
    sys.exit(main())
