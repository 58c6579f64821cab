"""Students of the evidence: trained by the project's own trainers on chosen rows, and kept where they were made."""

import re
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any  # Any: datasets, TRL and transformers type their classes in part

from microworld.training.models import padded_size
from microworld.training.visual_prompts import PATCH_PX
from microworld.training.words import WORDS, make_processor
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.loading import load_model
from ostensive.records import Turn
from ostensive.settings import validate
from students.exporting import training_features
from students.rows import prompt_completion_rows
from students.training.settings import StudentSettings
from students.training.trainers import make_trainer

BASE = "microworld:vlm-base"
_TOKEN = re.compile(r"[a-z]+|[0-9]|\S")  # as the tokenizer of the tiny models splits
TINY: Mapping[str, object] = {"lora": None, "learning_rate": 2e-4, "device": "cpu", "batch_size": 16, "epochs": 1000}
"""Tiny models want higher rates than large ones, and all of their language model trained."""


def base_that_reads(out: Path, texts: Iterable[str], seed: int) -> str:
    """The base with the words of `texts` besides its own, which mean nothing to it yet; what is in `out` is used.

    All words that it does not have are one and the same to it. Embeddings of new ones are drawn about the mean of its
    own.
    """
    import torch

    if (out / "config.json").exists():
        return str(out)
    known = (*WORDS, *sorted({word for text in texts for word in _TOKEN.findall(text.lower())} - {*WORDS}))
    model = load_model(GeneratorSettings(model=BASE, device="cpu", dtype="float32")).model
    model.resize_token_embeddings(padded_size(known), mean_resizing=False)
    weights = model.get_input_embeddings().weight  # of the output too
    with torch.no_grad():
        old, new = weights[: len(WORDS)], weights[len(WORDS) :]
        drawn = torch.randn(new.shape, generator=torch.Generator().manual_seed(seed))
        new.copy_(old.mean(0) + old.std(0) * drawn)
    make_processor(PATCH_PX, known).save_pretrained(out)
    model.save_pretrained(out)
    return str(out)


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
