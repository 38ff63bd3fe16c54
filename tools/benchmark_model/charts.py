"""The plots of the page, as SVG: no script, every mark with a title that says what it is in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from .. import _text
from .estimates import Estimate
from .summary import Model, Summary

_COLOURS = ("#3366cc", "#cc5500", "#2a8a4a", "#8a3ab9", "#b58900", "#c2185b", "#00838f", "#5d4037")
_WIDTH = 760
_LEFT = 230


@dataclass(frozen=True, slots=True)
class Point:
    """A model in a plot of two figures; `x` is None where it is not known."""

    name: str
    x: float | None
    y: Estimate
    colour: str


def colours(models: Sequence[Model]) -> dict[str, str]:
    """A colour for each model, the same in all plots."""
    return {one.name: _COLOURS[index % len(_COLOURS)] for index, one in enumerate(models)}


def intervals(models: Sequence[Model], k: int) -> str:
    """pass@k of each model with its interval, one below the other."""
    shown = [(one, one.pass_at[k]) for one in models if k in one.pass_at]
    colour = colours(models)
    height = 34 * len(shown) + 34
    parts = [_grid_x(height)]
    for row, (model, found) in enumerate(shown):
        y = 34 * row + 22
        low, middle, high = (_x(value) for value in (found.low, found.value, found.high))
        fill = colour[model.name]
        parts.append(
            f"<g><title>{_safe(model.name)}: pass@{k} {_percent(found)}</title>"
            f'<text x="{_LEFT - 10}" y="{y + 4}" text-anchor="end">{_safe(_short(model.name))}</text>'
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{fill}" stroke-width="3"/>'
            f'<line x1="{low:.1f}" x2="{low:.1f}" y1="{y - 6}" y2="{y + 6}" stroke="{fill}" stroke-width="2"/>'
            f'<line x1="{high:.1f}" x2="{high:.1f}" y1="{y - 6}" y2="{y + 6}" stroke="{fill}" stroke-width="2"/>'
            f'<circle cx="{middle:.1f}" cy="{y}" r="6" fill="{fill}"/></g>'
        )
    return _svg(height, f"pass@{k} of each model, with 95 % intervals", parts)


def curves(models: Sequence[Model]) -> str:
    """pass@k over k, with a band for the interval of each model; empty with one sample each."""
    most = max((max(one.pass_at, default=1) for one in models), default=1)
    if most < 2:
        return ""
    colour = colours(models)
    height = 300
    parts = [_grid_y(height)]

    def place(k: int, value: float) -> str:
        return f"{_LEFT + (k - 1) / (most - 1) * (_WIDTH - _LEFT - 20):.1f},{_y(value, height):.1f}"

    for model in models:
        line = " ".join(place(k, found.value) for k, found in model.pass_at.items())
        band = [place(k, found.high) for k, found in model.pass_at.items()]
        band += [place(k, found.low) for k, found in reversed(list(model.pass_at.items()))]
        fill = colour[model.name]
        parts.append(
            f"<g><title>{_safe(model.name)}</title>"
            f'<polygon points="{" ".join(band)}" fill="{fill}" opacity="0.15"/>'
            f'<polyline points="{line}" fill="none" stroke="{fill}" stroke-width="2.5"/></g>'
        )
    for k in sorted({1, max(1, most // 2), most}):
        x = place(k, 0).split(",")[0]
        parts.append(f'<text x="{x}" y="{height - 6}" text-anchor="middle">k = {k}</text>')
    parts.append(_legend(models, colour))
    return _svg(height, "pass@k over k", parts)


def scatter(points: Sequence[Point], label: str, unit: str) -> str:
    """A figure against pass@1; empty where it is known of no model."""
    known = [(one, one.x) for one in points if one.x is not None]
    if not known:
        return ""
    height = 300
    most = _round_up(max(x for _, x in known))
    parts = [_grid_y(height)]
    for fraction in (0.0, 0.5, 1.0):
        x = _LEFT + fraction * (_WIDTH - _LEFT - 60)
        text = f"{fraction * most:.3g} {unit}"
        parts.append(f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">{text}</text>')
    for one, value in known:
        x = _LEFT + value / most * (_WIDTH - _LEFT - 60)
        low, middle, high = (_y(share, height) for share in (one.y.low, one.y.value, one.y.high))
        anchor, shift = ("end", -10) if value > 0.7 * most else ("start", 10)
        parts.append(
            f"<g><title>{_safe(one.name)}: {value:.4g} {unit}, pass@1 {_percent(one.y)}</title>"
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{one.colour}" stroke-width="2"/>'
            f'<circle cx="{x:.1f}" cy="{middle:.1f}" r="6" fill="{one.colour}"/>'
            f'<text x="{x + shift:.1f}" y="{middle - 8:.1f}" text-anchor="{anchor}">{_safe(_short(one.name))}</text></g>'
        )
    return _svg(height, label, parts)


def matrix(summary: Summary) -> str:
    """Tasks by models: the darker, the more answers to the task pass. Tasks that few solve come first."""
    names = [one.name for one in summary.models]
    tasks = sorted(summary.solved, key=lambda task: _mean(summary.solved[task]))
    wide, across = 13, 40
    rows: list[str] = []
    line = 18 * len(names) + 14
    chunks = [tasks[start : start + across] for start in range(0, len(tasks), across)]
    for number, chunk in enumerate(chunks):
        for row, name in enumerate(names):
            y = number * line + row * 18
            rows.append(
                f'<text x="{_LEFT - 10}" y="{y + 13}" text-anchor="end">{_safe(_short(name))}</text>'
            )
            rows += [
                _cell(_LEFT + column * wide, y, task, name, summary.solved[task].get(name))
                for column, task in enumerate(chunk)
            ]
    return _svg(len(chunks) * line, "which model solves which task", rows)


def _cell(x: int, y: int, task: str, name: str, share: float | None) -> str:
    said = "no verdict" if share is None else f"{100 * share:.0f} % of answers pass"
    title = f"<title>{_safe(task)}, {_safe(name)}: {said}</title>"
    if share is None:
        look = 'fill="none" stroke="#999" stroke-dasharray="2 2"'
    else:
        # Blue and orange are told apart by everybody; how much passes is also told by lightness.
        look = (
            f'fill="hsl({215 if share >= 0.5 else 28} 75% {88 - 50 * abs(share - 0.5) * 2:.0f}%)"'
        )
    return f'<rect x="{x}" y="{y + 2}" width="11" height="14" {look}>{title}</rect>'


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{_safe(label)}"'
        f' xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def _legend(models: Sequence[Model], colour: Mapping[str, str]) -> str:
    return "".join(
        f'<g><rect x="6" y="{20 * row + 20}" width="12" height="12" fill="{colour[one.name]}"/>'
        f'<text x="24" y="{20 * row + 31}">{_safe(_short(one.name))}</text></g>'
        for row, one in enumerate(models)
    )


def _grid_x(height: float) -> str:
    return "".join(
        f'<line class="grid" x1="{_x(share):.1f}" x2="{_x(share):.1f}" y1="0" y2="{height - 22}"/>'
        f'<text x="{_x(share):.1f}" y="{height - 6}" text-anchor="middle">{100 * share:.0f} %</text>'
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    )


def _grid_y(height: float) -> str:
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH}" y1="{_y(share, height):.1f}" y2="{_y(share, height):.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{_y(share, height) + 4:.1f}" text-anchor="end">{100 * share:.0f} %</text>'
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    )


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - 30)


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


def _percent(found: Estimate) -> str:
    return f"{100 * found.value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f} %)"


def _safe(text: str) -> str:
    return escape(_text.clean(text))


def _short(name: str) -> str:
    if name.startswith("file:"):
        # Folders and suffixes tell least of a file's name.
        name = name.rsplit("/", 1)[-1].split(".jsonl")[0].removeprefix("file:")
    return name if len(name) <= 32 else f"{name[:14]}…{name[-17:]}"
