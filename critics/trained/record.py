"""What is kept of a training beside the critic: its card, and `training.json`, the record, written last."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final  # Any: JSON values

from critics.trained.card import TrainedFigures, critic_card
from critics.trained.folder import CRITIC, read_critic
from critics.trained.learned import HELD_OUT_IMAGES, RECORD, TRAINED_IMAGES, LearnedImages
from critics.trained.settings import TrainSettings
from ostensive.errors import SettingsError
from ostensive.files import write_text
from ostensive.json_text import parse_json
from ostensive.user_paths import without_folder

CARD: Final = "README.md"


def write_record(
    folder: Path, settings: TrainSettings, figures: TrainedFigures, *, made_from: str, learned: LearnedImages
) -> None:
    """Writes the card, and last the record of a training that learned of these images; raises `StorageError`."""
    record = {
        "made_from": made_from,
        "settings": {**settings.model_dump(mode="json"), "model": without_folder(settings.model)},
        "figures": asdict(figures),
        "versions": _versions(),
        TRAINED_IMAGES: sorted(learned.trained),
        HELD_OUT_IMAGES: sorted(learned.held_out),
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
    record: dict[str, Any] = parse_json((folder / RECORD).read_text("utf-8"), strict=False)
    if record["made_from"] != made_from:
        raise SettingsError(
            f"{folder} holds a critic with other settings, labels or weights; choose another --out, or remove the"
            " folder"
        )
    figures: TrainedFigures = TypeAdapter(TrainedFigures).validate_python(record["figures"])
    return figures


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "numpy", "pillow")}
