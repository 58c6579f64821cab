import dataclasses
import io
import pickle
import shutil
from pathlib import Path
from typing import Any

import caption_kind
import numpy as np
import pytest
import tiny_clip
from annotated_images import write_rows, write_tar
from drawing import draw_scene, write_scenes
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from plain_services import plain_services

from builders.table import MODULES
from cards.assembling import publish
from cards.reading import Corpus
from ostensive.commands.resolving import resolve
from ostensive.errors import EmptyCorpusError, SettingsError
from ostensive.images.intake import Intake
from ostensive.images.near_settings import EmbeddingSettings, OnlyEqualSettings, PerceptualSettings
from ostensive.images.settings import IntakeSettings
from ostensive.images.sources import list_items
from ostensive.records import ImageRecord, ImageSignature
from ostensive.run import partitions
from ostensive.run.benchmark_images import CLEARED, LOOKS_ALIKE, SAME_BYTES
from ostensive.run.benchmark_texts import CLEARED_ROWS, IN_BENCHMARK
from ostensive.run.build import Build
from ostensive.run.options import BuildOptions
from ostensive.run.pipeline import stages_of
from ostensive.run.signatures import SignatureStage, gallery_from, signature_columns
from ostensive.run.text_overlap import TextIndex, words_of
from ostensive.stage import Kept

IMAGES = 5
PERCEPTUAL = PerceptualSettings()
NOTES = {f"scene {number:04d}.jpg": f"a note on {number}" for number in range(IMAGES)}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("against") / "images", IMAGES)


def built(images: Path, out: Path, *against: Path, **corpus: Any) -> Corpus:
    settings = {"name": "noted", "license": "cc0-1.0", "source": "drawn", "intended_use": "to test", **corpus}
    values = {
        "recipe": "captions",
        "notes": NOTES,
        "corpus": {**settings, "against": [str(path) for path in against]},
        "run": {"partition_size": 2},
    }
    recipe = caption_kind.CaptionRecipe.model_validate(values)
    return Build(recipe, caption_kind.KIND, publish).from_images(images, out)


def dropped(corpus: Corpus, stage: str) -> dict[str, tuple[str, str]]:
    """Reason and detail of what a stage dropped, by the source of the image."""
    sources = {
        image.image_id: image.source
        for path in corpus.run.partition_paths("distinct")
        for image in partitions.read_kept(path, ImageRecord)
    }
    found = {}
    for path in corpus.run.partition_paths(stage):
        import pyarrow.parquet as pq

        for row in pq.read_table(path, filters=[("outcome", "!=", "kept")]).to_pylist():
            image_id = row["image_id"] if "image_id" in row else row["candidate"]["image_id"]
            found[sources[image_id]] = (row["outcome_reason"], row["outcome_detail"])
    return found


def png(picture: Image.Image) -> bytes:
    sink = io.BytesIO()
    picture.save(sink, "PNG")
    return sink.getvalue()


def benchmark(folder: Path, images: Path) -> Path:
    """The bytes of one image, another one made darker and smaller, and one that is nowhere else."""
    folder.mkdir()
    shutil.copy(images / "scene 0001.jpg", folder / "one.jpg")
    ImageEnhance.Brightness(draw_scene(3).resize((64, 48))).enhance(0.8).save(folder / "two.png")
    draw_scene(77).save(folder / "three.png")
    return folder


def test_images_of_a_benchmark_are_dropped_before_anything_is_made_of_them(images: Path, tmp_path: Path) -> None:
    corpus = built(images, tmp_path / "run", benchmark(tmp_path / "exam", images))
    found = dropped(corpus, CLEARED)
    assert found.keys() == {"scene 0001.jpg", "scene 0003.jpg"}
    assert found["scene 0001.jpg"] == (SAME_BYTES, "exam: one.jpg")
    reason, detail = found["scene 0003.jpg"]
    assert (reason, detail.partition(", at distance ")[0]) == (LOOKS_ALIKE, "exam: two.png")
    by_name = {stage.name: stage for stage in corpus.stages}
    assert (by_name[CLEARED].inputs, by_name[CLEARED].kept) == (IMAGES, IMAGES - 2)
    assert by_name["items"].inputs == IMAGES - 2, "the stage after it is shown no other"
    assert {row["source"] for row in corpus.rows()} == {f"scene {n:04d}.jpg" for n in (0, 2, 4)}
    card = (corpus.path / "README.md").read_text("utf-8")
    assert "What was found to be in these benchmarks too was dropped: exam. The corpus lost 2 images to them." in card
    assert "| cleared: images of benchmarks removed | 5 | 5 | 3 | 2 | 0 |" in card
    assert str(tmp_path) not in card


