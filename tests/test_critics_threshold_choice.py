"""A threshold chosen for a run of a recipe that is not ours, and the recipe that follows from a choice."""

from dataclasses import replace
from pathlib import Path

import pytest
from annotated_run import write_stage
from critic_context import CAPTIONS, Caption, caption, notes_recipe

from critics.labels import CriterionTarget, Label, write_labels
from critics.stage import JUDGED, SCORED
from critics.table import critics_of, leaves, titles, with_critic, with_threshold
from critics.threshold_choice import ThresholdTarget, choose_threshold, put_in_force
from critics.trained.learned import images_of, learned_images, unseen_labels
from critics.trained.settings import TrainedSettings
from ostensive.errors import SettingsError
from ostensive.recipe import Recipe
from ostensive.records import CriticScore, Scored
from ostensive.run.folder import RunFolder
from ostensive.run.thresholds import read_choices

ROWS = 40


NESTED: dict[str, object] = {
    "kind": "any_of",
    "critics": [{"kind": "judge"}, {"kind": "all_of", "critics": [{"kind": "evidence"}]}],
}
RECIPE = notes_recipe({"kind": "rules"}, NESTED)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Captions with a score from `evidence` that goes up from 0 to 1, of ten images."""
    rows = [
        Scored(
            caption("A dog.", row_id=f"c{number}", image_id=f"{number % 10:064}"),
            (CriticScore("rules", "r", 1.0, "", ""), CriticScore("evidence", "e", number / (ROWS - 1), "no", "")),
        )
        for number in range(ROWS)
    ]
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.write_state(outcome="done", stages=["captions", SCORED])
    write_stage(folder, SCORED, rows, Scored[Caption])
    return folder


def labels(path: Path, least: int) -> Path:
    """Every caption from the one of this number on is accepted."""
    found = [
        Label(f"c{number}", f"{number % 10:064}", number >= least, (CriterionTarget("acceptable", 3.0),))
        for number in range(ROWS)
    ]
    write_labels(path, found)
    return path


def test_a_choice_by_labels_of_any_candidates(run: RunFolder, tmp_path: Path) -> None:
    file = labels(tmp_path / "labels.parquet", 20)
    target = ThresholdTarget(precision=1.0)
    chosen = choose_threshold(run, target, recipe=RECIPE, kind=CAPTIONS, critic="evidence", labels=file)
    assert chosen.choice.min_accept_probability == 20 / 39
    assert (chosen.choice.critic, chosen.choice.critic_version) == ("evidence", "e")
    assert chosen.choice.chosen_by == "--precision 1"
    assert (chosen.gone, chosen.learned_from, chosen.training_use) == (0, 0, "none")
    assert (chosen.shares.candidates, chosen.shares.kept) == (ROWS, ROWS // 2)
    assert chosen.choice.figures is not None
    assert (chosen.choice.figures.precision, chosen.choice.figures.recall) == (1.0, 1.0)
    assert chosen.picture is not None
    assert chosen.picture.is_file()
    assert read_choices(run.path) == (), "nothing holds before it is put in force"


def test_a_choice_in_force_changes_the_critic_wherever_it_stands_and_judges_anew(run: RunFolder) -> None:
    chosen = choose_threshold(run, ThresholdTarget(keep=0.25), recipe=RECIPE, kind=CAPTIONS, critic="evidence")
    assert chosen.curve is None
    asked = []

    def rebuild(change: object, start: str) -> Recipe:
        asked.append(start)
        assert callable(change)
        changed: Recipe = change(RECIPE)
        return changed

    changed = put_in_force(run, chosen.choice, rebuild)
    assert asked == [JUDGED]
    assert read_choices(run.path) == (chosen.choice,)
    assert changed == with_threshold(RECIPE, "evidence", 30 / 39)
    assert [one.min_accept_probability for one in leaves(critics_of(changed))] == [0.5, 0.75, 30 / 39]
    assert titles(critics_of(changed)) == titles(RECIPE.critics)


def test_a_critic_that_joins_takes_the_place_of_a_trained_one_of_its_name() -> None:
    first, second = TrainedSettings(model="a"), TrainedSettings(model="b")
    once = with_critic(RECIPE, first)
    assert critics_of(once) == (*RECIPE.critics, first)
    assert critics_of(with_critic(once, second)) == (*RECIPE.critics, second)
    other = TrainedSettings(model="b", name="other")
    assert critics_of(with_critic(once, other)) == (*RECIPE.critics, first, other)


def test_labels_of_images_that_a_critic_learned_from_or_was_stopped_by_are_left_out(tmp_path: Path) -> None:
    known = [Label(f"c{n}", f"{n % 10:064}"[::-1], n % 3 == 0, ()) for n in range(40)]
    assert learned_images(tmp_path / "gone") is None
    learned = images_of((f"{n:064}"[::-1] for n in range(3)), (f"{n:064}"[::-1] for n in range(3, 5)))
    found = unseen_labels(learned, known, enough=20)
    assert {one.image_id for one in found.labels} == {f"{n:064}"[::-1] for n in range(5, 10)}
    assert (found.has_held_out, found.left_out, found.left_out_images) == (False, 20, 5)
    few = unseen_labels(learned, known, enough=21)
    assert {one.image_id for one in few.labels} == {f"{n:064}"[::-1] for n in range(3, 10)}
    assert (few.has_held_out, few.left_out, few.left_out_images) == (True, 12, 3)
    alike = [replace(one, accepted=one.image_id < f"{5:064}"[::-1]) for one in known]
    assert unseen_labels(learned, alike, enough=20).has_held_out, "labels of one kind tell no threshold from another"


def test_what_cannot_be_chosen(run: RunFolder) -> None:
    def complaint(target: ThresholdTarget, critic: str | None = "evidence") -> str:
        with pytest.raises(SettingsError) as caught:
            choose_threshold(run, target, recipe=RECIPE, kind=CAPTIONS, critic=critic)
        return str(caught.value)

    assert complaint(ThresholdTarget()).startswith("--keep, --precision and --threshold: give one of them")
    assert complaint(ThresholdTarget(keep=0.5, threshold=0.5)).startswith("--keep, --precision and --threshold: give")
    assert complaint(ThresholdTarget(keep=0.5), None) == (
        f"{run.path} has 2 critics (judge, evidence); name one with --critic"
    )
    assert complaint(ThresholdTarget(precision=0.5)) == (
        f"{run.path}: no candidate of this run was judged yet; label with `ostensive annotate RUN`"
    )
    with pytest.raises(SettingsError, match="the recipe captions has no critics"):
        critics_of(Recipe.model_construct(recipe="captions", corpus=RECIPE.corpus))
