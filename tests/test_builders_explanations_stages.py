"""The stages of the recipe `explanations`: whose picture is shown, what is asked and kept, and why things are lost."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest
from annotated_images import write_rows
from hardship import call
from opened_verbalizers import journaled_services
from PIL import Image

from builders.explanations.answering import AnswerStage
from builders.explanations.concepts import load_concepts, parse_concepts
from builders.explanations.describing import DescribeStage, labels_of
from builders.explanations.queries import KINDS, draw_queries, shipped_pools
from builders.explanations.recipe import KIND
from builders.explanations.records import Described, Explanation, Selected
from builders.explanations.scripted import make_script
from builders.explanations.settings import ExplanationsSettings
from builders.scripted_sight import shown_picture
from builders.table import load
from ostensive.chat.records import Message
from ostensive.chat.scripted import Script, ScriptedTeacherSettings
from ostensive.errors import SettingsError
from ostensive.records import Annotation, ImageRecord, Location
from ostensive.stage import Dropped, Failed, ImageEvidence, Kept

SHADES = (10, 60, 110, 160, 210)
LISTS = {"robin": ["red breast", "thin bill", "round body"], "737-700": ["two engines", "short tail"]}
ODD_QUERY = "What's this: a bird's wing?"


@pytest.fixture(scope="module")
def concepts(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("concepts") / "concepts.json"
    path.write_text(json.dumps(LISTS))
    return str(path)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRecord]:
    """Pictures of one grey each; the id of an image begins with its grey."""
    folder = tmp_path_factory.mktemp("greys")
    for shade in SHADES:
        Image.new("RGB", (32, 32), (shade,) * 3).save(folder / f"{shade}.png")
    return [
        ImageRecord(f"{n:03d}".ljust(64, "0"), 32, 32, "PNG", "RGB", 9, "x", Location(str(folder / f"{n}.png")))
        for n in SHADES
    ]


def seen(rows: Sequence[ImageRecord], *labels: str) -> dict[str, ImageEvidence]:
    return {
        row.image_id: ImageEvidence(
            row, None, tuple(Annotation(f"{n}", row.image_id, label=label) for n, label in enumerate(labels))
        )
        for row in rows
    }


def tell_grey(messages: Sequence[Message], _seed: int) -> str:
    picture = shown_picture(messages)
    assert isinstance(picture, Image.Image)
    return f"grey {picture.getpixel((0, 0))[0]:03d}"  # type: ignore[index]  # of an RGB picture


def make_describe(concepts: str, script: Script = tell_grey, **values: object) -> DescribeStage:
    settings = ExplanationsSettings.model_validate({"concepts": concepts, "draws": 2, **values})
    return DescribeStage(settings, teacher=ScriptedTeacherSettings(), script=script, seed=0)


def make_answer(concepts: str, script: Script, **values: object) -> AnswerStage:
    settings = ExplanationsSettings.model_validate({"concepts": concepts, "queries": 3, **values})
    return AnswerStage(settings, teacher=ScriptedTeacherSettings(), script=script, seed=0)


def processed(stage: Any, rows: Sequence[Any], evidence: Any, folder: Path, at_once: int = 99) -> list[Any]:
    journal = folder / f"{len(list(folder.iterdir()))}.sqlite"  # of its own: the script is no part of a request
    with journaled_services(journal) as services, stage.opened(services) as opened:
        parts = [rows[start : start + at_once] for start in range(0, len(rows), at_once)]
        return [outcome for part in parts for outcome in opened.process(part, evidence)]


def selected(row: ImageRecord, label: str = "robin") -> Selected:
    return Selected(row.image_id, label, tuple(LISTS[label]), tuple(-float(n) for n in range(len(LISTS[label]))))


@pytest.mark.parametrize("at_once", [1, 2, 3, 5])
def test_every_prompt_is_shown_its_own_picture_in_any_batch(
    at_once: int, concepts: str, images: list[ImageRecord], tmp_path: Path
) -> None:
    outcomes = processed(make_describe(concepts), images, seen(images, "robin"), tmp_path, at_once)
    for row, outcome in zip(images, outcomes, strict=True):
        (described,) = outcome.records
        assert described.descriptions == (f"grey {row.image_id[:3]}",) * 6, "three prompts, two draws"
        assert outcome.spend.requests == 6

    def answer(messages: Sequence[Message], seed: int) -> str:
        return f"{tell_grey(messages, seed)} robin {messages[-1].text.rpartition('Question: ')[2]}"

    rows = [selected(row) for row in images]
    for row, outcome in zip(
        images, processed(make_answer(concepts, answer), rows, seen(images), tmp_path), strict=True
    ):
        assert len(outcome.records) == 3
        for record in outcome.records:
            assert record.answer == f"grey {row.image_id[:3]} robin {record.query}", "picture, prompt and row are one"


def test_each_prompt_is_asked_as_often_as_any_other(concepts: str, images: list[ImageRecord], tmp_path: Path) -> None:
    asked: list[str] = []

    def note(messages: Sequence[Message], _seed: int) -> str:
        asked.append(messages[-1].text)
        return "It is round."

    processed(make_describe(concepts, note, draws=3), images[:3], seen(images, "robin"), tmp_path)
    assert {text: asked.count(text) for text in asked} == dict.fromkeys(set(asked), 9)
    assert len(set(asked)) == 3
    assert not any("robin" in text for text in asked), "the label is not told"


@pytest.mark.parametrize(
    ("labels", "reason"),
    [((), "no label"), (("robin", "wren"), "several labels"), (("wren",), "no concepts for the label")],
)
def test_images_that_are_not_described(
    labels: tuple[str, ...], reason: str, concepts: str, images: list[ImageRecord], tmp_path: Path
) -> None:
    (outcome,) = processed(make_describe(concepts), images[:1], seen(images, *labels), tmp_path)
    assert outcome == Dropped(reason, "; ".join(labels))


def test_a_label_is_one_whatever_its_case(concepts: str, images: list[ImageRecord], tmp_path: Path) -> None:
    items = [Annotation("1", "x", label=" Robin"), Annotation("2", "x", label="ROBIN"), Annotation("3", "x")]
    assert labels_of(items) == ["Robin"]
    (outcome,) = processed(make_describe(concepts), images[:1], seen(images, " ROBIN ", "robin"), tmp_path)
    assert outcome.records[0].label == "ROBIN"


def test_descriptions_that_are_lost_are_counted(concepts: str, images: list[ImageRecord], tmp_path: Path) -> None:
    def long_or_short(messages: Sequence[Message], seed: int) -> str:
        return "word " * (400 if "recognise" in messages[-1].text else 4)

    stage = make_describe(concepts, long_or_short)
    (outcome,) = processed(stage, images[:1], seen(images, "robin"), tmp_path)
    assert outcome.records == (Described(images[0].image_id, "robin", ("word word word word",) * 4),)
    assert outcome.losses == (Dropped("truncated reply", "finish reason 'length'"),) * 2


def test_a_picture_that_is_gone_costs_its_own_image(concepts: str, images: list[ImageRecord], tmp_path: Path) -> None:
    gone = replace(images[0], location=Location("/nowhere.png"))
    rows = [gone, images[1]]
    for outcomes in (
        processed(make_describe(concepts), rows, seen(rows, "robin"), tmp_path),
        processed(make_answer(concepts, tell_grey), [selected(row) for row in rows], seen(rows), tmp_path),
    ):
        assert [type(loss) for loss in outcomes[0].losses] == [Failed]
        assert outcomes[0].losses[0].reason == "image cannot be read"
        assert outcomes[0].records == ()
        assert outcomes[1].records


def test_a_label_of_digits_is_checked_with_its_digits(concepts: str, images: list[ImageRecord], tmp_path: Path) -> None:
    rows = [selected(images[0], "737-700")]
    right = make_answer(concepts, lambda _messages, _seed: "It is a 737 700 with two engines.")
    (outcome,) = processed(right, rows, seen(images), tmp_path)
    assert {record.way for record in outcome.records} == {"explained"}
    wrong = make_answer(concepts, lambda _messages, _seed: "It is a 737-800 with two engines.")
    (outcome,) = processed(wrong, rows, seen(images), tmp_path)
    assert {(record.way, record.answer, record.query_kind) for record in outcome.records} == {
        ("label only", "The answer is 737-700.", "simple")
    }
    assert {record.query for record in outcome.records} <= set(shipped_pools()["simple"])
    assert len({record.query for record in outcome.records}) == len({r.row_id for r in outcome.records}) == 3


def test_each_row_is_measured_by_rule(concepts: str, images: list[ImageRecord], tmp_path: Path) -> None:
    def row_of(answer: str) -> Explanation:
        stage = make_answer(concepts, lambda _messages, _seed: answer, queries=1)
        (outcome,) = processed(stage, [selected(images[0])], seen(images), tmp_path)
        row: Explanation = outcome.records[0]
        return row

    row = row_of("It is a robin because of its red breast, its thin bill and its red breast.")
    assert (row.explains, row.concept_share, row.distinct_trigrams) == (True, 0.6667, round(13 / 14, 4))
    row = row_of("It is a robin.")
    assert (row.explains, row.concept_share, row.distinct_trigrams) == (False, 0.0, 1.0)


def test_without_a_fallback_such_a_pair_is_dropped_and_seen(
    concepts: str, images: list[ImageRecord], tmp_path: Path
) -> None:
    stage = make_answer(concepts, lambda _messages, _seed: "It is a wren.", fallback=False)
    (outcome,) = processed(stage, [selected(images[0])], seen(images), tmp_path)
    assert outcome.records == ()
    assert [loss.reason for loss in outcome.losses] == ["label not named"] * 3
    assert outcome.losses[0].record.answer == "It is a wren."


def test_an_alias_is_a_name(concepts: str, images: list[ImageRecord], tmp_path: Path) -> None:
    aliases = {"Robin": ["redbreast"]}
    stage = make_answer(concepts, lambda _messages, _seed: "It is a redbreast.", aliases=aliases)
    (outcome,) = processed(stage, [selected(images[0])], seen(images), tmp_path)
    assert {record.answer for record in outcome.records} == {"It is a redbreast."}


def test_apostrophes_and_colons_of_a_question_survive(
    concepts: str, images: list[ImageRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = {"explain": (ODD_QUERY,), "step": (ODD_QUERY,), "simple": (ODD_QUERY,)}
    stage = make_answer(concepts, lambda _messages, _seed: "A robin: it's one.", queries=1)
    monkeypatch.setattr(stage, "_pools", pools)
    (outcome,) = processed(stage, [selected(images[0])], seen(images), tmp_path)
    assert [(record.query, record.answer) for record in outcome.records] == [(ODD_QUERY, "A robin: it's one.")]


def test_text_of_models_and_labels_is_no_template(concepts: str) -> None:
    stage = make_answer(concepts, tell_grey)
    row = Selected("0", "{{ 7 * 7 }}", ("{% raw %}", "{{ query }}"), (0.0, 0.0))
    text = stage.prompt(row, "{# a question #}")
    assert text.startswith("This is a picture of: {{ 7 * 7 }}\n")
    assert "- {% raw %}\n- {{ query }}\n" in text
    assert text.endswith("Question: {# a question #}")


def test_questions_come_in_their_shares_and_once_each() -> None:
    pools = shipped_pools()
    assert all(len(set(pools[kind])) >= 30 for kind in KINDS)
    drawn = [draw_queries(pools, 8, 0.4, Random(number)) for number in range(1500)]
    kinds = [query.kind for queries in drawn for query in queries]
    assert kinds.count("simple") / len(kinds) == pytest.approx(0.4, abs=0.015)
    assert kinds.count("explain") / len(kinds) == pytest.approx(0.3, abs=0.015)
    assert kinds.count("step") / len(kinds) == pytest.approx(0.3, abs=0.015)
    for queries in drawn:
        assert len({query.text for query in queries}) == 8
        assert len({query.plain for query in queries}) == 8
        assert all(query.plain in pools["simple"] and query.text in pools[query.kind] for query in queries)
    assert len(draw_queries(pools, 25, 1.0, Random(0))) == 25
    assert drawn[0] == draw_queries(pools, 8, 0.4, Random(0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "an object with a list of concepts for each label is expected"),
        ({}, "an object with a list of concepts"),
        ({"robin": "red"}, "'robin': a list of texts is expected, one for each concept"),
        ({"1": {"visual_features": ["red"]}}, "'1': a label is expected as its key, or as its name"),
        ({"Robin": ["red"], " robin": ["thin"]}, "the label 'robin' is there twice, as 'Robin'"),
        ({"robin": ["", " "]}, "there is no concept in it"),
    ],
)
def test_lists_that_are_refused(given: object, message: str) -> None:
    with pytest.raises(SettingsError, match=f"^here: .*{message}"):
        parse_concepts(given, "here")


def test_both_forms_of_a_list_are_one() -> None:
    named = {"7": {"name": "Robin", "visual_features": ["red  breast", "thin bill", "red breast"]}}
    plain = parse_concepts({"Robin": ["red breast", "thin bill"]}, "here")
    assert parse_concepts(named, "here") == plain
    assert parse_concepts(named, "here").digest == plain.digest
    assert plain.places(" ROBIN") == range(0, 2)
    assert plain.places("wren") == range(0)


def test_a_file_that_is_no_list_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(SettingsError, match=r"explanations\.concepts: .*broken\.json: cannot be read as JSON in UTF-8"):
        load_concepts(str(tmp_path / "broken.json"))
    recipe = load(
        "explanations", assignments=["corpus.license=cc0-1.0", "corpus.source=a test", "corpus.intended_use=to test"]
    )
    for stage in KIND.make_stages(recipe)[:3]:
        with pytest.raises(SettingsError, match=r"explanations\.concepts: is not set; name a JSON file"):
            _ = stage.identity


def test_a_template_for_the_label_has_to_hold_it(concepts: str, tmp_path: Path) -> None:
    for name in ("describe_1", "answer"):
        (tmp_path / f"{name}.j2").write_text("{{ label }}" if name == "answer" else "Describe.")
    (tmp_path / "label_only.j2").write_text("It is what it is.")
    with pytest.raises(SettingsError, match=r"label_only\.j2 does not hold \{\{ label \}\}"):
        make_answer(concepts, tell_grey, prompt_set=str(tmp_path))
    (tmp_path / "describe_2.j2").write_text("Describe this {{ label }}.")
    with pytest.raises(SettingsError, match=r"the template describe_2\.j2 cannot be rendered"):
        make_describe(concepts, prompt_set=str(tmp_path))


def test_the_scripted_teacher_errs_as_often_as_it_is_asked_to(
    concepts: str, images: list[ImageRecord], tmp_path: Path
) -> None:
    rows = [selected(images[0]), selected(images[1], "737-700")]
    kept: Callable[[float], list[Explanation]] = lambda rate: [  # noqa: E731 - short
        record
        for outcome in processed(make_answer(concepts, make_script(rate), queries=20), rows, seen(images), tmp_path)
        if isinstance(outcome, Kept)
        for record in outcome.records
    ]
    assert {record.way for record in kept(0.0)} == {"explained"}
    spoilt = kept(1.0)
    assert len(spoilt) == 40
    assert {record.way for record in spoilt} == {"explained", "label only"}, "hedges name the label, others do not"
    assert all("probably" in one.answer or "cannot be told" in one.answer for one in spoilt if one.way == "explained")
    with pytest.raises(ValueError, match="error_rate: a share from 0 to 1 is expected"):
        make_script(2)


# ---- a whole run ----------------------------------------------------------------------------------------------------

SETTINGS = [
    "corpus.license=cc0-1.0",
    "corpus.source=a test",
    "corpus.intended_use=to test",
    "explanations.draws=1",
    "explanations.queries=2",
]


def build(folder: Path, concepts: str, run: str, partition_size: int) -> Path:
    settings = [*SETTINGS, f"explanations.concepts={concepts}", f"run.partition_size={partition_size}"]
    beside = folder / "labels.csv"
    done = call(
        "build", "explanations", "--images", folder / "images", "--annotations", beside, "--out", folder / run,
        "--quiet", *(word for one in settings for word in ("--set", one)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / run


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, concepts: str) -> Path:
    folder = tmp_path_factory.mktemp("built")
    (folder / "images").mkdir()
    names = {"a.png": "robin", "b.png": "737-700", "c.png": "wren"}
    for place, name in enumerate(names):
        Image.new("RGB", (40, 40), (place * 80, 10, 200 - place * 80)).save(folder / "images" / name)
    write_rows(folder / "labels.csv", [{"file_name": name, "label": label} for name, label in names.items()])
    return build(folder, concepts, "run", 1)


def test_partitions_make_no_difference(built: Path, concepts: str) -> None:
    whole = build(built.parent, concepts, "whole", 3)
    rows = [
        sorted(
            (row["row_id"], row["answer"], tuple(row["concepts"]))
            for path in run.glob("corpus/rows/*.parquet")
            for row in pq.read_table(path).to_pylist()
        )
        for run in (built, whole)
    ]
    assert rows[0] == rows[1] != []


@pytest.mark.slow
def test_the_demo_keeps_rows_and_drops_some(tmp_path: Path) -> None:
    done = call("demo", "explanations", "--out", tmp_path, "--quiet", "--json")
    assert done.returncode == 0, done.stderr
    stages = {one["name"]: one for one in json.loads(call("status", tmp_path / "run", "--json").stdout)["stages"]}
    assert stages["described"]["kept"] == stages["selected"]["kept"] == 10
    assert stages["candidates"]["kept"] == 40
    assert 30 <= stages["judged"]["kept"] < stages["judged"]["rows"]


def test_a_run_keeps_rows_and_counts_what_it_loses(built: Path) -> None:
    stages = {one["name"]: one for one in json.loads(call("status", built, "--json").stdout)["stages"]}
    assert stages["described"]["dropped"] == {"no concepts for the label": 1}
    assert [stages[name]["kept"] for name in ("described", "compared", "selected", "candidates")] == [2, 2, 2, 4]
    assert stages["judged"]["kept"] == stages["unique"]["kept"] > 0
    card = (built / "corpus" / "README.md").read_text()
    assert "SelfSynthX" in card
    assert "label only" in card or "explained" in card


def test_without_labels_nothing_begins(built: Path, tmp_path: Path) -> None:
    settings = [word for one in SETTINGS for word in ("--set", one)]
    images = built.parent / "images"
    done = call("build", "explanations", "--images", images, "--out", tmp_path / "run", *settings, "--quiet")
    assert done.returncode == 2
    assert "label" in done.complaint
    done = call(
        "build", "explanations", "--images", images, "--annotations", built.parent / "labels.csv",
        "--out", tmp_path / "run", *settings, "--quiet",
    )  # fmt: skip
    assert done.returncode == 2
    assert done.complaint.startswith("explanations.concepts: is not set; name a JSON file")
    assert not list((tmp_path / "run").glob("*/part-*"))
