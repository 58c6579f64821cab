"""What a training came to, and the card of a critic that tells it. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from critics.trained.folder import CriticFile
from critics.trained.learning_curve import LearningCurve, curve_lines
from critics.trained.scoring import Figures, SplitCounts
from critics.trained.settings import TrainSettings
from ostensive.intervals import Interval
from ostensive.models.checkpoints import Evaluation
from ostensive.user_paths import without_folder


@dataclass(frozen=True, slots=True)
class TrainedFigures:
    """How a training went and what came of it."""

    version: str  # of the critic: changes with anything that its scores depend on
    base_version: str  # of the model it started from, as `ostensive.models.files` knows it
    labels_hash: str  # of all labels that were used
    train: SplitCounts
    held_out: SplitCounts
    test: Figures
    best_fifth_from: float  # the threshold, 0-1, that keeps about the best fifth of the held-out rows
    learning_curve: LearningCurve | None  # None where it was not asked for, or could not be made
    rounds: tuple[Evaluation, ...]
    best_epoch: int  # whose weights were taken, from 0
    seconds: float  # of all rounds


_SHOWN = {
    "mentioned": "the regions that a row mentions are drawn, and no others",
    "among_others": "the regions that a row mentions are drawn among others of the image",
    "mixed": "the regions that a row mentions are drawn, by turns alone and among others of the image",
}


def critic_card(settings: TrainSettings, figures: TrainedFigures, file: CriticFile) -> str:
    """The card as Markdown with the Hub's front matter; a pure function of what was set and what came out."""
    test, show = figures.test, settings.show
    read = " and ".join(part for part in (", ".join(file.parts[:-1]), file.parts[-1]) if part)
    weights = "".join(f", rating of {name} {settings.head_weights.of(name):g}" for name in file.criteria)
    base = f"`{without_folder(settings.model)}`" + (f" at `{settings.revision}`" if settings.revision else "")
    splits = (("training", figures.train), ("held out", figures.held_out), ("test", test.counts))
    return "\n".join(
        [
            "---",
            "library_name: ostensive",
            "tags: [critic, vision-language]",
            "---",
            f"# A critic of {read}\n",
            f"It looks at an image with numbered regions drawn on it, reads {read}, and gives the probability that"
            f" people would accept the {file.noun}. 1 is accept.\n",
            "```yaml",
            "critics:",
            "  - kind: trained",
            "    model: PATH-OF-THIS-FOLDER",
            f"    min_accept_probability: {math.floor(1e4 * figures.best_fifth_from) / 1e4:g}",
            "```\n",
            "The threshold keeps about the best fifth of the held-out labels; candidates of yours want one of their own"
            " (`ostensive critic threshold`).\n",
            "## What it was trained on\n",
            f"| split | {file.noun}s | images | accepted |",
            "|---|---|---|---|",
            *(f"| {name} | {one.rows:,} | {one.images:,} | {one.accepted / one.rows:.1%} |" for name, one in splits),
            "",
            "No image is in two splits. Training was stopped and probabilities were calibrated by the held-out split;"
            " the test split was used for the figures below and for nothing else.\n",
            "## Figures on images that it did not learn from\n",
            f"Of the test split: {test.counts.rows:,} labels of {test.counts.images:,} images. Intervals are of"
            " resampled images.\n",
            "| measure | value | 95 % |",
            "|---|---|---|",
            *_rows(test),
            "",
            *_curve(figures.learning_curve),
            "## How\n",
            f"- Base: {base} (`{figures.base_version}`), backbone `{settings.backbone}`; image tower"
            f" {settings.image_tower}, language part {settings.language}. Its licence goes on to this model.",
            f"- Pictures: at most {show.image_side_px} pixels a side; {_SHOWN[show.regions]}. It saw at most"
            f" {file.known.most_regions} regions drawn at a time, with numbers up to"
            f" {file.known.highest_number}.",
            *(f"- It reads the scores of `{one.kind}` (`{one.version}`) too." for one in file.scores_of),
            f"- Heads, with their weights in the loss: accept {settings.head_weights.accept:g}{weights}.",
            f"- {len(figures.rounds)} rounds, the best was number {figures.best_epoch + 1}; {figures.seconds:,.0f}"
            f" seconds; temperature {file.calibration.temperature:.3f}, logit offset"
            f" {file.calibration.logit_offset:.3f}.",
            f"- Labels `{figures.labels_hash[:16]}`, critic `{figures.version[:16]}`, seed {settings.seed}. All"
            " settings are in `training.json`.\n",
            "## What it is not for\n",
            f"It knows what its annotators accepted of one teacher's {file.noun}s on one kind of images, and says"
            " something of any others all the same. Measure it anew on labels of yours before you trust it there. It is"
            " no judge of people, and a high score is no proof that a text is true.",
            "",
        ]
    )


def _rows(test: Figures) -> Iterator[str]:
    chance, known = test.counts.accepted / test.counts.rows, test.intervals
    lines: tuple[tuple[str, float, Interval | None], ...] = (
        ("accepted among the fifth with the highest score", test.accepted_in_best_fifth, known.accepted_in_best_fifth),
        ("accepted among all, which filtering at random would keep", chance, known.accepted),
        ("average precision", test.average_precision, known.average_precision),
        ("precision at probability 0.5", test.precision, known.precision),
        ("recall at probability 0.5", test.recall, known.recall),
        ("F1 at probability 0.5", test.f1, known.f1),
        ("calibration error", test.calibration_error, None),
        ("calibration error before temperature", test.calibration_error_before, None),
        *(
            (f"error of the rating of {one.criterion} (of always the mean {one.error_of_mean:.3f})", one.error, None)
            for one in test.ratings
        ),
    )
    for name, value, interval in lines:
        yield f"| {name} | {value:.3f} | {'' if interval is None else f'{interval.low:.3f} to {interval.high:.3f}'} |"


def _curve(curve: LearningCurve | None) -> list[str]:
    if curve is None:
        return []
    return [
        "## What more labels would bring\n",
        f"Critics with these settings on parts of the training labels, measured on the same {curve.rows:,} test labels"
        f" of {curve.images:,} images. A power law is read further on; intervals are of resampled images, and hold"
        " nothing of what another seed would change.\n",
        *(f"- {line[:1].upper()}{line[1:]}." for line in curve_lines(curve)),
        "",
    ]
