"""Whole runs with critics: a threshold is moved, a critic joins, and what a card then says."""

import json
import random
from pathlib import Path

import pytest
import yaml
from drawing import write_scenes
from hardship import call, outcomes, stages_of, tree

from builders.localized.records import Qar
from critics.judge import scripted_judge
from critics.labels import CriterionTarget, Label, write_labels
from ostensive.chat.server import ServerThread
from ostensive.records import Scored
from ostensive.run import partitions
from ostensive.run.folder import RunFolder

pytestmark = pytest.mark.timeout(600)  # whole builds, on a machine that may be busy

LICENCE = [
    "--set",
    "corpus.license=cc0-1.0",
    "--set",
    "corpus.source=drawn by a test",
    "--set",
    "corpus.intended_use=to test",
]
SMALL = ["--set", "localized.turns=1", "--set", "run.partition_size=2"]


def build(images: Path, run: Path, critics: str) -> None:
    done = call(
        "build",
        "localized",
        "--images",
        images,
        "--out",
        run,
        "--quiet",
        "--set",
        f"critics={critics}",
        *LICENCE,
        *SMALL,
    )
    assert done.returncode == 0, done.stderr


def scored_rows(run: Path) -> list[Scored[Qar]]:
    return [row for path in RunFolder(run).partition_paths("scored") for row in partitions.read_kept(path, Scored[Qar])]


def label_of(row_id: str, image_id: str, accepted: bool) -> Label:
    targets = tuple(CriterionTarget(name, 3.0 * accepted) for name in ("qa", "rationale"))
    return Label(row_id, image_id, accepted, targets)


def label(run: Path, path: Path, critic: str, *, seed: int = 0) -> Path:
    """Labels of every candidate that agree with the critic's scores in four cases of five."""
    rng = random.Random(seed)
    rows = scored_rows(run)
    scores = [next(score.accept_probability for score in row.scores if score.critic == critic) for row in rows]
    middle = sorted(scores)[len(scores) // 2]
    labels = []
    for row, score in zip(rows, scores, strict=True):
        accepted = (score > middle) != (rng.random() < 0.2)
        labels.append(label_of(row.record_id, row.image_id, accepted))
    write_labels(path, labels)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("images"), 8)


@pytest.fixture(scope="module")
def judged_run(tmp_path_factory: pytest.TempPathFactory, images: Path) -> tuple[Path, ServerThread]:
    """A run with a served judge that accepts all, and its server, which is no longer there."""
    run = tmp_path_factory.mktemp("runs") / "run"
    with ServerThread(scripted_judge) as server:
        chat = f"{{kind: served, model: scripted, base_url: '{server.base_url}'}}"
        judge = f"{{kind: judge, min_accept_probability: 0, chat: {chat}}}"
        build(images, run, f"[{{kind: rules}}, {{kind: evidence, min_accept_probability: 0}}, {judge}]")
        assert server.stats.received > 20
    return run, server


def test_moving_a_threshold_does_judged_and_the_corpus_again_and_asks_nobody(
    judged_run: tuple[Path, ServerThread], images: Path, tmp_path: Path
) -> None:
    run, server = judged_run
    labels = label(run, tmp_path / "labels.parquet", "evidence")
    asked, before, rows_before = server.stats.received, tree(run), stages_of(run)
    shown = call("critic", "threshold", run, "--labels", labels, "--critic", "evidence", "--keep", 0.4)
    assert shown.returncode == 0, shown.stderr
    assert "Nothing was changed; --apply puts it in force" in shown.stdout
    after = tree(run)
    assert {name for name in after if after[name] != before.get(name)} == {"thresholds-evidence.svg"}

    arguments = ["--labels", labels, "--critic", "evidence", "--keep", 0.4, "--apply", "--quiet", "--json"]
    done = call("critic", "threshold", run, *arguments)
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    threshold = values["min_accept_probability"]
    assert 0 < values["kept_share"] < 1
    after = tree(run)
    for stage in ("images", "distinct", "verbalized", "candidates", "unique", "scored"):
        assert {n: d for n, d in after.items() if n.startswith(stage)} == {
            n: d for n, d in before.items() if n.startswith(stage)
        }
    assert not {n for n in after if n.startswith("judged/")} & {n for n in before if n.startswith("judged/")}
    assert server.stats.received == asked

    summaries = stages_of(run)
    assert summaries["judged"].kept == values["rows"] < rows_before["judged"].kept
    for row in outcomes(run, "judged"):
        (score,) = (one for one in row["judgements"] if one["critic"] == "evidence")
        assert score["accepted"] == (score["accept_probability"] >= threshold)
    critics = yaml.safe_load((run / "recipe.yaml").read_text())["critics"]
    assert [one["min_accept_probability"] for one in critics] == [0.5, threshold, 0]
    card = (run / "corpus" / "README.md").read_text()
    assert "The threshold of the critic evidence was chosen by --keep 0.4: rows are kept from" in card
    figures = values["figures"]
    assert f"People accept {figures['accepted_share']:.1%} of them" in card
    assert (
        f"measured on {figures['rows']:,} labelled candidates of {figures['images']:,} images that the critic" in card
    )
    assert f"{figures['precision']:.1%} (95 %, of resampled images: {figures['precision_low']:.1%} to" in card
    assert "127.0.0.1" not in card, "the address of a judge's server is nobody's business"

    again = call("critic", "threshold", run, "--critic", "evidence", "--threshold", 0, "--apply", "--quiet")
    assert again.returncode == 0, again.stderr
    assert stages_of(run) == rows_before
    assert "People accept" not in (run / "corpus" / "README.md").read_text()


