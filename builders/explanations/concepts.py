"""The list of concepts: what experts say a thing of each label looks like, from a JSON file.

Two forms are read: `{"label": ["concept", ...]}`, and that of SelfSynthX,
`{"id": {"name": "label", "visual_features": ["concept", ...]}}`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from critics.label_names import plain_label
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.json_text import parse_json
from ostensive.user_paths import shown_path

NO_LIST = (
    "explanations.concepts: is not set; name a JSON file that says what a thing of each label looks like, such as"
    ' {"robin": ["red breast", "thin dark bill"]}; `ostensive concepts` asks a teacher for one'
)


@dataclass(frozen=True, slots=True)
class LabelConcepts:
    """The distinct concepts of one label, in the order of the file."""

    label: str
    concepts: tuple[str, ...]


@dataclass(frozen=True)
class ConceptList:
    """The concepts of all labels, in the order of the file: the place of each in `texts` is its number."""

    labels: tuple[LabelConcepts, ...]

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The concepts of all labels one after the other; one that two labels have is there twice."""
        return tuple(concept for one in self.labels for concept in one.concepts)

    @cached_property
    def _ranges(self) -> dict[str, range]:
        ranges, start = {}, 0
        for one in self.labels:
            ranges[plain_label(one.label)] = range(start, start + len(one.concepts))
            start += len(one.concepts)
        return ranges

    def places(self, label: str) -> range:
        """The places in `texts` of the concepts of a label, whatever its case and the space around it; or none."""
        return self._ranges.get(plain_label(label), range(0))

    @cached_property
    def places_in_texts(self) -> Mapping[str, int]:
        """A place of each concept in `texts`."""
        return {text: place for place, text in enumerate(self.texts)}

    @property
    def digest(self) -> str:
        """Changes when a label, a concept or an order does."""
        return fingerprint([[one.label, list(one.concepts)] for one in self.labels])[:16]


def load_concepts(path: str) -> ConceptList:
    """The list in a file; raises `SettingsError` for a file that cannot be read or has another form."""
    where = f"explanations.concepts: {shown_path(Path(path))}"
    return parse_concepts(_read_json(Path(path), where), where)


def load_entries(path: Path) -> dict[str, tuple[str, ...]]:
    """The labels of a file with their concepts, as `load_concepts` reads them, to be written anew with more."""
    where = shown_path(path)
    return {one.label: one.concepts for one in parse_concepts(_read_json(path, where), where).labels}


def _read_json(file: Path, where: str) -> object:
    try:
        given: object = parse_json(file.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{where}: cannot be read as JSON in UTF-8: {error}") from error
    return given


def parse_concepts(given: object, where: str) -> ConceptList:
    """The list in what a JSON file holds; raises `SettingsError` that begins with `where`."""
    if not isinstance(given, Mapping) or not given:
        raise SettingsError(f"{where}: an object with a list of concepts for each label is expected")
    found: dict[str, LabelConcepts] = {}
    for key, value in given.items():
        label, concepts = _entry(str(key), value, where)
        if plain_label(label) in found:
            raise SettingsError(f"{where}: the label {label!r} is there twice, as {found[plain_label(label)].label!r}")
        found[plain_label(label)] = LabelConcepts(label, concepts)
    if not any(one.concepts for one in found.values()):
        raise SettingsError(f"{where}: there is no concept in it")
    return ConceptList(tuple(found.values()))


def _entry(key: str, value: object, where: str) -> tuple[str, tuple[str, ...]]:
    label: object = key
    if isinstance(value, Mapping):
        label, value = value.get("name"), value.get("visual_features")
    if not isinstance(label, str) or not plain_label(label):
        raise SettingsError(f"{where}: {key!r}: a label is expected as its key, or as its name beside visual_features")
    if not isinstance(value, list) or not all(isinstance(concept, str) for concept in value):
        raise SettingsError(f"{where}: {key!r}: a list of texts is expected, one for each concept")
    concepts = (" ".join(concept.split()) for concept in value)
    return label.strip(), tuple(dict.fromkeys(concept for concept in concepts if concept))
