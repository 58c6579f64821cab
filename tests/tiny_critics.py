"""What tests of the trained critic share: a tiny matching model, and a run whose labels its pictures decide.

Each picture is bright or dark, and each has a triple that says so and one that says the contrary: neither the text nor
the picture alone tells which is right.
"""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image
from tiny_models import SIDE_PX, _tokenizer, _widen

from builders.localized.recipe import LocalizedRecipe
from builders.localized.records import Qar
from critics.labels import CriterionTarget, Label, write_labels
from critics.trained.card import TrainedFigures
from critics.trained.settings import TrainSettings
from critics.trained.training import train_critic
from ostensive.chat.scripted import Script
from ostensive.fingerprint import fingerprint
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import Box, ImageRecord, Location, Region, Verbalization
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from ostensive.stage import Kept

SIDE = 56
UNIQUE = "unique"
"""The stage whose candidates are labelled."""


def shown(candidate: Qar) -> tuple[ShownText, ...]:
    texts = ("question", candidate.question), ("answer", candidate.answer), ("rationale", candidate.rationale)
    return tuple(ShownText(name, text, candidate.mentions) for name, text in texts)


def compared_text(candidate: Qar) -> str:
    return candidate.question


def make_stages(_recipe: Recipe) -> tuple[()]:
    return ()


def script(_recipe: Recipe) -> Script:
    return lambda _messages, _rng: ""


KIND = RecipeKind(
    name="triples",
    recipe=LocalizedRecipe,
    candidate=Qar,
    make_stages=make_stages,
    script=script,
    shown=shown,
    compared_text=compared_text,
    parts=("question", "answer", "rationale"),
    judged_parts=("answer", "rationale"),
    judging_question="Is the answer right for what is marked, and does the rationale justify it?",
    title="triples",
    noun="triple",
    task_categories=(),
    method="",
    citation="",
    package="tests",
)


def label(row_id: str, image_id: str, accepted: bool, qa: float = 0.0, rationale: float = 0.0) -> Label:
    return Label(row_id, image_id, accepted, (CriterionTarget("qa", qa), CriterionTarget("rationale", rationale)))


def train(
    place: Path,
    out: Path,
    settings: TrainSettings,
    labels: Sequence[Label],
    tell: Callable[[str], None] = lambda _line: None,
) -> TrainedFigures:
    """A critic of the run in `place`."""
    run = RunFolder(place / "run")
    return train_critic(run, labels, kind=KIND, stage=UNIQUE, settings=settings, out=out, tell=tell)


def save_matching(folder: Path, *, image_token: bool = False) -> Path:
    """A BLIP-2 for image-text retrieval; published ones have an image token in their configuration or none."""
    from transformers import (
        Blip2Config,
        Blip2ForImageTextRetrieval,
        Blip2Processor,
        Blip2QFormerConfig,
        Blip2VisionConfig,
        BlipImageProcessor,
        OPTConfig,
    )

    tokenizer = _tokenizer(added=("<image>",))
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = Blip2Config(
        vision_config=Blip2VisionConfig(**sizes, image_size=SIDE_PX, patch_size=14),
        qformer_config=Blip2QFormerConfig(
            **sizes,
            vocab_size=len(tokenizer),
            cross_attention_frequency=1,
            max_position_embeddings=256,
            use_qformer_text_input=True,
        ),
        text_config=OPTConfig(
            hidden_size=32, ffn_dim=48, num_hidden_layers=1, num_attention_heads=2, word_embed_proj_dim=32
        ),
        num_query_tokens=4,
        image_text_hidden_size=16,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>") if image_token else None,
    )
    model = Blip2ForImageTextRetrieval(config)
    _widen(model, 7)
    model.save_pretrained(folder)
    kind: Any = Blip2Processor
    images = BlipImageProcessor(size={"height": SIDE_PX, "width": SIDE_PX})
    kind(images, tokenizer, num_query_tokens=4 if image_token else None).save_pretrained(folder)
    return folder


