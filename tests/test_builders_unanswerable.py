"""Unanswerable items: what a question takes for granted, where it is put, and that it does not hold there."""

import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from annotated_images import write_rows
from drawing import write_scenes

import ostensive
from builders.explanations.recipe import KIND as EXPLANATIONS
from builders.explanations.records import Explanation
from builders.instructions.recipe import KIND as INSTRUCTIONS
from builders.instructions.records import InfusedInstruction
from builders.localized.recipe import KIND as LOCALIZED
from builders.localized.records import Qar
from builders.placing import NO_PLACE, NO_PREMISE, region_apart
from builders.preferences.recipe import KIND as PREFERENCES
from builders.preferences.records import PreferencePair
from builders.presupposition import presupposed
from builders.rationales.records import Rationale
from builders.rounds import Inherited, RoundSettings
from builders.unanswerable import UnanswerableSettings, UnanswerableStage
from ostensive.commands import api
from ostensive.errors import SettingsError
from ostensive.recipe_kind import RecipeKind
from ostensive.records import Annotation, Box, ImageRecord, Judged, Location, Region, Turn, Verbalization
from ostensive.stage import Dropped, Evidence, ImageEvidence, Kept

LINEAGE = ("teacher", "hash", "key")


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("What colour is the motorcycle?", ["motorcycl"]),
        ("Why is the man's red hat so large?", ["man", "red", "hat"]),
        ("What is the dog and her puppy in [2] looking at?", ["dog", "puppy"]),
        ("Is there a motorcycle?", []),
        ("Is it in colour?", []),
        ("What is in the background?", []),
        ("Which is the largest dog?", []),
        ("What shape is the white thing?", []),
        ("What is [1] holding?", []),
        ("Was hält der Mann?", []),
        ("", []),
        ("the", []),
    ],
)
def test_a_question_takes_for_granted_what_its_definite_descriptions_name(question: str, named: list[str]) -> None:
    assert list(presupposed(question)) == named


def seen(image_id: str, *captions: str) -> Verbalization:
    """A picture with its regions side by side."""
    count = max(len(captions), 1)
    boxes = [Box(k / count, 0, (k + 0.9) / count, 1) for k in range(count)]
    regions = tuple(
        Region(k, box, "area", None, text) for k, (box, text) in enumerate(zip(boxes, captions, strict=False))
    )
    return Verbalization(image_id, (), (), regions, ())


def test_another_region_lies_apart_and_shows_something_else() -> None:
    boxes = [Box(0, 0, 0.5, 0.5), Box(0.1, 0.1, 0.2, 0.2), Box(0.4, 0.4, 0.9, 0.9), Box(0.6, 0, 0.9, 0.3)]
    captions = ["a dog with a ball", "a green ball", "a bench", "another dogs"]
    regions = tuple(Region(k, box, "", None, captions[k]) for k, box in enumerate(boxes))
    picture = Verbalization("a", (), (), regions, ())
    found = {region_apart(picture, 0, ("dog",), Random(seed)) for seed in range(20)}
    assert found == {2}, "not the region itself, not one within it, not another dog"
    assert region_apart(picture, 7, ("dog",), Random(0)) is None
    assert region_apart(seen("a", "a dog", "two dogs"), 0, ("dog",), Random(0)) is None


def evidence(*pictures: Verbalization) -> Evidence:
    location = Location("/nowhere")
    return {
        one.image_id: ImageEvidence(ImageRecord(one.image_id, 9, 9, "PNG", "RGB", 1, one.image_id, location), one)
        for one in pictures
    }


def triple(image_id: str, question: str, *mentions: int, answer: str = "Yes.") -> Judged[Qar]:
    row_id = f"{image_id}/{question}"
    return Judged(Qar(row_id, image_id, "ids", question, answer, "It is so.", mentions, *LINEAGE), ())


def carried_out(
    kind: RecipeKind, partitions: Sequence[Sequence[Judged[Any]]], known: Evidence, share: float, seed: int = 0
) -> tuple[list[Any], Counter[str]]:
    """The items that were made, and the reasons of what was lost."""
    stage = pickle.loads(pickle.dumps(UnanswerableStage(UnanswerableSettings(share=share), kind, seed)))
    decision = stage.decide([stage.summarise(rows, known) for rows in partitions])
    items, lost = [], Counter[str]()
    for rows in partitions:
        for row, outcome in zip(rows, stage.apply(rows, decision), strict=True):
            assert isinstance(outcome, Kept)
            assert outcome.records[0] == row
            assert all(isinstance(loss, Dropped) for loss in outcome.losses)
            lost.update(loss.reason for loss in outcome.losses)
            assert all(one.image_id == row.image_id and one.judgements == () for one in outcome.records[1:])
            items += [one.candidate for one in outcome.records[1:]]
    return items, lost


THINGS = ("dog", "bench", "kite", "boat", "lamp", "horse", "piano", "ladder")
PICTURES = [seen(thing, f"a {thing}", "some grass") for thing in THINGS]


