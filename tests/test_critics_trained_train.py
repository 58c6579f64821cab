"""Training a critic: labels can be learned by heart, parts of a step add up, a kill changes nothing.

Dropout is off where two trainings are compared number by number, and on where one is killed.
"""

import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_critics
from tiny_models import one_thread, save_llava  # noqa: F401 - a fixture among them

from builders.localized.records import Qar
from critics.critic import CriticContext, NoScore, Score
from critics.labels import read_labels
from critics.trained.card import TrainedFigures
from critics.trained.critic import TOO_LONG, UNLIKELY, TrainedCritic, score_of
from critics.trained.inputs import CriticInput, InputFormat, Pictures
from critics.trained.model import CriticModel, make_heads
from critics.trained.scoring import CriticFailedError, Scorer, Unseen, average_precision
from critics.trained.settings import TrainedSettings, TrainSettings
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.errors import SettingsError
from ostensive.images.loader import ImageLoader
from ostensive.images.settings import IntakeSettings
from ostensive.models.batching import BatchSize
from ostensive.records import ImageRecord, Location, Verbalization
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from ostensive.run.services import Services
from ostensive.stage import Evidence, ImageEvidence

pytestmark = pytest.mark.slow  # critics are trained, killed and trained on

IMAGES = 16


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with labels, and a tiny model of each backbone."""
    folder = tmp_path_factory.mktemp("training")
    tiny_critics.make_run(folder, images=IMAGES)
    tiny_critics.save_matching(folder / "blip2")
    save_llava(folder / "vlm")
    return folder


def settings(place: Path, backbone: str, **values: Any) -> TrainSettings:  # Any: values of settings
    plain = {
        "backbone": backbone,
        "model": str(place / backbone),
        "device": "cpu",
        "batch_size": 8,
        "max_epochs": 2,
        "held_out_share": 0.15,
        "test_share": 0.15,
        "learning_rate": 2e-3,
        "head_learning_rate": 2e-3,
        "dropout": False,
        "learning_curve": (),
    }
    return TrainSettings.model_validate({**plain, **values})


def train(place: Path, out: Path, made: TrainSettings, told: list[str] | None = None) -> TrainedFigures:
    tell = (lambda _line: None) if told is None else told.append
    return tiny_critics.train(place, out, made, read_labels(place / "labels.parquet"), tell)


def rows_of(place: Path) -> tuple[list[Qar], Evidence]:
    run = RunFolder(place / "run")

    def kept(stage: str, record: Any) -> list[Any]:  # Any: record classes and records
        return [row for path in run.partition_paths(stage) for row in partitions.read_kept(path, record)]

    texts = {text.image_id: text for text in kept("verbalized", Verbalization)}
    images = kept("images", ImageRecord)
    return kept("unique", Qar), {one.image_id: ImageEvidence(one, texts[one.image_id]) for one in images}


def critic(out: Path, **values: Any) -> TrainedCritic:  # Any: values of settings
    made = TrainedSettings.model_validate({"model": str(out), "device": "cpu", **values})
    return TrainedCritic(made, CriticContext(tiny_critics.KIND, ScriptedTeacherSettings(), 0))


def services() -> Services:
    loader = ImageLoader(IntakeSettings())
    return Services(loader, lambda *_: pytest.fail("nobody is asked"), 1, threading.Event())


def probabilities(out: Path, place: Path, **values: Any) -> list[float]:  # Any: as above
    rows, evidence = rows_of(place)
    with critic(out, **values).opened(services()) as one:
        found = [score for score in one.score(rows, evidence) if isinstance(score, Score)]
    return [score.accept_probability for score in found]


@pytest.mark.parametrize("backbone", ["blip2", "vlm"])
def test_labels_can_be_learned_by_heart_and_the_folder_is_applied(place: Path, tmp_path: Path, backbone: str) -> None:
    """Neither the text nor the picture alone tells what is right, so that both have to be used."""
    made = settings(place, backbone, max_epochs=18, patience=18, batch_size=4)
    figures = train(place, tmp_path / "critic", made)
    assert figures.rounds[-1].train_loss < 0.1 * figures.rounds[0].train_loss
    labels = {label.row_id: label for label in read_labels(place / "labels.parquet")}
    rows, _ = rows_of(place)
    found = probabilities(tmp_path / "critic", place)
    # The weights are those of the best round on few held-out rows.
    assert average_precision(found, [labels[row.row_id].accepted for row in rows]) > 0.8
    assert figures.train.rows + figures.held_out.rows + figures.test.counts.rows == len(labels)
    assert {path.name for path in (tmp_path / "critic").iterdir()} == {
        ".ostensive.json",
        "README.md",
        "backbone",
        "critic.json",
        "heads.safetensors",
        "training.json",
    }
    assert f"| training | {figures.train.rows} |" in (tmp_path / "critic" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("backbone", ["blip2", "vlm"])
def test_batch_1_by_8_is_batch_8(place: Path, tmp_path: Path, backbone: str) -> None:
    whole = train(place, tmp_path / "whole", settings(place, backbone, rows_at_once=8))
    parts = train(place, tmp_path / "parts", settings(place, backbone, rows_at_once=1))
    for one, other in zip(whole.rounds, parts.rounds, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-4)
    found = probabilities(tmp_path / "parts", place)
    assert found == pytest.approx(probabilities(tmp_path / "whole", place), abs=2e-3)
    assert max(found) - min(found) > 0.01


def test_any_batch_size_gives_the_same_scores(place: Path, tmp_path: Path) -> None:
    train(place, tmp_path / "critic", settings(place, "vlm"))
    one, three, many = (probabilities(tmp_path / "critic", place, batch_size=size) for size in (1, 3, 64))
    assert one == pytest.approx(three, abs=1e-5)
    assert one == pytest.approx(many, abs=1e-5)
    assert probabilities(tmp_path / "critic", place, batch_size=3) == three
    halved = probabilities(tmp_path / "critic", place, precision="bfloat16")
    # Its eight bits of precision move single scores, where they are undecided, by a quarter and more: how far depends
    # on the processor that trained. Most scores hardly move.
    moves = sorted(abs(a - b) for a, b in zip(halved, one, strict=True))
    assert moves[len(moves) // 2] < 0.02
    assert 0 < sum(moves) / len(moves) < 0.05


_KILLED = """
import sys
from pathlib import Path
from critics.trained.settings import TrainSettings
from critics.labels import read_labels
import tiny_critics
import torch
torch.set_num_threads(1)
place, out, values = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
settings = TrainSettings.model_validate_json(values)
tiny_critics.train(place, out, settings, read_labels(place / "labels.parquet"))
"""


def test_a_killed_training_goes_on_and_ends_with_the_very_weights_of_a_straight_one(
    place: Path, tmp_path: Path
) -> None:
    made = settings(place, "blip2", dropout=True, max_epochs=4, patience=4, batch_size=2, checkpoint_every_s=0)
    made = made.model_copy(update={"scores_of": ("evidence", "geometry")})
    train(place, tmp_path / "straight", made)
    out = tmp_path / "killed"
    checkpoint = out / "unfinished" / "checkpoint.safetensors"
    command = [sys.executable, "-c", _KILLED, str(place), str(out), made.model_dump_json()]
    tests = Path(__file__).parent
    process = subprocess.Popen(command, cwd=tests.parent, env={**os.environ, "PYTHONPATH": str(tests)})
    try:
        while not checkpoint.exists() and process.poll() is None:
            time.sleep(0.005)
        assert process.poll() is None, "it was over before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    told: list[str] = []
    train(place, out, made, told)
    assert told[0].startswith("goes on at step ")
    assert told[-1].startswith("round 4 of at most 4: loss ")
    for name in ("heads.safetensors", "backbone/model.safetensors", "critic.json"):
        assert (out / name).read_bytes() == (tmp_path / "straight" / name).read_bytes(), name
    assert not (out / "unfinished").exists()


def test_a_learning_curve_goes_on_where_it_was_stopped_and_changes_no_critic(place: Path, tmp_path: Path) -> None:
    made = settings(place, "blip2", dropout=True, batch_size=4, learning_curve=(0.5, 0.75), held_out_share=0.2)
    straight = train(place, tmp_path / "straight", made)
    assert straight.learning_curve is not None
    labels = [point.labels for point in straight.learning_curve.measures[0].reached]
    assert len(labels) == 3
    assert labels[-1] == straight.train.rows
    assert straight.learning_curve.rows == straight.test.counts.rows
    told: list[str] = []

    def stop_in_the_last(line: str) -> None:
        told.append(line)
        if line.startswith("learning curve, critic 2 of 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny_critics.train(place, tmp_path / "stopped", made, read_labels(place / "labels.parquet"), stop_in_the_last)
    assert [path.name for path in (tmp_path / "stopped" / "unfinished").glob("share-*")] == ["share-0.5.json"]
    assert not (tmp_path / "stopped" / "training.json").exists(), "it is written when all else is there"
    told.clear()
    went_on = train(place, tmp_path / "stopped", made, told)
    assert not any(line.startswith("learning curve, critic 1") for line in told)
    assert (went_on.learning_curve, went_on.test) == (straight.learning_curve, straight.test)
    assert not (tmp_path / "stopped" / "unfinished").exists()
    record = json.loads((tmp_path / "stopped" / "training.json").read_text("utf-8"))
    assert not set(record["trained_images"]) & set(record["held_out_images"])
    card = (tmp_path / "stopped" / "README.md").read_text("utf-8")
    assert f"\n- Accepted in the best fifth, {labels[0]} labels: " in card
    bare = train(place, tmp_path / "bare", made.model_copy(update={"learning_curve": ()}))
    assert bare.learning_curve is None
    assert (tmp_path / "bare" / "heads.safetensors").read_bytes() == (
        tmp_path / "straight" / "heads.safetensors"
    ).read_bytes()


def test_a_finished_critic_is_told_again_and_another_one_is_refused(place: Path, tmp_path: Path) -> None:
    made, told = settings(place, "vlm", max_epochs=1), []  # type: ignore[var-annotated]  # of lines
    first = train(place, tmp_path / "critic", made)
    before = (tmp_path / "critic" / "critic.json").stat().st_mtime_ns
    assert train(place, tmp_path / "critic", made, told) == first
    assert told == [f"{tmp_path / 'critic'}: is trained already, with these settings and labels"]
    assert (tmp_path / "critic" / "critic.json").stat().st_mtime_ns == before
    # How it runs is no part of what comes out.
    assert train(place, tmp_path / "critic", made.model_copy(update={"rows_at_once": 2})) == first
    with pytest.raises(SettingsError) as other:
        train(place, tmp_path / "critic", made.model_copy(update={"seed": 1}))
    assert str(other.value) == (
        f"{tmp_path / 'critic'} holds a critic with other settings, labels or weights; choose another --out, or remove"
        " the folder"
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine", "utf-8")
    with pytest.raises(SettingsError) as mine:
        train(place, tmp_path / "mine", made)
    assert str(mine.value) == f"{tmp_path / 'mine'} holds other files (thesis.txt, ...); choose an empty folder"
    assert (tmp_path / "mine" / "thesis.txt").read_text("utf-8") == "mine"
    record = json.loads((tmp_path / "critic" / "training.json").read_text("utf-8"))
    assert record["settings"]["model"] == "vlm", "where its folder lies is nobody's business"


def test_frozen_parts_stay_as_they_were(place: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    train(place, tmp_path / "critic", settings(place, "blip2", max_epochs=1, image_tower="frozen"))
    before = load_file(place / "blip2" / "model.safetensors")
    after = load_file(tmp_path / "critic" / "backbone" / "model.safetensors")
    changed = {name for name, tensor in before.items() if not tensor.equal(after[name])}
    assert not any(name.startswith("vision_model.") for name in changed)
    assert any(name.startswith("qformer.") for name in changed)


def test_a_threshold_is_no_part_of_the_version_and_weights_are(place: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        train(place, tmp_path / f"critic-{seed}", settings(place, "vlm", max_epochs=1, seed=seed))
    one = critic(tmp_path / "critic-0")
    assert one.name == "trained"
    assert one.version == critic(tmp_path / "critic-0", min_accept_probability=0.1, batch_size=3).version
    assert one.version != critic(tmp_path / "critic-1").version
    assert critic(tmp_path / "critic-0", name="mine").name == "mine"


def test_more_regions_than_it_knows_are_told_once_with_what_to_do(
    place: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(place, tmp_path / "critic", settings(place, "vlm", max_epochs=1))
    rows, evidence = rows_of(place)
    image = evidence[rows[0].image_id].image
    strange = tiny_critics.qar(image, "strange", "So.", (3, 4))
    text = Verbalization(image.image_id, (), (), tiny_critics.regions(6), ())
    with caplog.at_level(logging.WARNING), critic(tmp_path / "critic").opened(services()) as one:
        one.score(rows, evidence)
        assert not caplog.messages
        for _ in range(2):
            one.score([rows[0], strange], {image.image_id: ImageEvidence(image, text)})
    assert caplog.messages == [
        f"{tmp_path / 'critic'}: in 1 of 2 rows regions are drawn that this critic never saw: up to 2 at a time with"
        " numbers up to 4, and it was trained on at most 1 with numbers up to 1. Its scores there are guesses: train it"
        " on labels of this corpus, or let fewer regions be chosen"
    ]


def test_a_critic_of_other_texts_is_refused_in_one_line(place: Path, tmp_path: Path) -> None:
    train(place, tmp_path / "critic", settings(place, "vlm", max_epochs=1))
    captions = replace(tiny_critics.KIND, name="captions", noun="caption", parts=("caption",))
    with pytest.raises(SettingsError) as refused:
        TrainedCritic(
            TrainedSettings(model=str(tmp_path / "critic")), CriticContext(captions, ScriptedTeacherSettings(), 0)
        )
    assert str(refused.value) == (
        f"{tmp_path / 'critic'}: reads question, answer, rationale, and a caption of the recipe captions has caption;"
        " train one on labels of such"
    )


def test_it_pickles_before_it_is_opened(place: Path, tmp_path: Path) -> None:
    train(place, tmp_path / "critic", settings(place, "vlm", max_epochs=1))
    rows, evidence = rows_of(place)
    one = critic(tmp_path / "critic")
    with pickle.loads(pickle.dumps(one)).opened(services()) as again, one.opened(services()):
        assert again.score(rows[:4], evidence) == one.score(rows[:4], evidence)


def test_labels_of_one_criterion_make_one_rating(place: Path, tmp_path: Path) -> None:
    labels = [replace(one, targets=one.targets[1:]) for one in read_labels(place / "labels.parquet")]
    figures = tiny_critics.train(place, tmp_path / "critic", settings(place, "vlm", max_epochs=1), labels)
    assert [one.criterion for one in figures.test.ratings] == ["rationale"]
    rows, evidence = rows_of(place)
    with critic(tmp_path / "critic").opened(services()) as one:
        (score,) = one.score(rows[:1], evidence)
    assert score.detail.startswith("ratings: rationale ")
    assert ", " not in score.detail


def test_a_rating_without_weight_is_no_part_of_a_critic(place: Path, tmp_path: Path) -> None:
    made = settings(place, "vlm", max_epochs=1, head_weights={"criteria": {"qa": 0}})
    figures = train(place, tmp_path / "critic", made)
    assert [one.criterion for one in figures.test.ratings] == ["rationale"]
    assert json.loads((tmp_path / "critic" / "critic.json").read_text("utf-8"))["criteria"] == ["rationale"]
    none = train(place, tmp_path / "accept", settings(place, "vlm", max_epochs=1, head_weights={"rating": 0}))
    assert none.test.ratings == ()
    rows, evidence = rows_of(place)
    with critic(tmp_path / "accept").opened(services()) as one:
        (score,) = one.score(rows[:1], evidence)
    assert isinstance(score, Score)
    assert score.detail == ""


def test_an_unfinished_training_goes_on_with_the_same_labels_and_rate_only(place: Path, tmp_path: Path) -> None:
    made = settings(place, "vlm", max_epochs=1, checkpoint_every_s=0)
    labels = read_labels(place / "labels.parquet")

    def stop(line: str) -> None:
        if line.startswith("round 1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny_critics.train(place, tmp_path / "critic", made, labels, stop)
    other = settings(place, "vlm", max_epochs=1, learning_rate=1e-3)
    for values in ((other, labels), (made, labels[2:])):
        with pytest.raises(SettingsError, match="is of a training with other settings, data or weights"):
            tiny_critics.train(place, tmp_path / "critic", *values)
    told: list[str] = []
    train(place, tmp_path / "critic", made, told)
    assert told[0].startswith("goes on at step ")


def test_a_text_that_is_too_long_has_no_score_and_costs_no_neighbour(place: Path, tmp_path: Path) -> None:
    train(place, tmp_path / "critic", settings(place, "blip2", max_epochs=1))
    rows, evidence = rows_of(place)
    image = evidence[rows[0].image_id].image
    long = tiny_critics.qar(image, "long", "It is bright, as was said. " * 40, (0,))
    with critic(tmp_path / "critic").opened(services()) as one:
        found = one.score([rows[0], long, rows[1]], evidence)
        alone = one.score(rows[:2], evidence)
    assert isinstance(found[1], NoScore)
    assert found[1].reason == TOO_LONG
    assert found[1].detail.endswith("tokens; the model takes 256")
    for score, other in zip((found[0], found[2]), alone, strict=True):
        assert isinstance(score, Score)
        assert isinstance(other, Score)
        assert score.accept_probability == pytest.approx(other.accept_probability, abs=1e-5)
        assert score.reason == UNLIKELY
        assert score.detail.startswith("ratings: qa ")


def test_labels_and_weights_that_do_not_suit_are_refused_before_any_model_is_loaded(
    place: Path, tmp_path: Path
) -> None:
    labels = read_labels(place / "labels.parquet")
    made = settings(place, "vlm", model=str(tmp_path / "no-such-model"))
    with pytest.raises(SettingsError, match="10 labels of candidates that are there, and 20 at least are needed"):
        tiny_critics.train(place, tmp_path / "critic", made, labels[:10])
    with pytest.raises(SettingsError, match="there is no such folder"):
        train(place, tmp_path / "critic", made)
    with pytest.raises(SettingsError) as unknown:
        train(place, tmp_path / "critic", settings(place, "vlm", head_weights={"criteria": {"ratoinale": 0}}))
    assert str(unknown.value) == (
        "head_weights.criteria.ratoinale: the labels have no such criterion; theirs are qa, rationale"
    )
    assert not (tmp_path / "critic").exists()


class _SmallMemory:
    """A backbone on a device that holds `most` rows, or none at all; it says of each how long its text is."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.sizes: list[int] = []

    max_tokens = None
    width = 4

    def prepare(self, pictures: Any, texts: Any) -> Any:  # Any: as the protocol has it
        return list(texts)

    def states(self, inputs: Any) -> Any:  # Any: as above
        import torch

        self.sizes.append(len(inputs))
        if len(inputs) > self.most:
            raise torch.OutOfMemoryError("full")
        return torch.tensor([[[float(len(text)), 0, 0, 0]] for text in inputs])


