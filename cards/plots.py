"""Plots of a corpus as SVG text: how a number is spread, and how often values stand.

A plot is the same text for the same figures, needs nothing but itself (no script, no font, no address) and is drawn by
hand, because a plotting library is a large thing to depend on for bars. It follows the reader's light or dark setting.
A page that has a plot in it may say otherwise by the CSS variables `--plot-ink`, `--plot-line`, `--plot-bar`,
`--plot-rest` and `--plot-ground`. What names and labels hold is text, whatever it is.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Final

from cards.distributions import Frequencies, Histogram
from cards.statistics.figures import CorpusStatistics

WIDTH: Final = 640
_HEIGHT: Final = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 20, 62, 56
_ROW: Final = 22  # the height of one bar with its label
_LEAST_LABEL: Final = 170  # left of bars, for their labels
_COUNT: Final = 120  # right of bars, for their counts
_MOST_BARS: Final = 20
_LETTER: Final = 7.2  # the width of a digit, from above
_TITLE_LETTER: Final = 8.9  # that of a letter of the title
_JOINERS: Final = "\u200c\u200d"  # invisible, and part of how some scripts and signs are written
_COLOURS: Final = (
    # variable, in light, in dark; blues of Okabe and Ito, which stand out from both grounds
    ("ink", "#24292f", "#e6edf3"),
    ("line", "#d0d7de", "#3d444d"),
    ("bar", "#0072b2", "#56b4e9"),
    ("rest", "#8c959f", "#7d8590"),
    ("ground", "#ffffff", "#0d1117"),
)


def histogram_svg(histogram: Histogram, width: int = WIDTH) -> str:
    """The bars of `histogram` in a plot `width` pixels wide, every bin as wide as the others, with its edges below it.

    A bin that holds one whole number has that number below it.
    """
    subtitle = f"{histogram.total:,} values" + ("" if _is_even(histogram.edges) else "; bins differ in width")
    if not histogram.total:
        return _svg(histogram.name, "Nothing was counted.", "0 values", width, _HEIGHT, [])
    top = _nice_top(max(histogram.counts))
    elements = [*_count_axis(top, width), *_bins(histogram, top, width), *_bin_labels(histogram, width)]
    elements.append(_text((_LEFT + width - _RIGHT) / 2, _HEIGHT - 12, histogram.unit, anchor="middle"))
    return _svg(histogram.name, _histogram_words(histogram), subtitle, width, _HEIGHT, elements)


def bars_svg(frequencies: Frequencies, width: int = WIDTH) -> str:
    """A bar a value, the most frequent first, and one for all others; those beyond the first 20 are among these."""
    listed = list(frequencies.counts.items())[:_MOST_BARS]
    rest = frequencies.total - sum(count for _, count in listed)
    if not frequencies.total:
        return _svg(frequencies.name, "Nothing was counted.", "0 counted", width, _TOP + _ROW, [])
    bars = [(label, count, "bar") for label, count in listed]
    bars += [("(all others)", rest, "rest")] if rest else []
    longest = max(count for _, count, _ in bars)
    left = round(max(0.297 * width, _LEAST_LABEL))
    elements = []
    for place, (label, count, colour) in enumerate(bars):
        y = _TOP + place * _ROW
        length = (width - left - _COUNT) * count / longest
        share = f"{count:,} ({count / frequencies.total:.1%})"
        elements += [
            _text(left - 8, y + 14, _cut(label, int((left - 16) / _LETTER)), anchor="end"),
            _bar(left, y + 3, length, _ROW - 6, f"{_printable(label)}: {share}", colour),
            _text(left + length + 6, y + 14, share),
        ]
    words = "; ".join(f"{_printable(label)}: {count:,}" for label, count, _ in bars) + "."
    return _svg(
        frequencies.name, words, f"{frequencies.total:,} counted", width, _TOP + len(bars) * _ROW + 14, elements
    )


def plots_of(figures: CorpusStatistics, width: int = WIDTH) -> dict[str, str]:
    """The plots of all that is spread or frequent in a corpus, by the name of their file."""
    files = plot_files(figures)
    drawn = {one.name: histogram_svg(one, width) for one in figures.histograms}
    drawn |= {one.name: bars_svg(one, width) for one in figures.frequencies}
    return {files[name]: svg for name, svg in drawn.items()}


def plot_files(figures: CorpusStatistics) -> dict[str, str]:
    """The name of the file of each plot, by the name of what it shows."""
    names = [*(one.name for one in figures.histograms), *(one.name for one in figures.frequencies)]
    return dict(zip(names, plot_names(names), strict=True))


def plot_names(names: Iterable[str]) -> tuple[str, ...]:
    """A file name for each name of a plot: letters a-z, digits and dashes, all different, in their order."""
    found: list[str] = []
    for name in names:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
        stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:80].strip("-") or "plot"
        file_name, number = f"{stem}.svg", 2
        while file_name in found:
            file_name, number = f"{stem}-{number}.svg", number + 1
        found.append(file_name)
    return tuple(found)


def is_own_plot(file: Path) -> bool:
    """Whether an SVG file is one that was drawn here; people put their own pictures beside."""
    return b"ostensive-plot" in file.read_bytes()


def _svg(name: str, words: str, subtitle: str, width: int, height: int, elements: Sequence[str]) -> str:
    light = "".join(f".ostensive-plot .{key}{{{_how(key)}:var(--plot-{key},{value})}}" for key, value, _ in _COLOURS)
    dark = "".join(f".ostensive-plot .{key}{{{_how(key)}:var(--plot-{key},{value})}}" for key, _, value in _COLOURS)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ostensive-plot" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}" font-family="system-ui, sans-serif" font-size="13" role="img">',
        f"<title>{escape(_printable(name))}</title>",
        f"<desc>{escape(words)}</desc>",
        f"<style>{light}@media (prefers-color-scheme: dark){{{dark}}}</style>",
        f'<rect class="ground" width="{width}" height="{height}" rx="6" fill="{_COLOURS[-1][1]}"/>',
        _text(16, 26, _cut(name, int((width - 2 * 16) / _TITLE_LETTER)), size=16, weight="bold"),
        _text(16, 45, subtitle, colour="rest"),
        *elements,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _how(key: str) -> str:
    return "stroke" if key == "line" else "fill"


def _count_axis(top: int, width: int) -> list[str]:
    elements = []
    for tick in range(0, top + 1, _step(top)):
        y = _y(tick, top)
        elements.append(f'<path class="line" d="M{_LEFT} {y}H{width - _RIGHT}" stroke="{_COLOURS[1][1]}" fill="none"/>')
        elements.append(_text(_LEFT - 8, y + 4, f"{tick:,}", anchor="end"))
    return elements


def _bins(histogram: Histogram, top: int, width: int) -> list[str]:
    wide = (width - _LEFT - _RIGHT) / len(histogram.counts)
    gap = min(2.0, wide / 8)
    elements = []
    for place, count in enumerate(histogram.counts):
        if count:
            # What is there is seen, however little it is.
            high = max(_y(0, top) - _y(count, top), 1.0)
            words = f"{_bin_words(histogram, place)}: {count:,} ({count / histogram.total:.1%})"
            elements.append(_bar(_LEFT + place * wide + gap / 2, _y(0, top) - high, wide - gap, high, words, "bar"))
    return elements


def _bin_labels(histogram: Histogram, width: int) -> list[str]:
    """As many as there is room for, below the middle of bins that hold one whole number, below edges otherwise."""
    is_whole = _holds_whole_numbers(histogram.edges)
    labels = [_number(edge) for edge in (histogram.edges[:-1] if is_whole else histogram.edges)]
    wide = (width - _LEFT - _RIGHT) / len(histogram.counts)
    every = max(1, math.ceil((max(map(len, labels)) + 1.5) * _LETTER / wide))
    elements = []
    last = len(labels) - 1
    for place, label in enumerate(labels):
        # The last edge says how far the values go, so that it is always there, and those too near to it are not.
        if place == last or (place % every == 0 and last - place >= every):
            x = _LEFT + (place + (0.5 if is_whole else 0)) * wide
            elements.append(_text(x, _HEIGHT - _BOTTOM + 18, label, anchor="middle"))
    return elements


def _histogram_words(histogram: Histogram) -> str:
    fullest = max(range(len(histogram.counts)), key=lambda place: histogram.counts[place])
    share = histogram.counts[fullest] / histogram.total
    first, last = _number(histogram.edges[0]), _number(histogram.edges[-1])
    return (
        f"{histogram.total:,} values from {first} to {last} in {len(histogram.counts)} bins; the fullest,"
        f" {_bin_words(histogram, fullest)}, holds {share:.1%}."
    )


def _bin_words(histogram: Histogram, place: int) -> str:
    low, high = (_number(edge) for edge in histogram.edges[place : place + 2])
    words = low if _holds_whole_numbers(histogram.edges) else f"{low} to {high}"
    return f"{words} {_printable(histogram.unit)}".strip()


def _is_even(edges: Sequence[float]) -> bool:
    widths = [high - low for low, high in pairwise(edges)]
    return math.isclose(min(widths), max(widths), rel_tol=1e-6)


def _holds_whole_numbers(edges: Sequence[float]) -> bool:
    return all(low == int(low) and high - low == 1 for low, high in pairwise(edges))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:.6g}"


def _step(top: int) -> int:
    return max(1, top // 4)


def _nice_top(count: int) -> int:
    """The least of 4, 8, 20, 40, 80, 200, ... that is not below `count`: a quarter of it is a round number."""
    top, place = 4, 0
    while top < count:
        place += 1
        top = (4, 8, 20)[place % 3] * 10 ** (place // 3)
    return top


def _y(count: float, top: int) -> float:
    return round(_HEIGHT - _BOTTOM - count / top * (_HEIGHT - _TOP - _BOTTOM), 1)


def _bar(x: float, y: float, width: float, height: float, words: str, colour: str) -> str:
    fill = next(light for key, light, _ in _COLOURS if key == colour)
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}"'
    return f'<rect class="{colour}" {place} fill="{fill}"><title>{escape(words)}</title></rect>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 13, weight: str = "", colour: str = "ink"
) -> str:
    # Other renderers than browsers may know no CSS variables: for these the colour of light stands in `fill`.
    fill = next(light for key, light, _ in _COLOURS if key == colour)
    more = "".join(f' {name}="{value}"' for name, value in (("font-weight", weight),) if value)
    more += f' font-size="{size}"' if size != 13 else ""
    more += f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text class="{colour}" x="{x:.1f}" y="{y:.1f}" fill="{fill}"{more}>{escape(_printable(text))}</text>'


def _printable(text: str) -> str:
    """`text` on one line, without what is invisible or may not stand in XML."""
    return " ".join("".join(char if char.isprintable() or char in _JOINERS else " " for char in text).split())


def _cut(text: str, cells: int) -> str:
    """`text` cut to so many cells of a terminal, in which a Chinese character takes two."""
    text = _printable(text)
    widths = [2 if unicodedata.east_asian_width(char) in "WF" else not unicodedata.combining(char) for char in text]
    if sum(widths) <= cells:
        return text
    kept = width = 0
    while width + widths[kept] <= cells - 1:
        width += widths[kept]
        kept += 1
    return text[:kept].rstrip() + "\u2026"
