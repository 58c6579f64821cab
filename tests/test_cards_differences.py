"""Two corpora side by side: every row and image is told once, by what became of it, and nothing is taken on trust."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawing import write_scenes
from drawn_corpus import sample_of, write_samples
from hardship import call
from installed_recipe import NAME, write_distribution

import ostensive
from builders.localized.recipe import KIND
from cards.card import CARD_NAME
from cards.compared import flat_settings, open_compared
from cards.compared_figures import figures_side_by_side
from cards.differences import WITHOUT_TEXTS, compare
from cards.reading import MANIFEST_NAME
from cards.samples import ROWS_UNWRITABLE, CorpusSample
from ostensive.errors import OstensiveError, SettingsError
from ostensive.records import Region
from ostensive.run.summary import IN_NO_SPLIT

RECIPE: Mapping[str, Any] = {"recipe": "localized", "seed": 0, "critics": [{"kind": "rules"}], "corpus": {"splits": {}}}


def write(
    folder: Path,
    samples: Sequence[CorpusSample],
    *,
    recipe: Mapping[str, Any] = RECIPE,
    splits: tuple[str, ...] = (),
    a_shard: int = 3,
) -> Path:
    """A corpus folder of these samples, without a run."""
    write_samples(folder, samples, recipe=recipe, splits=splits, a_shard=a_shard)
    return folder


def with_rows(sample: CorpusSample, **changes: Any) -> CorpusSample:
    """The sample with fields of its first row changed."""
    first, *others = sample.rows
    return replace(sample, rows=(replace(first, candidate=replace(first.candidate, **changes)), *others))


def samples(*numbers: int, rows: int = 2, split: str = "train") -> list[CorpusSample]:
    return [sample_of(number, rows, split) for number in numbers]


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("five") / "corpus", samples(0, 1, 2, 3, 4))


def test_a_corpus_does_not_differ_from_itself(five: Path, tmp_path: Path) -> None:
    found = ostensive.diff(five, five, examples=3)
    assert found.rows is not None
    assert found.images is not None
    rows = found.rows
    assert (rows.same, rows.changed, rows.renamed, rows.added, rows.removed) == (10, 0, 0, 0, 0)
    assert (found.images.same, found.images.changed, found.images.added, found.images.removed) == (5, 0, 0, 0)
    assert (found.settings, found.examples, found.note) == ((), (), "")
    assert all(figure.first == figure.second for figure in found.figures)
    # In another order, in other shards, and in two splits it is the same.
    other = write(tmp_path / "other", samples(4, 2, 0, 1, 3), a_shard=1)
    again = ostensive.diff(five, other)
    assert (again.rows, again.images) == (found.rows, found.images)


def test_what_was_added_removed_changed_and_renamed(five: Path, tmp_path: Path) -> None:
    others = samples(1, 2, 3, 4, 5)
    others[0] = with_rows(others[0], answer="[0] is dark.", mentions=(1, 0))
    others[1] = with_rows(others[1], row_id="another", request_key="9" * 64, prompt_hash="8" * 64)
    others[2] = replace(others[2], rows=others[2].rows[1:])
    others[3] = replace(others[3], rows=(*others[3].rows, sample_of(4, 3).rows[2]))
    found = ostensive.diff(five, write(tmp_path / "other", others), examples=9)
    rows, images = found.rows, found.images
    assert rows is not None
    assert images is not None
    assert rows.changed_fields == {"answer": 1, "mentions": 1, "regions": 1}
    assert rows.renamed_fields == {"prompt_hash": 1, "request_key": 1}
    assert (rows.same, rows.changed, rows.renamed, rows.added, rows.removed) == (5, 1, 1, 3, 3)
    assert (rows.added_to_shared_images, rows.removed_from_shared_images) == (1, 1)
    assert (images.added, images.removed, images.same, images.changed) == (1, 1, 4, 0)
    by_fate: dict[str, list[Any]] = {}
    for one in found.examples:
        by_fate.setdefault(one.fate, []).append(one)
    assert {fate: len(ones) for fate, ones in by_fate.items()} == {
        "removed": 3,
        "added": 3,
        "changed": 1,
        "renamed": 1,
        "image removed": 1,
        "image added": 1,
    }
    changed = by_fate["changed"][0]
    assert (changed.ids, changed.source) == ({"a": "001-0", "b": "001-0"}, "1.jpg")
    assert changed.values["answer"] == {"a": "[0] is green.", "b": "[0] is dark."}
    assert changed.values["mentions"] == {"a": [0, 1], "b": [1, 0]}
    assert by_fate["renamed"][0].ids == {"a": "002-0", "b": "another"}
    assert by_fate["renamed"][0].values["prompt_hash"] == {"a": "0" * 64, "b": "8" * 64}
    assert list(by_fate["added"][0].values) == ["question", "answer", "rationale"]
    assert {one.ids["b"] for one in by_fate["added"]} == {"004-2", "005-0", "005-1"}
    assert {one.ids["a"] for one in by_fate["removed"]} == {"003-0", "000-0", "000-1"}
    assert by_fate["image added"][0].source == "5.jpg"


def test_both_ways_say_the_same(five: Path, tmp_path: Path) -> None:
    others = samples(1, 2, 3, 4, 5, 6)
    others[0] = with_rows(others[0], answer="No.")
    others[1] = with_rows(others[1], row_id="another")
    other = write(tmp_path / "other", others)
    there, back = ostensive.diff(five, other).rows, ostensive.diff(other, five).rows
    assert there is not None
    assert back is not None
    assert (there.added, there.removed, there.renamed) == (back.removed, back.added, back.renamed)
    assert (there.same, there.changed, there.changed_fields) == (back.same, back.changed, back.changed_fields)
    total = there.same + there.changed + (there.renamed or 0)
    assert (total + there.removed, total + there.added) == (10, 12)


def test_what_is_said_of_an_image_may_change(five: Path, tmp_path: Path) -> None:
    others = samples(0, 1, 2, 3, 4)
    text = others[3].verbalization
    assert text is not None
    regions = (replace(text.regions[0], caption="a square"), *text.regions[1:])
    others[3] = replace(others[3], verbalization=replace(text, concepts=("Another.",), regions=regions))
    found = ostensive.diff(five, write(tmp_path / "other", others))
    assert found.images is not None
    assert found.rows is not None
    assert (found.images.changed, found.images.changed_fields) == (1, {"concepts": 1, "regions": 1})
    # Both rows mention the region.
    assert found.rows.changed_fields == {"regions": 1}
    assert isinstance(regions[0], Region)


def test_images_that_move_between_splits_are_a_leak(tmp_path: Path) -> None:
    first = [*samples(0, 1, 2), *samples(3, 4, split="test")]
    second = [*samples(0, 1), *samples(2, 4, split="test"), *samples(3)]
    a = write(tmp_path / "a", first, splits=("train", "test"))
    b = write(tmp_path / "b", second, splits=("train", "test"))
    found = ostensive.diff(a, b, examples=1)
    assert found.images is not None
    assert found.rows is not None
    assert found.images.moved == {("train", "test"): 1, ("test", "train"): 1}
    assert found.rows.same == 10, "a row is the same in whatever split"
    assert [one.fate for one in found.examples] == ["image moved"]
    text = call("diff", a, b).stdout
    assert "splits      2 images moved: test -> train 1, train -> test 1" in text
    assert "warning: a student" in text
    assert "warning" not in call("diff", a, a).stdout


def test_settings_that_differ(five: Path, tmp_path: Path) -> None:
    recipe = {**RECIPE, "seed": 7, "critics": [{"kind": "rules"}, {"kind": "judge"}], "corpus": {"splits": {"test": 1}}}
    found = ostensive.diff(five, write(tmp_path / "other", samples(0), recipe=recipe))
    assert found.settings is not None
    assert [(one.path, one.values) for one in found.settings] == [
        ("seed", {"a": "0", "b": "7"}),
        ("critics[1].kind", {"b": "judge"}),
        ("corpus.splits.test", {"b": "1"}),
    ]
    text = call("diff", five, tmp_path / "other").stdout
    assert "            seed: 0 -> 7\n" in text
    assert "            critics[1].kind: not there -> judge\n" in text
    assert flat_settings({"a": [1, 2], "b": [], "c": [{"d": {}}, {"d": None}]}) == {
        "a": [1, 2],
        "b": [],
        "c[0].d": {},
        "c[1].d": None,
    }


def test_a_card_that_says_nothing_of_the_recipe(five: Path, tmp_path: Path) -> None:
    a, b = (Path(shutil.copytree(five, tmp_path / name)) for name in "ab")
    for folder in (a, b):
        (folder / CARD_NAME).write_text("# Mine\n", "utf-8")
    found = ostensive.diff(a, b, examples=1)
    assert found.settings is None
    assert found.rows is not None
    assert (found.rows.same, found.rows.renamed, found.note) == (10, None, WITHOUT_TEXTS)
    # One that says it is enough to know how rows are read.
    assert ostensive.diff(five, b).note == ""


def test_a_card_cannot_make_the_program_work_for_ever(five: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(five, tmp_path / "other"))
    bomb = "a0: &a0 {x: 1}\n" + "".join(
        f"a{n}: &a{n} {{{', '.join(f'k{k}: *a{n - 1}' for k in range(9))}}}\n" for n in range(1, 30)
    )
    (other / CARD_NAME).write_text(f"```yaml\n{bomb}```\n", "utf-8")
    assert ostensive.diff(five, other).settings is None


def test_rows_without_a_split_are_dropped_ones_without_the_run_too(five: Path) -> None:
    corpus = open_compared(five)
    lost = replace(corpus.manifest, lost={IN_NO_SPLIT: 3, ROWS_UNWRITABLE: 1})
    figures = figures_side_by_side(corpus, replace(corpus, manifest=lost))
    assert {figure.name: figure.second for figure in figures if figure.group == "funnel"} == {
        f"corpus dropped: {IN_NO_SPLIT}": 3,
        f"corpus failed: {ROWS_UNWRITABLE}": 1,
    }


def test_corpora_of_two_recipes_have_figures_only(five: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", samples(0), recipe={**RECIPE, "recipe": "rationales"})
    found = ostensive.diff(five, other, examples=3)
    assert (found.rows, found.images, found.examples) == (None, None, ())
    assert found.note == "rows of localized and of rationales are not of one kind: figures only"
    assert next((one.first, one.second) for one in found.figures if one.name == "rows") == (10, 2)
    done = call("diff", five, other)
    assert (done.returncode, "rows of localized and of rationales" in done.stdout) == (0, True)


def test_a_corpus_without_rows(five: Path, tmp_path: Path) -> None:
    empty = write(tmp_path / "empty", [])
    found = ostensive.diff(five, empty, examples=2).rows
    back = ostensive.diff(empty, five, examples=2).rows
    assert found is not None
    assert back is not None
    assert (found.removed, found.same, back.added) == (10, 0, 10)
    assert call("diff", empty, empty).returncode == 0


def test_rows_of_another_version_are_matched_by_id(five: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(five, tmp_path / "other"))
    for path in (other / "rows").glob("*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(["rationale"]), path)
    found = ostensive.diff(five, other, examples=1)
    assert found.rows is not None
    assert (found.rows.same, found.note) == (10, WITHOUT_TEXTS)


def test_what_is_no_corpus_is_one_line(five: Path, tmp_path: Path) -> None:
    done = call("diff", five, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no corpus here; give the folder of a run" in done.complaint
    assert call("diff", tmp_path / "nowhere", five).returncode == 2

    damaged = Path(shutil.copytree(five, tmp_path / "damaged"))
    next((damaged / "rows").glob("*.parquet")).unlink()
    done = call("diff", five, damaged)
    assert done.returncode == 1
    assert "is in the manifest and cannot be read" in done.complaint
    (damaged / MANIFEST_NAME).write_text("{}", "utf-8")
    with pytest.raises(SettingsError, match="is damaged or of another version"):
        open_compared(damaged)


def test_a_manifest_reads_nothing_outside_its_folder(five: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret.parquet"
    pq.write_table(pa.table({"row_id": ["x"], "image_id": ["y"]}), outside)
    other = Path(shutil.copytree(five, tmp_path / "other"))
    values = json.loads((other / MANIFEST_NAME).read_text("utf-8"))
    for place in (str(outside), "../secret.parquet", "rows/../../secret.parquet"):
        for file in values["files"]:
            if file["kind"] == "rows":
                file["path"] = place
        (other / MANIFEST_NAME).write_text(json.dumps(values), "utf-8")
        with pytest.raises(OstensiveError, match="which is not within it"):
            compare(open_compared(five), open_compared(other), KIND)


def test_text_of_others_does_not_act_on_the_terminal(five: Path, tmp_path: Path) -> None:
    others = samples(0, 1, 2, 3, 4)
    others[0] = with_rows(others[0], answer="\x1b[31mred\u202e\nand more " + "x" * 500)
    done = call("diff", five, write(tmp_path / "other", others), "--rows", 2)
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert "answer: [0] is red. -> \\x1b[31mred\\u202e\\nand more xxx" in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 400


# ---- runs, and a recipe of another package ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = write_distribution(tmp_path_factory.mktemp("site"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture(scope="module")
def runs(site: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs of the foreign recipe: another note for one image, and another seed."""
    folder = tmp_path_factory.mktemp("runs")
    images = write_scenes(folder / "images", 3)
    found = []
    for name, note in (("a", "Two dogs play"), ("b", "Three dogs play")):
        notes = folder / f"{name}.csv"
        notes.write_text(f"file_name,note\nscene 0000.jpg,A red boat\nscene 0001.jpg,{note}\n", "utf-8")
        given = ("corpus.license=cc0-1.0", "corpus.source=drawn", "corpus.intended_use=test", "dedupe.max_distance=0")
        sets = [word for one in given for word in ("--set", one)]
        seed = [] if name == "a" else ["--set", "seed=3"]
        out = folder / name
        done = call("build", NAME, "--images", images, "--annotations", notes, "--out", out, "--quiet", *sets, *seed)
        assert done.returncode == 0, done.stderr
        found.append(out)
    return found[0], found[1]