@pytest.mark.parametrize("most", [3, 0])
def test_batches_halve_when_memory_is_full(place: Path, most: int) -> None:
    import torch

    backbone: Any = _SmallMemory(most)  # Any: it has only what scoring uses
    heads = make_heads(4, 0, 0, (torch.tensor([[0.0] * 4, [1.0, 0, 0, 0]]), torch.zeros(2)))
    rows, evidence = rows_of(place)
    inputs = InputFormat("vlm", "So?", settings(place, "vlm").show, 0)
    given: list[CriticInput] = [
        inputs.input_of(row.row_id, tiny_critics.shown(row), evidence[row.image_id].image, ()) for row in rows
    ]
    pictures = Pictures(ImageLoader(IntakeSettings()).load, 56)
    size = BatchSize(8, "a model")
    scorer = Scorer(CriticModel(backbone, heads, (), "cpu", "float32"), pictures, size)
    if most:
        told: list[int] = []
        found = scorer.predict(given, told.append)
        assert [one.accept_logit for one in found] == [len(one.text) for one in given]  # type: ignore[union-attr]
        assert size.rows == 2
        assert backbone.sizes[:3] == [8, 4, 2]
        assert told[-1] == len(rows)
        return
    with pytest.raises(CriticFailedError) as failed:
        scorer.predict(given)
    assert "out of memory with one row at a time; set precision=bfloat16 or another device" in str(failed.value)


