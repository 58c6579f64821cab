"""VisualCOMET (Park et al. 2020) in its own files, for Acc@50: true inferences among fifty are to be ranked highest.

As in the published script: the candidates of an event and a relation (before, after, intent) are all of its own
inferences, filled up to 50 with those of other events and relations of the file, drawn at random. Drawn ones that say
what is there already are passed over, and all are put in an order of their own, so that who scores all alike gains
nothing. People are numbered from 1 in the texts and from 0 in the metadata of VCR's images; here they are `[0]`, `[1]`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final

from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.records import Turn
from students.evaluation.items import BrokenRowError, ChoiceItem, Question, Read, ShownBox
from students.evaluation.json_files import Row, json_list, only_file, text_of, texts_of
from students.evaluation.reading import ReadOptions
from students.evaluation.vcr import boxes_of, object_metadata

CANDIDATES: Final = 50
RELATIONS: Final[Mapping[str, str]] = {
    "before": "What needed to happen before this?",
    "after": "What will most likely happen next?",
    "intent": "What is wanted by it?",
}
"""The relations and how they are asked, in words of our own."""
_PERSON: Final = "person"
_NUMBER: Final = re.compile(r"(?<![\w.,\[])\d{1,2}(?![\w\]]|[.,]\d)")


def read_visualcomet(source: Path, images: Path, options: ReadOptions) -> Read[ChoiceItem]:
    """An item of each event and relation of `val_annots.json` (or of the folder that holds it).

    A row of the file is an event. Raises `SettingsError` for a file that cannot be read or has too few inferences.
    """
    path = only_file(source, ("val_annots.json", "train_annots.json"), "VisualCOMET's val_annots.json")
    rows = list(json_list(path))
    pool = [text for row in rows if not isinstance(row, BrokenRowError) for text in _all_texts(row)]
    if len(set(pool)) < CANDIDATES:
        raise SettingsError(f"{path}: has {len(set(pool))} different inferences; Acc@50 needs {CANDIDATES} at least")
    read: Read[ChoiceItem] = Read()
    for row in rows:
        try:
            if isinstance(row, BrokenRowError):
                raise row
            read.add(_items(row, images, options, pool))
        except BrokenRowError as error:
            read.lose(str(error))
    return read


def _all_texts(row: Row) -> list[str]:
    lists = [row.get(relation) for relation in RELATIONS]
    values = [value for some in lists if isinstance(some, list) for value in some]
    return [value.strip() for value in values if isinstance(value, str) and value.strip()]


def _items(row: Row, images: Path, options: ReadOptions, pool: Sequence[str]) -> list[ChoiceItem]:
    image, event, place = text_of(row, "img_fn"), text_of(row, "event"), row.get("place") or ""
    if not any(row.get(relation) for relation in RELATIONS):
        raise BrokenRowError("no inferences")
    metadata = object_metadata(text_of(row, "metadata_fn"), images) if options.regions != "none" else {}
    boxes = boxes_of(metadata) if metadata else {}
    names = metadata.get("names")
    people = {number for number in boxes if isinstance(names, list) and names[number : number + 1] == [_PERSON]}

    def tagged(text: str) -> str:
        """People by their numbers as they are drawn; where nothing is drawn, as the file has them."""
        return _NUMBER.sub(lambda m: f"[{int(m[0]) - 1}]" if int(m[0]) - 1 in people else m[0], text)

    where = f", {place.strip()}" if isinstance(place, str) and place.strip() else ""
    items = []
    for relation, asked in RELATIONS.items():
        own = list(dict.fromkeys(texts_of(row, relation)))
        if not own:
            continue
        name = fingerprint([image, event, relation])[:16]
        candidates, right = _candidates(own, pool, Random(f"{options.seed} {name}"))  # noqa: S311 - no secret
        shown = _shown(boxes, people, f"{event} {' '.join(candidates)}", options)
        text = f"{tagged(event)}{where}. {asked}"
        question = Question(name, (image, f"vcr1images/{image}"), (Turn("user", text),), shown, kind=relation)
        items.append(ChoiceItem(question, tuple(map(tagged, candidates)), text, right))
    return items


def _candidates(own: Sequence[str], pool: Sequence[str], draw: Random) -> tuple[list[str], tuple[int, ...]]:
    """The candidates of an item, and where among them its own are; `pool` has enough different texts."""
    candidates = list(own[: CANDIDATES - 1])
    true, taken = len(candidates), set(own)
    while len(candidates) < CANDIDATES:
        text = pool[draw.randrange(len(pool))]
        if text not in taken:
            taken.add(text)
            candidates.append(text)
    order = draw.sample(range(CANDIDATES), CANDIDATES)
    return [candidates[place] for place in order], tuple(at for at, place in enumerate(order) if place < true)


def _shown(boxes: Mapping[int, ShownBox], people: set[int], text: str, options: ReadOptions) -> tuple[ShownBox, ...]:
    """The people that the texts name, or all that is in the picture."""
    named = {int(match[0]) - 1 for match in _NUMBER.finditer(text)} & people
    numbers = boxes if options.regions == "all" else named
    return tuple(boxes[number] for number in sorted(numbers))