def test_a_question_goes_to_a_picture_that_lacks_what_it_speaks_of() -> None:
    rows = [triple(thing, f"What lies beside the {thing} in [0]?", 0) for thing in THINGS]
    items, lost = carried_out(LOCALIZED, [rows], evidence(*PICTURES), 0.5)
    assert len(items) == len(THINGS)
    assert not lost
    assert {one.unanswerable for one in items} == {"picture", "region"}
    for one in items:
        assert one.row_id not in {row.record_id for row in rows}
        if one.unanswerable == "picture":
            assert f"the {one.image_id}" not in one.question
            assert "[0]" in one.question
        else:
            assert f"the {one.image_id} in [1]" in one.question
        assert set(one.mentions) == ({0} if one.unanswerable == "picture" else {1})
        assert one.answer != "Yes."
        assert (one.teacher, one.prompt_hash, one.request_key) == LINEAGE


def test_the_share_is_of_all_rows_and_partitions_do_not_matter() -> None:
    rows = [triple(thing, f"{word} is the {thing}?") for thing in THINGS for word in ("Where", "What", "How")]
    whole, lost = carried_out(LOCALIZED, [rows], evidence(*PICTURES), 0.2)
    assert len(whole) == 6, "0.2 of 30"
    assert not lost
    parts = [rows[:3], [], rows[3:12], rows[12:]]
    by_id = sorted(whole, key=lambda one: one.row_id)
    assert sorted(carried_out(LOCALIZED, parts, evidence(*PICTURES), 0.2)[0], key=lambda one: one.row_id) == by_id
    assert carried_out(LOCALIZED, [rows], evidence(*PICTURES), 0.2, seed=1)[0] != whole
    eight = Counter(one.image_id for one in carried_out(LOCALIZED, [rows], evidence(*PICTURES), 0.25)[0])
    assert eight.total() == 8
    assert max(eight.values()) <= 2, "they are spread over the pictures"


def test_what_has_no_place_is_counted() -> None:
    dogs = [seen(name, "a dog") for name in ("a", "b", "c")]
    rows = [triple("a", "Where does the dog look?"), triple("b", "How many dogs are there?"), triple("c", "Why?")]
    items, lost = carried_out(LOCALIZED, [rows], evidence(*dogs), 0.5)
    assert items == []
    assert lost == {NO_PLACE: 1, NO_PREMISE: 2}
    assert carried_out(LOCALIZED, [[]], {}, 0.5) == ([], Counter())
    alone = carried_out(LOCALIZED, [[triple("a", "Where is the dog?")]], evidence(dogs[0]), 0.5)
    assert alone == ([], {NO_PLACE: 1})


def test_a_figure_of_speech_and_a_region_that_there_is_not_find_no_place() -> None:
    far = triple("dog", "Which way does the arm of the clock go?")
    assert carried_out(LOCALIZED, [[far]], evidence(*PICTURES), 0.5)[1] == {NO_PREMISE: 1}
    known = evidence(seen("dog", "a cat", "a cat", "a cat", "a dog"), seen("kite", "a kite"))
    rows = [triple("dog", "What is the dog beside [3] doing, and who is [2]?", 3, 2), triple("kite", "Who?")]
    assert carried_out(LOCALIZED, [rows], known, 0.5)[1] == {NO_PLACE: 1, NO_PREMISE: 1}


def test_no_picture_is_asked_the_same_twice_nor_about_what_its_own_rows_say() -> None:
    known = evidence(seen("a", "a dog"), seen("b", "some grass"))
    twice = [triple("a", "Where is the dog?"), triple("a", "What colour is the dog?"), triple("b", "Why so?")]
    items, lost = carried_out(LOCALIZED, [twice], known, 0.5)
    assert [one.image_id for one in items] == ["b"]
    assert lost == {NO_PLACE: 1, NO_PREMISE: 1}
    said = [triple("a", "Where is the dog?"), triple("b", "What barks?", answer="A dog.")]
    assert carried_out(LOCALIZED, [said], known, 0.5)[0] == []


def labelled(image_id: str, label: str) -> Judged[Explanation]:
    texts = label, "What is it?", f"It is {label}.", ("wings",), "explained", "explain"
    return Judged(Explanation(f"{image_id}/row", image_id, *texts, *LINEAGE), ())


def test_a_label_is_asked_of_a_picture_with_another_one() -> None:
    labels = {"a": "737-700", "b": "A380", "c": "{braces} of_gull"}
    known = {
        name: ImageEvidence(one.image, None, (Annotation(f"{name}/1", name, label=labels[name]),))
        for name, one in evidence(*map(seen, labels)).items()
    }
    rows = [labelled(name, label) for name, label in labels.items()]
    items, _ = carried_out(EXPLANATIONS, [rows], known, 0.5)
    assert sorted(one.image_id for one in items) == ["a", "b", "c"]
    for one in items:
        assert one.label == labels[one.image_id], "the label of a row is that of its picture"
        asked = next(label.replace("_", " ") for label in labels.values() if label.replace("_", " ") in one.query)
        assert asked in one.answer or "not" in one.answer
        assert asked != one.label
        assert (one.concepts, one.way, one.unanswerable) == ((), "not there", "picture")