@pytest.mark.parametrize("known", [True, False], ids=["length known", "length counted"])
def test_rows_whose_image_is_gone_cost_no_other_row(place: Path, known: bool) -> None:
    import torch

    backbone: Any = _SmallMemory(3)  # Any: as above
    if not known:
        backbone.max_tokens = 1_000_000  # no text is so long, but each is looked at
        backbone.token_count = lambda _text, _picture: 1
    heads = make_heads(4, 0, 0, (torch.tensor([[0.0] * 4, [1.0, 0, 0, 0]]), torch.zeros(2)))
    rows, evidence = rows_of(place)
    gone = rows[0].image_id
    inputs = InputFormat("vlm", "So?", settings(place, "vlm").show, 0)
    given = []
    for row in rows:
        image = evidence[row.image_id].image
        if row.image_id == gone:
            image = replace(image, location=Location("/no/such/picture.jpg"))
        given.append(inputs.input_of(row.row_id, tiny_critics.shown(row), image, ()))
    pictures = Pictures(ImageLoader(IntakeSettings()).load, 56)
    found = Scorer(CriticModel(backbone, heads, (), "cpu", "float32"), pictures, BatchSize(8, "a model")).predict(given)
    assert [isinstance(one, Unseen) for one in found] == [row.image_id == gone for row in rows]
    lost = next(one for one in found if isinstance(one, Unseen))
    assert "cannot be read any more (missing file: No such file or directory)" in lost.detail
    no_file: Any = None  # Any: what is in it does not matter
    assert score_of(lost, no_file) == NoScore("image cannot be read", lost.detail)