def test_runs_of_a_foreign_recipe(runs: tuple[Path, Path]) -> None:
    found = ostensive.diff(*runs, examples=5)
    assert found.rows is not None
    assert found.images is not None
    assert (found.rows.same + found.rows.changed, found.rows.added, found.rows.removed) == (1, 1, 1)
    assert found.images.changed_fields == {"annotations": 1}
    assert found.settings is not None
    assert [one.path for one in found.settings] == ["seed"]
    groups = {figure.group for figure in found.figures}
    assert groups == {"counts", "statistics", "funnel", "cost"}
    texts = [one.values["caption"] for one in found.examples if one.fate == "added"]
    assert texts == [{"b": "Here is three dogs play."}]


def test_the_command_for_people_and_for_programs(runs: tuple[Path, Path]) -> None:
    text = call("diff", *runs, "--rows", 1).stdout
    assert "settings    1 differ\n            seed: 0 -> 3\n" in text
    assert "rows        1 added, 1 removed, " in text
    assert "caption: Here is three dogs play." in text
    done = call("diff", *runs, "--rows", 1, "--json")
    values = json.loads(done.stdout)
    assert (done.returncode, values["rows"]["added"], values["images"]["changed_fields"]) == (0, 1, {"annotations": 1})
    assert values["settings"] == [{"path": "seed", "values": {"a": "0", "b": "3"}}]
    assert {"group": "funnel", "name": "images in", "a": 3, "b": 3} in values["figures"]
    assert {one["fate"] for one in values["examples"]} >= {"added", "removed"}


