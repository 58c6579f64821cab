"""Image-text students: what a Q-Former sees and learns, against the library's own class, and a training as a whole."""

import hashlib
import json
import shutil
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any  # Any: parts of transformers, and tensors, for torch is imported by each test

import PIL.Image
import pytest
from drawing import draw_scene, write_scenes
from hardship import call
from student_trainings import held_elsewhere
from tiny_critics import save_matching
from tiny_models import one_thread  # noqa: F401 - a fixture

import ostensive
from builders.table import recipe_kind
from cards.reading import Corpus, open_corpus
from ostensive.errors import Interrupted, OstensiveError, RunLockedError, SettingsError
from ostensive.models.files import model_folder
from ostensive.recipe_kind import ShownText
from ostensive.records import Box, Region
from students.matching.losses import hard_negatives, negatives_of
from students.matching.model import (
    LANGUAGE_HEAD,
    ImageTextBatch,
    ImageTextModel,
    decoding_token_id,
    likeness,
    load_image_text_model,
)
from students.matching.rows import TOO_LONG, CorpusPictures, ImageTextRow, Order, fits, read_rows, statement
from students.matching.settings import ImageTextSettings
from students.matching.training import train_image_text_student
from students.training.image_check import BlindModelError
from students.training.record import TrainedStudent, read_student

TEXTS = ("A dog runs over the grass.", "What is it?", "The sky is blue and wide.", "Two people sit beside the water.")
IMAGES = ("a", "b", "a", "c")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_matching(tmp_path_factory.mktemp("base") / "blip2")


def settings_of(base: Path | str, **values: Any) -> ImageTextSettings:
    small = {"base": str(base), "device": "cpu", "batch_size": 4, "max_steps": 4, "learning_rate": 1e-3, "warmup": 0.0}
    small["max_text_tokens"] = 256  # its tokenizer knows few words
    return ImageTextSettings.model_validate({**small, **values})


@pytest.fixture
def model(base: Path) -> ImageTextModel:
    return load_image_text_model(settings_of(base))


def batch_of(model: ImageTextModel, images: Sequence[str] = IMAGES, texts: Sequence[str] = TEXTS) -> ImageTextBatch:
    return model.batch([draw_scene(place) for place in range(len(texts))], texts, images)


def plain_logits(model: ImageTextModel, batch: ImageTextBatch, picture: int, text: int, *, matching: bool) -> Any:
    """What the library's own class says of one picture and one text."""
    import torch

    count = int(batch.mask[text].sum())
    given = {"input_ids": batch.ids[text : text + 1, :count], "attention_mask": batch.mask[text : text + 1, :count]}
    if (image_token := model.model.config.image_token_index) is not None:
        filler = torch.full((1, model.model.config.num_query_tokens), image_token)
        given["input_ids"] = torch.cat([filler, given["input_ids"]], 1)
        given["attention_mask"] = torch.cat([torch.ones_like(filler), given["attention_mask"]], 1)
    with torch.no_grad():
        found = model.model(
            pixel_values=batch.pixels[picture : picture + 1], use_image_text_matching_head=matching, **given
        )
    return found.logits_per_image[0]


def digests(named: dict[str, Any]) -> dict[str, str]:
    return {name: hashlib.sha256(value.detach().numpy().tobytes()).hexdigest() for name, value in named.items()}


