"""Lists of labels to compare images with: three that are built in, or a text file of the user's.

Labels that are the same but for case and white space are one label, and the number of repetitions is told: published
vocabularies repeat themselves, and to refuse them would make every user write the same clean-up. Labels that merely
mean the same (plurals, near synonyms) all stay in the list; of those only the likeliest is said of an image.
"""

import importlib.util
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any  # Any: what YAML gives

from pydantic import BeforeValidator

from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.settings import nearest_key
from ostensive.text_lines import lines_of
from ostensive.user_paths import PathMark

_MICROWORLD = ("microworld-places", "microworld-shapes", "microworld-looks")
BUILT_IN = ("places", "imagenet", "concepts", *_MICROWORLD)
MAX_LABEL_CHARACTERS = 200  # a longer line is no label, and the file no list of labels


def _check_source(value: Any) -> Any:
    """Labels or a file, in one sentence: pydantic's own words on a choice of two types name types."""
    if not isinstance(value, str | list | tuple) or not value:
        raise ValueError("a list of labels, or a file with a label a line, is expected")
    for label in value if not isinstance(value, str) else ():
        if not isinstance(label, str) or not label.strip() or len(label) > MAX_LABEL_CHARACTERS:
            raise ValueError(f"labels are texts of 1 to {MAX_LABEL_CHARACTERS} characters")
    return value


_FILE_OR_NAME = PathMark(or_name="file", names=BUILT_IN)
LabelListName = Annotated[str, _FILE_OR_NAME]
"""A list that is built in, or a file."""
LabelSource = Annotated[tuple[str, ...] | str, BeforeValidator(_check_source), _FILE_OR_NAME]
"""Labels as a recipe gives them: one by one, or by a list or file to load."""


@dataclass(frozen=True, slots=True)
class LabelList:
    """Distinct labels in the order of their list, and how many lines repeated one."""

    labels: tuple[str, ...]
    repeated: int

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the labels and their order."""
        return fingerprint(self.labels)


def load_labels(source: str) -> LabelList:
    """The list that is built in under the name `source`, or that the file `source` holds.

    Raises `SettingsError` for a file that is missing, is not UTF-8 text, has no labels, or is no list of labels.
    """
    if source == "imagenet":
        return distinct(_imagenet_names())
    if source in BUILT_IN:
        return parse_labels((files("verbalizers") / "labels" / f"{source}.txt").read_text("utf-8"), source)
    path = Path(source)
    try:
        # utf-8-sig: some editors put a byte order mark first, which would become part of the first label.
        text = path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        near = nearest_key(source, BUILT_IN)
        hint = f"; the nearest built-in list is {near}" if near else f"; built in are {', '.join(BUILT_IN)}"
        raise SettingsError(f"labels: there is no file {source}{hint}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"labels: {source} is not UTF-8 text (byte {error.start}); convert it to UTF-8") from error
    except OSError as error:
        raise SettingsError(f"labels: {source} cannot be read: {error.strerror or error}") from error
    return parse_labels(text, source)


def parse_labels(text: str, origin: str) -> LabelList:
    """The labels in `text`, one a line; empty lines and lines that begin with `#` are passed over."""
    labels = []
    for number, line in enumerate(lines_of(text), start=1):
        label = " ".join(line.split())
        if not label or label.startswith("#"):
            continue
        if len(label) > MAX_LABEL_CHARACTERS or not label.isprintable():
            raise SettingsError(
                f"labels: {origin}, line {number}: {label[:40]!r}... is no label; "
                f"one label a line of at most {MAX_LABEL_CHARACTERS} printable characters is expected"
            )
        labels.append(label)
    if not labels:
        raise SettingsError(f"labels: {origin} holds no labels; one a line is expected")
    return distinct(labels)


def distinct(labels: Iterable[str]) -> LabelList:
    """`labels` without those that differ from an earlier one in case, white space or Unicode form alone."""
    kept: dict[str, str] = {}
    count = 0
    for label in labels:
        count += 1
        kept.setdefault(folded(label), label)
    return LabelList(tuple(kept.values()), count - len(kept))


def sense_key(label: str) -> str:
    """What labels that differ only in case, hyphens or the plural of their last word have in common.

    By the regular English endings, so that it errs for words such as `glasses`; all it does is keep two labels with
    one key from being said of the same image.
    """
    *before, last = folded(label).replace("-", " ").replace("_", " ").split() or [""]
    return " ".join([*before, _singular(last)])


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def folded(label: str) -> str:
    """`label` without what case, white space and Unicode form add; two labels of one form are one label."""
    return " ".join(unicodedata.normalize("NFKC", label).casefold().split())


def _imagenet_names() -> list[str]:
    """The thousand names that open_clip carries, from its one file of names, for importing the rest takes seconds."""
    package = importlib.util.find_spec("open_clip")
    assert package is not None, "open_clip_torch is a dependency"
    assert package.submodule_search_locations is not None, "open_clip is a package"
    path = Path(package.submodule_search_locations[0]) / "zero_shot_metadata.py"
    spec = importlib.util.spec_from_file_location("_open_clip_zero_shot_metadata", path)
    assert spec is not None, "a path to a Python file has a spec"
    assert spec.loader is not None, "and a loader"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.IMAGENET_CLASSNAMES)
