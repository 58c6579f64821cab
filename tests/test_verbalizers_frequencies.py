"""Counts of labels: read and written without loss, refused in one line, and taken from a run by the command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from drawing import write_scenes
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

import ostensive
from ostensive.cli import app
from ostensive.errors import SettingsError
from ostensive.records import AREA_LABEL, Verbalization
from ostensive.run.folder import RunFolder
from ostensive.run.partitions import read_kept
from verbalizers.choice import ChoiceSettings
from verbalizers.frequencies import (
    NO_FREQUENCIES,
    Frequencies,
    count_labels,
    frequency_lines,
    load_frequencies,
    parse_frequencies,
    run_frequencies,
)
from verbalizers.pixels.proposals import PixelRegionSettings
from verbalizers.stage import VerbalizeStage
from verbalizers.table import VerbalizeSettings

SETTINGS = ("corpus.license=cc0-1.0", "corpus.source=drawn by a test", "corpus.intended_use=to test")


@given(st.lists(st.text(max_size=12)))
def test_what_is_counted_is_written_and_read_back(labels: list[str]) -> None:
    counted = count_labels(labels)
    assert sum(counted.counts.values()) == sum(bool(label.split()) for label in labels)
    text = "\n".join(frequency_lines(counted))
    if counted.counts:
        assert parse_frequencies(text, "counts.tsv") == counted
        assert parse_frequencies(text.replace("\n", "\r\n") + "\r\n\r\n", "counts.tsv") == counted


@given(st.lists(st.sampled_from(["kite", "Kite", " kite", "lamp"])))
def test_counting_knows_no_order_and_no_case(labels: list[str]) -> None:
    counted = count_labels(labels)
    assert count_labels(reversed(labels)).fingerprint == counted.fingerprint
    assert sum(counted.counts.values()) == len(labels)
    assert set(counted.counts) <= {"kite", "lamp"}


def test_most_frequent_first_and_equals_by_name() -> None:
    assert frequency_lines(count_labels(["b", "c", "a", "c", ""])) == ["c\t2", "a\t1", "b\t1"]
    assert frequency_lines(NO_FREQUENCIES) == []


def test_rarity() -> None:
    prior = Frequencies({"kite": 3, "lamp": 0})
    assert [prior.rarity(label, 0.5) for label in ("KITE", "lamp", "never seen")] == [0.5, 1, 1]
    assert prior.rarity("kite", 0) == 1
    assert NO_FREQUENCIES.rarity("kite", 2) == 1


def test_a_byte_order_mark_and_a_tab_in_the_label_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "counts.tsv"
    file.write_bytes("\ufeffcafé\t7\n\nbaby\tbuggy\t 0 \n".encode())
    assert load_frequencies(str(file)) == Frequencies({"café": 7, "baby buggy": 0})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "counts.tsv holds no labels; a label, a tab and a count a line are expected"),
        ("\n  \n", "counts.tsv holds no labels; a label, a tab and a count a line are expected"),
        ("cat\t5\ndog 3", "counts.tsv, line 2: a label, a tab and a count are expected, not 'dog 3'"),
        ("# label, count\n", "counts.tsv, line 1: a label, a tab and a count are expected, not '# label, count'"),
        (" \t5", "counts.tsv, line 1: a label, a tab and a count are expected, not '5'"),
        ("cat\t-1", "counts.tsv, line 1: the count of 'cat' is a whole number of 0 or more, not '-1'"),
        ("cat\t0.5", "counts.tsv, line 1: the count of 'cat' is a whole number of 0 or more, not '0.5'"),
        ("cat\tmany", "counts.tsv, line 1: the count of 'cat' is a whole number of 0 or more, not 'many'"),
        ("cat\t²", "counts.tsv, line 1: the count of 'cat' is a whole number of 0 or more, not '²'"),
        ("cat\t" + "9" * 16, "the count of 'cat' is a whole number of 0 or more, not '9999999999999999'"),
        (
            "cat\t1\n\nCat \t2",
            "counts.tsv, line 3: 'cat' has a count in line 1 already; a label has one, whatever its case",
        ),
    ],
)
def test_files_of_another_form_are_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_frequencies(text, "counts.tsv")
    assert str(refused.value).startswith("frequencies: counts.tsv")
    assert str(refused.value).endswith(message)
    assert "\n" not in str(refused.value)


def test_files_that_cannot_be_read_are_refused_in_one_line(tmp_path: Path) -> None:
    gone, latin = tmp_path / "gone.tsv", tmp_path / "latin.tsv"
    with pytest.raises(SettingsError) as refused:
        load_frequencies(str(gone))
    assert str(refused.value) == (
        f"frequencies: there is no file {gone}; `ostensive frequencies RUN --out gone.tsv` makes one"
    )
    latin.write_bytes("café\t1".encode("latin-1"))
    with pytest.raises(SettingsError) as refused:
        load_frequencies(str(latin))
    assert str(refused.value) == f"frequencies: {latin} is not UTF-8 text (byte 3); convert it to UTF-8"
    with pytest.raises(SettingsError) as refused:
        load_frequencies(str(tmp_path))
    assert str(refused.value) == f"frequencies: {tmp_path} cannot be read: Is a directory"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two partitions, each with a face in it, which is the one thing that pixels can name."""
    from skimage.data import astronaut

    folder = tmp_path_factory.mktemp("pilot")
    images, portrait = write_scenes(folder / "images", 2), Image.fromarray(astronaut())  # type: ignore[no-untyped-call]  # skimage has no types
    portrait.save(images / "a portrait.png")
    portrait.crop((0, 0, 500, 500)).save(images / "the portrait again.png")
    options = ostensive.BuildOptions(settings=(*SETTINGS, "run.partition_size=2"))
    ostensive.build("localized", images=images, out=folder / "run", options=options)
    return folder / "run"