def test_a_run_against_its_own_corpus_as_it_was_downloaded(runs: tuple[Path, Path], tmp_path: Path) -> None:
    downloaded = Path(shutil.copytree(runs[0] / "corpus", tmp_path / "downloaded"))
    found = ostensive.diff(runs[0], downloaded)
    assert found.rows is not None
    assert (found.rows.same, found.rows.changed, found.rows.renamed, found.settings) == (2, 0, 0, ())
    funnel = [one for one in found.figures if one.group == "funnel"]
    assert funnel
    assert all(one.second is None for one in funnel), "without its run it is not known"


def test_a_recipe_that_is_not_installed_here(runs: tuple[Path, Path], tmp_path: Path) -> None:
    corpora = [Path(shutil.copytree(run / "corpus", tmp_path / run.name)) for run in runs]
    for corpus in corpora:
        card = (corpus / CARD_NAME).read_text("utf-8")
        (corpus / CARD_NAME).write_text(card.replace(f"\nrecipe: {NAME}\n", "\nrecipe: nobody-knows\n"), "utf-8")
    found = ostensive.diff(*corpora, examples=1)
    assert found.rows is not None
    assert (found.rows.renamed, found.rows.added, found.note) == (None, 1, WITHOUT_TEXTS)
    assert next(one for one in found.examples if one.fate == "added").values["caption"] == {
        "b": "Here is three dogs play."
    }
