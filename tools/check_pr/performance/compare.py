"""Compare the speed of base and head by the project's benchmarks, and by snippets that were given."""

import random
from collections.abc import Mapping, Sequence

import anyio

from ....server.programs import Kept
from ..beyond.beyond import Speed
from ..environment.side import Side
from ..pull.pull import Pull
from ..request import PrRequest
from .benchmarks import track_of
from .measuring import Lane, SideName, plan, run_round
from .racing import Pair, Tell, race, unmeasured


async def compare_speed(
    pull: Pull, base: Side, head: Side, request: PrRequest, tell: Tell = lambda said: None
) -> tuple[Speed, ...]:
    """A verdict for each benchmark, for those too that could not be measured. Never empty.

    What goes wrong is in the result; nothing is raised for it.
    """
    track = await anyio.to_thread.run_sync(track_of, pull, base, head, request)
    if not track.files:
        why = "There is no test that uses the fixture `benchmark`, and no snippet was given."
        return (unmeasured("benchmarks", why),)
    tell(f"Timing the benchmarks of {len(track.files)} files")
    async with Kept(base.open_sandbox) as at_base, Kept(head.open_sandbox) as at_head:
        lanes: dict[SideName, Lane] = {
            "base": Lane(track.base, at_base.open),
            "head": Lane(track.head, at_head.open),
        }
        pairs = _Pairs(lanes, request, either=_same_packages(base, head))
        return await race(pairs.run, tell)


class _Pairs:
    """One process of each side, which of them is started first drawn by chance.

    `either`: both can run in either sandbox. Then they share one, and the two take turns by chance, so that what is
    peculiar to one hits both sides.
    """

    def __init__(self, lanes: Mapping[SideName, Lane], request: PrRequest, *, either: bool) -> None:
        self._lanes = lanes
        self._request = request
        self._either = either
        self._chance = random.Random()

    async def run(self, number: int, names: Sequence[str] | None, loops: Mapping[str, int]) -> Pair:
        sides: list[SideName] = ["base", "head"]
        self._chance.shuffle(sides)
        home = self._chance.choice(sides) if self._either else None
        runs = [
            (
                Lane(self._lanes[side].project, self._lanes[home or side].open_sandbox),
                plan(self._lanes[side], number, names, loops, self._request),
            )
            for side in sides
        ]
        found = dict(zip(sides, await run_round(runs), strict=True))
        return found["base"], found["head"]


def _same_packages(base: Side, head: Side) -> bool:
    one, other = base.environment, head.environment
    return (one.python, set(one.packages)) == (other.python, set(other.packages))
