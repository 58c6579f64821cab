"""Sherlock's comparison task (Hessel et al. 2022) in the files of its leaderboard: instances, and the answer key.

A candidate is one inference about one region; two annotators rated the ten candidates of a region. The key says which
instance is which candidate of which region.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final  # Any: JSON values
from urllib.parse import urlsplit

from ostensive.errors import SettingsError
from ostensive.records import Turn
from students.evaluation.items import BrokenRowError, ChoiceItem, Question, Read, ShownBox
from students.evaluation.json_files import Row, id_of, json_list, numbers_of, read_json, text_of
from students.evaluation.reading import ReadOptions

_INSTANCES, _KEY = "_instances.json", "_answer_key.json"
_ANNOTATORS: Final = ("annot1", "annot2")
_ASKED: Final = "What can be inferred from {}?"


def read_sherlock(source: Path, images: Path, options: ReadOptions) -> Read[ChoiceItem]:  # noqa: ARG001 - of all formats
    """An item of each annotated region; `source` is the folder of both files, or the file of instances.

    Raises `SettingsError` where one of them is missing or is none.
    """
    instances_path, key_path = _paths(source)
    key = read_json(key_path)
    if not isinstance(key, dict) or not isinstance(key.get("test_id_map"), dict):
        raise SettingsError(f"{key_path}: has no test_id_map; Sherlock's answer key is expected")
    if not isinstance(key.get("annotations"), list):
        raise SettingsError(f"{key_path}: has no annotations; the key of the task comparison is expected")
    instances = _by_candidate(instances_path, key["test_id_map"])
    read: Read[ChoiceItem] = Read()
    for annotation in key["annotations"]:
        try:
            read.add([_item(annotation, instances, draws=options.regions != "none")])
        except BrokenRowError as error:
            read.lose(str(error))
    return read


def _paths(source: Path) -> tuple[Path, Path]:
    if source.is_dir():
        found = sorted(source.glob(f"*{_INSTANCES}"))
        if len(found) != 1:
            raise SettingsError(f"--task {source}: one file *{_INSTANCES} is expected in it, not {len(found)}")
        source = found[0]
    if not source.is_file():
        raise SettingsError(f"--task {source}: there is no such file; Sherlock's *{_INSTANCES} is expected")
    key = source.with_name(source.name.replace(_INSTANCES, _KEY))
    if key == source or not key.is_file():
        raise SettingsError(f"--task {source}: there is no *{_KEY} of the same name beside it")
    return source, key


def _by_candidate(path: Path, known: Mapping[str, Any]) -> dict[tuple[str, str], Row]:
    """The instances by region and candidate; those that the key does not know are of no use."""
    found = {}
    for row in json_list(path):
        if isinstance(row, BrokenRowError):
            continue
        entry = known.get(row.get("test_id", ""))
        if isinstance(entry, dict):
            found[str(entry.get("Input_iid")), str(entry.get("candidate"))] = row
    return found


def _item(annotation: Any, instances: Mapping[tuple[str, str], Row], *, draws: bool) -> ChoiceItem:
    if not isinstance(annotation, dict):
        raise BrokenRowError("an annotation is no object")
    name, candidates = id_of(annotation, "Input_iid"), annotation.get("candidates")
    if not isinstance(candidates, list) or len(candidates) < 2 or not all(isinstance(one, dict) for one in candidates):
        raise BrokenRowError("candidates are missing")
    rows = [instances.get((name, id_of(candidate, "source_iid"))) for candidate in candidates]
    found = [row for row in rows if row is not None]
    if len(found) < len(rows):
        raise BrokenRowError("a candidate has no instance")
    ratings = tuple(
        numbers_of([_number(candidate.get(annotator)) for candidate in candidates], len(candidates), annotator)
        for annotator in _ANNOTATORS
    )
    boxes = _boxes(found[0])
    named = " and ".join(f"[{box.number}]" for box in boxes) if draws else "this picture"
    return ChoiceItem(
        Question(name, _places(found[0]), (Turn("user", _ASKED.format(named)),), boxes if draws else ()),
        tuple(text_of(row, "inference") for row in found),
        lead="",
        ratings=ratings,
    )


def _number(value: Any) -> Any:
    """A rating, which some files have as text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return None


def _places(row: Row) -> tuple[str, ...]:
    """The image below its folder: the address of the image without its beginning, more and more of it left out."""
    image = row.get("image")
    if not isinstance(image, dict):
        raise BrokenRowError("image is missing")
    parts = [part for part in urlsplit(text_of(image, "url")).path.split("/") if part]
    return tuple("/".join(parts[start:]) for start in range(len(parts)))


def _boxes(row: Row) -> tuple[ShownBox, ...]:
    image, regions = row.get("image"), row.get("region")
    if not isinstance(image, dict) or not isinstance(regions, list) or not regions:
        raise BrokenRowError("region is missing")
    width, height = numbers_of([image.get("width"), image.get("height")], 2, "size of the image")
    boxes = []
    for number, region in enumerate(regions):
        if not isinstance(region, dict):
            raise BrokenRowError("region is missing")
        sides = [region.get(key) for key in ("left", "top", "width", "height")]
        left, top, wide, high = numbers_of(sides, 4, "region")
        boxes.append(ShownBox(number, (left, top, left + wide, top + high), (int(width), int(height))))
    return tuple(boxes)
