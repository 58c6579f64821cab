"""Figures of a corpus: what is counted, that no order matters, and that its files give them once more."""

import json
import random
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_cards_corpus import SETTINGS, SPLITS, facts_for, make_sample, write

from builders.localized.recipe import KIND
from cards.card_text import limits
from cards.plots import plots_of
from cards.samples import CorpusSample, PublicForm
from cards.statistics.figures import CorpusStatistics, statistics_from_json
from cards.statistics.from_files import statistics_of
from cards.statistics.gathering import StatisticsGatherer
from cards.statistics.tallies import NumberTally, ShareTally, TextTally
from ostensive.records import Judged, Judgement

FORM = PublicForm(KIND, "")
FACTS = facts_for(4)


def table(*samples: CorpusSample) -> pa.Table:
    return pa.Table.from_pylist([FORM.sample_row(one) for one in samples], schema=FORM.sample_schema)


def figures_of(*tables: pa.Table) -> CorpusStatistics:
    gatherer = StatisticsGatherer(KIND)
    for one in tables:
        gatherer.add(one)
    return gatherer.result()


def samples(count: int) -> list[CorpusSample]:
    return [make_sample(place, rows=1 + place % 4, sure=0.5 if place % 3 else None) for place in range(count)]


def test_the_figures_of_a_few_samples_by_hand() -> None:
    figures = figures_of(table(*samples(4)))  # of 1 to 4 rows, the second and third with mentions
    by_name = {one.name: one for one in figures.histograms}
    rows = by_name["rows of an image"]
    assert (rows.edges, rows.counts) == ((0.0, 1.0, 2.0, 3.0, 4.0, 5.0), (0, 1, 1, 1, 1))
    assert by_name["regions mentioned in a row"].counts == (5, 0, 5)
    assert figures.mean_mentions == 1.0
    area = by_name["area of regions"]
    assert {place: count for place, count in enumerate(area.counts) if count} == {0: 4, 12: 4}  # 0.04 and 0.64
    assert figures.mean_box == {"width": 0.5, "height": 0.5, "area": 0.34}
    assert figures.small_box_share == 0.5
    assert figures.unnamed_region_share == 0.5
    trained = by_name["acceptance probability by trained"]  # 0, 0.25, 0.5, 0.75 by the place of a row
    assert {place: count for place, count in enumerate(trained.counts) if count} == {0: 4, 5: 3, 10: 2, 15: 1}
    assert by_name["acceptance probability by rules"].counts[-1] == 10


def test_how_texts_begin_and_which_words_they_hold() -> None:
    tally = TextTally(begins=True, has_tags=True)
    tally.add(["What is it?", "  what IS that", "[3] Who knows?", "", "...", "Qué café", "何 ですか"])
    first, opening, frequent = tally.frequencies("question")
    assert first.counts == {"what": 2, "[k]": 1, "qué": 1, "何": 1}
    assert opening.counts == {"what is": 2, "[k] who": 1, "qué café": 1, "何 で": 1}
    assert frequent.counts == {"café": 1, "knows": 1, "qué": 1, "か": 1, "す": 1, "で": 1, "何": 1}
    assert tally.lengths.counts == Counter({3: 3, 0: 2, 2: 1, 4: 1})


def judged_by(sample: CorpusSample, *scores: tuple[str, float]) -> CorpusSample:
    said = tuple(Judgement(critic, "1", score, True, "") for critic, score in scores)
    return replace(sample, rows=tuple(Judged(one.candidate, said) for one in sample.rows))


def test_rows_that_nobody_grades_are_counted() -> None:
    bare = judged_by(make_sample(0, rows=2), ("rules", 1.0)), judged_by(make_sample(1), ("rules", 1.0), ("model", 1.0))
    assert figures_of(table(*bare)).ungraded_rows == 4, "nobody says more than yes or no"
    more = judged_by(make_sample(2, rows=5), ("model", 0.75))
    assert figures_of(table(*bare), table(more)).ungraded_rows == 2, "a whole 1 of one who grades is a grade"
    assert figures_of(table(judged_by(make_sample(3, rows=3)))).ungraded_rows == 3
    (line,) = [one for one in limits((), FACTS, figures_of(table(*bare))).splitlines() if "yes or no" in one]
    assert line.startswith("- 4 of 4 rows were judged by no critic")
    assert "yes or no" not in limits((), FACTS, figures_of(table(more)))


def test_labels_of_regions_are_counted_less_those_that_say_nothing() -> None:
    figures = figures_of(table(make_sample(0), make_sample(1)))
    found = {one.name: one for one in figures.frequencies}
    assert found["labels of regions"].counts == {"face": 2}
    assert figures.unnamed_region_share == 0.5


def asking(*questions: str) -> CorpusSample:
    one = make_sample(0, rows=len(questions))
    rows = [replace(row.candidate, question=text) for row, text in zip(one.rows, questions, strict=True)]
    return replace(one, rows=tuple(Judged(row, ()) for row in rows))


