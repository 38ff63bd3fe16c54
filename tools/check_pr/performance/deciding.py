"""When pairs of CPU times are enough to say that head is slower, faster or the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import median
from typing import Literal

from .statistics import centre_interval, cliffs_delta, mann_whitney

Verdict = Literal["faster", "slower", "same", "undecided"]

LOOKS = (10, 14, 20, 28, 36)
"""Numbers of pairs after which a decision is looked for."""

MARGIN = 1.05
"""What is less than this is no difference worth a word."""

_P = 0.01
# Of a difference that the other witness does not see: chance has to be all but excluded.
_P_ALONE = 0.001
_PAIRS_ALONE = 20
_BEYOND_ALONE = 1.025
# "Large" in J. Romano et al., "Exploring methods for evaluating group differences" (2006).
_EFFECT = 0.474
_SEEN = 0.01
_WAITS = 0.5


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with its figures; see `Speed`."""

    verdict: Verdict
    ratio: float
    low: float
    high: float
    p: float
    effect: float
    why: str


def decide(quotients: Sequence[float], events: float | None, *, waited: float = 0.0) -> Decision:
    """What pairs say, each as the CPU time of head over that of base; `events` is the quotient of counted events.
    A difference that events do not confirm needs more pairs and a smaller p; `waited` is the share of the
    time spent waiting.
    """
    logs = [log(one) for one in quotients]
    centre = median(logs)
    low, high = centre_interval(logs)
    # Of half of the pairs base is looked at over head: two samples that have nothing in common but what differs.
    one, other = [-value for value in logs[::2]], logs[1::2]
    p, effect = mann_whitney(one, other), cliffs_delta(one, other)
    bounds = exp(min(low, centre)), exp(max(high, centre))

    def decision(verdict: Verdict, why: str) -> Decision:
        return Decision(verdict, exp(centre), *bounds, p, effect, why)

    if waited > _WAITS:
        return decision("undecided", f"It spends {waited:.0%} of its time waiting, not computing.")
    if abs(centre) > log(MARGIN) and p < _P and abs(effect) >= _EFFECT:
        verdict: Verdict = "slower" if centre > 0 else "faster"
        if _confirmed(centre, events):
            said = (
                f"CPU time says so, and so do the lines and branches it runs: {_percent(events)}."
            )
            return decision(verdict, said)
        beyond = low > log(_BEYOND_ALONE) or high < -log(_BEYOND_ALONE)
        if len(logs) >= _PAIRS_ALONE and p < _P_ALONE and beyond:
            return decision(verdict, f"CPU time says so. {_silent(events)}")
        return decision("undecided", f"CPU time differs, but not surely. {_silent(events)}")
    if -log(MARGIN) < low and high < log(MARGIN):
        return decision("same", "Whatever difference there is, it is less than 5 %.")
    return decision("undecided", _open(bounds, events))


def _confirmed(centre: float, events: float | None) -> bool:
    return events is not None and abs(events - 1) > _SEEN and (events > 1) == (centre > 0)


def _silent(events: float | None) -> str:
    if events is None:
        return "Lines and branches could not be counted as a second witness."
    if abs(events - 1) <= _SEEN:
        return (
            "It runs as many lines and branches, so the difference is in what they call, or chance."
        )
    return f"The lines and branches that it runs say otherwise: {_percent(events)}."


def _percent(events: float | None) -> str:
    return f"{100 * ((events or 1.0) - 1):+.1f} %"


def _open(bounds: tuple[float, float], events: float | None) -> str:
    low, high = bounds
    said = f"The measurements leave everything from {_percent(low)} to {_percent(high)} open"
    if events is not None and abs(events - 1) > _SEEN:
        return f"{said}; lines and branches that it runs: {_percent(events)}."
    return f"{said}."
