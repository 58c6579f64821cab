"""Files of annotations as people have them, read for each recipe that uses any, before any work."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from annotated_images import save_images

import ostensive
from builders.table import MODULES, load, recipe_kind
from ostensive.errors import SettingsError
from ostensive.images.annotations import Annotations
from ostensive.run.sources import find_sources

RECIPES = [name for name in MODULES if recipe_kind(name).reads_annotations]
CORPUS = ["corpus.license=cc0-1.0", "corpus.source=drawn by a test", "corpus.intended_use=to test"]
QUESTION, LABEL = 'What\'s in the café: tea, or "Glühwein"?', "l'été: a café"
COLUMNS = ["id", "file_name", "question", "answer", "label", "instruction"]
ROWS = [
    # Two items have one id, and one says twice what it says.
    ["1", "a.jpg", QUESTION, "it's tea: black", LABEL, "Say: what's it?"],
    ["1", "b.jpg", QUESTION, "it's 'Glühwein'", LABEL, ""],
    ["2", "b.jpg", QUESTION, "it's 'Glühwein'", LABEL, ""],
    ["3", "gone.jpg", QUESTION, "nobody's", LABEL, ""],
    ["4", "", QUESTION, "nobody's", LABEL, ""],
]


def read(name: str, folder: Path, encoding: str, settings: Sequence[str] = ()) -> Annotations:
    """What the recipe is given of the rows, as a CSV file in this encoding."""
    save_images(folder / "photos", "a.jpg", "b.jpg")
    sink = io.StringIO(newline="")
    csv.writer(sink).writerows([COLUMNS, *ROWS])
    (folder / "items.csv").write_bytes(sink.getvalue().encode(encoding))
    recipe, options = (
        load(name, assignments=[*CORPUS, *settings]),
        ostensive.BuildOptions(annotations=folder / "items.csv"),
    )
    planned = find_sources(recipe, recipe_kind(name), folder / "photos", options).annotations
    assert planned is not None
    return planned.found


@pytest.mark.parametrize(
    ("encoding", "settings"),
    [
        ("utf-8-sig", []),
        ("utf-16", []),
        ("utf-16-le", ["annotations.encoding=utf-16-le"]),
        ("latin-1", ["annotations.encoding=latin-1"]),
        ("cp1252", ["annotations.encoding=windows-1252"]),
    ],
)
@pytest.mark.parametrize("name", RECIPES)
def test_items_come_through_in_any_encoding(name: str, encoding: str, settings: list[str], tmp_path: Path) -> None:
    found = read(name, tmp_path, encoding, settings)
    (first,), (_,) = found.items["a.jpg"], found.items["b.jpg"]
    kind = recipe_kind(name)
    wanted = (*kind.annotations_required, *kind.annotations_optional)
    expected = {"question": QUESTION, "answers": ("it's tea: black",), "label": LABEL, "instruction": "Say: what's it?"}
    assert {field: getattr(first, field) for field in expected if field in wanted} == {
        field: value for field, value in expected.items() if field in wanted
    }
    assert set(expected) & set(wanted)
    assert found.lost == {"names no image": 1, "no such image": 1, "repeats another item": 1}


@pytest.mark.parametrize("name", RECIPES)
def test_another_encoding_that_nobody_names_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"line 2: byte 0xe9 at \d+ is not UTF-8.*say annotations\.encoding=cp1252$"
    ):
        read(name, tmp_path, "latin-1")
    for encoding in ("utf-16-le", "utf-16-be"):
        with pytest.raises(SettingsError, match=rf"holds zero bytes.*say annotations\.encoding={encoding}, or save"):
            read(name, tmp_path, encoding)
