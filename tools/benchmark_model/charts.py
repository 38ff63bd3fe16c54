"""The plots of the page, as SVG: no script, every mark with a title that says what it is in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .._html.markup import Html, joined, tag
from .report import ModelReport, Share

_COLOURS = ("#4a7fd6", "#d2691e", "#3a9a5c", "#9a55c4", "#b58900", "#d14377", "#1295a5", "#8d6e63")
_WIDTH = 760
# For names of models, and for percents.
_LEFT, _AXIS = 230, 56


@dataclass(frozen=True, slots=True)
class Point:
    """A model in a plot of two figures; `x` is None where it is not known."""

    name: str
    x: float | None
    y: Share
    colour: str


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each model, the same in all plots."""
    return {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(names)}


def bar(share: Share, colour: str) -> Html:
    """A share of 1 as a mark, and its interval as a band, for a row of a table: as wide as its cell."""
    low, middle, high = (100 * value for value in (share.low, share.value, share.high))
    title = f"{_percent(share)}"
    return tag(
        "svg",
        tag("title", title),
        [_line(x, x, 0, 24, class_="grid") for x in (0, 25, 50, 75, 100)],
        tag(
            "rect",
            x=_n(low),
            y=8,
            width=_n(max(0.6, high - low)),
            height=8,
            fill=colour,
            opacity=0.45,
        ),
        tag(
            "rect", x=_n(min(98.8, max(0.0, middle - 0.6))), y=3, width=1.2, height=18, fill=colour
        ),
        viewBox="0 0 100 24",
        preserveAspectRatio="none",
        role="img",
        aria_label=title,
        class_="bar",
    )


