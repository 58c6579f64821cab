"""The model card of a critic: what it is, what it was trained on, what it reaches, and what it is not for."""

from dataclasses import dataclass

from critics.trained.calibration import Calibration
from critics.trained.checkpoints import Round
from critics.trained.figures import Figures, Part
from critics.trained.folder import Known
from critics.trained.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class TrainedFigures:
    """How a training went and what came of it."""

    version: str  # of the critic: changes with anything that its scores depend on
    base_version: str  # of the model it started from, as `ostensive.models.files` knows it
    labels_hash: str  # of all labels that were used
    known: Known
    train: Part
    held_out: Part
    test: Figures
    calibration: Calibration
    rounds: tuple[Round, ...]
    best_epoch: int  # whose weights were taken, from 0
    seconds: float  # of all rounds


_SHOWN = {
    "mentioned": "the regions that a triple mentions are drawn, and no others",
    "among_others": "the regions that a triple mentions are drawn among others of the image",
    "mixed": "the regions that a triple mentions are drawn, by turns alone and among others of the image",
}


def critic_card(settings: TrainSettings, figures: TrainedFigures) -> str:
    """The card as Markdown with the Hub's front matter; a pure function of what was set and what came out."""
    test, show = figures.test, settings.show
    base = f"`{settings.model}`" + (f" at `{settings.revision}`" if settings.revision else "")
    parts = (("training", figures.train), ("held out", figures.held_out), ("test", test.part))
    return "\n".join(
        [
            "---",
            "library_name: ostensive",
            "tags: [critic, vision-language]",
            "---",
            "# A critic of question, answer and rationale\n",
            "It looks at an image with numbered regions drawn on it, reads a question, its answer and a rationale, and"
            " gives the probability that people would accept them. 1 is accept.\n",
            "```yaml",
            "critics:",
            "  - kind: trained",
            "    model: PATH-OF-THIS-FOLDER",
            "    min_accept_probability: 0.8",
            "```\n",
            "## What it was trained on\n",
            "| part | triples | images | accepted |",
            "|---|---|---|---|",
            *(
                f"| {name} | {part.rows:,} | {part.images:,} | {part.accepted / part.rows:.1%} |"
                for name, part in parts
            ),
            "",
            "No image is in two parts. Training was stopped and probabilities were calibrated by the held-out part; the"
            " test part was used for the figures below and for nothing else.\n",
            "## Figures on the test part\n",
            "| measure | value |",
            "|---|---|",
            *_rows(test),
            "",
            "## How\n",
            f"- Base: {base} (`{figures.base_version}`), backbone `{settings.backbone}`; image tower"
            f" {settings.image_tower}, language part {settings.language}. Its licence goes on to this model.",
            f"- Pictures: at most {show.image_side_px} pixels a side; {_SHOWN[show.regions]}. It saw at most"
            f" {figures.known.most_regions} regions drawn at a time, with numbers up to"
            f" {figures.known.highest_number}.",
            f"- Heads: accept, rating of question and answer, rating of rationale, in the loss with weights"
            f" {settings.head_weights.accept:g}, {settings.head_weights.qa:g} and {settings.head_weights.rationale:g}.",
            f"- {len(figures.rounds)} rounds, the best was number {figures.best_epoch + 1}; {figures.seconds:,.0f}"
            f" seconds; temperature {figures.calibration.temperature:.3f}, logit offset"
            f" {figures.calibration.logit_offset:.3f}.",
            f"- Labels `{figures.labels_hash[:16]}`, critic `{figures.version[:16]}`, seed {settings.seed}. All"
            " settings are in `training.json`.\n",
            "## What it is not for\n",
            "It knows what its annotators accepted of one teacher's triples on one kind of images, and says something"
            " of any others all the same. Measure it anew on labels of yours before you trust it there. It is no judge"
            " of people, and a high score is no proof that a text is true.",
            "",
        ]
    )


def _rows(test: Figures) -> list[str]:
    chance = test.part.accepted / test.part.rows
    return [
        f"| precision, recall, F1 at probability 0.5 | {test.precision:.3f}, {test.recall:.3f}, {test.f1:.3f} |",
        f"| average precision (chance {chance:.3f}) | {test.average_precision:.3f} |",
        f"| accepted among the fifth with the highest score (unfiltered {chance:.3f}) |"
        f" {test.accepted_in_best_fifth:.3f} |",
        f"| calibration error, after and before temperature | {test.calibration_error:.3f},"
        f" {test.calibration_error_before:.3f} |",
        f"| error of the rating of question and answer (of always the mean {test.qa_error_of_mean:.3f}) |"
        f" {test.qa_error:.3f} |",
        f"| error of the rating of the rationale (of always the mean {test.rationale_error_of_mean:.3f}) |"
        f" {test.rationale_error:.3f} |",
    ]
