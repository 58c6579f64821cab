"""Students of the evidence: trained by the project's own trainers on chosen rows, and kept where they were made."""

from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any  # Any: datasets, TRL and transformers type their classes in part

from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.loading import load_model
from ostensive.records import Turn
from ostensive.settings import validate
from students.exporting import training_features
from students.rows import prompt_completion_rows
from students.training.settings import StudentSettings
from students.training.trainers import make_trainer

BASE = "microworld:vlm-base"
TINY: Mapping[str, object] = {"lora": None, "learning_rate": 2e-4, "device": "cpu", "batch_size": 16, "epochs": 1000}
"""Tiny models want higher rates than large ones, and all of their language model trained."""


def train_on(
    rows: Any,
    out: Path,
    *,
    steps: int,
    seed: int,
    base: str = BASE,
    settings: Mapping[str, object] = TINY,
    explanation_weight: float | None = None,
) -> str:
    """The student that `base` becomes by `steps` on `rows`, a `datasets.Dataset`; what is in `out` is used.

    With `explanation_weight` the loss is ILLUME's, and rows have a column `is_rationale`.
    """
    if (out / "config.json").exists():
        return str(out)
    given = validate(StudentSettings, {**settings, "base": base, "max_steps": steps, "seed": seed}, "training")
    loaded = load_model(GeneratorSettings(model=base, device="cpu", dtype="float32"))
    checkpoints = out.with_name(f"{out.name}-checkpoints")
    trainer = make_trainer(
        loaded.model, loaded.processor, rows, given, checkpoints, explanation_weight=explanation_weight
    )
    trainer.train()
    model = trainer.accelerator.unwrap_model(trainer.model)
    if given.lora is not None:
        model = model.merge_and_unload()
    loaded.processor.save_pretrained(out)
    model.save_pretrained(out)
    return str(out)


def exported(folder: Path) -> Any:
    """The rows of the split `train` that `student export` wrote to `folder`."""
    import datasets

    files = sorted(map(str, (folder / "data").glob("train-*.parquet")))
    return datasets.Dataset.from_parquet(files, cache_dir=str(folder / "cache"))


def chosen(rows: Any, row_ids: Set[str]) -> Any:
    """Those of `rows` that are of these rows of the corpus."""
    return rows.select([place for place, row_id in enumerate(rows["row_id"]) if row_id in row_ids])


def written(lessons: Iterable[tuple[Path, str, str]]) -> Any:
    """Rows to train on: a picture's file, what is asked of it, and the answer that is to be learnt."""
    import datasets

    features = training_features(("prompt", "completion"))
    rows = [
        {**row, "images": [{"path": str(file)}], "row_id": str(place), "image_id": file.stem, "lineage": ""}
        for place, (file, question, answer) in enumerate(lessons)
        for row in prompt_completion_rows((Turn("user", question), Turn("assistant", answer)))
    ]
    return datasets.Dataset.from_list(rows, features=features)
