"""A critic as a folder: `backbone/` as its library saves models, `heads.safetensors`, and `critic.json`, written last.

It holds all that is needed to apply it, for the base model may be gone from the Hub on the day that somebody asks why a
row was kept; a folder without `critic.json` is no critic. Beside it stand a model card and `training.json`, the record
of its training, which also says of which images it learned.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final  # Any: JSON values

from critics.labels import Label
from critics.trained.inputs import TEXT_VERSION, Example, InputFormat
from critics.trained.model import BFLOAT16, FLOAT32, CriticModel, load_backbone, make_heads, resolve_precision
from critics.trained.read_critics import ReadCritic
from critics.trained.scoring import Calibration, Figures, SplitCounts
from critics.trained.settings import BackboneName, ShowingSettings, TrainedSettings, TrainSettings
from ostensive.errors import SettingsError
from ostensive.files import storage_errors, write_text
from ostensive.fingerprint import fingerprint
from ostensive.models.checkpoints import Evaluation, save_weights
from ostensive.models.devices import resolve_device
from ostensive.models.digests import files_digest
from ostensive.models.files import model_version
from ostensive.recipe_kind import RecipeKind
from ostensive.user_paths import without_folder

CRITIC, HEADS, BACKBONE = "critic.json", "heads.safetensors", "backbone"
CARD, RECORD = "README.md", "training.json"
_FORMAT: Final = 3
_IMAGES: Final = "trained_images"
"""The key in the record of the images whose rows the weights were learned from, as the beginnings of their ids."""
_ID_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class KnownRegions:
    """The regions that a critic saw in training."""

    most_regions: int  # drawn on one picture
    highest_number: int  # of a region that was drawn; -1 where none was


@dataclass(frozen=True, slots=True)
class CriticFile:
    """What `critic.json` says: how rows are given to this critic and how its outputs are read."""

    format: int
    text_version: int
    backbone: BackboneName
    parts: tuple[str, ...]  # the names of the texts that it reads
    question: str  # that it is asked after them
    noun: str  # what people call a row
    criteria: tuple[str, ...]  # what it rates
    show: ShowingSettings
    seed: int  # of the regions drawn
    calibration: Calibration
    known: KnownRegions
    scores_of: tuple[ReadCritic, ...]  # the critics whose scores it reads

    @property
    def inputs(self) -> InputFormat:
        """How rows are given to it."""
        return InputFormat(self.backbone, self.question, self.show, self.seed)


@dataclass(frozen=True, slots=True)
class TrainedFigures:
    """How a training went and what came of it."""

    version: str  # of the critic: changes with anything that its scores depend on
    base_version: str  # of the model it started from, as `ostensive.models.files` knows it
    labels_hash: str  # of all labels that were used
    train: SplitCounts
    held_out: SplitCounts
    test: Figures
    rounds: tuple[Evaluation, ...]
    best_epoch: int  # whose weights were taken, from 0
    seconds: float  # of all rounds


def known_regions(examples: Sequence[Example], show: ShowingSettings) -> KnownRegions:
    """What a critic that is trained on `examples` sees of regions."""
    most, highest = 0, -1
    for example in examples:
        mentions = {number for text in example.texts for number in text.mentions}
        numbers = [region.number for region in example.regions if region.number in mentions]
        count = len(numbers)
        if show.regions != "mentioned":
            numbers = [region.number for region in example.regions]
            count = max(count, min(show.max_regions, len(numbers)))
        most, highest = max(most, count), max(highest, *numbers, -1)
    return KnownRegions(most, highest)


def make_file(
    inputs: InputFormat,
    kind: RecipeKind,
    criteria: tuple[str, ...],
    *,
    calibration: Calibration,
    known: KnownRegions,
    read: tuple[ReadCritic, ...] = (),
) -> CriticFile:
    """What a critic of this version, trained on candidates of `kind`, writes of itself."""
    return CriticFile(
        format=_FORMAT,
        text_version=TEXT_VERSION,
        backbone=inputs.backbone,
        parts=kind.parts,
        question=inputs.question,
        noun=kind.noun,
        criteria=criteria,
        show=inputs.show,
        seed=inputs.seed,
        calibration=calibration,
        known=known,
        scores_of=read,
    )


def write_critic(folder: Path, model: CriticModel, file: CriticFile) -> None:
    """Writes a critic into `folder`, which has none; raises `StorageError`."""
    from pydantic import TypeAdapter

    with storage_errors(folder / BACKBONE):
        model.backbone.save(folder / BACKBONE)
    save_weights(folder / HEADS, model.heads.state_dict())
    for path in (folder / HEADS, *(folder / BACKBONE).glob("*.safetensors")):
        path.chmod(0o644)  # safetensors writes for its owner alone, and a critic is there to be shared
    write_text(folder / CRITIC, TypeAdapter(CriticFile).dump_json(file, indent=1).decode() + "\n")


def read_critic(folder: Path) -> CriticFile:
    """What the critic in `folder` says of itself; raises `SettingsError` where there is none that can be applied."""
    from pydantic import TypeAdapter, ValidationError

    path = folder / CRITIC
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SettingsError(
            f"{folder}: holds no {CRITIC}; a folder that `ostensive critic train` finished is expected"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({error})") from error
    try:
        file = TypeAdapter(CriticFile).validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "the file"
        raise SettingsError(f"{path}: {place}: {problem['msg']}; take the folder as training wrote it") from error
    if file.format != _FORMAT or file.text_version != TEXT_VERSION:
        raise SettingsError(
            f"{path}: is of format {file.format} with texts of version {file.text_version}, and this version of"
            f" ostensive has {_FORMAT} and {TEXT_VERSION}; train the critic anew, or apply it with the version that"
            " trained it"
        )
    return file


def critic_version(folder: Path) -> str:
    """A hash of all that a critic's scores depend on; a threshold is none of it. Raises `SettingsError`."""
    read_critic(folder)
    own = files_digest([folder / CRITIC, folder / HEADS])
    return fingerprint([own, model_version(str((folder / BACKBONE).absolute()))])