def save_picture(path: Path, colour: tuple[int, int, int], side: int = SIDE) -> ImageRecord:
    """A picture of one colour as intake would record it."""
    PIL.Image.new("RGB", (side, side), colour).save(path)
    data = path.read_bytes()
    return ImageRecord(
        hashlib.sha256(data).hexdigest(),
        side,
        side,
        "PNG",
        "RGB",
        len(data),
        path.name,
        Location(str(path.absolute())),
    )


def regions(count: int) -> tuple[Region, ...]:
    """Regions side by side."""
    boxes = [Box(k / count, 0.2, (k + 0.8) / count, 0.8) for k in range(count)]
    return tuple(Region(number, box, "area", None, f"an area, number {number}") for number, box in enumerate(boxes))


def qar(image: ImageRecord, name: str, answer: str, mentions: Sequence[int] = (0,)) -> Qar:
    tags = " and ".join(f"[{number}]" for number in mentions) or "it"
    return Qar(
        row_id=fingerprint([image.image_id, name])[:16],
        image_id=image.image_id,
        mode="ids" if mentions else "descriptions",
        question=f"How is it around {tags}?",
        answer=answer,
        rationale=f"Around {tags} the light is so.",
        mentions=tuple(mentions),
        teacher="scripted",
        prompt_hash="0" * 64,
        request_key="0" * 64,
    )


def pictures(folder: Path, count: int) -> list[tuple[ImageRecord, bool]]:
    """Pictures in turns bright and dark, each of a colour of its own, and whether it is bright."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(count):
        rng, bright = random.Random(number), number % 2 == 0
        low = 170 if bright else 0
        colour = (low + rng.randrange(80), low + rng.randrange(80), low + rng.randrange(80))
        found.append((save_picture(folder / f"picture-{number:03d}.png", colour), bright))
    return found


def make_run(folder: Path, *, images: int = 16, region_count: int = 2, on_boxes: bool = False) -> list[Label]:
    """`run` in `folder` with candidates on `images` pictures, and `labels.parquet` beside it, which is returned.

    With `on_boxes` it is not the picture that decides but how the first two regions lie.
    """
    found = pictures(folder / "photos", images)
    run = RunFolder(folder / "run")
    rows = []
    labels = []
    for number, (image, bright) in enumerate(found):
        mentions = (number % region_count,)
        for answer, says_bright in (("It is bright.", True), ("It is dark and gloomy there.", False)):
            row = qar(image, answer, answer, (0, 1) if on_boxes else mentions)
            right = says_bright == bright
            if on_boxes:
                row = replace(row, rationale=f"[0] lies {'left' if right else 'right'} of [1].")
            rows.append(row)
            points = (3.0, 2.0 + number % 2 / 2) if right else (0.0, 0.0)
            labels.append(label(row.row_id, image.image_id, right, *points))
    texts = [Verbalization(image.image_id, (), (), regions(region_count), ()) for image, _ in found]
    records: tuple[tuple[str, Any, Sequence[Any]], ...] = (
        ("images", ImageRecord, [image for image, _ in found]),
        ("verbalized", Verbalization, texts),
        (UNIQUE, Qar, rows),
    )
    for stage, kind, values in records:
        outcomes = [Kept((value,)) for value in values]
        table = partitions.outcome_table(values, outcomes, kind)
        info = partitions.PartitionInfo(
            stage,
            0,
            fingerprint(stage),
            partitions.digest_of(table, kind),
            kind.__name__,
            partitions.summarize(stage, len(values), outcomes),
        )
        partitions.write(run.partition_path(stage, 0, fingerprint(stage)), table, info)
    run.recipe_path.write_text("recipe: localized\nintake:\n  max_pixels: 1000000\n", "utf-8")
    run.write_state(recipe="localized")
    write_labels(folder / "labels.parquet", labels)
    return labels
