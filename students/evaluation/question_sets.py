"""A-OKVQA, SNLI-VE and Visual7W in their own files."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final  # Any: JSON values

from ostensive.errors import SettingsError
from ostensive.records import Turn
from students.evaluation.items import BrokenRowError, ChoiceItem, Question, Read, ShownBox
from students.evaluation.json_files import (
    Row,
    id_of,
    index_of,
    json_lines,
    json_list,
    numbers_of,
    only_file,
    read_json,
    text_of,
    texts_of,
)
from students.evaluation.reading import ReadOptions

ENTAILMENT: Final = ("contradiction", "neutral", "entailment")
_COCO_FOLDERS: Final = ("val2017", "train2017", "test2017", "val2014", "train2014")
_FLICKR_FOLDERS: Final = ("", "flickr30k-images/", "flickr30k_images/", "images/")
_USUAL_SPLIT: Final = "test"


def read_aokvqa(source: Path, images: Path, options: ReadOptions) -> Read[ChoiceItem]:  # noqa: ARG001 - of all formats
    """A-OKVQA's multiple choice (Schwenk et al. 2022): `aokvqa_v1p0_val.json`, on images of COCO.

    The split `test` has no answers. Raises `SettingsError` for a file that cannot be read.
    """
    names = [f"aokvqa_v1p0_{split}.json" for split in ((options.split,) if options.split else ("val", "train"))]
    read: Read[ChoiceItem] = Read()
    for row in json_list(only_file(source, names, "A-OKVQA's aokvqa_v1p0_val.json")):
        try:
            read.add([_aokvqa_item(row)])
        except BrokenRowError as error:
            read.lose(str(error))
    return read


def _aokvqa_item(row: Row | BrokenRowError) -> ChoiceItem:
    if isinstance(row, BrokenRowError):
        raise row
    choices = texts_of(row, "choices", least=2)
    right = index_of(row, "correct_choice_idx", len(choices), missing="no label")
    question, image = text_of(row, "question"), row.get("image_id")
    if not isinstance(image, int) or isinstance(image, bool):
        raise BrokenRowError("image_id is no number")
    name = f"{image:012d}.jpg"
    places = (name, *(f"{folder}/{name}" for folder in _COCO_FOLDERS))
    old = tuple(f"{folder}/COCO_{folder}_{name}" for folder in ("val2014", "train2014"))
    asked = Question(text_of(row, "question_id"), (*places, *old), (Turn("user", question),))
    return ChoiceItem(asked, choices, f"{question} Answer:", (right,))


def read_snli_ve(source: Path, images: Path, options: ReadOptions) -> Read[ChoiceItem]:  # noqa: ARG001 - of all formats
    """SNLI-VE (Xie et al. 2019): `snli_ve_dev.jsonl`, on images of Flickr30k.

    As in LSKD the three labels are the choices after whether the image describes the hypothesis. Raises `SettingsError`
    for a file that cannot be read.
    """
    names = [f"snli_ve_{split}.jsonl" for split in ((options.split,) if options.split else ("test", "dev"))]
    read: Read[ChoiceItem] = Read()
    for row in json_lines(only_file(source, names, "SNLI-VE's snli_ve_test.jsonl")):
        try:
            read.add([_snli_ve_item(row)])
        except BrokenRowError as error:
            read.lose(str(error))
    return read


def _snli_ve_item(row: Row | BrokenRowError) -> ChoiceItem:
    if isinstance(row, BrokenRowError):
        raise row
    label = row.get("gold_label")
    if label not in ENTAILMENT:
        raise BrokenRowError("no label")  # "-" where annotators do not agree
    image = id_of(row, "Flickr30K_ID" if "Flickr30K_ID" in row else "Flikr30kID")  # the second as in its own parser
    asked = f'Does the image describe "{text_of(row, "sentence2")}"?'
    places = tuple(f"{folder}{image}.jpg" for folder in _FLICKR_FOLDERS)
    question = Question(text_of(row, "pairID"), places, (Turn("user", asked),), kind=str(label))
    return ChoiceItem(question, ENTAILMENT, asked, (ENTAILMENT.index(label),))


def read_visual7w(source: Path, images: Path, options: ReadOptions) -> Read[ChoiceItem]:  # noqa: ARG001 - of all formats
    """Visual7W (Zhu et al. 2016), telling and pointing: `dataset_v7w_telling.json`, `dataset_v7w_pointing.json`.

    The answer and its three distractors are put in an order that follows from the question. Where boxes are the
    choices, they are drawn, and the choices are their numbers. Raises `SettingsError` for a file that is none.
    """
    path = only_file(
        source, ("dataset_v7w_telling.json", "dataset_v7w_pointing.json", "dataset.json"), "Visual7W's file"
    )
    values = read_json(path)
    if not isinstance(values, dict) or not isinstance(values.get("images"), list):
        raise SettingsError(f"{path}: has no list of images; Visual7W's dataset_v7w_telling.json is expected")
    boxes = {box.get("box_id"): box for box in values.get("boxes") or [] if isinstance(box, dict)}
    split = options.split or _USUAL_SPLIT
    read: Read[ChoiceItem] = Read()
    for image, pair in _pairs(values["images"]):
        try:
            if not isinstance(image, dict) or not isinstance(pair, dict):
                raise BrokenRowError("not an object")
            if image.get("split") != split:
                read.passed_over += 1
                continue
            read.add([_visual7w_item(image, pair, boxes, options.seed)])
        except BrokenRowError as error:
            read.lose(str(error))
    if read.passed_over and not read.rows:
        known = sorted({str(one.get("split")) for one in values["images"] if isinstance(one, dict)})
        raise SettingsError(f"--split {split}: {path} has the splits {', '.join(known)}")
    return read


def _pairs(images: list[Any]) -> Iterator[tuple[Any, Any]]:
    for image in images:
        pairs = image.get("qa_pairs") if isinstance(image, dict) else None
        if isinstance(pairs, list):
            yield from ((image, pair) for pair in pairs)
        else:
            yield image, None


def _visual7w_item(image: Row, pair: Row, boxes: Mapping[Any, Row], seed: int) -> ChoiceItem:
    name, asked = id_of(pair, "qa_id"), text_of(pair, "question")
    answer, others = pair.get("answer"), pair.get("multiple_choices")
    if answer is None or not isinstance(others, list) or not others:
        raise BrokenRowError("choices are missing")
    offered = [answer, *others]
    order = Random(f"{seed} {name}").sample(range(len(offered)), len(offered))  # noqa: S311 - no secret
    offered = [offered[place] for place in order]
    file = text_of(image, "filename")
    shown: tuple[ShownBox, ...] = ()
    if all(isinstance(one, int) and not isinstance(one, bool) for one in offered):
        shown = tuple(_box(number, boxes.get(one)) for number, one in enumerate(offered))
        choices = tuple(f"[{box.number}]" for box in shown)
    elif all(isinstance(one, str) and one.strip() for one in offered):
        choices = tuple(one.strip() for one in offered)
    else:
        raise BrokenRowError("choices are neither texts nor boxes")
    kind = pair.get("type")
    question = Question(
        name, (file, f"images/{file}"), (Turn("user", asked),), shown, kind=kind if isinstance(kind, str) else ""
    )
    return ChoiceItem(question, choices, f"{asked} Answer:", (order.index(0),))


def _box(number: int, box: Row | None) -> ShownBox:
    if box is None:
        raise BrokenRowError("a box is missing")
    x, y, width, height = numbers_of([box.get(key) for key in ("x", "y", "width", "height")], 4, "a box")
    return ShownBox(number, (x, y, x + width, y + height), None)  # the file says nothing of the picture's size
