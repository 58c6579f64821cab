"""Whether a model sees: the loss of the right texts with their own pictures, against that with pictures of others.

A processor that is set wrong, or a form of rows that loses its pictures, trains a model that never looks, and nothing
says so: the loss falls all the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final  # Any: rows as datasets gives them, transformers types its classes in part

from ostensive.errors import OstensiveError

ROWS: Final = 32
"""Rows that are looked at."""
_LEAST_DIFFERENCE: Final = 1e-5  # of the loss: a text alone gives the same loss whatever its batch to about 1e-7


class BlindModelError(OstensiveError):
    """A model whose loss is the same whatever picture it is shown."""


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """Mean losses of the same texts; None where all rows are about one picture."""

    own_pictures: float
    other_pictures: float | None

    @property
    def sees(self) -> bool:
        """Whether pictures make a difference, or nothing could be compared."""
        if self.other_pictures is None:
            return True
        return abs(self.other_pictures - self.own_pictures) > _LEAST_DIFFERENCE * abs(self.own_pictures)


def check_sees(model: Any, processor: Any, rows: Sequence[Mapping[str, Any]], *, batch_size: int) -> ImageCheck:
    """The losses of `rows`, of which each is `prompt` and `completion`, or a pair, with `images`.

    Raises `BlindModelError` where they are the same.
    """
    plain = [_supervised(row) for row in rows]
    others = other_pictures([row["image_id"] for row in rows])
    own = _mean_loss(model, processor, plain, batch_size)
    if others is None:
        return ImageCheck(own, None)
    swapped = [{**row, "images": plain[place]["images"]} for row, place in zip(plain, others, strict=True)]
    found = ImageCheck(own, _mean_loss(model, processor, swapped, batch_size))
    if not found.sees:
        raise BlindModelError(
            f"the model does not see: the loss of {len(rows)} rows is {own:.6f} with their pictures and with those of"
            " others; take a model that reads images, and look at its processor and its chat template"
        )
    return found


def other_pictures(image_ids: Sequence[str]) -> list[int] | None:
    """For each row the place of a row about another image, each as often as can be; None where all are about one."""
    if len(set(image_ids)) < 2:
        return None
    places = range(len(image_ids))
    return [
        next(
            (place + step) % len(image_ids)
            for step in places
            if step and image_ids[(place + step) % len(image_ids)] != image_ids[place]
        )
        for place in places
    ]


def _supervised(row: Mapping[str, Any]) -> dict[str, Any]:
    completion = row["completion"] if "completion" in row else row["chosen"]
    return {"prompt": row["prompt"], "completion": completion, "images": row["images"]}


def _mean_loss(model: Any, processor: Any, rows: Sequence[Mapping[str, Any]], batch_size: int) -> float:
    """The mean over the tokens of all completions; dropout is off."""
    import torch
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    collate: Any = DataCollatorForVisionLanguageModeling(processor, completion_only_loss=True)
    was_training = model.training
    model.eval()
    total = count = 0.0
    try:
        with torch.no_grad():
            for part in _parts(rows, batch_size):
                batch = {name: value.to(model.device) for name, value in collate([dict(row) for row in part]).items()}
                tokens = float((batch["labels"][:, 1:] != -100).sum())
                total += float(model(**batch).loss) * tokens
                count += tokens
    finally:
        model.train(was_training)
    return total / count


def _parts(rows: Sequence[Mapping[str, Any]], size: int) -> Iterator[Sequence[Mapping[str, Any]]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
