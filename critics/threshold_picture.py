"""The curve of a critic as an SVG picture: precision, recall and F1 over the share that is kept.

Filtering at random is drawn beside it: its precision is that of everything, whatever it keeps, and its recall is the
share that it keeps. Drawn by hand, because a plotting library is a large thing to depend on for one picture.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from critics.threshold import Curve, Point, Share
from ostensive.run.thresholds import TrainingUse

WIDTH, HEIGHT = 720, 470
MAX_POINTS = 160
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 150, 56, 76
_INK, _GREY, _GRID = "#222222", "#767676", "#e4e4e4"
_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    colour: str
    of: Callable[[Point], Share]


# Colours of Okabe and Ito, which people with colour blindness tell apart.
_LINES = (
    _Line("precision", "#0072b2", lambda point: point.precision),
    _Line("recall", "#d55e00", lambda point: point.recall),
    _Line("F1", "#009e73", lambda point: point.f1),
)


def _x(share: float) -> float:
    return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)


def _y(share: float) -> float:
    return round(_TOP + (1 - share) * (HEIGHT - _TOP - _BOTTOM), 1)


_USE: Final[Mapping[TrainingUse, str]] = {
    "none": " that it did not learn from",
    "held out": ", some of which ended its training",
    "unknown": " that it may have learned from",
}


def caption_of(curve: Curve, training_use: TrainingUse, left_out: int) -> str:
    """What the figures were measured on, in a line as wide as the picture; `left_out` labels were learned from."""
    others = f" ({left_out:,} labels left out)" if left_out else ""
    return f"{curve.rows:,} labelled rows of {curve.images:,} images{_USE[training_use]}{others}; bands: 95 %"


def picture(curve: Curve, *, critic: str, chosen: float | None, caption: str = "") -> str:
    """The SVG of `curve`; `chosen` is the threshold that is marked, `caption` the line under the title."""
    elements = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        ' font-family="sans-serif" font-size="13" role="img">',
        f"<title>Thresholds of the critic {escape(critic)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(_LEFT, 24, f"Thresholds of the critic {critic}", size=16),
        _text(_LEFT, 42, caption or caption_of(curve, "none", 0), colour=_GREY),
        *_axes(),
        *_random(curve),
    ]
    by_kept = _thinned(sorted(curve.points, key=lambda point: point.kept_share.value))
    elements += [_band(by_kept, line) for line in _LINES]
    elements += [_path(by_kept, line) for line in _LINES]
    elements += _legend()
    if chosen is not None:
        elements += _mark(curve, chosen)
    return "\n".join([*elements, "</svg>"]) + "\n"


def _axes() -> list[str]:
    elements = []
    for tick in _TICKS:
        x, y = _x(tick), _y(tick)
        elements.append(f'<path d="M{_x(0)} {y}H{_x(1)}M{x} {_y(0)}V{_y(1)}" stroke="{_GRID}" fill="none"/>')
        elements.append(_text(_LEFT - 8, y + 4, f"{tick:.0%}", anchor="end", colour=_GREY))
        elements.append(_text(x, _y(0) + 18, f"{tick:.0%}", anchor="middle", colour=_GREY))
    elements.append(_text((_x(0) + _x(1)) / 2, _y(0) + 40, "share that is kept", anchor="middle"))
    return elements


def _random(curve: Curve) -> list[str]:
    base = _y(curve.accepted_share.value)
    return [
        f'<path d="M{_x(0)} {base}H{_x(1)}" stroke="{_LINES[0].colour}" stroke-dasharray="5 4" fill="none"/>',
        f'<path d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}" stroke="{_LINES[1].colour}" stroke-dasharray="5 4" fill="none"/>',
    ]


def _thinned(points: Sequence[Point]) -> list[Point]:
    """As many of the points, first and last among them, as a picture this wide can show."""
    steps = min(len(points), MAX_POINTS) - 1
    return [points[round(step * (len(points) - 1) / steps)] for step in range(steps + 1)] if steps else list(points)


def _points(points: Sequence[Point], height: Callable[[Point], float]) -> str:
    return " ".join(f"{_x(point.kept_share.value)},{_y(height(point))}" for point in points)


def _band(points: Sequence[Point], line: _Line) -> str:
    above = _points(points, lambda point: line.of(point).high)
    below = _points(list(reversed(points)), lambda point: line.of(point).low)
    return f'<polygon points="{above} {below}" fill="{line.colour}" fill-opacity="0.13"/>'


def _path(points: Sequence[Point], line: _Line) -> str:
    places = _points(points, lambda point: line.of(point).value)
    # One point alone has no line; a dot shows it.
    dots = "".join(
        f'<circle cx="{_x(point.kept_share.value)}" cy="{_y(line.of(point).value)}" r="3" fill="{line.colour}"/>'
        for point in (points if len(points) <= 12 else ())
    )
    return f'<polyline points="{places}" fill="none" stroke="{line.colour}" stroke-width="2"/>{dots}'


def _legend() -> list[str]:
    elements = []
    for number, line in enumerate(_LINES):
        y = _TOP + 16 + 22 * number
        elements.append(f'<path d="M{WIDTH - 136} {y}h24" stroke="{line.colour}" stroke-width="2"/>')
        elements.append(_text(WIDTH - 106, y + 4, line.name))
    y = _TOP + 16 + 22 * len(_LINES)
    elements.append(f'<path d="M{WIDTH - 136} {y}h24" stroke="{_GREY}" stroke-dasharray="5 4"/>')
    elements.append(_text(WIDTH - 106, y + 4, "at random"))
    return elements


def _mark(curve: Curve, chosen: float) -> list[str]:
    point = curve.at(chosen)
    share = 0.0 if point is None else point.kept_share.value
    x = _x(share)
    label = f"chosen: {chosen:.4g}, keeps {share:.1%} of the labelled rows"
    anchor = "start" if share < 0.6 else "end"
    return [
        f'<path d="M{x} {_y(0) + 4}V{_y(1) - 2}" stroke="{_INK}" stroke-width="1.5" fill="none"/>',
        _text(x, HEIGHT - 16, label, anchor=anchor, weight="bold"),
    ]


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    colour: str = _INK,
    size: int = 13,
    weight: str = "normal",
) -> str:
    style = f'text-anchor="{anchor}" fill="{colour}" font-size="{size}" font-weight="{weight}"'
    return f'<text x="{x}" y="{y}" {style}>{escape(text)}</text>'
