"""The report of a run: what it shows and says, what it lets nobody do, and that it is the same bytes each time."""

import ast
import base64
import hashlib
import json
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from drawing import draw_scene
from hardship import call
from hypothesis import given, settings
from hypothesis import strategies as st
from installed_recipe import NAME, write_distribution
from PIL import Image
from reported_runs import HOSTILE, RECIPES, Runs, build_run, explainer_of, lossy_run

import cards
import ostensive
from builders.table import MODULES, recipe_kind
from cards.report.choosing import RowChooser, RowSummary
from cards.report.gallery import clipped, opening_of, page_json
from cards.report.writing import MAX_BYTES, write_report
from cards.statistics.tallies import TextTally
from ostensive.errors import EmptyCorpusError, StorageError
from ostensive.run.folder import RunFolder
from ostensive.run.thresholds import ThresholdChoice, write_choice


@pytest.fixture(scope="module", autouse=True)
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = write_distribution(tmp_path_factory.mktemp("site"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield


@pytest.fixture(scope="module")
def runs(known: None, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.getbasetemp())


class Page(HTMLParser):
    """A page as a browser takes it apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "input", "rect", "path"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)

    @property
    def scripts(self) -> list[str]:
        return self.texts["script"]

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found

    @property
    def words(self) -> str:
        """What stands on the page outside scripts and styles."""
        told = [text for tag, texts in self.texts.items() if tag not in ("script", "style") for text in texts]
        return " ".join(" ".join(told).split())


def page_of(run: Path, **how: Any) -> Page:
    return Page(ostensive.report(run, **how).path.read_text("utf-8"))


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_report(runs: Runs, name: str) -> None:
    run = runs[name]
    found = ostensive.report(run)
    explainer = explainer_of(run)
    assert found.path == run / "report.html"
    assert found.rows == found.total == len(explainer.rows.find_rows(""))
    page = Page(found.path.read_text("utf-8"))
    data, corpus = page.data, ostensive.open_corpus(run)
    assert sum(row["state"] == "kept" for row in data["rows"]) == corpus.row_count
    assert len(data["rows"]) == found.rows
    assert {row["id"] for row in data["rows"]} == {row.row_id for row in explainer.rows.find_rows("")}
    parts = explainer.known.kind.parts
    for row in data["rows"]:
        image = data["images"][row["image"]]
        assert image["address"].startswith("data:image/jpeg;base64,")
        assert [part for part, _, _ in row["texts"]] == [
            part for part in parts if part in dict.fromkeys(part for part, _, _ in row["texts"])
        ]
        assert all(data["exchanges"][request["exchange"]]["messages"] for request in row["requests"])
    assert f"All {found.rows:,} {explainer.known.kind.noun}s of the run are shown" in page.words
    for stage in corpus.stages:
        lost = {**stage.dropped, **stage.failed}
        assert all(reason in page.words for reason in lost)
        assert stage.rows == stage.kept + sum(stage.dropped.values()) + sum(stage.failed.values())


@pytest.mark.parametrize("name", RECIPES)
def test_the_same_run_gives_the_same_bytes_with_nothing_of_the_machine(runs: Runs, name: str, tmp_path: Path) -> None:
    run = runs[name]
    first = ostensive.report(run).path.read_bytes()
    there = tmp_path / "other.html"
    assert ostensive.report(run, out=there).path.read_bytes() == first
    assert str(run.parent).encode() not in first
    assert RunFolder(run).read_state()["run_id"].encode() not in first


@pytest.mark.parametrize("name", ["localized", NAME])
def test_a_run_that_is_built_again_elsewhere_gives_the_same_bytes(runs: Runs, name: str, tmp_path: Path) -> None:
    again = build_run(name, tmp_path / "elsewhere")
    assert ostensive.report(again).path.read_bytes() == ostensive.report(runs[name]).path.read_bytes()


def test_nothing_is_asked_for_and_only_its_own_script_and_style_run(runs: Runs) -> None:
    text = ostensive.report(runs["localized"]).path.read_text("utf-8")
    page = Page(text)
    assert not {"link", "iframe", "object", "embed", "base", "img", "audio", "video"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert name not in ("src", "style", "srcset"), tag
        assert not name.startswith("on"), tag
        assert name != "href" or value.startswith("#")
    (policy,) = (value for _, name, value in page.attributes if name == "content" and value.startswith("default-src"))
    allowed = {part.split()[0]: part.split()[1:] for part in policy.split("; ")}
    assert allowed["default-src"] == allowed["base-uri"] == allowed["form-action"] == ["'none'"]
    assert allowed["img-src"] == ["data:"]
    data, script = page.scripts
    assert allowed["script-src"] == [hash_of(script)]
    assert {hash_of(style) for style in page.texts["style"]} == set(allowed["style-src"])
    assert set(re.findall(r"https?://[^\s\"'<>]+", text)) == {"http://www.w3.org/2000/svg"}
    assert json.loads(data)


def hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_what_a_teacher_wrote_stays_text(tmp_path: Path, runs: Runs) -> None:
    notes = [{"file_name": "scene 0000.jpg", "note": text} for text in HOSTILE]
    hostile = "</style><script>alert(1)</script>"
    plain = page_of(runs[NAME])
    page = page_of(build_run(NAME, tmp_path / "hostile", f"corpus.source={hostile}", beside=notes))
    assert set(page.tags) == set(plain.tags)
    assert page.tags.count("script") == 2
    assert hostile in page.words
    shown = {
        name: {
            page.data["texts"][number] for row in page.data["rows"] for one, number, _ in row["texts"] if one == name
        }
        for name in ("note", "caption")
    }
    assert {clipped(" ".join(text.split()), 4000) for text in HOSTILE} == {
        " ".join(text.split()) for text in shown["note"]
    }
    assert len(shown["caption"]) == len(HOSTILE)


def test_no_text_of_the_page_names_a_field_of_a_recipe(runs: Runs) -> None:
    """What is said of a row comes from its kind: a recipe that nobody knew is told of in its own words alone."""
    kinds = [recipe_kind(name) for name in MODULES]
    named = {one.name for kind in kinds for one in fields(kind.candidate)} | {
        part for kind in kinds for part in kind.parts
    }
    of_images = {"annotation_id", "turns"}  # fields of `Annotation`, which any recipe may have beside an image
    usual = of_images | {one.name for one in fields(recipe_kind(NAME).candidate)}
    words = (named | set(MODULES)) - usual
    assert {"question", "rationale", "chosen", "query", "description", "concepts"} <= words
    room = Path(cards.__file__).parent
    code = [*room.glob("report/*.py"), *room.glob("lineage*.py"), room / "explaining.py", room / "run_rows.py"]
    for path in code:
        constants = {
            node.value for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant)
        }
        assert not words & constants, path.name
    script = (room / "report" / "static" / "report.js").read_text("utf-8")
    assert words & {*re.findall(r'"([^"\n]*)"', script), *re.findall(r"\.(\w+)", script)} == {"label"}  # the element
    page = page_of(runs[NAME])
    del page.texts["pre"]  # the settings, which are the user's
    shown = page.words
    of_prose = {"prompt", "asked", "label", "description"}  # "prompt tokens", "is asked for many rows"
    assert not (words - of_prose) & set(re.findall(r"\w+", shown.lower()))


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.text() | st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_rows_cannot_end_the_script_that_they_stand_in(value: Any) -> None:
    text = page_json(value)
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == value


def test_a_page_holds_as_much_as_it_may(runs: Runs, tmp_path: Path) -> None:
    explainer = explainer_of(runs["localized"])
    everything = ostensive.report(runs["localized"])
    assert everything.byte_count < MAX_BYTES
    sizes = []
    nothing = write_report(explainer, out=tmp_path / "page.html", rows=0).byte_count
    for share in (0.9, 0.6, 0.3):
        max_bytes = nothing + 10_000 + round((everything.byte_count - nothing) * share)
        found = write_report(explainer, out=tmp_path / "page.html", max_bytes=max_bytes)
        assert found.byte_count == found.path.stat().st_size <= max_bytes
        page = Page(found.path.read_text("utf-8"))
        assert len(page.data["rows"]) == found.rows
        assert f"{found.rows:,} of {found.total:,} triples of the run are shown: in turn one of a reason" in page.words
        # Nothing is there that no row shows.
        data = page.data
        assert {row["image"] for row in data["rows"]} == set(range(len(data["images"])))
        assert {one["exchange"] for row in data["rows"] for one in row["requests"]} == set(
            range(len(data["exchanges"]))
        )
        sizes.append(found.rows)
    assert everything.rows > sizes[0] > sizes[1] > sizes[2] > 0


def test_rows_and_out_as_a_command(runs: Runs, tmp_path: Path) -> None:
    said = call("report", runs["localized"], "--rows", 5, "--out", tmp_path / "five.html", "--json")
    assert json.loads(said.stdout) == {
        "report": str(tmp_path / "five.html"),
        "rows": 5,
        "of": len(explainer_of(runs["localized"]).rows.find_rows("")),
        "bytes": (tmp_path / "five.html").stat().st_size,
    }
    assert "gallery     5 of" in call("report", runs["localized"], "--rows", 5, "--out", tmp_path / "five.html").stdout
    assert call("report", runs["localized"], "--rows", 0, "--out", tmp_path / "none.html").returncode == 0
    assert Page((tmp_path / "none.html").read_text("utf-8")).data["rows"] == []


def test_large_pictures_become_small_ones(tmp_path: Path) -> None:
    run = lossy_run(tmp_path)
    for place, photo in enumerate(sorted((tmp_path / "photos").iterdir())):
        assert draw_scene(place, width=640, height=480).size == (640, 480)
        assert photo.exists()
    (picture,) = page_of(run.path).data["images"]
    assert (picture["width"], picture["height"]) == (640, 480)
    assert len(picture["address"]) < 40_000


def test_a_small_picture_holds_nothing_but_what_is_seen(tmp_path: Path) -> None:
    run = lossy_run(tmp_path)
    for photo in (tmp_path / "photos").iterdir():
        with Image.open(photo) as picture:
            exif = picture.getexif()
            exif[0x8769] = {0xA431: "serial 1234567"}
            exif[0x8825] = {1: "N", 2: (48.0, 8.0, 0.0)}
            picture.save(photo.with_suffix(".jpg"), exif=exif)
        assert b"serial 1234567" in photo.with_suffix(".jpg").read_bytes()
        if photo.suffix != ".jpg":
            photo.with_suffix(".jpg").replace(photo)
    (shown,) = page_of(run.path).data["images"]
    small = base64.b64decode(shown["address"].partition(",")[2])
    assert b"Exif" not in small
    assert b"serial" not in small


def test_pictures_that_are_gone_cost_no_row(tmp_path: Path) -> None:
    run = lossy_run(tmp_path)
    before = page_of(run.path)
    for photo in (tmp_path / "photos").iterdir():
        photo.unlink()
    after = page_of(run.path)
    assert [row["id"] for row in after.data["rows"]] == [row["id"] for row in before.data["rows"]]
    assert [image["address"] for image in after.data["images"]] == [""]
    assert "1 picture could not be read any more" in after.words


def test_rows_that_were_lost_in_every_way_are_there(tmp_path: Path) -> None:
    page = page_of(lossy_run(tmp_path).path)
    found = [(row["state"], row["why"], row["least"]) for row in page.data["rows"]]
    assert found == [
        ("waiting", "", 0.75),
        ("dropped", "unique: near duplicate", None),
        ("failed", "scored: no score", None),
        ("dropped", "judged: hedging", 0.25),
        ("dropped", "candidates: missing answer", None),
    ]
    assert [[request["note"] for request in row["requests"]] for row in page.data["rows"]]
    assert "timeout" in page.words  # of a row that never was
    assert "This run was not finished" not in page.words


def test_a_run_that_is_not_finished_says_so_and_shows_what_there_is(tmp_path: Path) -> None:
    run = lossy_run(tmp_path)
    run.write_state(outcome="unfinished")
    for path in run.partition_paths("judged"):
        path.unlink()
    page = page_of(run.path)
    assert "This run was not finished when this page was made" in page.words
    assert [row["state"] for row in page.data["rows"]].count("waiting") == 2
    for stage in ("candidates", "unique", "scored"):
        for path in run.partition_paths(stage):
            path.unlink()
    page = page_of(run.path)
    assert page.data["rows"] == []
    assert "There is no triple yet." in page.words
    for path in run.path.glob("*/part-*.parquet"):
        path.unlink()
    done = call("report", run.path)
    assert done.returncode == 2
    assert "nothing of this run is finished yet" in done.complaint
    assert call("report", tmp_path / "nowhere").returncode == 2


def test_a_corpus_without_a_row_is_told_and_what_was_lost_is_shown(tmp_path: Path, known: None) -> None:
    with pytest.raises(EmptyCorpusError):
        build_run(NAME, tmp_path, "critics=[{kind: rules, limits: {caption: {min_words: 500, max_words: 600}}}]")
    page = page_of(tmp_path / "run")
    assert "No row came through all steps of this run" in page.words
    assert "rules rejects all of " in page.words
    assert page.data["rows"]
    assert {row["state"] for row in page.data["rows"]} == {"dropped"}
    assert page.words.count("The corpus in numbers") == 1


def test_what_cannot_be_reported_on_is_one_line(runs: Runs, tmp_path: Path) -> None:
    run = runs[NAME]
    nothing = call("report", tmp_path / "nowhere")
    assert (nothing.returncode, "there is no run here" in nothing.complaint) == (2, True)
    (tmp_path / "empty").mkdir()
    assert "there is no run here" in call("report", tmp_path / "empty").complaint
    done = call("report", run, "--journal", run / "recipe.yaml")
    assert (done.returncode, "not a journal" in done.complaint) == (1, True)
    done = call("report", run, "--journal", tmp_path / "gone.sqlite")
    assert (done.returncode, "gone.sqlite: there is no such file" in done.complaint) == (2, True)
    done = call("report", run, "--out", run / "recipe.yaml" / "page.html")
    assert done.returncode == 1
    assert "recipe.yaml" in done.complaint
    done = call("report", run, "--out", tmp_path / "empty")
    assert done.returncode != 0
    assert str(tmp_path / "empty") in done.complaint
    damaged = tmp_path / "damaged"
    shutil.copytree(run, damaged)
    next(iter(RunFolder(damaged).partition_paths("judged"))).write_bytes(b"PAR1")
    done = call("report", damaged)
    assert done.returncode == 1
    assert "part-" in done.complaint


def test_the_figures_of_the_corpus_and_what_is_known_of_a_threshold_are_there(tmp_path: Path, known: None) -> None:
    run = build_run(NAME, tmp_path)
    corpus = ostensive.open_corpus(run)
    assert "The threshold of the critic" not in page_of(run).words
    (name, version), *_ = {(one["critic"], one["critic_version"]) for row in corpus.rows() for one in row["judgements"]}
    write_choice(run, ThresholdChoice(name, version, 0.5, "--keep 0.9", 14, 0.9, None))
    page = page_of(run)
    named = dict(zip(page.texts["dt"], page.texts["dd"], strict=True))
    assert (named["images"], named["rows"]) == (f"{corpus.image_count:,}", f"{corpus.row_count:,}")
    assert named["words of the caption, mean"] == f"{corpus.manifest.statistics.mean_words['caption']:.1f}"
    assert f"The threshold of the critic {name} was chosen by --keep 0.9" in page.words
    shutil.rmtree(run / "corpus")
    assert "The corpus in numbers" not in page_of(run).words


def test_a_partition_that_goes_meanwhile_is_one_line(tmp_path: Path) -> None:
    run = lossy_run(tmp_path)
    explainer = explainer_of(run.path)
    row = explainer.rows.find_rows("")[0]
    for path in run.partition_paths("scored"):
        path.unlink()
    with pytest.raises(StorageError, match="changed while it was read"):
        explainer.explain(row.row_id)
    with pytest.raises(StorageError, match="changed while it was read"):
        write_report(explainer)
    assert not (run.path / "report.html").exists()


def rows_of(count: int) -> list[RowSummary]:
    """Rows of which every seventh was dropped, for one of three reasons, and all others have a score."""
    made = []
    for number in range(count):
        reason = f"reason {number % 3}" if number % 7 == 0 else ""
        chance = None if reason else number / count
        state: Any = "dropped" if reason else "kept"
        made.append(RowSummary(f"row {number}", "image", 0, state, "judged", reason, chance))
    return made


def chosen_of(rows: list[RowSummary], count: int, seed: int = 0) -> tuple[RowSummary, ...]:
    chooser = RowChooser(count, seed)
    for row in rows:
        chooser.add(row)
    return chooser.result().rows


def test_the_best_the_worst_every_reason_and_a_sample_are_chosen() -> None:
    rows = rows_of(10_000)
    found = chosen_of(rows, 100)
    assert len(found) == len(set(found)) == 100
    chances = [row.accept_probability for row in found if row.accept_probability is not None]
    assert {0.9999, 0.9998, 0.9997, 0.0001, 0.0002} <= set(chances)
    assert {row.reason for row in found} == {"", "reason 0", "reason 1", "reason 2"}
    middle = [chance for chance in chances if 0.1 < chance < 0.9]
    assert 20 <= len(middle) <= 60
    assert chosen_of(rows, 100, seed=1) != found
    assert len(chosen_of(rows, 3)) == 3
    assert set(chosen_of(rows[:40], 100)) == set(rows[:40])
    assert chosen_of([], 5) == ()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 60), st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order(total: int, count: int, lot: random.Random) -> None:
    rows = rows_of(total)
    found = chosen_of(rows, count)
    lot.shuffle(rows)
    assert chosen_of(rows, count) == found


def test_a_long_text_is_cut_and_says_so() -> None:
    assert len(opening_of("x" * 9999, has_tags=True)) == 40
    assert clipped("abc", 3) == "abc"
    assert clipped("abcd" * 300, 3) == "abc... (1,197 characters more)"


OPENINGS = (
    "What is [0]?",
    "  WHO'S there?",
    "",
    "?!",
    "\u6771\u4eac \u3067",
    "\u0915\u094d\u092f\u093e \u0939\u0948",
    "One",
)


def test_the_first_words_are_those_that_are_counted_in_the_figures() -> None:
    """So that a bar of the plot and a line of the filter are the same rows."""
    assert [opening_of(text, has_tags=True) for text in OPENINGS[:4]] == ["what is", "who's there", "", ""]
    for text in OPENINGS:
        tally = TextTally(begins=True, has_tags=True)
        tally.add([text])
        assert "".join(tally.openings) == opening_of(text, has_tags=True)
