"""Writes what was measured into `docs/evidence.md`, between its two marks."""

from collections.abc import Sequence
from pathlib import Path

from evidence.methods import METHODS
from evidence.pictures import Found, draw
from evidence.records import Claim, Difference, Expectation, Figure, Method, Pooled, difference, pooled, read_figures

BEGIN, END = "<!-- measured: written by benchmarks/evidence -->", "<!-- end of what was measured -->"


def write_page(results: Path, docs: Path) -> None:
    page = docs / "evidence.md"
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    parts = [BEGIN, ""]
    for method in METHODS.values():
        parts += method_lines(method, results, docs)
    page.write_text("".join((before, "\n".join([*parts, END]), after)), "utf-8")


def method_lines(method: Method, results: Path, docs: Path) -> list[str]:
    files = sorted(results.glob(f"{method.name}-*.json"))
    if not files:
        return [f"## {method.title}", "", "Not measured yet.", ""]
    figures = [figure for file in files for figure in read_figures(file)]
    lines = [f"## {method.title}", "", f"{len(files)} {'seed' if len(files) == 1 else 'seeds'}.", ""]
    found = [(claim, by_arm([one for one in figures if one.claim == claim.name])) for claim in method.claims]
    picture = Path("pictures", f"evidence-{method.name}.svg")
    if not draw(docs / picture, [one for one in found if one[1]]):
        print(f"{picture} is as it was: drawing needs matplotlib (uv run --group pictures ...)")
    lines += [f"![{method.title}: each arm with its interval]({picture.as_posix()})", ""]
    for claim, figures_of_it in found:
        lines += claim_lines(claim, figures_of_it)
    return lines


def claim_lines(claim: Claim, found: Found) -> list[str]:
    lines = [f"### {claim.title}", "", f"The paper ({claim.source}): {claim.published}.", "", claim.how, ""]
    if not found:
        return [*lines, "Not measured yet.", ""]
    lines += [*table(found), ""]
    told = [expectation_line(one, found) for one in claim.expectations]
    lines += [*told, ""] if told else []
    return [*lines, claim.note, ""] if claim.note else lines


def by_arm(figures: Sequence[Figure]) -> dict[tuple[str, str], Pooled]:
    groups: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures:
        groups.setdefault((figure.arm, figure.measure), []).append(figure)
    return {key: pooled(group) for key, group in groups.items() if sum(one.count for one in group)}


def table(found: Found) -> list[str]:
    """A row an arm, a column a measure; the interval is of 95 %, the count of all seeds, whose values follow."""
    arms, measures = (list(dict.fromkeys(key[place] for key in found)) for place in (0, 1))
    rows = [["", *measures], ["---"] * (len(measures) + 1)]
    rows += [[arm, *(cell(found.get((arm, measure))) for measure in measures)] for arm in arms]
    return [f"| {' | '.join(row)} |" for row in rows]


def cell(one: Pooled | None) -> str:
    if one is None:
        return ""
    low, high = number(one.interval.low, one), number(one.interval.high, one)
    seeds = f"; {', '.join(number(value, one) for value in one.by_seed)}" if len(one.by_seed) > 1 else ""
    return f"{number(one.value, one)}{unit(one)} ({low} to {high}) of {one.count:,}{seeds}"


def number(value: float, of: Pooled) -> str:
    return f"{value:.1%}".removesuffix("%") if of.deviation is None else f"{value:.3g}"


def unit(of: Pooled) -> str:
    return " %" if of.deviation is None else ""


def expectation_line(expected: Expectation, found: Found) -> str:
    """What is expected, the difference, and whether it is as expected, the other way, or cannot be told."""
    text = f"- {expected.arm}: {'less' if expected.less else 'more'} than {expected.than} ({expected.measure}): "
    arms = [found.get((arm, expected.measure)) for arm in (expected.arm, expected.than)]
    if arms[0] is None or arms[1] is None:
        return f"{text}not measured"
    found_difference = difference(arms[0], arms[1])
    return f"{text}{told(found_difference, arms[0])}, **{judgement(expected, found_difference)}**"


def told(one: Difference, of: Pooled) -> str:
    scale, after = (100, " points") if of.deviation is None else (1, "")
    values = [f"{scale * value:+.1f}" if scale > 1 else f"{value:+.3g}" for value in (one.value, one.low, one.high)]
    return f"{values[0]}{after} ({values[1]} to {values[2]})"


def judgement(expected: Expectation, one: Difference) -> str:
    if not one.is_told:
        return "not to be told from none"
    return "as expected" if (one.value < 0) == expected.less else "the other way"
