"""What tests of trainings share: tiny rows, settings and models that see, and a corpus."""

import hashlib
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any  # Any: parts of transformers, TRL and datasets

import PIL.Image
from drawing import write_scenes

import ostensive
from builders.table import recipe_kind
from cards.reading import open_corpus
from microworld.training.words import WORDS
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.loading import LoadedModel, load_model
from ostensive.recipe_kind import Preference
from ostensive.records import Turn
from students.rows import preference_row, prompt_completion_rows
from students.training.record import TrainedStudent
from students.training.settings import StudentSettings
from students.training.student import train_student
from students.training.trainers import make_trainer

BASE = "microworld:vlm-base"
NOUNS = [word for word in WORDS if word.isalpha()][:12]
COLOURS = ("red", "green", "blue", "white")


def settings_of(**values: Any) -> StudentSettings:
    small = {"base": BASE, "device": "cpu", "lora": {"rank": 4, "alpha": 8, "dropout": 0.0}, "learning_rate": 1e-3}
    return StudentSettings.model_validate({**small, "batch_size": 4, "max_steps": 1, **values})


def base_model() -> LoadedModel:
    return load_model(GeneratorSettings(model=BASE, device="cpu", dtype="float32"))


def stored(rows: list[dict[str, Any]], folder: Path) -> Any:
    """The rows as a reader of the Parquet file has them, each with a picture of its own."""
    import datasets

    folder.mkdir(exist_ok=True)
    columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in rows[0]}
    columns["images"] = [[PIL.Image.new("RGB", (40, 30), COLOURS[place % 4])] for place in range(len(rows))]
    columns["image_id"] = [COLOURS[place % 4] for place in range(len(rows))]
    written = datasets.Dataset.from_dict(columns).cast_column("images", datasets.List(datasets.Image()))
    written.to_parquet(folder / "rows.parquet")
    return datasets.Dataset.from_parquet(str(folder / "rows.parquet"), cache_dir=str(folder / "cache"))


def supervised(folder: Path, count: int = 4) -> Any:
    """So many rows; what is asked and answered differs in length."""
    rows = [
        row
        for place in range(count)
        for row in prompt_completion_rows(
            (Turn("user", " ".join(NOUNS[: place + 1])), Turn("assistant", " ".join(NOUNS[place : 2 * place + 1])))
        )
    ]
    return stored(rows, folder)


def pairs(folder: Path) -> Any:
    return stored(
        [
            preference_row(Preference(NOUNS[place], " ".join(NOUNS[1 : 4 + place]), " ".join(NOUNS[6:9])))
            for place in range(4)
        ],
        folder,
    )


def digests(model: Any) -> dict[str, str]:
    return {
        name: hashlib.sha256(value.detach().numpy().tobytes()).hexdigest() for name, value in model.state_dict().items()
    }


def trained(rows: Any, settings: StudentSettings, folder: Path) -> Any:
    loaded = base_model()
    trainer = make_trainer(loaded.model, loaded.processor, rows, settings, folder)
    trainer.train()
    return trainer


def build_run(folder: Path, recipe: str = "localized", *settings: str) -> Path:
    """A run on three drawn scenes; rows of `localized` have a question, an answer and a rationale."""
    write_scenes(folder / "images", 3)
    options = ostensive.BuildOptions(
        settings=["corpus.license=cc0-1.0", "corpus.source=drawn by a test", "corpus.intended_use=to test", *settings]
    )
    ostensive.build(recipe, images=folder / "images", out=folder / recipe, options=options)
    return folder / recipe


def student_of(run: Path, out: Path, settings: StudentSettings, kind: str = "localized", **more: Any) -> TrainedStudent:
    return train_student(open_corpus(run), recipe_kind(kind), settings, out, **more)


_HOLDER = """
import sys, time
from pathlib import Path
from students.training.folder import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(120)
"""


@contextmanager
def held_elsewhere(student: Path) -> Iterator[None]:
    """The folder as while another process trains in it, which is killed at the end."""
    words = [sys.executable, "-c", _HOLDER, str(student)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.kill()


def logged(file: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by name, read record by record: length, checksum, event, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data, place = file.read_bytes(), 0
    found: dict[str, list[tuple[int, float]]] = {}
    while place < len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        event = Event.FromString(data[place + 12 : place + 12 + length])
        place += length + 16
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found