# ---- the model ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_token", [False, True])
def test_likeness_and_match_are_those_of_the_library_s_class(tmp_path: Path, image_token: bool) -> None:
    import torch

    model = load_image_text_model(settings_of(save_matching(tmp_path / "base", image_token=image_token)))
    batch = batch_of(model)
    with torch.no_grad():
        states = model.image_states(batch.pixels)
        decoded = model.decode(states, batch.ids, batch.mask)
        found = likeness(decoded.pictures, model.text_features(batch.ids, batch.mask))
        matched = model.match(states, batch.ids, batch.mask)
    for picture in range(len(TEXTS)):
        for text in range(len(TEXTS)):
            cosine = plain_logits(model, batch, picture, text, matching=False)
            assert float(found[picture, text]) == pytest.approx(float(cosine), abs=1e-5)
        assert torch.allclose(matched[picture], plain_logits(model, batch, picture, picture, matching=True), atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_no_word_is_told_by_what_follows_and_queries_see_no_text(base: Path, precision: str) -> None:
    import torch

    model = load_image_text_model(settings_of(base, precision=precision))
    batch = batch_of(model)
    states = model.image_states(batch.pixels)
    other, place = batch.ids.clone(), 3
    other[:, place] = (other[:, place] + 5) % 100 + 10
    with torch.no_grad():
        before, after = (model.decode(states, ids, batch.mask) for ids in (batch.ids, other))
    told = place + (not model.has_start)  # what is said before the token that was changed stands at this place
    assert torch.equal(before.word_logits[:, :told], after.word_logits[:, :told])
    assert not torch.equal(before.word_logits[:, told], after.word_logits[:, told]), "a token sees itself"
    assert torch.equal(before.pictures, after.pictures)
    with torch.no_grad():
        swapped = model.decode(states.flip(0), batch.ids, batch.mask)
    assert not torch.equal(swapped.word_logits, before.word_logits), "texts see queries"


def test_padding_changes_nothing(model: ImageTextModel) -> None:
    import torch

    batch = batch_of(model)
    more = replace(
        batch,
        ids=torch.nn.functional.pad(batch.ids, (0, 7), value=model.processor.tokenizer.pad_token_id),
        mask=torch.nn.functional.pad(batch.mask, (0, 7)),
    )
    with torch.no_grad():
        found = []
        for one in (batch, more):
            torch.manual_seed(0)
            found.append(model.losses(one))
    assert [float(loss) for loss in found[1]] == pytest.approx([float(loss) for loss in found[0]], rel=1e-5)


def test_the_losses_are_those_of_the_library_s_class_pair_by_pair(model: ImageTextModel) -> None:
    """Contrastive and matching from single pairs, with the negatives that the same seed draws."""
    import torch
    from torch.nn import functional

    batch, count = batch_of(model), len(TEXTS)
    torch.manual_seed(5)
    with torch.no_grad():
        found = model.losses(batch)
    logits = torch.stack(
        [
            torch.cat([plain_logits(model, batch, picture, text, matching=False) for text in range(count)])
            for picture in range(count)
        ]
    )
    logits = logits / 0.07
    is_negative = negatives_of(IMAGES)
    torch.manual_seed(5)
    texts = hard_negatives(logits, is_negative).tolist()
    pictures = hard_negatives(logits.T, is_negative).tolist()
    assert all(IMAGES[place] != IMAGES[text] for place, text in enumerate(texts))
    pairs = [(place, place, 1) for place in range(count)]
    pairs += [(place, text, 0) for place, text in enumerate(texts)]
    pairs += [(picture, place, 0) for place, picture in enumerate(pictures)]
    surprises = [
        -functional.log_softmax(plain_logits(model, batch, picture, text, matching=True), dim=0)[is_match]
        for picture, text, is_match in pairs
    ]
    assert float(found.matching) == pytest.approx(float(sum(surprises)) / len(pairs), rel=1e-4)
    compared = is_negative | torch.eye(count, dtype=torch.bool)
    both = [
        -functional.log_softmax(some.masked_fill(~compared, -torch.inf), dim=1).diagonal().mean()
        for some in (logits, logits.T)
    ]
    assert float(found.contrastive) == pytest.approx(float(sum(both)) / 2, rel=1e-4)


def test_a_batch_of_one_image_teaches_generation_alone(model: ImageTextModel) -> None:
    found = model.losses(batch_of(model, images=["a"] * len(TEXTS)), label_smoothing=0.1)
    assert (float(found.contrastive), float(found.matching)) == (0.0, 0.0)
    assert float(found.generation.detach()) > 1.0


def test_the_image_encoder_learns_nothing_and_all_else_does(model: ImageTextModel) -> None:
    import torch

    before = digests(dict(model.model.state_dict()))
    trainable = model.trainable
    assert any(one is model.model.embeddings.word_embeddings.weight for one in trainable.values())
    optimizer = torch.optim.SGD(trainable.values(), lr=0.1)
    loss: Any = sum(model.losses(batch_of(model), label_smoothing=0.1))
    loss.backward()
    assert [name for name, one in trainable.items() if one.grad is None] == []
    assert [name for name, one in model.model.vision_model.named_parameters() if one.grad is not None] == []
    optimizer.step()
    after = digests(dict(model.model.state_dict()))
    frozen = {name for name in before if name.startswith("vision_model.")}
    changed = {name for name in before if before[name] != after[name]}
    assert frozen
    assert changed.isdisjoint(frozen)
    assert {name.partition(".")[0] for name in changed} == {
        "query_tokens", "embeddings", "qformer", "vision_projection", "text_projection", "itm_head"
    }  # fmt: skip


def test_one_batch_can_be_learned_by_heart(model: ImageTextModel) -> None:
    import torch

    batch, count = batch_of(model, images="abcd"), len(TEXTS)
    optimizer = torch.optim.AdamW(model.trainable.values(), lr=2e-3)
    torch.manual_seed(0)
    first = model.losses(batch)
    for _ in range(100):
        optimizer.zero_grad()
        loss: Any = sum(model.losses(batch))
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        states = model.image_states(batch.pixels)
        decoded = model.decode(states, batch.ids, batch.mask)
        found = likeness(decoded.pictures, model.text_features(batch.ids, batch.mask))
        places = torch.arange(count)
        texts = places.repeat_interleave(count)
        matched = model.match(states[places.repeat(count)], batch.ids[texts], batch.mask[texts])
    assert bool((found.argmax(0) == places).all())
    assert bool((found.argmax(1) == places).all())
    assert bool(((matched.argmax(1) == 1) == (places.repeat(count) == texts)).all())
    assert float(model.losses(batch).generation.detach()) < 0.2 * float(first.generation.detach())


def test_the_token_by_which_decoding_begins(base: Path) -> None:
    """BLIP-2's tokenizer has one for it; a text that is read begins with another, or with none."""
    from transformers import BertTokenizer

    kind: Any = BertTokenizer
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog", "runs"]
    tokenizer = kind(vocab={word: place for place, word in enumerate(words)})
    with pytest.raises(SettingsError, match=r"^decoding_token: the tokenizer has no bos_token; .* are \[CLS\], "):
        decoding_token_id(tokenizer, None)
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    assert decoding_token_id(tokenizer, None) == tokenizer.convert_tokens_to_ids("[DEC]") == len(words)
    assert decoding_token_id(tokenizer, "[MASK]") == 4
    with pytest.raises(SettingsError, match=r"^decoding_token: the tokenizer has no token \[ENC\]; "):
        decoding_token_id(tokenizer, "[ENC]")
    without = load_image_text_model(settings_of(base))
    assert not without.has_start
    batch = batch_of(without)
    decoded = without.decode(without.image_states(batch.pixels), batch.ids, batch.mask)
    assert decoded.ids[:, 1:].tolist() == batch.ids.tolist()
    tiny = load_image_text_model(settings_of("microworld:blip2", decoding_token="<answer>"))
    assert tiny.has_start
    batch = batch_of(tiny, texts=["red circle", "a blue star"], images="ab")
    decoded = tiny.decode(tiny.image_states(batch.pixels), batch.ids, batch.mask)
    assert decoded.ids[:, 1:].tolist() == batch.ids[:, 1:].tolist()
    assert decoded.ids[:, 0].tolist() == [tiny.processor.tokenizer.convert_tokens_to_ids("<answer>")] * 2
    assert decoded.mask.tolist() == batch.mask.tolist()


# ---- rows -----------------------------------------------------------------------------------------------------------


def test_a_text_is_question_answer_and_at_times_the_rationale() -> None:
    texts = (ShownText("question", "Why [0]?"), ShownText("answer", "So."), ShownText("rationale", "As it is."))
    short, full = (statement(texts, has_rationale=has_rationale) for has_rationale in (False, True))
    assert short == "Why [0]? Answer: So."
    assert full == "Why [0]? Answer: So. Rationale: As it is."
    assert statement(texts[:2], has_rationale=True) == short
    row = ImageTextRow("r", "i", (), short, full)
    drawn = [row.text(0, epoch, 0.25) for epoch in range(400)]
    assert drawn == [row.text(0, epoch, 0.25) for epoch in range(400)]
    assert drawn.count(full) / 400 == pytest.approx(0.25, abs=0.06)
    assert {row.text(0, epoch, 1.0) for epoch in range(9)} == {full}
    assert {row.text(0, epoch, 0.0) for epoch in range(9)} == {short}


def test_every_epoch_has_each_row_once_and_every_step_the_same_number() -> None:
    rows = [ImageTextRow(str(place), str(place), (), "", "") for place in range(7)]
    order = Order(rows, batch_size=3, seed=1)
    found = [one for step in range(14) for one in order.of_step(step)]
    epochs = [[row.row_id for row, epoch in found if epoch == wanted] for wanted in range(6)]
    assert all(sorted(epoch) == [row.row_id for row in rows] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    again = Order(rows, batch_size=3, seed=1)
    assert [again.of_step(step) for step in (9, 2)] == [order.of_step(step) for step in (9, 2)]
    assert Order(rows, batch_size=3, seed=2).of_step(0) != order.of_step(0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_scenes(folder / "images", 3)
    options = ostensive.BuildOptions(
        settings=[
            "corpus.license=cc0-1.0",
            "corpus.source=drawn by a test",
            "corpus.intended_use=to test",
            "localized.turns=1",
        ]
    )
    ostensive.build("localized", images=folder / "images", out=folder / "run", options=options)
    return folder / "run"


def test_rows_that_are_too_long_are_left_out_and_counted(run: Path) -> None:
    corpus, kind = open_corpus(run), recipe_kind("localized")
    all_rows = read_rows(corpus, kind, token_count=len, max_tokens=10_000)
    assert (len(all_rows.rows), all_rows.lost) == (corpus.row_count, {})
    lengths = sorted(len(row.full) for row in all_rows.rows)
    most = lengths[len(lengths) // 2]
    some = read_rows(corpus, kind, token_count=len, max_tokens=most)
    assert some.lost == {TOO_LONG: len(all_rows.rows) - len(some.rows)}
    assert {len(row.full) <= most for row in some.rows} == {True}
    with pytest.raises(SettingsError) as caught:
        read_rows(corpus, kind, token_count=len, max_tokens=3)
    assert str(caught.value).endswith(
        "has 0 rows of 0 images in the split train that can be trained on, and rows of two images at least are needed"
        f" to be told apart; {corpus.row_count} left out: text is too long for the student"
    )
    of_one_image = {row.full for row in all_rows.rows if row.image_id == all_rows.rows[0].image_id}
    with pytest.raises(SettingsError, match=r"has \d+ rows of 1 images in the split train"):
        read_rows(corpus, kind, token_count=lambda text: 1 if text in of_one_image else 9, max_tokens=1)


def test_what_a_row_mentions_is_drawn_on_its_picture(run: Path, tmp_path: Path) -> None:
    corpus = open_corpus(run)
    rows = read_rows(corpus, recipe_kind("localized"), token_count=len, max_tokens=10_000).rows
    row = next(row for row in rows if row.regions)
    assert {region.number for region in row.regions} == {
        int(part.partition("]")[0]) for part in row.full.split("[")[1:]
    }
    pictures = CorpusPictures(corpus, tmp_path / "cache", 480)
    plain, drawn = pictures.drawn(replace(row, regions=())), pictures.drawn(row)
    assert plain.mode == drawn.mode == "RGB"
    assert plain.tobytes() != drawn.tobytes()
    whole = Region(0, Box(0.0, 0.0, 1.0, 1.0), "all", None, "")
    assert pictures.drawn(replace(row, regions=(whole,))).tobytes() != drawn.tobytes()
    assert max(CorpusPictures(corpus, tmp_path / "cache", 40).drawn(row).size) == 40


# ---- a student ------------------------------------------------------------------------------------------------------


def student_of(run: Path, out: Path, settings: ImageTextSettings, **more: Any) -> TrainedStudent:
    return train_image_text_student(open_corpus(run), recipe_kind("localized"), settings, out, **more)


@pytest.fixture(scope="module")
def trained(run: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of four steps, in a folder of its own."""
    out = tmp_path_factory.mktemp("students") / "straight"
    student_of(run, out, settings_of(base))
    return out


def test_a_student_that_was_stopped_goes_on_as_if_it_had_not_been(
    run: Path, base: Path, trained: Path, tmp_path: Path
) -> None:
    """With dropout, negatives that are drawn and two epochs' texts."""
    stop, told, out = threading.Event(), list[str](), tmp_path / "stopped"

    def stop_at_once(line: str) -> None:
        told.append(line)
        stop.set()

    with pytest.raises(Interrupted):
        student_of(run, out, settings_of(base), stop=stop, tell=stop_at_once)
    assert not (out / "student.json").exists()
    with pytest.raises(SettingsError, match="name another folder"):
        student_of(run, out, settings_of(base, max_steps=5))
    left = out / "model" / ".tmpNhNidN"  # of safetensors, killed while it wrote
    left.parent.mkdir()
    left.write_bytes(b"half")
    resumed = student_of(run, out, settings_of(base), tell=told.append)
    assert not left.exists()
    assert told[0].startswith("step 1 of 4: loss ")
    assert told[1] == "goes on at step 2"
    assert told[-1].startswith("step 4 of 4: loss ")
    assert resumed == read_student(trained)
    for name in ("model.safetensors", LANGUAGE_HEAD):
        assert (out / "model" / name).read_bytes() == (trained / "model" / name).read_bytes(), name
    again = student_of(run, out, settings_of(base), tell=lambda _line: pytest.fail("nothing is left to do"))
    assert again == resumed
    with pytest.raises(SettingsError, match="name another folder"):
        student_of(run, out, settings_of(base, seed=1))


def test_a_folder_is_whole_names_no_place_and_loads_as_the_library_s_class(
    run: Path, base: Path, trained: Path
) -> None:
    import torch
    from transformers import AutoProcessor, Blip2ForImageTextRetrieval

    found = read_student(trained)
    assert (found.objective, found.steps, found.base) == ("image-text", 4, base.name)
    assert found.rows + sum(found.lost.values()) == open_corpus(run).row_count
    assert found.image_check.sees
    assert found.image_check.other_pictures is not None
    assert {path.name for path in trained.iterdir()} == {".lock", "model", "student.json"}
    files = [path for path in trained.rglob("*") if path.is_file() and path.name != ".lock"]
    assert {path.suffix for path in files} <= {".json", ".jinja", ".safetensors"}, "nothing is pickled"
    for path in files:
        if path.suffix != ".safetensors":
            assert str(base.parent) not in path.read_text("utf-8")
            assert str(trained) not in path.read_text("utf-8")
    kind: Any = Blip2ForImageTextRetrieval
    processor_kind: Any = AutoProcessor
    loaded, report = kind.from_pretrained(trained / "model", output_loading_info=True)
    assert not any(report.values()), report
    processor = processor_kind.from_pretrained(trained / "model")
    inputs = processor(images=PIL.Image.new("RGB", (40, 30), "red"), text="What is it?", return_tensors="pt")
    with torch.no_grad():
        assert loaded(**inputs, use_image_text_matching_head=True).logits_per_image.shape == (1, 2)
    start = kind.from_pretrained(base).state_dict()
    changed = {name for name, value in loaded.state_dict().items() if not torch.equal(value, start[name])}
    assert changed
    assert not [name for name in changed if name.startswith("vision_model.")]


def test_a_student_of_a_student_goes_on_with_its_language_head(trained: Path, tmp_path: Path) -> None:
    import torch

    first = load_image_text_model(settings_of(trained / "model", seed=1))
    second = load_image_text_model(settings_of(trained / "model", seed=2))
    assert all(torch.equal(one, second.trainable[name]) for name, one in first.trainable.items())
    assert first.temperature != pytest.approx(0.07, rel=1e-6)
    shutil.copytree(trained / "model", tmp_path / "without")
    (tmp_path / "without" / LANGUAGE_HEAD).unlink()
    new = load_image_text_model(settings_of(tmp_path / "without", seed=1))
    dense = "heads.language.transform.dense.weight"
    assert not torch.equal(new.trainable[dense], first.trainable[dense])
    assert new.temperature == pytest.approx(0.07)
    source = model_folder("microworld:blip2")
    assert source is not None
    shutil.copytree(source, tmp_path / "other")
    shutil.copy(trained / "model" / LANGUAGE_HEAD, tmp_path / "other" / LANGUAGE_HEAD)
    with pytest.raises(SettingsError, match=r"^language_head\.safetensors: is not that of its model; "):
        load_image_text_model(settings_of(tmp_path / "other"))


def test_the_command_trains_the_tiny_model(run: Path, tmp_path: Path) -> None:
    words = ("objective=image-text", "max_steps=2", "batch_size=4", "device=cpu", "decoding_token=<answer>")
    done = call(
        "student", "train", run, "--base", "microworld:blip2", "--out", tmp_path / "student", "--json",
        *(word for one in words for word in ("--set", one)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert (values["steps"], values["base"], values["objective"]) == (2, "microworld:blip2", "image-text")
    assert "matching" in done.stderr
    refused = call(
        "student", "train", run, "--base", "microworld:blip2", "--out", tmp_path / "other",
        "--set", "objective=image-text", "--set", "lora.rank=4",
    )  # fmt: skip
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    assert "lora: unknown key" in refused.stderr


def test_two_trainings_in_one_folder_are_one_too_many(run: Path, base: Path, tmp_path: Path) -> None:
    with (
        held_elsewhere(tmp_path / "student"),
        pytest.raises(RunLockedError, match="another process trains the student of this folder; wait for it"),
    ):
        student_of(run, tmp_path / "student", settings_of(base))


def test_what_cannot_be_trained_is_one_line(run: Path, base: Path, tmp_path: Path) -> None:
    def refused(settings: ImageTextSettings, recipe: str = "localized", corpus: Corpus | None = None) -> str:
        with pytest.raises(SettingsError) as caught:
            train_image_text_student(corpus or open_corpus(run), recipe_kind(recipe), settings, tmp_path / "out")
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert [name for name in ("localized", "rationales", "explanations") if not fits(recipe_kind(name))] == []
    assert refused(settings_of(base), "preferences") == (
        "objective: a corpus of preferences cannot be trained on by image-text, which needs questions with their"
        " answers; dpo is expected"
    )
    assert "sft is expected" in refused(settings_of(base), "instructions")
    assert refused(settings_of("microworld:vlm")).endswith(
        "is a model of type 'llava'; objective=image-text trains BLIP-2 for image-text retrieval"
        " (Salesforce/blip2-itm-vit-g or one trained from it); for others set objective=sft or dpo"
    )
    assert refused(settings_of(base, decoding_token="[DEC]")).startswith(
        "decoding_token: the tokenizer has no token [DEC]; name one that it has"
    )
    with pytest.raises(ValueError, match="greater than or equal to 2"):
        settings_of(base, batch_size=1)


def test_a_model_that_does_not_see_is_found_out(run: Path, base: Path, tmp_path: Path) -> None:
    import torch

    loaded = load_image_text_model(settings_of(base))
    with torch.no_grad():
        for layer in loaded.model.qformer.encoder.layer:
            layer.crossattention.attention.value.weight.zero_()
    loaded.save(tmp_path / "blind")
    with pytest.raises(BlindModelError, match=r"^the model does not see: the loss of 4 texts is \d+\.\d+ with their "):
        student_of(run, tmp_path / "out", settings_of(tmp_path / "blind"))


def test_memory_that_does_not_suffice_is_one_line(
    run: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def full(*_given: Any, **_named: Any) -> Any:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(torch, "multinomial", full)
    with pytest.raises(OstensiveError, match=r"^out of memory with 4 rows at a time: set a smaller batch_size, "):
        student_of(run, tmp_path / "out", settings_of(base))