def test_the_card_forgets_a_choice_that_the_recipe_does_not_bear_out(images: Path, tmp_path: Path) -> None:
    run, critics = tmp_path / "run", "[{kind: evidence, min_accept_probability: 0}]"
    build(images, run, critics)
    labels = label(run, tmp_path / "labels.parquet", "evidence")
    first = (run / "corpus" / "README.md").read_bytes()
    call("critic", "threshold", run, "--labels", labels, "--precision", 0.6, "--apply", "--quiet")
    assert "was chosen by --precision 0.6" in (run / "corpus" / "README.md").read_text()
    build(images, run, critics)
    assert (run / "corpus" / "README.md").read_bytes() == first


def test_what_the_table_says(judged_run: tuple[Path, ServerThread], tmp_path: Path) -> None:
    run, _ = judged_run
    labels = label(run, tmp_path / "labels.parquet", "evidence")
    lines = call(
        "critic", "threshold", run, "--labels", labels, "--critic", "evidence", "--keep", 0.4
    ).stdout.splitlines()
    assert lines[0].startswith("measured on ")
    assert lines[0].endswith(" images that the critic did not learn from; intervals of resampled images")
    assert lines[1].split() == ["threshold", "kept", "precision", "95", "%", "recall", "F1"]
    body = lines[2 : next(number for number, line in enumerate(lines) if line.strip().startswith("at random"))]
    assert sum(line.endswith("<") for line in body) == 1
    kept = [float(line.split()[1].rstrip("%")) for line in body]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == 100
    assert any(line.startswith("people accept ") and "filtering at random would keep" in line for line in lines)


def test_without_labels_a_share_is_chosen_and_nothing_more_is_said(
    judged_run: tuple[Path, ServerThread],
) -> None:
    run, _ = judged_run
    shown = call("critic", "threshold", run, "--critic", "judge", "--keep", 0.5).stdout
    assert "judge: --keep 0.5 is the threshold" in shown
    assert "Nothing is labelled, so it is not known how good these are" in shown
    refused = call("critic", "threshold", run, "--critic", "judge", "--precision", 0.5)
    assert (refused.returncode, refused.complaint) == (
        2,
        f"{run}: no candidate of this run was judged yet; label with `ostensive annotate RUN`",
    )


def few(run: Path) -> list[Label]:
    return [label_of(row.record_id, row.image_id, number % 2 == 0) for number, row in enumerate(scored_rows(run))]


def test_targets_and_labels_that_cannot_be(judged_run: tuple[Path, ServerThread], tmp_path: Path) -> None:
    run, _ = judged_run
    labels = tmp_path / "labels.parquet"

    def complaint(*arguments: object) -> str:
        done = call("critic", "threshold", run, "--critic", "evidence", *arguments)
        assert done.returncode == 2, done.stdout
        return done.complaint

    told = complaint("--keep", 0.2, "--threshold", 0.5)
    assert told == "--keep, --precision and --threshold: give one of them; it says which threshold you want"
    assert complaint() == told
    write_labels(labels, few(run)[:19])
    assert complaint("--keep", 0.2, "--labels", labels).startswith(f"{labels}: 19 labels of this run's candidates; at")
    write_labels(labels, [label_of(one.row_id, one.image_id, True) for one in few(run)[:30]])
    assert f"{labels}: all 30 labels are accepted" in complaint("--keep", 0.2, "--labels", labels)
    write_labels(labels, [label_of(f"gone {number}", "x", True) for number in range(30)])
    assert f"{labels}: none of 30 labels is of a candidate that this run has" in complaint(
        "--keep", 0, "--labels", labels
    )
    assert "gone.parquet: no such file" in complaint("--keep", 0.2, "--labels", tmp_path / "gone.parquet")
    some = [*few(run)[:30], label_of("gone", "x", True)]
    write_labels(labels, some)
    shown = call("critic", "threshold", run, "--critic", "evidence", "--keep", 0.2, "--labels", labels).stdout
    assert shown.startswith("left out: 1 label of a candidate that this run has no score of (any more)\n")


def test_critics_and_runs_that_are_not_there(judged_run: tuple[Path, ServerThread], tmp_path: Path) -> None:
    run, _ = judged_run
    assert call("critic", "threshold", run, "--keep", 0.2).complaint == (
        f"{run} has 2 critics (evidence, judge); name one with --critic"
    )
    assert call("critic", "threshold", run, "--keep", 0.2, "--critic", "evidense").complaint == (
        f"--critic evidense: {run} has no critic of that name that scores; it has rules, evidence, judge;"
        " did you mean evidence?"
    )
    assert call("critic", "threshold", tmp_path, "--keep", 0.2).complaint == (
        f"{tmp_path}: there is no run here; give the folder that was --out of `ostensive build`"
    )
    (tmp_path / "run.json").write_text(f'{{"outcome": "Interrupted", "run_id": "{"0" * 32}", "pins": {{}}}}')
    assert call("critic", "threshold", tmp_path, "--keep", 0.2).complaint == (
        f"{tmp_path}: this run is not finished (Interrupted), and its partitions may be of two recipes; let"
        " `ostensive build` finish it first"
    )
    refused = call("critic", "apply", run, tmp_path / "model")
    assert refused.returncode == 2
    assert str(tmp_path / "model") in refused.complaint