def curves(models: Sequence[ModelReport]) -> Html | None:
    """pass@k over k, with a band for the interval of each model; None with one sample each."""
    most = max((share.k for one in models for share in one.pass_at), default=1)
    if most < 2:
        return None
    colour = colours([one.model for one in models])
    height = 300
    parts: list[Html] = [_grid(height)]

    def place(k: int, value: float) -> str:
        return f"{_across(k, most):.1f},{_y(value, height):.1f}"

    for model in models:
        line = " ".join(place(share.k, share.value) for share in model.pass_at)
        band = [place(share.k, share.high) for share in model.pass_at]
        band += [place(share.k, share.low) for share in reversed(model.pass_at)]
        fill = colour[model.model]
        parts.append(
            tag(
                "g",
                tag("title", model.model),
                tag("polygon", points=" ".join(band), fill=fill, opacity=0.15),
                tag("polyline", points=line, fill="none", stroke=fill, stroke_width=2.5),
            )
        )
    for k in sorted({1, max(1, most // 2), most}):
        parts.append(_text(_across(k, most), height - 6, f"k = {k}", "middle"))
    return _svg(height, "pass@k over k", parts)


def legend(models: Sequence[ModelReport]) -> Html:
    """Which colour is whose."""
    colour = colours([one.model for one in models])
    rows = [
        tag(
            "li",
            tag(
                "svg",
                tag("rect", width=12, height=12, fill=colour[one.model]),
                viewBox="0 0 12 12",
                aria_hidden="true",
            ),
            one.model,
        )
        for one in models
    ]
    return tag("ul", rows, class_="legend")


def scatter(points: Sequence[Point], label: str, unit: str) -> Html | None:
    """A figure against pass@1; None where it is known of no model."""
    known = [(one, one.x) for one in points if one.x is not None]
    if not known:
        return None
    height = 300
    most = _round_up(max(x for _, x in known))
    parts: list[Html] = [_grid(height)]
    for fraction in (0.0, 0.5, 1.0):
        x = _AXIS + fraction * (_WIDTH - _AXIS - 40)
        parts.append(_text(x, height - 6, f"{fraction * most:.3g} {unit}", "middle"))
    for one, value in known:
        x = _AXIS + value / most * (_WIDTH - _AXIS - 40)
        low, middle, high = (_y(share, height) for share in (one.y.low, one.y.value, one.y.high))
        anchor, shift = ("end", -10) if value > 0.5 * most else ("start", 10)
        parts.append(
            tag(
                "g",
                tag("title", f"{one.name}: {value:.4g} {unit}, pass@1 {_percent(one.y)}"),
                _line(x, x, low, high, stroke=one.colour, stroke_width=2),
                tag("circle", cx=_n(x), cy=_n(middle), r=6, fill=one.colour),
                _text(x + shift, middle - 8, short(one.name), anchor),
            )
        )
    return _svg(height, label, parts)


def matrix(names: Sequence[str], solved: Mapping[str, Mapping[str, float]]) -> Html | None:
    """Tasks by models: the darker, the more answers to the task pass. Tasks that few solve come first."""
    tasks = sorted(solved, key=lambda task: _mean(solved[task]))
    if not tasks:
        return None
    wide, across = 13, 40
    rows: list[Html] = []
    line = 18 * len(names) + 14
    chunks = [tasks[start : start + across] for start in range(0, len(tasks), across)]
    for number, chunk in enumerate(chunks):
        for row, name in enumerate(names):
            y = number * line + row * 18
            rows.append(_text(_LEFT - 10, y + 13, short(name), "end"))
            rows += [
                _cell(_LEFT + column * wide, y, task, name, solved[task].get(name))
                for column, task in enumerate(chunk)
            ]
    return _svg(len(chunks) * line, "which model solves which task", rows)


def short(name: str) -> str:
    """A name of a model that fits beside a plot."""
    if name.startswith("file:"):
        # Folders and suffixes tell least of a file's name.
        name = name.rsplit("/", 1)[-1].split(".jsonl")[0].removeprefix("file:")
    return name if len(name) <= 28 else f"{name[:13]}…{name[-14:]}"


def _cell(x: int, y: int, task: str, name: str, share: float | None) -> Html:
    said = "no verdict" if share is None else f"{100 * share:.0f} % of answers pass"
    title = tag("title", f"{task}, {name}: {said}")
    place: dict[str, float] = {"x": x, "y": y + 2, "width": 11, "height": 14}
    if share is None:
        return tag("rect", title, **place, fill="none", stroke="#999", stroke_dasharray="2 2")
    # Blue and orange are told apart by everybody; how much passes is also told by lightness.
    hue = 215 if share >= 0.5 else 28
    return tag("rect", title, **place, fill=f"hsl({hue} 75% {88 - 50 * abs(share - 0.5) * 2:.0f}%)")


def _svg(height: float, label: str, parts: Sequence[Html]) -> Html:
    return tag(
        "svg",
        parts,
        viewBox=f"0 0 {_WIDTH} {height:.0f}",
        role="img",
        aria_label=label,
        class_="plot",
        xmlns="http://www.w3.org/2000/svg",
    )


def _grid(height: float) -> Html:
    lines = [
        (
            _line(_AXIS, _WIDTH, _y(share, height), _y(share, height), class_="grid"),
            _text(_AXIS - 8, _y(share, height) + 4, f"{100 * share:.0f} %", "end"),
        )
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    return joined(lines)


def _line(x1: float, x2: float, y1: float, y2: float, **look: str | float) -> Html:
    return tag("line", x1=_n(x1), x2=_n(x2), y1=_n(y1), y2=_n(y2), **look)


def _text(x: float, y: float, said: str, anchor: str) -> Html:
    return tag("text", said, x=_n(x), y=_n(y), text_anchor=anchor)


def _n(value: float) -> str:
    return f"{value:.1f}"


def _across(k: int, most: int) -> float:
    return _AXIS + (k - 1) / (most - 1) * (_WIDTH - _AXIS - 20)


def _y(share: float, height: float) -> float:
    return 14 + (1 - share) * (height - 50)


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 and so on: an axis that ends there is read easily."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if value <= step * power * (1 + 1e-9))


def _mean(shares: Mapping[str, float]) -> float:
    return sum(shares.values()) / len(shares) if shares else 0.0


def _percent(found: Share) -> str:
    return f"{100 * found.value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f} %)"