def described(image_id: str, chosen: str) -> Judged[PreferencePair]:
    texts = "Describe.", chosen, "A zebra.", "corrupted", "blur 3", ""
    return Judged(PreferencePair(f"{image_id}/row", image_id, *texts, *LINEAGE, "other", 0), ())


def test_a_description_of_another_picture_is_refused() -> None:
    rows = [described("a", "A {dog} chases a ball."), described("b", "A boat on a lake."), described("c", "A boat.")]
    known = {name: ImageEvidence(one.image) for name, one in evidence(*map(seen, "abc")).items()}
    items, lost = carried_out(PREFERENCES, [rows], known, 0.5)
    assert (len(items), lost) == (3, {})
    for one in items:
        assert one.image_id != "b" or "A boat." not in one.prompt, "all that is said of c is said of b too"
        assert ("A {dog} chases a ball." in one.prompt) == (one.image_id != "a")
        assert one.chosen.startswith("No,")
        assert one.rejected.startswith("Yes,")
        assert (one.corruption, one.way) == ("", "other picture")


def instructed(image_id: str, question: str) -> Judged[InfusedInstruction]:
    turns = (Turn("system", "Be brief."), Turn("user", question), Turn("assistant", "So."), Turn("user", "And?"))
    lineage = "caption_1", f"teacher of {image_id}", "hash", "key"
    row = InfusedInstruction(
        f"{image_id}/row", image_id, f"item of {image_id}", f"Described as {image_id}.",
        (*turns, Turn("assistant", "Yes.")), *lineage,
    )  # fmt: skip
    return Judged(row, ())


def test_a_first_question_is_asked_of_another_picture_after_its_own_description() -> None:
    rows = [instructed("a", "What does the dog chase?"), instructed("b", "How many sails has the boat?")]
    known = {name: ImageEvidence(one.image) for name, one in evidence(*map(seen, "ab")).items()}
    items, lost = carried_out(INSTRUCTIONS, [rows], known, 0.5)
    assert (len(items), lost) == (2, {})
    for one in items:
        other = {"a": "b", "b": "a"}[one.image_id]
        assert one.description == f"Described as {one.image_id}."
        assert (one.teacher, one.annotation_id) == (f"teacher of {one.image_id}", f"item of {other}")
        assert [turn.role for turn in one.turns] == ["system", "user", "assistant"], "what followed is left out"
        assert ("boat" in one.turns[1].text) == (other == "b")
        assert one.unanswerable == "picture"


def test_a_recipe_without_such_items_is_told() -> None:
    with pytest.raises(
        SettingsError, match=r"unanswerable\.share: localized makes no unanswerable items; leave it at 0"
    ):
        UnanswerableStage(UnanswerableSettings(share=0.1), replace(LOCALIZED, unanswerable=None), 0)


def test_a_run_has_them_marked_and_counted_and_the_next_round_does_not_inherit_them(tmp_path: Path) -> None:
    images, things = write_scenes(tmp_path / "images", 4), ("boat", "kite", "lamp", "dog")
    asked = [
        {"file_name": f"scene {k:04d}.jpg", "question": f"What colour is the {thing}?", "answer": "red"}
        for k, thing in enumerate(things)
    ]
    annotations = write_rows(tmp_path / "questions.jsonl", asked)
    settings = [
        "corpus.license=cc0-1.0",
        "corpus.source=drawn by a test",
        "corpus.intended_use=to test",
        "run.partition_size=2",
    ]
    settings += ["rationales.temperatures=[0.5]", "rationales.samples=1", "unanswerable.share=0.5"]
    options = ostensive.BuildOptions(settings=settings, annotations=annotations)
    ostensive.build("rationales", images=images, out=tmp_path / "run", options=options)
    rows = list(ostensive.open_corpus(tmp_path / "run").rows())
    ordinary = {row["image_id"]: row for row in rows if not row["unanswerable"]}
    items = {row["image_id"]: row for row in rows if row["unanswerable"]}
    assert len(rows) == 8
    assert ordinary.keys() == items.keys(), "each picture has one before one has two"
    assert all(items[image]["question"] != row["question"] for image, row in ordinary.items())
    card = (tmp_path / "run" / "corpus" / "README.md").read_text("utf-8")
    assert "| rows of unanswerable picture | 4 |" in card
    grown = api.growth(tmp_path / "run")
    assert grown is not None
    assert (grown.before, grown.new) == (0, 4), "an item is no rationale that fitted"
    with Inherited(RoundSettings(parent=str(tmp_path / "run"), number=1), Rationale).opened() as inherited:
        assert {image: [row.row_id for row in inherited.of(image)] for image in ordinary} == {
            image: [row["row_id"]] for image, row in ordinary.items()
        }