def test_types_of_questions_are_of_what_the_kind_says_is_asked() -> None:
    sample = asking("Why?", "What is the purpose of it?", "Why not?")
    found = {one.name: one for one in figures_of(table(sample)).frequencies}
    assert dict(found["types of questions"].counts) == {"reason": 2, "purpose": 1}
    assert "types-of-questions.svg" in plots_of(figures_of(table(sample)))
    for kind, one in ((replace(KIND, questions=None), sample), (KIND, asking("Was ist das?", "\u4f55"))):
        gatherer = StatisticsGatherer(kind)
        gatherer.add(table(one))
        assert not [each for each in gatherer.result().frequencies if each.name == "types of questions"]


def test_what_is_not_listed_is_counted_with_the_others() -> None:
    tally = TextTally()
    tally.add([" ".join(f"word{number}" for number in range(60)), "word59"])
    (frequent,) = tally.frequencies("answer")
    assert (len(frequent.counts), next(iter(frequent.counts)), frequent.others, frequent.total) == (
        50,
        "word59",
        10,
        61,
    )


@given(st.lists(st.integers(0, 5_000), min_size=1))
def test_every_number_is_in_its_bin(values: list[int]) -> None:
    tally = NumberTally()
    tally.add(values)
    found = tally.histogram("n", "")
    assert found.total == len(values)
    assert len(found.counts) <= 26
    for place, count in enumerate(found.counts):
        assert count == sum(found.edges[place] <= value < found.edges[place + 1] for value in values)


def test_one_long_text_does_not_squeeze_the_others() -> None:
    tally = NumberTally()
    tally.add([*range(10)] * 100 + [4_000])
    found = tally.histogram("words", "words")
    assert found.counts[:10] == (100,) * 10
    assert (found.edges[-1], found.counts[-1]) == (4_001.0, 1)


@given(st.lists(st.floats(0, 1)))
def test_every_share_is_in_a_bin_and_sums_have_no_order(values: list[float]) -> None:
    one, other = ShareTally(), ShareTally()
    one.add(np.array(values, dtype=np.float64))
    for value in reversed(values):
        other.add(np.array([value]))
    assert one.histogram("s", "").counts == other.histogram("s", "").counts
    assert (one.count, one.mean) == (other.count, other.mean) == (len(values), one.mean)
    assert sum(one.bins) == len(values)


def test_no_order_and_no_size_of_tables_matters() -> None:
    every = samples(11)
    whole = figures_of(table(*every))
    random.Random(0).shuffle(every)
    assert figures_of(table(*every)) == whole
    assert figures_of(*(table(one) for one in every)) == whole


def test_nothing() -> None:
    figures = figures_of()
    assert (figures.images, figures.rows, figures.histograms, figures.frequencies, figures.examples) == (
        0,
        0,
        (),
        (),
        (),
    )
    assert plots_of(figures) == {}
    assert figures_of(table().slice(0, 0)) == figures


def test_the_files_give_the_same_figures_again(tmp_path: Path) -> None:
    for name, splits in (("one", ()), ("many", SPLITS)):
        made = [replace(one, split=splits[place % 2]) if splits else one for place, one in enumerate(samples(9))]
        settings = SETTINGS.model_copy(update={"max_shard_bytes": 10_000})
        written = write(tmp_path / name, made, settings, splits)
        assert len(written.manifest.files_of("samples")) > 1
        assert statistics_of(written.folder, written.manifest, KIND) == written.manifest.statistics


def test_figures_go_to_json_and_back() -> None:
    figures = replace(figures_of(table(*samples(4))), examples=())
    values = json.loads(json.dumps(asdict(figures)))
    del values["examples"]  # the manifest has none
    assert statistics_from_json(values) == figures
    with pytest.raises(TypeError):
        statistics_from_json({**asdict(figures), "more": 1})


def test_plots_are_files_of_the_corpus_and_stale_ones_go(tmp_path: Path) -> None:
    first = write(tmp_path / "street", samples(3))
    plots = {file.path for file in first.manifest.files_of("plot")}
    assert plots == {f"plots/{path.name}" for path in (tmp_path / "street" / "plots").iterdir()}
    assert "plots/words-of-the-question.svg" in plots
    assert (
        "![words of the question](plots/words-of-the-question.svg)" in (tmp_path / "street" / "README.md").read_text()
    )
    stale = tmp_path / "street" / "plots" / "stale.svg"
    stale.write_bytes((tmp_path / "street" / "plots" / "words-of-the-question.svg").read_bytes())
    before = {path: (tmp_path / "street" / path).read_bytes() for path in plots}
    write(tmp_path / "street", samples(3))
    assert not stale.exists()
    assert {path: (tmp_path / "street" / path).read_bytes() for path in plots} == before
