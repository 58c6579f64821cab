"""A critic as a folder: `backbone/` as its library saves models, `heads.safetensors`, and `critic.json`, written last.

It holds all that is needed to apply it, for the base model may be gone from the Hub on the day that somebody asks why a
row was kept; a folder without `critic.json` is no critic. Beside it stand a model card and `training.json`
(`critics.trained.record`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final  # Any: JSON values

from critics.trained.inputs import TEXT_VERSION, Example, InputFormat
from critics.trained.model import BFLOAT16, FLOAT32, CriticModel, load_backbone, make_heads, resolve_precision
from critics.trained.read_critics import ReadCritic
from critics.trained.scoring import Calibration
from critics.trained.settings import BackboneName, ShowingSettings, TrainedSettings
from ostensive.errors import SettingsError
from ostensive.files import storage_errors, write_text
from ostensive.fingerprint import fingerprint
from ostensive.models.checkpoints import save_weights
from ostensive.models.devices import resolve_device
from ostensive.models.digests import files_digest
from ostensive.models.files import model_version
from ostensive.recipe_kind import RecipeKind

CRITIC, HEADS, BACKBONE = "critic.json", "heads.safetensors", "backbone"
_FORMAT: Final = 3


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