def test_a_benchmark_in_a_tar_is_one_too_and_splits_use_the_same_signatures(images: Path, tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "exam.tar", [("a/2.png", png(draw_scene(2))), ("a/x.png", b"no image")])
    corpus = built(images, tmp_path / "run", tar, splits={"train": 0.5, "test": 0.5})
    ((source, (reason, detail)),) = dropped(corpus, CLEARED).items()
    assert (source, reason) == ("scene 0002.jpg", LOOKS_ALIKE)
    assert detail.startswith("exam.tar: exam.tar!a/2.png, at distance ")
    names = [stage.name for stage in corpus.stages]
    assert [names.count(name) for name in ("signatures", "splits")] == [1, 1]
    assert next(stage for stage in corpus.stages if stage.name == "splits").inputs == IMAGES - 1


def test_without_near_duplicates_only_equal_bytes_count(images: Path, tmp_path: Path) -> None:
    exam = benchmark(tmp_path / "exam", images)
    corpus = built(images, tmp_path / "run", exam, near_duplicates={"kind": "none"})
    assert dropped(corpus, CLEARED) == {"scene 0001.jpg": (SAME_BYTES, "exam: one.jpg")}
    assert "signatures" not in {stage.name for stage in corpus.stages}


def test_a_benchmark_that_changes_is_looked_at_again_and_one_that_moves_is_not(images: Path, tmp_path: Path) -> None:
    exam, out = benchmark(tmp_path / "exam", images), tmp_path / "run"
    first = built(images, out, exam)
    before = {path.name: path.stat().st_mtime_ns for path in (out / CLEARED).iterdir()}
    (tmp_path / "elsewhere").mkdir()
    moved = exam.rename(tmp_path / "elsewhere" / "exam")
    built(images, out, moved)
    assert {path.name: path.stat().st_mtime_ns for path in (out / CLEARED).iterdir()} == before
    shutil.copy(images / "scene 0004.jpg", moved / "four.jpg")
    second = built(images, out, moved)
    assert (first.image_count, second.image_count) == (3, 2)


def test_a_benchmark_that_has_everything_leaves_no_corpus(images: Path, tmp_path: Path) -> None:
    with pytest.raises(EmptyCorpusError, match=r"^the corpus is empty: cleared kept none of 5 rows, 5 of them with"):
        built(images, tmp_path / "run", images)


def test_rows_with_a_text_of_a_benchmark_are_dropped_at_the_end(images: Path, tmp_path: Path) -> None:
    rows = [{"question": "A note, on 2 (plain)!", "answer": "a note on 0 (plain)"}, {"question": "Something else?"}]
    corpus = built(images, tmp_path / "run", write_rows(tmp_path / "exam.jsonl", rows))
    assert dropped(corpus, CLEARED_ROWS) == {"scene 0002.jpg": (IN_BENCHMARK, "caption: exam.jsonl, line 1")}
    by_name = {stage.name: stage for stage in corpus.stages}
    assert by_name[CLEARED_ROWS].dropped == {IN_BENCHMARK: 1}
    assert (by_name["judged"].kept, corpus.row_count) == (2 * IMAGES, 2 * IMAGES - 1)
    assert "The corpus lost 1 row to them." in (corpus.path / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("gone", None, "corpus.against: {path}: no such file or folder"),
        ("gone.jsonl", None, "corpus.against: {path}: there is no such file of texts"),
        ("folder/", None, "corpus.against: {path}: no image in this folder; files such as .jpg"),
        (
            "empty.txt",
            "\n \n",
            "corpus.against: empty.txt: no text in it; a text a line (.txt), or a column called question",
        ),
        ("exam.csv", "answer\nyes\n", "corpus.against: exam.csv: no text in it; "),
        ("broken.jsonl", '{"question": "a"}\n[1]\n', "corpus.against: broken.jsonl, line 2: not an object; mend it"),
    ],
)
def test_a_benchmark_that_is_none_is_told_in_one_line(
    images: Path, tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    elif name.endswith("/"):
        path.mkdir()
    with pytest.raises(SettingsError) as caught:
        built(images, tmp_path / "run", path)
    assert str(caught.value).startswith(message.format(path=path))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "items").exists(), "nothing is made before"


def test_a_file_of_texts_in_another_encoding_is_told_before_anything_is_made(images: Path, tmp_path: Path) -> None:
    (tmp_path / "exam.txt").write_bytes("a note\nein K\xe4fer\n".encode("cp1252"))
    with pytest.raises(SettingsError) as caught:
        built(images, tmp_path / "run", tmp_path / "exam.txt")
    assert str(caught.value) == (
        "corpus.against: exam.txt, line 2: byte 0xe4 at 12 is not UTF-8 (invalid continuation byte); save the file as"
        " UTF-8"
    )
    assert not (tmp_path / "run" / "items").exists()