def load_critic(settings: TrainedSettings) -> CriticModel:
    """The model of a critic on its device; raises `SettingsError` in one line where it cannot be had."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(settings.model)
    file = read_critic(folder)
    device = resolve_device(settings.device)
    precision = resolve_precision(settings.precision, device)
    dtype = BFLOAT16 if precision == BFLOAT16 else FLOAT32
    backbone = load_backbone(file.backbone, str((folder / BACKBONE).absolute()), None, dtype=dtype, device=device)
    heads = make_heads(backbone.width, len(file.criteria), 0, None, len(file.scores_of))
    try:
        heads.load_state_dict(load_file(folder / HEADS))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise SettingsError(
            f"{folder / HEADS}: holds no heads of this critic's model; take the folder as training wrote it"
        ) from error
    heads.to(device).eval()
    return CriticModel(backbone, heads, file.criteria, device, precision)


def write_record(
    folder: Path, settings: TrainSettings, figures: TrainedFigures, *, made_from: str, image_ids: Iterable[str]
) -> None:
    """Writes the card, and last the record of a training that learned of these images; raises `StorageError`."""
    record = {
        "made_from": made_from,
        "settings": {**settings.model_dump(mode="json"), "model": without_folder(settings.model)},
        "figures": asdict(figures),
        "versions": _versions(),
        _IMAGES: sorted({image_id[:_ID_LENGTH] for image_id in image_ids}),
    }
    write_text(folder / CARD, critic_card(settings, figures, read_critic(folder)))
    write_text(folder / RECORD, json.dumps(record, indent=1) + "\n")


def finished_figures(folder: Path, made_from: str) -> TrainedFigures | None:
    """The figures of the finished critic in `folder`, None where there is none.

    Raises `SettingsError` for one that was made from something else.
    """
    from pydantic import TypeAdapter

    if not ((folder / CRITIC).exists() and (folder / RECORD).exists()):
        return None
    record: dict[str, Any] = json.loads((folder / RECORD).read_text("utf-8"))
    if record["made_from"] != made_from:
        raise SettingsError(
            f"{folder} holds a critic with other settings, labels or weights; choose another --out, or remove the"
            " folder"
        )
    figures: TrainedFigures = TypeAdapter(TrainedFigures).validate_python(record["figures"])
    return figures


def unseen_labels(critic: Path, labels: Sequence[Label]) -> list[Label] | None:
    """Those of `labels` that are of other images than the critic in the folder `critic` learned from.

    By them alone can it be judged what its scores are worth. Whole images, because rows of one image share its
    mistakes. None where the critic does not say what it learned from.
    """
    try:
        learned_from = set(json.loads((critic / RECORD).read_text("utf-8"))[_IMAGES])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a critic from elsewhere
    return [label for label in labels if label.image_id[:_ID_LENGTH] not in learned_from]


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "numpy", "pillow")}


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
            "    min_accept_probability: 0.8",
            "```\n",
            "## What it was trained on\n",
            f"| split | {file.noun}s | images | accepted |",
            "|---|---|---|---|",
            *(f"| {name} | {one.rows:,} | {one.images:,} | {one.accepted / one.rows:.1%} |" for name, one in splits),
            "",
            "No image is in two splits. Training was stopped and probabilities were calibrated by the held-out split;"
            " the test split was used for the figures below and for nothing else.\n",
            "## Figures on the test split\n",
            "| measure | value |",
            "|---|---|",
            *_rows(test),
            "",
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


def _rows(test: Figures) -> list[str]:
    chance = test.counts.accepted / test.counts.rows
    return [
        f"| precision, recall, F1 at probability 0.5 | {test.precision:.3f}, {test.recall:.3f}, {test.f1:.3f} |",
        f"| average precision (chance {chance:.3f}) | {test.average_precision:.3f} |",
        f"| accepted among the fifth with the highest score (unfiltered {chance:.3f}) |"
        f" {test.accepted_in_best_fifth:.3f} |",
        f"| calibration error, after and before temperature | {test.calibration_error:.3f},"
        f" {test.calibration_error_before:.3f} |",
        *(
            f"| error of the rating of {one.criterion} (of always the mean {one.error_of_mean:.3f}) | {one.error:.3f} |"
            for one in test.ratings
        ),
    ]
