"""Which model is evaluated, and how its kind scores choices."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal  # Any: configurations of transformers

from ostensive.errors import SettingsError
from ostensive.models.clip_files import CONFIG as CLIP_CONFIG
from ostensive.models.clip_files import FOLDER, HUB, weights_version
from ostensive.models.clip_model import model_names
from ostensive.models.devices import resolve_device
from ostensive.models.files import located, model_version, pinned_commit
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.pretrained import check_folder, check_weights, dtype_of, loading_errors, without_bars
from ostensive.user_paths import without_folder
from students.training.folder import MODEL
from students.training.record import STUDENT

Scoring = Literal["likelihood", "contrastive", "itm", "itc"]
"""likelihood: of the choice as a reply; contrastive: cosine of picture and text (CLIP, SigLIP); itm and itc: BLIP-2's
matching head and contrastive features."""
SCORINGS: Final[tuple[Scoring, ...]] = ("likelihood", "contrastive", "itm", "itc")
_MATCHING: Final = "Blip2ForImageTextRetrieval"


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """A model as it is loaded."""

    name: str  # on the Hub, or a folder, or `local-dir:` of one
    shown: str  # as it was named, without the folder it lies in
    settings: GeneratorSettings
    is_open_clip: bool
    scorings: tuple[Scoring, ...]  # that it can do, the usual one first

    @property
    def version(self) -> str:
        """What its weights are known by."""
        if self.is_open_clip:
            pretrained = None if self.name.startswith((HUB, FOLDER)) else "openai"
            return weights_version(self.name, pretrained)
        return model_version(self.name, self.settings.revision)


def find_model(given: str, settings: dict[str, Any]) -> EvaluatedModel:
    """The model that `given` names: a student's folder, a folder or name of a model, or one of open_clip.

    `settings` are further ones of `GeneratorSettings`. Raises `SettingsError` where there is none.
    """
    name, shown = given, without_folder(given.removeprefix(FOLDER))
    folder = Path(located(given))
    if (folder / MODEL).is_dir() and not (folder / "config.json").is_file():
        if not (folder / STUDENT).is_file():
            raise SettingsError(f"{given}: holds no {STUDENT}: its training has not ended; run the same command again")
        name, folder = str(folder / MODEL), folder / MODEL
    made = GeneratorSettings.model_validate({**settings, "model": name})
    if name.startswith((HUB, FOLDER)):
        return EvaluatedModel(name, shown, made, True, ("contrastive",))
    if (folder / CLIP_CONFIG).is_file():
        return EvaluatedModel(f"{FOLDER}{folder}", shown, made, True, ("contrastive",))
    if not folder.is_dir() and name.replace("/", "-") in model_names():
        return EvaluatedModel(name, shown, made, True, ("contrastive",))
    return EvaluatedModel(name, shown, made, False, _scorings(name, made))


def _scorings(name: str, settings: GeneratorSettings) -> tuple[Scoring, ...]:
    import transformers
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
        MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING,
    )

    library: Any = transformers
    commit = pinned_commit(name, settings.revision)
    with loading_errors(name, commit):
        config = library.AutoConfig.from_pretrained(located(name), revision=commit or "main", trust_remote_code=False)
    if _MATCHING in (config.architectures or ()):
        return ("itm", "itc")
    if type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return ("likelihood",)
    if type(config) in MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING:
        return ("contrastive",)
    raise SettingsError(
        f"{name}: is a model of type {config.model_type!r}; an image-text-to-text model, CLIP, SigLIP or BLIP-2 for"
        " image-text retrieval is expected"
    )


def chosen_scoring(model: EvaluatedModel, asked: Scoring | None) -> Scoring:
    """How the model scores choices; raises `SettingsError` for a way that it does not have."""
    if asked is None:
        return model.scorings[0]
    if asked not in model.scorings:
        raise SettingsError(f"--scoring {asked}: not by {model.shown}; {' or '.join(model.scorings)} is expected")
    return asked


def load_pretrained(model: EvaluatedModel, kind: str) -> tuple[Any, Any]:
    """The model of transformers of the class `kind`, on its device, in evaluation mode, and its processor.

    Raises `SettingsError` in one line where it cannot be had.
    """
    import transformers

    library: Any = transformers
    settings, place = model.settings, located(model.name)
    check_folder(model.name)
    device, commit = resolve_device(settings.device), pinned_commit(model.name, settings.revision)
    source = {"revision": commit or "main", "trust_remote_code": False}
    with loading_errors(model.name, commit), without_bars():
        processor = library.AutoProcessor.from_pretrained(place, **source)
        loaded, loading = getattr(library, kind).from_pretrained(
            place, dtype=dtype_of(settings.dtype, device), use_safetensors=True, output_loading_info=True, **source
        )
    check_weights(model.name, loading)
    return loaded.to(device).eval(), processor