def test_blank_lines_of_a_benchmark_are_no_text_and_places_count_them(images: Path, tmp_path: Path) -> None:
    (tmp_path / "exam.txt").write_text("\ufeff\n   \n\nA note on 3 (plain).\n\n", "utf-8")
    corpus = built(images, tmp_path / "run", tmp_path / "exam.txt")
    assert dropped(corpus, CLEARED_ROWS) == {"scene 0003.jpg": (IN_BENCHMARK, "caption: exam.txt, line 4")}


def test_images_of_a_benchmark_that_cannot_be_read_are_told_and_the_others_are_kept_out(
    images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exam = benchmark(tmp_path / "exam", images)
    (exam / "broken.jpg").write_bytes(b"no image")
    (exam / "cut.jpg").write_bytes((images / "scene 0004.jpg").read_bytes()[:300])
    Image.new("RGB", (64, 64), "teal").save(exam / "plain.png")
    corpus = built(images, tmp_path / "run", exam)
    assert dropped(corpus, CLEARED).keys() == {"scene 0001.jpg", "scene 0003.jpg"}
    (told,) = [record.getMessage() for record in caplog.records if "benchmark" in record.name]
    assert told.startswith(f"{exam}: of 6 images some cannot be compared: 1 ")
    assert told.count(": 1 ") + told.count(", 1 ") == 2


def test_a_benchmark_without_an_image_that_can_be_read_is_refused(images: Path, tmp_path: Path) -> None:
    (tmp_path / "exam").mkdir()
    (tmp_path / "exam" / "a.jpg").write_bytes(b"no image")
    with pytest.raises(SettingsError, match=r"^corpus\.against: .*exam: images: the only one was refused \(1 not an"):
        built(images, tmp_path / "run", tmp_path / "exam")


def test_benchmarks_of_the_command_line_come_after_those_of_the_recipe(tmp_path: Path) -> None:
    settings = (
        f"corpus.against=[{tmp_path / 'a'}]",
        "corpus.license=unknown",
        "corpus.source=x",
        "corpus.intended_use=y",
    )
    for name in ("localized", "rationales", "preferences", "explanations", "instructions"):
        options = BuildOptions(settings=settings, against=(tmp_path / "b", tmp_path / "a"))
        recipe, _ = resolve(name, options)
        assert recipe.corpus.against == (str(tmp_path / "a"), str(tmp_path / "b"))
        corpus: Any = recipe.identity()["corpus"]
        assert corpus["against"] == ["a", "b"], "where they lie is nobody's business"


def test_a_setting_of_near_duplicates_may_be_given_alone() -> None:
    base = ("corpus.license=unknown", "corpus.source=x", "corpus.intended_use=y")
    near = "corpus.near_duplicates"
    for some, wanted in (
        ((f"{near}.max_group=5",), PerceptualSettings(max_group=5)),
        ((f"{near}.kind=none",), OnlyEqualSettings()),
        ((f"{near}.kind=embedding", f"{near}.min_cosine=0.9"), EmbeddingSettings(min_cosine=0.9)),
    ):
        recipe, _ = resolve("localized", BuildOptions(settings=(*base, *some)))
        assert recipe.corpus.near_duplicates == wanted
    with pytest.raises(SettingsError, match=r"corpus\.near_duplicates.*min_cosine"):
        resolve("localized", BuildOptions(settings=(*base, f"{near}.min_cosine=0.9")))


def test_every_recipe_has_these_stages_in_their_places_and_they_pickle(tmp_path: Path) -> None:
    settings = (
        "corpus.license=unknown", "corpus.source=x", "corpus.intended_use=y", "corpus.splits={train: 1, test: 1}",
        f"corpus.against=[{tmp_path}, {tmp_path / 'a.txt'}]",
    )  # fmt: skip
    for name in MODULES:
        recipe, kind = resolve(name, BuildOptions(settings=settings))
        own = [stage.name for stage in kind.make_stages(recipe)]
        stages = pickle.loads(pickle.dumps(stages_of(recipe, kind)))
        assert [one.name for one in stages] == ["signatures", CLEARED, *own, CLEARED_ROWS, "splits"]
        alone = recipe.model_copy(update={"corpus": recipe.corpus.model_copy(update={"against": ()})})
        assert [one.name for one in stages_of(alone, kind)] == [*own, "signatures", "splits"]
        plain = alone.model_copy(update={"corpus": alone.corpus.model_copy(update={"splits": {"train": 1.0}})})
        assert [one.name for one in stages_of(plain, kind)] == [*own, "splits"], "one split cannot leak"


# ---- texts ----------------------------------------------------------------------------------------------------------

LONG = "the small red boat that lies beside the old stone pier is waiting for the tide to rise"


def test_thirteen_words_in_a_row_are_an_overlap_and_twelve_are_not() -> None:
    index = TextIndex.of([(LONG, "line 1")])
    words = LONG.split()
    assert index.place_of("He says: " + " ".join(words[2:15]).upper() + "?") == "line 1"
    assert index.place_of("He says: " + " ".join(words[2:14]) + " today") is None


def test_shorter_texts_count_within_others_from_eight_words_on() -> None:
    eight, seven = "what does the man on the left hold", "what does the man there hold now"
    index = TextIndex.of([(eight, "a"), (seven, "b")])
    assert index.place_of(f"Tell me, {eight}, and why?") == "a"
    assert index.place_of(f"Tell me, {seven}, and why?") is None
    assert index.place_of(f"{seven}?") == "b"
    assert index.first_of(["something", seven, eight]) == (1, "b")


@pytest.mark.parametrize("text", ["", "?!", "  "])
def test_a_text_without_a_word_overlaps_with_none(text: str) -> None:
    assert TextIndex.of([(text, "a")]).place_of(text) is None


@given(st.text(), st.text(alphabet=" .,!?-\n\t"))
def test_punctuation_case_and_space_do_not_count(text: str, marks: str) -> None:
    assert words_of(marks + text.upper().lower() + marks) == words_of(text.upper().lower())
    index = TextIndex.of([(text, "a")])
    assert index.place_of(f"{marks}{text}{marks}") == ("a" if words_of(text) else None)


# ---- embeddings -----------------------------------------------------------------------------------------------------


def signed(settings: Any, images: Path) -> list[ImageSignature]:
    intake = Intake(IntakeSettings(), 1)
    records = [
        one.records[0] for one in intake.process(list_items(images, IntakeSettings()), {}) if isinstance(one, Kept)
    ]
    with SignatureStage(settings).opened(plain_services()) as stage:
        return [one.records[0] for one in stage.process(records, {}) if isinstance(one, Kept)]


@pytest.mark.slow
def test_a_model_names_near_duplicates_that_hashes_do_not_see(images: Path, tmp_path: Path) -> None:
    folder = tiny_clip.write_folder(tmp_path / "clip")
    model = {"kind": "embedding", "model": f"local-dir:{folder}", "device": "cpu", "min_cosine": 0.9999}
    found = signed(EmbeddingSettings.model_validate(model), images)
    vectors = np.array([one.embedding for one in found])
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-2
    exam = tmp_path / "exam"
    exam.mkdir()
    Image.new("RGB", (96, 72), "teal").save(exam / "plain.png")
    run_images = tmp_path / "images"
    shutil.copytree(images, run_images)
    Image.new("RGB", (64, 64), "teal").save(run_images / "plain.png")
    assert dropped(built(run_images, tmp_path / "hashed", exam), CLEARED) == {}, "of one colour, so that no hash tells"
    corpus = built(run_images, tmp_path / "run", exam, near_duplicates=model)
    assert dropped(corpus, CLEARED) == {"plain.png": (LOOKS_ALIKE, "exam: plain.png, by its embedding")}


def test_signatures_go_through_a_table_as_they_are(images: Path) -> None:
    import pyarrow as pa

    from ostensive.run.signatures import SIGNATURE_FIELDS

    found = signed(PERCEPTUAL, images)
    nothing = dataclasses.replace(found[0], hashes=(), thumbnails="")
    table = pa.table(signature_columns([found[0], None, nothing, found[1]]), schema=pa.schema(list(SIGNATURE_FIELDS)))
    gallery, places = gallery_from(table)
    assert places.tolist() == [0, 3]
    assert [[f"{value:016x}" for value in row] for row in gallery.hashes.tolist()] == [
        list(found[0].hashes),
        list(found[1].hashes),
    ]
    assert gallery.thumbnails[1].tobytes().hex() == found[1].thumbnails


def test_an_image_that_went_between_is_failed_by_name_of_its_reason(images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    shutil.copytree(images, folder)
    intake = Intake(IntakeSettings(), 1)
    records = [
        one.records[0] for one in intake.process(list_items(folder, IntakeSettings()), {}) if isinstance(one, Kept)
    ]
    (folder / "scene 0000.jpg").unlink()
    with SignatureStage(PERCEPTUAL).opened(plain_services()) as stage:
        outcomes = stage.process(records, {})
    assert [getattr(one, "reason", "") for one in outcomes] == ["image cannot be read", "", "", "", ""]