@pytest.mark.slow
def test_the_command_counts_the_labels_of_a_run(run: Path, tmp_path: Path) -> None:
    folder = RunFolder(run)
    rows = [row for path in folder.partition_paths("verbalized") for row in read_kept(path, Verbalization)]
    labels = [region.label for row in rows for region in row.regions]
    assert len(folder.partition_paths("verbalized")) == 2
    expected = [f"face\t{labels.count('face')}"]
    assert 2 <= labels.count("face") < len(labels)
    assert set(labels) == {"face", AREA_LABEL}

    runner, out = CliRunner(), tmp_path / "new folder" / "counts.tsv"
    printed = runner.invoke(app, ["frequencies", str(run)])
    assert (printed.exit_code, printed.stdout.splitlines()) == (0, expected)
    written = runner.invoke(app, ["frequencies", str(run), "--out", str(out)])
    assert (written.exit_code, written.stdout) == (0, f"1 label of {labels.count('face')} regions in {out}\n")
    assert out.read_text().splitlines() == expected
    assert load_frequencies(str(out)) == run_frequencies(run)
    as_json = runner.invoke(app, ["frequencies", str(run), "--json"])
    assert json.loads(as_json.stdout) == {"face": labels.count("face")}


def test_the_content_of_the_counts_decides_what_is_redone(tmp_path: Path) -> None:
    counts = tmp_path / "counts.tsv"

    def identity() -> object:
        settings = VerbalizeSettings(regions=PixelRegionSettings(choice=ChoiceSettings(frequencies=str(counts))))
        return VerbalizeStage(settings, seed=0).identity

    counts.write_text("face\t10\n")
    first = identity()
    counts.write_text("FACE\t10\n")
    assert identity() == first, "the same counts in other words"
    counts.write_text("face\t11\n")
    assert identity() != first
    counts.unlink()
    with pytest.raises(SettingsError, match=r"^frequencies: there is no file "):
        identity()


def test_the_command_says_in_one_line_what_it_cannot_count(run: Path, tmp_path: Path) -> None:
    def told(folder: Path) -> str:
        command = [sys.executable, "-m", "ostensive", "frequencies", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent)
        assert (done.returncode, done.stdout) == (2, "")
        return done.stderr

    assert told(tmp_path) == (
        f"ostensive: {tmp_path}: there is no run here; give the folder that was --out of `ostensive build`\n"
    )
    (tmp_path / "run.json").write_text(f'{{"outcome": "unfinished", "run_id": "{"0" * 32}", "pins": {{}}}}')
    assert told(tmp_path) == (
        f"ostensive: {tmp_path}: no image of this run is verbalized yet; run `ostensive build` first\n"
    )


def test_a_run_whose_regions_have_no_label_has_nothing_to_count(tmp_path: Path) -> None:
    images = write_scenes(tmp_path / "images", 1)
    ostensive.build("localized", images=images, out=tmp_path / "run", options=ostensive.BuildOptions(settings=SETTINGS))
    with pytest.raises(SettingsError) as refused:
        run_frequencies(tmp_path / "run")
    assert str(refused.value) == (
        f"{tmp_path / 'run'}: no region of this run has a label; "
        "regions from pixels know none but faces, use a detector"
    )
