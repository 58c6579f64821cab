"""From tallies to figures: means, histograms and frequencies."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final  # Any: JSON values, values of a figure

from cards.distributions import Frequencies, Histogram
from cards.statistics.figures import NOT_GIVEN, CorpusStatistics
from cards.statistics.question_types import OTHERS
from cards.statistics.tallies import BINS, BY_IMAGE, CRITICS_BETWEEN, MENTIONED, Tallies
from ostensive.recipe_kind import RecipeKind

_MOST_BINS: Final = 30
_MOST_VALUES: Final = 50  # that frequencies list; all others are one number
_USUAL_SHARE: Final = 0.99  # of values; what lies beyond them is in the last bin
_SHARE: Final = "share of the image"


def figures_of(tallies: Tallies, kind: RecipeKind, examples: tuple[Mapping[str, Any], ...] = ()) -> CorpusStatistics:
    """The figures of all that was counted, rounded to four digits."""
    rows_of_images, mentions = tallies["rows of an image", ""], tallies[MENTIONED, ""]
    images, rows = rows_of_images.total(), _sum(rows_of_images)
    labels, unlabelled = tallies["label", ""], tallies["unlabelled", ""][True]
    regions = labels.total() + unlabelled
    given = {name: counts for name in BY_IMAGE if set(counts := +tallies["images by field", name]) - {NOT_GIVEN}}
    by_field = {name: _sorted(counts) for name in kind.counted_fields if (counts := tallies["rows by field", name])}
    return CorpusStatistics(
        images=images,
        rows=rows,
        rows_per_image=_mean(rows, images),
        mean_words={part: round(_sum(counts) / counts.total(), 4) for part, counts in _by_part(tallies, "words", kind)},
        mean_mentions=_mean(_sum(mentions), rows) if kind.has_regions else None,
        rows_by_field=by_field,
        mean_fields=_means(tallies, "field", kind.averaged_fields),
        regions=regions,
        small_box_share=_mean(tallies["small boxes", ""][True], regions),
        annotations=tallies["annotations", ""][True],
        images_by_field={name: _sorted(counts) for name, counts in given.items()},
        mean_accept_probability=_means(tallies, "acceptance probability", tuple(tallies.of("graded"))),
        unlabelled_regions=unlabelled,
        ungraded_rows=_ungraded(tallies),
        histograms=tuple(_histograms(tallies, kind)),
        frequencies=tuple(_frequencies(tallies, kind)),
        examples=examples,
    )


def whole_number_histogram(name: str, unit: str, counts: Mapping[int, int]) -> Histogram:
    """Numbers in at most 30 bins of a round width; those few that are far beyond the others are in the last, wider one.

    `counts` has at least one number, how often it stands, and no negative one.
    """
    low, high = min(counts), max(counts)
    usual = _quantile(counts, _USUAL_SHARE)
    widths = (step * 10**place for place in range(19) for step in (1, 2, 5))
    width = next(width for width in widths if usual - low // width * width < _MOST_BINS * width)
    start = low // width * width
    bins = min(_MOST_BINS, (high - start) // width + 1)
    edges = [start + place * width for place in range(bins)]
    edges.append(max(edges[-1] + width, high + 1))
    in_bins = [0] * bins
    for number, count in counts.items():
        in_bins[min((number - start) // width, bins - 1)] += count
    return Histogram(name, unit, tuple(map(float, edges)), tuple(in_bins))


def share_histogram(name: str, unit: str, counts: Mapping[int, int]) -> Histogram:
    """Shares in equal bins from 0 to 1; `counts` are by the place of a bin."""
    edges = tuple(place / BINS for place in range(BINS + 1))
    return Histogram(name, unit, edges, tuple(counts.get(place, 0) for place in range(BINS)))


def frequencies_of(name: str, counts: Mapping[str, int]) -> Frequencies:
    """The most frequent values first, equal ones by name."""
    ordered = sorted(((value, n) for value, n in counts.items() if n), key=lambda item: (-item[1], item[0]))
    return Frequencies(name, dict(ordered[:_MOST_VALUES]), sum(n for _, n in ordered[_MOST_VALUES:]))


def _histograms(tallies: Tallies, kind: RecipeKind) -> Iterator[Histogram]:
    if rows := tallies["rows of an image", ""]:
        yield whole_number_histogram("rows of an image", "rows", rows)
    for part, counts in _by_part(tallies, "words", kind):
        yield whole_number_histogram(f"words of the {part}", "words", counts)
    if kind.has_regions and (mentions := tallies[MENTIONED, ""]):
        yield whole_number_histogram("regions mentioned in a row", "regions", mentions)
    for name in ("width", "height", "area"):
        if counts := tallies["box", name]:
            yield share_histogram(f"{name} of boxes", _SHARE, counts)
    for critic, counts in tallies.of("acceptance bin").items():
        yield share_histogram(f"acceptance probability by {critic}", "", counts)


def _frequencies(tallies: Tallies, kind: RecipeKind) -> Iterator[Frequencies]:
    for part, counts in _by_part(tallies, "question type", kind):
        if set(+counts) - {OTHERS}:
            yield frequencies_of(f"types of the {part}", counts)
    for part, counts in _by_part(tallies, "first word", kind):
        yield frequencies_of(f"first word of the {part}", counts)
    for part, counts in _by_part(tallies, "opening", kind):
        yield frequencies_of(f"openings of the {part}", counts)
    for part, counts in _by_part(tallies, "word", kind):
        yield frequencies_of(f"words in the {part}", counts)
    if labels := tallies["label", ""]:
        yield frequencies_of("labels of regions", labels)


def _by_part(tallies: Tallies, figure: str, kind: RecipeKind) -> Iterator[tuple[str, Counter[Any]]]:
    for part in kind.parts:
        if counts := tallies[figure, part]:
            yield part, counts


def _ungraded(tallies: Tallies) -> int:
    """The rows that were judged by nobody who gives more than 0 and 1."""
    grading = {critic for critic, counts in tallies.of("graded").items() if counts[True]}
    by_critics = tallies["critics of a row", ""]
    return sum(count for names, count in by_critics.items() if grading.isdisjoint(names.split(CRITICS_BETWEEN)))


def _means(tallies: Tallies, figure: str, names: tuple[str, ...]) -> dict[str, float]:
    return {
        name: round(tallies[f"{figure}, millionths", name][True] / 1e6 / count, 4)
        for name in names
        if (count := tallies[f"{figure}, values", name][True])
    }


def _quantile(counts: Mapping[int, int], share: float) -> int:
    """The least number that this share of all numbers does not pass."""
    left = share * sum(counts.values())
    for number, count in sorted(counts.items()):
        left -= count
        if left <= 0:
            return number
    return max(counts)


def _sum(counts: Mapping[int, int]) -> int:
    return sum(number * count for number, count in counts.items())


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _mean(total: int, count: int) -> float | None:
    return round(total / count, 4) if count else None
