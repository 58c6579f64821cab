"""A critic as a folder: `backbone/` as its library saves models, `heads.safetensors`, and `critic.json`, written last.

It holds all that is needed to apply it, and a folder without `critic.json` is no critic. Saving only what changed was
given up: the base model may be gone from the Hub on the day that somebody asks why a row was kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from critics.trained.backbone import Source, load_backbone
from critics.trained.calibration import Calibration
from critics.trained.examples import Example
from critics.trained.heads import make_heads
from critics.trained.learner import BFLOAT16, FLOAT32, Learner, precision_on
from critics.trained.settings import BackboneName, ShowingSettings, TrainedSettings
from critics.trained.showing import Showing
from critics.trained.texts import TEXT_VERSION
from ostensive.errors import SettingsError
from ostensive.files import replacing, storage_errors, write_text
from ostensive.fingerprint import fingerprint
from ostensive.models.devices import resolve_device
from ostensive.models.digests import files_digest
from ostensive.models.files import model_version

if TYPE_CHECKING:
    from torch import nn

CRITIC, HEADS, BACKBONE = "critic.json", "heads.safetensors", "backbone"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Known:
    """The regions that a critic saw in training."""

    most_regions: int  # drawn on one picture
    highest_number: int  # of a region that was drawn; -1 where none was


@dataclass(frozen=True, slots=True)
class CriticFile:
    """What `critic.json` says: how triples are shown to this critic and how what it says is read."""

    format: int
    backbone: BackboneName
    text_version: int
    show: ShowingSettings
    seed: int  # of the regions drawn
    calibration: Calibration
    known: Known

    @property
    def showing(self) -> Showing:
        """How triples are shown."""
        return Showing(self.backbone, self.show, self.seed)


def known_regions(examples: Sequence[Example], show: ShowingSettings) -> Known:
    """What a critic that is trained on `examples` sees of regions."""
    most, highest = 0, -1
    for example in examples:
        mentioned = [region.number for region in example.regions if region.number in example.candidate.mentions]
        numbers, count = mentioned, len(mentioned)
        if show.regions != "mentioned":
            numbers = [region.number for region in example.regions]
            count = max(count, min(show.max_regions, len(numbers)))
        most, highest = max(most, count), max(highest, *numbers, -1)
    return Known(most, highest)


def write_critic(folder: Path, learner: Learner, file: CriticFile) -> None:
    """Writes a critic into `folder`, which has none; raises `StorageError`."""
    from pydantic import TypeAdapter
    from safetensors.torch import save_file

    with storage_errors(folder / BACKBONE):
        learner.backbone.save(folder / BACKBONE)
    with replacing(folder / HEADS) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in learner.heads.state_dict().items()}, temporary)
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


def make_file(showing: Showing, calibration: Calibration, known: Known) -> CriticFile:
    """What a critic of this version writes of itself."""
    return CriticFile(_FORMAT, showing.backbone, TEXT_VERSION, showing.settings, showing.seed, calibration, known)


def critic_version(folder: Path) -> str:
    """A hash of all that a critic's scores depend on; a threshold is none of it. Raises `SettingsError`."""
    read_critic(folder)
    own = files_digest([folder / CRITIC, folder / HEADS])
    return fingerprint([own, model_version(str((folder / BACKBONE).absolute()))])


def load_critic(settings: TrainedSettings) -> Learner:
    """The model of a critic on its device; raises `SettingsError` in one line where it cannot be had."""
    folder = Path(settings.model)
    file = read_critic(folder)
    device = resolve_device(settings.device)
    precision = precision_on(settings.precision, device)
    source = Source(str((folder / BACKBONE).absolute()), None, BFLOAT16 if precision == BFLOAT16 else FLOAT32, device)
    backbone = load_backbone(file.backbone, source)
    heads = make_heads(backbone.width, 0, None)
    _load_heads(heads, folder / HEADS)
    heads.to(device).eval()
    return Learner(backbone, heads, device, precision)


def _load_heads(heads: "nn.ModuleDict", path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: Any = load_file(path)  # Any: safetensors types its tensors loosely
        heads.load_state_dict(tensors)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise SettingsError(
            f"{path}: holds no heads of this critic's model; take the folder as training wrote it"
        ) from error
