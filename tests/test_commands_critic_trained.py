"""The whole way with a trained critic: build, train on labels, apply, choose by labels it did not learn from."""

import json
from pathlib import Path

import pytest
import yaml
from drawing import write_scenes
from hardship import call, outcomes, stages_of, tree
from test_commands_critic import build, label
from tiny_critics import save_matching
from tiny_models import one_thread  # noqa: F401 - a fixture

from builders.localized.recipe import KIND
from builders.table import load
from critics.threshold_choice import ChosenThreshold, ThresholdTarget, choose_threshold
from ostensive.commands.critic import threshold_lines
from ostensive.run.folder import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # whole builds, on a machine that may be busy

TRAINING = (
    "max_epochs=1",
    "batch_size=16",
    "held_out_share=0.3",
    "test_share=0.3",
    "show.image_side_px=56",
    "learning_curve=[]",
    "device=cpu",
)


def choose(run: Path, labels: Path, **target: float) -> ChosenThreshold:
    recipe = load(str(run / "recipe.yaml"))
    wanted = ThresholdTarget(**target)
    return choose_threshold(RunFolder(run), wanted, recipe=recipe, kind=KIND, critic="trained", labels=labels)


@pytest.mark.usefixtures("one_thread")
def test_from_a_run_to_a_corpus_filtered_by_a_critic_that_was_trained_on_it(tmp_path: Path) -> None:
    run, model, labels = tmp_path / "run", tmp_path / "critic", tmp_path / "labels.parquet"
    build(write_scenes(tmp_path / "images", 12), run, "[{kind: rules}, {kind: evidence, min_accept_probability: 0}]")
    label(run, labels, "evidence")
    save_matching(tmp_path / "blip2")
    sets = [part for one in TRAINING for part in ("--set", one)]
    arguments = ["--out", model, "--backbone", "blip2", "--model", tmp_path / "blip2", "--labels", labels, *sets]
    trained = call("critic", "train", run, *arguments)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.startswith(f"critic      {model} (version ")

    before, counted = tree(run), stages_of(run)
    applied = call("critic", "apply", run, model, "--threshold", 0, "--quiet", "--json")
    assert applied.returncode == 0, applied.stderr
    after, summaries = tree(run), stages_of(run)
    assert summaries["judged"].kept == summaries["scored"].kept == json.loads(applied.stdout)["rows"] > 0
    # The tiny model's tokens are letters, so that some triples are too long for it.
    assert set(summaries["scored"].failed) <= {"too long for the critic"}
    assert summaries["scored"].rows == counted["judged"].kept
    for stage in ("images/", "verbalized/", "candidates/", "unique/"):
        assert {n: d for n, d in after.items() if n.startswith(stage)} == {
            n: d for n, d in before.items() if n.startswith(stage)
        }
    for row in (row for row in outcomes(run, "scored") if row["outcome"] == "kept"):
        assert [score["critic"] for score in row["scores"]] == ["rules", "evidence", "trained"]
        assert 0 < row["scores"][2]["accept_probability"] < 1
    critics = yaml.safe_load((run / "recipe.yaml").read_text())["critics"]
    assert [one["kind"] for one in critics] == ["rules", "evidence", "trained"]
    assert critics[2]["model"] == str(model)
    again = call("critic", "apply", run, model, "--threshold", 0, "--quiet")
    assert again.returncode == 0, again.stderr
    assert {n for n in tree(run) if n.startswith("scored/")} == {n for n in after if n.startswith("scored/")}

    chosen = choose(run, labels, keep=0.5)
    assert chosen.learned_from > 0
    assert chosen.curve is not None
    assert chosen.curve.rows + chosen.learned_from + chosen.gone == summaries["unique"].kept
    assert chosen.training_use in ("none", "held out")
    lines = list(threshold_lines(chosen, None))
    assert (
        f"left out: {chosen.learned_from} labels of {chosen.learned_images} images that the critic learned from"
        in lines
    )
    assert f"measured on {chosen.curve.rows} labels of {chosen.curve.images} images" in "\n".join(lines)
    label(run, labels, "evidence", seed=1)
    anew = choose(run, labels, keep=0.5)
    assert anew.learned_from > 0, "images are known, whatever is said of their triples"
    record = json.loads((model / "training.json").read_text())
    assert record.pop("trained_images")
    (model / "training.json").write_text(json.dumps(record))
    doubtful = choose(run, labels, threshold=0.0)
    assert (doubtful.learned_from, doubtful.training_use) == (0, "unknown")
    assert "images, which the critic may have learned from: it may be worse than this" in "\n".join(
        threshold_lines(doubtful, None)
    )
    refused = call("critic", "threshold", run, "--critic", "trained", "--threshold", 1, "--apply", "--quiet")
    assert refused.returncode == 1
    assert refused.complaint.startswith("the corpus is empty: judged kept none of ")
    assert "; trained rejects all of " in refused.complaint
    assert "; set another with: ostensive critic threshold RUN --critic trained --keep 0.2 --apply" in refused.complaint
    told = call("status", run, "--json")
    assert json.loads(told.stdout)["notes"][0].startswith("trained rejects all of ")
