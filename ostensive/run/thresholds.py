"""Thresholds that were chosen for a run, with what was known when they were: kept in the run, told on its card.

The recipe decides; a choice is only told as long as the recipe has the threshold that was chosen and the critic scores
as it did then. It never overrides the recipe, or two places would say what a corpus was made by.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from ostensive.errors import SettingsError
from ostensive.files import write_text
from ostensive.json_text import parse_json

FILE_NAME = "thresholds.json"
TrainingUse = Literal["none", "held out", "unknown"]
"""What the training of a critic had of the images that it is measured on: nothing; some of them chose when it ended and
its temperature; or it does not say."""
USE_WORDS: Final[Mapping[TrainingUse, str]] = {
    "none": " that the critic did not learn from",
    "held out": ", some of which chose when its training ended and its temperature: it may be a little worse than this",
    "unknown": ", which the critic may have learned from: it may be worse than this",
}
"""What is said of them, after "images"."""


@dataclass(frozen=True, slots=True)
class ThresholdFigures:
    """What a threshold gave on labelled rows, shares 0-1 with 95 % intervals from resampled images."""

    rows: int
    images: int
    accepted_share: float  # of all labelled rows: what random filtering would keep
    kept: int  # labelled rows
    kept_share: float
    precision: float
    precision_low: float
    precision_high: float
    recall: float
    f1: float
    training_use: TrainingUse  # of these images; "none" of a critic that learns nothing
    left_out: int = 0  # labels of images that the critic learned from


@dataclass(frozen=True, slots=True)
class ThresholdChoice:
    """A threshold, how it was chosen, and what it gave; `figures` is None where nothing was labelled."""

    critic: str
    critic_version: str
    min_accept_probability: float
    chosen_by: str  # as it was asked for: "--keep 0.2"
    candidates: int  # all that were scored
    kept_share: float  # of these
    figures: ThresholdFigures | None


def read_choices(run: Path) -> tuple[ThresholdChoice, ...]:
    """The choices of a run, by critic; raises `SettingsError` for a file that was changed by hand."""
    path = run / FILE_NAME
    try:
        values = parse_json(path.read_text("utf-8"), strict=False)
        return tuple(_choice(value) for value in values["choices"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SettingsError(f"{path}: not a file of chosen thresholds; remove it and choose again") from error


def write_choice(run: Path, choice: ThresholdChoice) -> None:
    """Adds a choice to those of a run, in place of an earlier one for the same critic; raises `StorageError`."""
    others = [one for one in read_choices(run) if one.critic != choice.critic]
    choices = sorted([*others, choice], key=lambda one: one.critic)
    values = {"kind": "ostensive-thresholds", "version": 1, "choices": [asdict(one) for one in choices]}
    write_text(run / FILE_NAME, json.dumps(values, indent=1, ensure_ascii=False) + "\n")


def in_force(
    choices: Iterable[ThresholdChoice], recipe: Mapping[str, Any], versions: Mapping[str, str]
) -> tuple[ThresholdChoice, ...]:  # Any: JSON values
    """The choices that hold in `recipe`, its settings as plain values; `versions` are those of the critics by name."""
    thresholds = dict(thresholds_of(recipe.get("critics", ())))
    return tuple(
        choice
        for choice in choices
        if thresholds.get(choice.critic) == choice.min_accept_probability
        and versions.get(choice.critic) == choice.critic_version
    )


def thresholds_of(critics: Any) -> Iterator[tuple[str, float]]:  # Any: JSON values of any depth
    """The threshold of each critic of a recipe by its name; `critics` are its settings as plain values."""
    for critic in critics:
        if "min_accept_probability" in critic:
            yield critic.get("name") or critic["kind"], critic["min_accept_probability"]
        yield from thresholds_of(critic.get("critics", ()))


def _choice(values: Mapping[str, Any]) -> ThresholdChoice:  # Any: JSON values
    figures = values["figures"]
    return ThresholdChoice(**{**values, "figures": None if figures is None else ThresholdFigures(**figures)})
