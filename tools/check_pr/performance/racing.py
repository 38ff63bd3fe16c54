"""Pairs of runs until every benchmark is decided or time is up, and what is said of each."""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from ..._text import clean
from ..beyond.beyond import Speed
from .deciding import LOOKS, Decision, decide
from .measuring import Round, SideName, Timed, quotient

Tell = Callable[[str], None]
"""Called with a sentence on how far it is."""

Pair = tuple[Round, Round]
"""Base and head, at the same time."""

RunPair = Callable[[int, Sequence[str] | None, Mapping[str, int]], Awaitable[Pair]]
"""Times these benchmarks (all of them for None) with so many calls a batch; the number of the pair comes first."""

BUDGET_SECONDS = 600.0
"""After so long no new pair begins."""

MOST_BENCHMARKS = 60

_MOST_LOSSES = 3
_LONGEST = 400


@dataclass(slots=True)
class _Entry:
    """One benchmark and all that was measured of it, pair by pair."""

    base: list[Timed] = field(default_factory=list[Timed])
    head: list[Timed] = field(default_factory=list[Timed])
    failed: dict[SideName, str] = field(default_factory=dict[SideName, str])
    decision: Decision | None = None

    @property
    def pairs(self) -> int:
        return len(self.base)

    def add(self, name: str, pair: Pair) -> None:
        """One more pair; half a pair counts for nothing."""
        base, head = (one.timed.get(name) for one in pair)
        if base is not None and head is not None:
            self.base.append(base)
            self.head.append(head)
        else:
            self.failed = _reasons(name, pair)

    def events(self) -> float | None:
        """How many times as many events head has; None unless they are the same in every process of a side."""
        counts = [[one.events for one in side if one.events] for side in (self.base, self.head)]
        if not all(counts) or any(max(each) > 1.002 * min(each) for each in counts):
            return None
        return median(counts[1]) / median(counts[0])

    def decide(self) -> Decision:
        """What the pairs say so far."""
        pairs = zip(self.base, self.head, strict=True)
        waited = median(one.waited for one in (*self.base, *self.head))
        return decide([quotient(*pair) for pair in pairs], self.events(), waited=waited)


async def race(
    run_pair: RunPair,
    tell: Tell = lambda said: None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Speed, ...]:
    """A verdict for each benchmark, for those too that could not be measured. Never empty."""
    began = clock()
    first = await run_pair(0, None, {})
    lost = [
        f"At {side} nothing could be timed: {one.problem}"
        for side, one in zip(("base", "head"), first, strict=True)
        if one.problem
    ]
    if lost:
        return (unmeasured("benchmarks", " ".join(lost)),)
    entries = {name: _Entry() for name in _names(first)}
    loops = _loops(first)
    _add(entries, first, entries)
    left_out = [name for name, one in entries.items() if one.pairs][MOST_BENCHMARKS:]
    number, out_of_time, losses = 1, False, 0
    while (names := _open(entries, left_out)) and number < LOOKS[-1] and not out_of_time:
        pair = await run_pair(number, names, loops)
        _add(entries, pair, names)
        number += 1
        losses += any(one.problem for one in pair)
        if losses > _MOST_LOSSES:
            break
        if number in LOOKS:
            _look(entries)
            left = len(_open(entries, left_out))
            tell(f"{number} pairs were timed; {left} benchmarks are not decided")
        out_of_time = clock() - began > BUDGET_SECONDS
    return tuple(_speeds(entries, left_out, out_of_time=out_of_time))


def _add(entries: Mapping[str, _Entry], pair: Pair, names: Sequence[str] | Mapping[str, _Entry]) -> None:  # fmt: skip
    for name in names:
        entries[name].add(name, pair)


def _loops(pair: Pair) -> dict[str, int]:
    """Calls a batch for both sides: what the slower one found to be enough."""
    found: dict[str, int] = {}
    for side in pair:
        for name, timed in side.timed.items():
            found[name] = min(timed.loops, found.get(name, timed.loops))
    return found


def _names(pair: Pair) -> list[str]:
    """Every benchmark; a file where it has none that is known."""
    base, head = pair
    found = dict.fromkeys([*head.timed, *base.timed, *head.failed, *base.failed])
    files = {name.partition("::")[0] for name in found if "::" in name}
    return [name for name in found if "::" in name or name not in files]


def _open(entries: Mapping[str, _Entry], left_out: Sequence[str]) -> list[str]:
    """Benchmarks that run on both sides and are not decided."""
    return [
        name
        for name, one in entries.items()
        if one.pairs and one.decision is None and name not in left_out
    ]


def _look(entries: Mapping[str, _Entry]) -> None:
    for entry in entries.values():
        if entry.decision is None and entry.pairs >= LOOKS[0]:
            found = entry.decide()
            entry.decision = found if found.verdict != "undecided" else None


def _reasons(name: str, pair: Pair) -> dict[SideName, str]:
    sides: dict[SideName, Round] = {"base": pair[0], "head": pair[1]}
    file = name.partition("::")[0]
    return {
        side: one.failed.get(name) or one.failed.get(file) or one.problem or "it is not collected"
        for side, one in sides.items()
        if name not in one.timed
    }


def _speeds(
    entries: Mapping[str, _Entry], left_out: Sequence[str], *, out_of_time: bool
) -> Iterator[Speed]:
    for name, entry in entries.items():
        if name in left_out:
            most = f"there are more than {MOST_BENCHMARKS} benchmarks"
            yield unmeasured(name, f"It was not timed: {most}. Name some files with `only`.")
        elif not entry.pairs:
            yield unmeasured(name, _why_not(entry))
        else:
            yield _speed(name, entry, out_of_time=out_of_time)


def _why_not(entry: _Entry) -> str:
    if len(entry.failed) == 2:
        return f"It runs on neither side; at head: {entry.failed['head']}."
    [(side, why)] = entry.failed.items()
    return f"It does not run at {side}: {why}."


def unmeasured(name: str, why: str) -> Speed:
    """A benchmark of which there is no figure; `pairs` is 0."""
    return Speed(clean(name), "undecided", 1.0, 1.0, 1.0, 0, 1.0, 0.0, None, clean(why)[:_LONGEST])


def _speed(name: str, entry: _Entry, *, out_of_time: bool) -> Speed:
    found = entry.decision or entry.decide()
    verdict, why = found.verdict, found.why
    if entry.pairs < LOOKS[0]:
        verdict = "undecided"
        why = f"It was timed {entry.pairs} times on both sides, which decides nothing."
        if entry.failed:
            why += f" Then it failed: {next(iter(entry.failed.values()))}."
    if verdict == "undecided" and out_of_time:
        why += f" More did not fit into {BUDGET_SECONDS:.0f} seconds."
    return Speed(
        name=clean(name),
        verdict=verdict,
        ratio=found.ratio,
        low=found.low,
        high=found.high,
        pairs=entry.pairs,
        p=found.p,
        effect=found.effect,
        events=entry.events(),
        why=clean(why)[:_LONGEST],
    )
