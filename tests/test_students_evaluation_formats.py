"""Benchmark files in the form that their makers give them: what is asked, what is right, what cannot be used."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from builders.dialogues import WHY as TRAINED_WHY
from ostensive.errors import SettingsError
from ostensive.records import Turn
from students.evaluation.choosing import choice_result
from students.evaluation.figures import chances, measures
from students.evaluation.formats import FORMATS, Metric, read_task
from students.evaluation.items import WHY, BrokenRowError, ChoiceItem, ReplyItem
from students.evaluation.pictures import NO_AREA, FolderPictures
from students.evaluation.plain import DESCRIBE
from students.evaluation.reading import DEFAULT_READ, ReadOptions
from students.evaluation.scoring import Scores
from students.evaluation.visualcomet import CANDIDATES

SIZE = (200, 100)
SIZED = {"width": 200, "height": 100}


def save_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", SIZE, "white").save(path)


def write_lines(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), "utf-8")
    return path


def write_json(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), "utf-8")
    return path


def choices_of(name: str, task: Path, images: Path, options: ReadOptions = DEFAULT_READ) -> list[ChoiceItem]:
    items = read_task(name, task, images, options).items
    assert all(isinstance(item, ChoiceItem) for item in items)
    return [item for item in items if isinstance(item, ChoiceItem)]


def figures(metric: Metric, scored: Sequence[tuple[ChoiceItem, Sequence[float]]]) -> dict[str, float]:
    """What scores of items come to."""
    results = [choice_result(item, Scores(tuple(scores)), metric) for item, scores in scored]
    return {one.name: one.value for one in measures(metric, results)}


def perfect(item: ChoiceItem) -> list[float]:
    return [float(place in item.right) for place in range(len(item.choices))]


# VCR


def vcr_row(name: str = "val-0", **changes: Any) -> dict[str, Any]:
    return {
        "movie": "3015_CHARLIE_ST_CLOUD",
        "objects": ["person", "person", "person", "car"],
        "img_fn": "lsmdc_3015/3015@0.jpg",
        "metadata_fn": "lsmdc_3015/3015@0.json",
        "question": ["How", "is", [0, 2], "feeling", "?"],
        "answer_choices": [
            [[0], "is", "n't", "upset", "."],
            [[1], "and", [0, 1, 2], "are", "glad", "."],
            ["He", "'s", "sad", ",", "it", "seems", "."],
            ["Fine", "."],
        ],
        "answer_label": 1,
        "rationale_choices": [["They", "smile", "."], [[3], "is", "new", "."], ["No", "."], ["Why", "not", "?"]],
        "rationale_label": 0,
        "annot_id": name,
        **changes,
    }


@pytest.fixture
def vcr_images(tmp_path: Path) -> Path:
    folder = tmp_path / "vcr1images"
    save_picture(folder / "lsmdc_3015" / "3015@0.jpg")
    boxes = [[10, 10, 60, 90, 0.99], [70, 10, 120, 90, 0.98], [130, 10, 190, 100.4, 0.9], [0, 0, 200, 100, 0.8]]
    metadata = {"boxes": boxes, "names": ["person", "person", "person", "car"], "width": 200, "height": 100}
    write_json(folder / "lsmdc_3015" / "3015@0.json", metadata)
    return folder


def test_vcr_points_at_objects_by_their_numbers(tmp_path: Path, vcr_images: Path) -> None:
    answer, rationale = choices_of("vcr", write_lines(tmp_path / "val.jsonl", [vcr_row()]), vcr_images)
    assert answer.question.turns == (Turn("user", "How is [0] and [2] feeling?"),)
    assert answer.choices == (
        "[0] isn't upset.",
        "[1] and [0], [1] and [2] are glad.",
        "He's sad, it seems.",
        "Fine.",
    )
    assert answer.lead == "How is [0] and [2] feeling? Answer:"
    assert (answer.part, answer.right, [box.number for box in answer.question.boxes]) == ("Q->A", (1,), [0, 1, 2])
    said = Turn("assistant", "[1] and [0], [1] and [2] are glad.")
    assert rationale.question.turns == (Turn("user", "How is [0] and [2] feeling?"), said, Turn("user", "Why?"))
    assert rationale.lead.endswith("Answer: [1] and [0], [1] and [2] are glad. Rationale:")
    assert (rationale.part, rationale.right) == ("QA->R", (0,))
    assert [box.number for box in rationale.question.boxes] == [0, 1, 2, 3], "those of the choices, too"
    assert answer.group == rationale.group == "val-0"


def test_why_is_asked_as_in_the_rows_that_students_are_trained_on() -> None:
    assert WHY == TRAINED_WHY


def test_vcr_without_boxes_names_objects(tmp_path: Path, vcr_images: Path) -> None:
    task = write_lines(tmp_path / "val.jsonl", [vcr_row()])
    answer, _ = choices_of("vcr", task, vcr_images, ReadOptions(regions="none"))
    assert answer.question.turns[0].text == "How is person and person feeling?"
    assert answer.question.boxes == ()
    everything, _ = choices_of("vcr", task, vcr_images, ReadOptions(regions="all"))
    assert [box.number for box in everything.question.boxes] == [0, 1, 2, 3]


def test_vcr_boxes_are_drawn_where_the_metadata_has_them(tmp_path: Path, vcr_images: Path) -> None:
    answer, _ = choices_of("vcr", write_lines(tmp_path / "val.jsonl", [vcr_row()]), vcr_images)
    drawn = np.asarray(FolderPictures(vcr_images).picture(answer.question)).astype(int)
    assert drawn.shape == (SIZE[1], SIZE[0], 3)
    assert (drawn[50, 35] < 255).any(), "the first box has a fill"
    assert (drawn[50, 65] == 255).all(), "between two boxes nothing is drawn"


def test_vcr_counts_rows_that_it_cannot_use(tmp_path: Path, vcr_images: Path) -> None:
    test_row = {key: value for key, value in vcr_row("test-0").items() if not key.endswith("_label")}
    rows = [
        vcr_row(),
        vcr_row(),
        test_row,
        vcr_row("v2", question=["What", "is", [4], "?"]),
        vcr_row("v3", answer_choices=[["a"]]),
        vcr_row("v4", metadata_fn="lsmdc_3015/none.json"),
        vcr_row("v5", metadata_fn="../../secret.json"),
        vcr_row("v6", question="How?"),
        "{",
        "[]",
    ]
    read = read_task("vcr", write_lines(tmp_path / "val.jsonl", rows), vcr_images, DEFAULT_READ)
    assert (len(read.items), read.rows, read.lost.total()) == (2, len(rows), len(rows) - 1)
    assert read.lost == {
        "listed twice": 1,
        "no label": 1,
        "a token points at no object": 1,
        "answer_choices is no list of 4": 1,
        "no metadata beside the image": 2,
        "a text is no list of tokens": 1,
        "not JSON": 1,
        "not an object": 1,
    }


def test_vcr_counts_both_parts_together(tmp_path: Path, vcr_images: Path) -> None:
    """Four rows: both right, the answer alone, the rationale alone, none."""
    task = write_lines(tmp_path / "val.jsonl", [vcr_row(f"v{n}") for n in range(4)])
    items = choices_of("vcr", task, vcr_images)
    wrong = [0.0, 0.0, 0.0, 1.0]
    is_right = [True, True, True, False, False, True, False, False]
    scored = [(item, perfect(item) if right else wrong) for item, right in zip(items, is_right, strict=True)]
    assert figures("parts", scored) == {"Q->A": 0.5, "QA->R": 0.5, "Q->AR": 0.25}
    assert figures("parts", [(item, perfect(item)) for item in items]) == dict.fromkeys(("Q->A", "QA->R", "Q->AR"), 1.0)
    results = [choice_result(item, Scores((0.0, 1.0, 2.0, 3.0)), "parts") for item in items]
    assert chances("parts", results) == {"Q->A": 0.25, "QA->R": 0.25, "Q->AR": 0.0625}


# Sherlock


def sherlock_files(folder: Path, ratings: Mapping[str, Sequence[tuple[float, float]]]) -> Path:
    """Instances and key of regions whose candidates two annotators rated."""
    folder.mkdir(exist_ok=True)
    instances, known, annotations = [], {}, []
    for region, of_region in ratings.items():
        candidates = []
        for number, (first, second) in enumerate(of_region):
            name = f"{region}-{number}"
            instances.append(
                {
                    "image": {
                        "url": "https://cs.stanford.edu/people/rak248/VG_100K/7.jpg",
                        "width": 200,
                        "height": 100,
                    },
                    "region": [{"height": 50, "width": 40, "left": 20, "top": 10}],
                    "inference": f"this is {number}",
                    "test_id": name,
                }
            )
            known[name] = {"Input_iid": region, "candidate": f"c{number}"}
            candidates.append({"source_iid": f"c{number}", "annot1": first, "annot2": str(second)})
        annotations.append({"Input_iid": region, "candidates": candidates})
    write_json(folder / "val_comparison_instances.json", instances)
    write_json(folder / "val_comparison_answer_key.json", {"test_id_map": known, "annotations": annotations})
    return folder


def test_sherlock_joins_instances_and_key(tmp_path: Path) -> None:
    task = sherlock_files(tmp_path / "val_comparison", {"r": [(1, 2), (3, 3)]})
    save_picture(tmp_path / "images" / "VG_100K" / "7.jpg")
    (item,) = choices_of("sherlock", task, tmp_path / "images")
    assert (item.choices, item.ratings) == (("this is 0", "this is 1"), ((1.0, 3.0), (2.0, 3.0)))
    assert (item.lead, item.question.turns) == ("", (Turn("user", "What can be inferred from [0]?"),))
    assert item.question.boxes[0].corners == (20.0, 10.0, 60.0, 60.0)
    pictures = FolderPictures(tmp_path / "images")
    assert pictures.path(item.question) == tmp_path / "images" / "VG_100K" / "7.jpg"
    by_file = choices_of("sherlock", task / "val_comparison_instances.json", tmp_path / "images")
    assert by_file == [item]


def test_agreement_is_that_of_the_leaderboard(tmp_path: Path) -> None:
    """By hand: of the first annotator's three pairs two are in order, (2/3 - 1/2) x 2; of the second's two, one."""
    task = sherlock_files(tmp_path / "s", {"r": [(1, 2), (2, 1), (3, 1)], "same": [(1, 1), (1, 1)]})
    rated, same = choices_of("sherlock", task, tmp_path)
    scores = [0.1, 0.9, 0.5]  # 0 < 2 < 1
    by_hand = ((2 / 3 - 0.5) * 2 + (0.0 - 0.5) * 2) / 2
    assert figures("agreement", [(rated, scores)])["comparison"] == pytest.approx(100 * by_hand)
    both = figures("agreement", [(rated, scores), (same, [1.0, 0.0])])
    assert both["comparison"] == pytest.approx(100 * by_hand / 2), "who rates all alike gives 0"


def test_perfect_agreement_is_a_hundred_and_chance_is_none(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ratings = {f"r{n}": [(int(one), int(one)) for one in rng.integers(1, 4, 10)] for n in range(300)}
    items = choices_of("sherlock", sherlock_files(tmp_path / "s", ratings), tmp_path)
    assert figures("agreement", [(item, item.ratings[0]) for item in items])["comparison"] == pytest.approx(100.0)
    blind = figures("agreement", [(item, rng.random(10).tolist()) for item in items])["comparison"]
    assert abs(blind) < 6, "three deviations of the mean"
    tied = figures("agreement", [(item, [0.0] * 10) for item in items])["comparison"]
    assert abs(tied) < 6, "ties are broken by noise, and gain nothing"


def test_sherlock_counts_regions_without_instances(tmp_path: Path) -> None:
    task = sherlock_files(tmp_path / "s", {"a": [(1, 2), (2, 1)], "b": [(1, 2), (2, 1)]})
    path = task / "val_comparison_instances.json"
    write_json(path, json.loads(path.read_text())[:3])
    read = read_task("sherlock", task, tmp_path, DEFAULT_READ)
    assert (read.rows, len(read.items), read.lost) == (2, 1, {"a candidate has no instance": 1})


# VisualCOMET


def comet_row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "img_fn": f"lsmdc_3015/{number}.jpg",
        "movie": "m",
        "metadata_fn": "lsmdc_3015/3015@0.json",
        "place": "at a party",
        "event": "1 is talking to 3 about 2000 things",
        "intent": [f"ask {number}"],
        "before": [f"come {number}", f"see 2 {number}"],
        "after": [f"go {number}", f"dance {number}", f"sleep {number}"],
        **changes,
    }


def test_visualcomet_ranks_true_inferences_among_fifty(tmp_path: Path, vcr_images: Path) -> None:
    task = write_json(tmp_path / "val_annots.json", [comet_row(n + 100) for n in range(20)])
    items = choices_of("visualcomet", task, vcr_images)
    assert len(items) == 60
    before, after, intent = items[:3]
    assert [item.question.kind for item in (before, after, intent)] == ["before", "after", "intent"]
    assert before.question.turns[0].text.startswith("[0] is talking to [2] about 2000 things, at a party. ")
    assert {before.choices[place] for place in before.right} == {"come 100", "see [1] 100"}
    for item in items:
        assert len(item.choices) == len(set(item.choices)) == CANDIDATES
        assert len(item.right) == {"before": 2, "after": 3, "intent": 1}[item.question.kind]
    assert choices_of("visualcomet", task, vcr_images) == items, "drawn from a seed"
    assert choices_of("visualcomet", task, vcr_images, ReadOptions(seed=1)) != items


def test_recall_is_the_share_of_true_ones_among_the_highest(tmp_path: Path, vcr_images: Path) -> None:
    task = write_json(tmp_path / "val_annots.json", [comet_row(n + 100) for n in range(20)])
    items = choices_of("visualcomet", task, vcr_images)
    assert figures("ranking", [(item, perfect(item)) for item in items]) == {"Acc@50": 1.0}
    after = next(item for item in items if item.question.kind == "after")
    scores = [0.0] * CANDIDATES
    first, second, third = after.right
    wrong = next(place for place in range(CANDIDATES) if place not in after.right)
    for place, score in ((first, 4.0), (wrong, 3.0), (second, 2.0), (third, 1.0)):
        scores[place] = score
    assert figures("ranking", [(after, scores)])["Acc@50"] == pytest.approx(2 / 3), "two of the three highest"
    tied = figures("ranking", [(item, [0.0] * CANDIDATES) for item in items])["Acc@50"]
    assert tied < 0.2, "who scores all alike is at chance, 2/50 on the mean"


def test_visualcomet_needs_fifty(tmp_path: Path, vcr_images: Path) -> None:
    task = write_json(tmp_path / "val_annots.json", [comet_row(1)])
    with pytest.raises(SettingsError, match=r"has 6 different inferences; Acc@50 needs 50 at least$"):
        read_task("visualcomet", task, vcr_images, DEFAULT_READ)


# A-OKVQA, SNLI-VE, Visual7W


def test_aokvqa_on_images_of_coco(tmp_path: Path) -> None:
    row = {
        "split": "val",
        "image_id": 461751,
        "question_id": "22jbM6gDxdaMaunuzgrsBB",
        "question": "What is in the motorcyclist's mouth?",
        "choices": ["toothpick", "food", "popsicle stick", "cigarette"],
        "correct_choice_idx": 3,
        "direct_answers": ["cigarette"],
        "difficult_direct_answer": False,
    }
    no_label = {**{k: v for k, v in row.items() if k != "correct_choice_idx"}, "question_id": "t"}
    task = write_json(tmp_path / "aokvqa_v1p0_val.json", [row, no_label, {**row, "question_id": "u", "choices": []}])
    save_picture(tmp_path / "coco" / "val2017" / "000000461751.jpg")
    read = read_task("aokvqa", tmp_path, tmp_path / "coco", DEFAULT_READ)
    (item,) = read.items
    assert isinstance(item, ChoiceItem)
    assert (item.choices[item.right[0]], item.lead) == ("cigarette", "What is in the motorcyclist's mouth? Answer:")
    assert FolderPictures(tmp_path / "coco").path(item.question) is not None
    assert read.lost == {"no label": 1, "choices has fewer than 2 texts": 1}
    assert task.is_file()


def test_snli_ve_has_three_labels(tmp_path: Path) -> None:
    row = {
        "Flickr30K_ID": "4705552913",
        "gold_label": "neutral",
        "pairID": "4705552913.jpg#2r1n",
        "sentence1": "Two women are embracing.",
        "sentence2": "The sisters are hugging goodbye.",
    }
    old = {**{k: v for k, v in row.items() if k != "Flickr30K_ID"}, "Flikr30kID": "7", "pairID": "b"}
    rows = [row, {**old, "gold_label": "entailment"}, {**row, "gold_label": "-", "pairID": "c"}]
    read = read_task("snli-ve", write_lines(tmp_path / "snli_ve_test.jsonl", rows), tmp_path, DEFAULT_READ)
    first, second = read.items
    assert isinstance(first, ChoiceItem)
    assert isinstance(second, ChoiceItem)
    assert first.choices == ("contradiction", "neutral", "entailment")
    assert (first.right, second.right, second.question.places[0]) == ((1,), (2,), "7.jpg")
    assert first.question.turns[0].text == 'Does the image describe "The sisters are hugging goodbye."?'
    assert read.lost == {"no label": 1}


def v7w(pairs: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    images = [
        {"image_id": 1, "filename": "v7w_1.jpg", "split": "test", "qa_pairs": list(pairs)},
        {"image_id": 2, "filename": "v7w_2.jpg", "split": "val", "qa_pairs": [{**pairs[0], "qa_id": 99}]},
    ]
    return {"dataset": "visual7w", "images": images, **more}


def test_visual7w_telling_hides_where_the_answer_stands(tmp_path: Path) -> None:
    pairs = [
        {
            "qa_id": number,
            "question": "Where is it?",
            "answer": "Here.",
            "multiple_choices": ["There.", "Away.", "Gone."],
            "type": "where",
        }
        for number in range(40)
    ]
    task = write_json(tmp_path / "dataset_v7w_telling.json", v7w(pairs))
    read = read_task("visual7w", task, tmp_path, DEFAULT_READ)
    items = [item for item in read.items if isinstance(item, ChoiceItem)]
    assert (len(items), read.passed_over) == (40, 1)
    assert {item.choices[item.right[0]] for item in items} == {"Here."}
    assert {item.right for item in items} == {(0,), (1,), (2,), (3,)}
    assert {item.question.kind for item in items} == {"where"}
    with pytest.raises(SettingsError, match=r"--split dev: .* has the splits test, val$"):
        read_task("visual7w", task, tmp_path, ReadOptions(split="dev"))


def test_visual7w_pointing_draws_its_choices(tmp_path: Path) -> None:
    boxes = [{"box_id": n, "name": "thing", "x": 50 * n, "y": 10, "width": 30, "height": 60} for n in range(4)]
    pairs = [
        {"qa_id": 5, "question": "Which one?", "answer": 2, "multiple_choices": [0, 1, 3], "type": "which"},
        {"qa_id": 6, "question": "Which one?", "answer": 2, "multiple_choices": [0, 1, 77], "type": "which"},
    ]
    task = write_json(tmp_path / "dataset_v7w_pointing.json", v7w(pairs, boxes=boxes))
    save_picture(tmp_path / "images" / "v7w_1.jpg")
    read = read_task("visual7w", tmp_path, tmp_path, DEFAULT_READ)
    (item,) = read.items
    assert isinstance(item, ChoiceItem)
    assert item.choices == ("[0]", "[1]", "[2]", "[3]")
    assert item.question.boxes[item.right[0]].corners == (100.0, 10.0, 130.0, 70.0)
    drawn = np.asarray(FolderPictures(tmp_path).picture(item.question)).astype(int)
    assert (drawn[40, 115] < 255).any()
    assert read.lost == {"a box is missing": 1}
    assert task.is_file()


# Our own


def test_choices_of_ones_own(tmp_path: Path) -> None:
    box = {"number": 2, "box": [0.1, 0.1, 0.4, 0.9]}
    row = {"image": "a.jpg", "question": "What is [2]?", "choices": ["a dog", "a cat"]}
    rows = [
        {**row, "answer": "a cat", "boxes": [box], "kind": "what", "id": "one"},
        {**row, "answer": 0},
        {**row, "answer": 2},
        {**row, "answer": "a cow"},
        {**row, "answer": True},
        {**row, "answer": 0, "boxes": [box, box]},
        {**row, "answer": 0, "boxes": [{"number": 0, "box": [1, 2]}]},
        {**row, "answer": 0, "id": "one"},
        {"image": "a.jpg", "question": "What?", "answer": 0},
        {"question": "What?", "choices": ["a", "b"], "answer": 0},
    ]
    read = read_task("choices", write_lines(tmp_path / "mine.jsonl", rows), tmp_path, DEFAULT_READ)
    first, second = read.items
    assert isinstance(first, ChoiceItem)
    assert isinstance(second, ChoiceItem)
    assert (first.question.item_id, first.question.kind, first.right) == ("one", "what", (1,))
    assert (second.question.item_id, second.right) == ("1", (0,))
    assert sum(read.lost.values()) + 2 == read.rows == len(rows)
    assert read.lost["listed twice"] == 1
    assert read.lost["answer is not one of the choices"] == 1
    assert read.lost["choices is missing"] == 1
    assert read.lost["image is missing"] == 1
    assert read.lost["two boxes have one number"] == 1


def test_yes_and_no_and_their_f1(tmp_path: Path) -> None:
    """By hand: said yes of 3, of which 2 are; 3 are yes: precision 2/3, recall 2/3."""
    answers = ["yes", "Yes.", "yes", "no", "no", "maybe"]
    rows = [{"image": "a.jpg", "question": "Is it?", "answer": answer} for answer in answers]
    read = read_task("yesno", write_lines(tmp_path / "q.jsonl", rows), tmp_path, DEFAULT_READ)
    items = [item for item in read.items if isinstance(item, ChoiceItem)]
    assert read.lost == {"answer is neither yes nor no": 1}
    said = [(1.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 0.0), (0.0, 1.0)]
    found = figures("yes-no", list(zip(items, said, strict=True)))
    assert found == pytest.approx({"accuracy": 3 / 5, "said yes": 3 / 5, "F1 of yes": 2 / 3})


def test_a_tie_is_no_choice(tmp_path: Path) -> None:
    row = {"image": "a.jpg", "question": "Which?", "choices": ["a", "b", "c"], "answer": 0}
    (item,) = choices_of("choices", write_lines(tmp_path / "q.jsonl", [row]), tmp_path)
    result = choice_result(item, Scores((1.0, 1.0, 0.0)), "accuracy")
    assert (result["chosen"], result["right"]) == (None, False)
    result = choice_result(item, Scores((1.0, 0.0, 0.0)), "accuracy")
    assert (result["chosen"], result["right"]) == (0, True)


def test_replies_are_held_against_something(tmp_path: Path) -> None:
    rows = [
        {"image": "a.jpg", "references": ["a dog", "one dog", "the dog"]},
        {"image": "a.jpg", "question": "What is it?", "label": "Boeing 737-700", "aliases": ["B737"]},
        {"image": "a.jpg", "objects": []},
        {"image": "a.jpg"},
        {"image": "a.jpg", "references": ["", "x"]},
    ]
    read = read_task("captions", write_lines(tmp_path / "q.jsonl", rows), tmp_path, DEFAULT_READ)
    first, second, third = read.items
    assert isinstance(first, ReplyItem)
    assert isinstance(second, ReplyItem)
    assert isinstance(third, ReplyItem)
    assert (first.question.turns[0].text, first.references) == (DESCRIBE, ("a dog", "one dog", "the dog"))
    assert (second.question.turns[0].text, second.label, third.objects) == ("What is it?", "Boeing 737-700", ())
    assert read.lost == {"nothing to hold a reply against": 1, "references is no list of texts": 1}


# Wrong files and pictures


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_file_of_something_else_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    for content in ("{}", "[]", "no JSON", '{"a": 1}\n{"b": 2}', '[{"a": 1}]'):
        path = tmp_path / "val_comparison_instances.json"
        path.write_text(content, "utf-8")
        write_json(tmp_path / "val_comparison_answer_key.json", {})
        with pytest.raises(SettingsError) as caught:
            read_task(name, path, tmp_path, DEFAULT_READ)
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_task_that_is_not_there_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^--task .*none.* there is no such file"):
        read_task(name, tmp_path / "none", tmp_path, DEFAULT_READ)


def test_unknown_format() -> None:
    with pytest.raises(SettingsError, match=r"^--format vqa: is none of vcr, sherlock, .*, captions, corpus$"):
        read_task("vqa", Path("x"), Path("y"), DEFAULT_READ)


def test_pictures_that_cannot_be_shown_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    save_picture(tmp_path / "a.jpg")
    save_picture(tmp_path.parent / "outside.jpg")
    empty = {"number": 0, "box": [0.5, 0.5, 0.5, 0.9]}
    row = {"question": "Which?", "choices": ["a", "b"], "answer": 0}
    places = ("none.jpg", "broken.jpg", "../outside.jpg", "a.jpg")
    rows = [{**row, "image": place} for place in places] + [{**row, "image": "a.jpg", "boxes": [empty]}]
    items = choices_of("choices", write_lines(tmp_path / "q.jsonl", rows), tmp_path)
    found = []
    for item in items:
        try:
            found.append(str(FolderPictures(tmp_path).picture(item.question).size))
        except BrokenRowError as error:
            found.append(str(error))
    assert found == ["missing file", "not an image", "missing file", str(SIZE), NO_AREA]


def test_a_folder_of_other_images_is_told_at_once(tmp_path: Path) -> None:
    rows = [{"image": "a.jpg", "question": "Which?", "choices": ["a", "b"], "answer": 0}]
    task = write_lines(tmp_path / "q.jsonl", rows)
    items = choices_of("choices", task, tmp_path)
    with pytest.raises(SettingsError, match=r"holds no image of .*; the first is looked for as a.jpg$"):
        FolderPictures(tmp_path).check(items, task)
    with pytest.raises(SettingsError, match=r"there is no such folder; that "):
        FolderPictures(tmp_path / "none")
