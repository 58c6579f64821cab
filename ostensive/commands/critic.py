"""`ostensive critic train` and `apply`: a critic from people's labels, and its scores beside those of a finished run.

What changes a run goes through the run's own recipe and the ordinary stages `scored` and `judged`, as a build would; a
way of its own to filter was given up, because the corpus would then say less of how it was made.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cards.reading import Corpus
from ostensive.errors import SettingsError
from ostensive.recipe import Recipe
from ostensive.run.build import rebuild
from ostensive.run.options import DEFAULT_OPTIONS, BuildOptions
from ostensive.run.reporting import Reporter

if TYPE_CHECKING:
    from critics.settings import CriticSettings
    from critics.trained.card import TrainedFigures

SCORED = "scored"


def train_critic(
    run: Path,
    *,
    out: Path,
    asked: Mapping[str, Any],  # Any: JSON values
    settings: Sequence[str] = (),
    labels: Path | None = None,
    tell: Callable[[str], None] = lambda _line: None,
) -> "TrainedFigures":
    """Trains a critic on what people said of a run's candidates and writes it into the folder `out`.

    `asked` are settings of the training, `settings` more of them as "a.b=c"; `labels` None takes what people said
    in the run. Raises `SettingsError` for what is set wrong, before any training.
    """
    from critics.trained.settings import TrainSettings
    from critics.trained.train import train_critic as train
    from ostensive.recipe_files import merge, parse_assignments
    from ostensive.settings import validate

    wanted = validate(TrainSettings, merge(asked, parse_assignments(settings)), "critic train")
    return train(run, settings=wanted, out=out, labels=labels, tell=tell)


def apply_critic(
    out: Path | str,
    model: Path,
    *,
    name: str | None = None,
    min_accept_probability: float | None = None,
    options: BuildOptions = DEFAULT_OPTIONS,
    reporter: Reporter | None = None,
    stop: threading.Event | None = None,
) -> Corpus:
    """Scores the candidates of the finished run `out` with the trained critic in the folder `model`, beside its others.

    The critic joins the run's recipe, in place of a trained one of the same name; then `scored`, `judged` and the
    corpus are made anew. Raises `SettingsError` for a folder that holds no critic, and otherwise as `build` does.
    """
    from critics.settings import CriticSettings
    from critics.trained.folder import read_critic
    from critics.trained.settings import TrainedSettings
    from ostensive.settings import validate

    folder = model.absolute()
    read_critic(folder)  # what is wrong with it is said before the run is touched
    values: dict[str, Any] = {"kind": "trained", "model": str(folder), "name": name}  # Any: JSON values
    if min_accept_probability is not None:
        values["min_accept_probability"] = min_accept_probability
    critic = validate(TrainedSettings, values, "critic")

    def add(recipe: Recipe) -> Recipe:
        critics: list[CriticSettings] = list(recipe_critics(recipe))
        same = [place for place, one in enumerate(critics) if one.kind == "trained" and one.title == critic.title]
        if same:
            critics[same[0]] = critic
        else:
            critics.append(critic)
        return recipe.model_copy(update={"critics": tuple(critics)})

    return rebuild(out, change=add, start=SCORED, options=options, reporter=reporter, stop=stop)


def recipe_critics(recipe: Recipe) -> "tuple[CriticSettings, ...]":
    """The critics of a recipe; raises `SettingsError` for one of a kind that has none."""
    critics: tuple[CriticSettings, ...] | None = getattr(recipe, "critics", None)
    if critics is None:
        raise SettingsError(f"the recipe {recipe.recipe} has no critics")
    return critics
