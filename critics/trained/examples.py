"""What a critic is trained on: the labels of a run beside its candidates, and their parts by whole images."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal  # Any: a candidate

from critics.labels import Label
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.recipe_kind import RecipeKind
from ostensive.records import ImageRecord, Region, Verbalization
from ostensive.run import partitions
from ostensive.run.folder import RunFolder

MIN_LABELS: Final = 20
PartName = Literal["train", "held-out", "test"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Example:
    """A triple whose label is known, with what it is about."""

    label: Label
    candidate: Any
    image: ImageRecord
    regions: tuple[Region, ...]  # all of the image


@dataclass(frozen=True, slots=True)
class Parts:
    """Examples by what they are for; no image is in two of them."""

    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    test: tuple[Example, ...]


def read_examples(run: RunFolder, labels: Sequence[Label], kind: RecipeKind) -> list[Example]:
    """The examples of a run in the order of their row ids.

    Labels of candidates that the run no longer has are counted in the log and left out. Raises `SettingsError` where
    there are no candidates, where fewer than `MIN_LABELS` labels are left, or where all say the same.
    """
    if not run.partition_paths("unique"):
        raise SettingsError(f"{run.path}: has no candidates; run `ostensive build` with this folder as --out first")
    wanted = {label.row_id for label in labels}
    candidates = {row.row_id: row for row in _kept(run, "unique", kind.candidate) if row.row_id in wanted}
    known = [label for label in sorted(labels, key=lambda label: label.row_id) if label.row_id in candidates]
    gone = len(labels) - len(known)
    if gone:
        _log.warning(
            "%d of %d labels are for candidates that %s no longer has, as after a change of its recipe; they are left"
            " out. Label the new ones with: ostensive annotate %s",
            gone,
            len(labels),
            run.path,
            run.path,
        )
    check_labels(known, run.path)
    ids = {candidates[label.row_id].image_id for label in known}
    images = {image.image_id: image for image in _kept(run, "images", ImageRecord) if image.image_id in ids}
    texts = {text.image_id: text for text in _kept(run, "verbalized", Verbalization) if text.image_id in ids}
    examples = []
    for label in known:
        candidate = candidates[label.row_id]
        regions = texts[candidate.image_id].regions
        examples.append(Example(label, candidate, images[candidate.image_id], regions))
    return examples


def check_labels(labels: Sequence[Label], run: Path) -> None:
    """Raises `SettingsError` where there are too few labels to learn from, or of one class only."""
    if len(labels) < MIN_LABELS:
        raise SettingsError(
            f"{run}: {len(labels)} labels of candidates that are there, and {MIN_LABELS} at least are needed (some"
            f" hundreds to be of use); label more with: ostensive annotate {run}"
        )
    accepted = sum(label.accepted for label in labels)
    if accepted in (0, len(labels)):
        what = "accepted" if accepted else "rejected"
        raise SettingsError(
            f"{run}: all {len(labels)} labels say {what}, and a critic learns from both kinds; label more with:"
            f" ostensive annotate {run}"
        )


def _kept(run: RunFolder, stage: str, record: type) -> Iterable:  # type: ignore[type-arg]  # of the records asked for
    for path in run.partition_paths(stage):
        yield from partitions.read_kept(path, record)


def split(examples: Sequence[Example], *, held_out_share: float, test_share: float, seed: int) -> Parts:
    """`examples` in three parts by whole images, drawn from the seed; each gets an image at least.

    Raises `SettingsError` where a part would have labels of one kind only, for it could neither stop a training nor
    measure one.
    """
    by_image: dict[str, list[Example]] = {}
    for example in examples:
        by_image.setdefault(example.image.image_id, []).append(example)
    order = sorted(by_image, key=lambda image_id: fingerprint([seed, image_id]))
    parts: dict[PartName, list[Example]] = {"test": [], "held-out": [], "train": []}
    shares: Mapping[PartName, float] = {"test": test_share, "held-out": held_out_share}
    for image_id in order:
        wanting: list[PartName] = [name for name, share in shares.items() if len(parts[name]) < share * len(examples)]
        parts[wanting[0] if wanting else "train"] += by_image[image_id]
    for part, found in parts.items():
        accepted = sum(example.label.accepted for example in found)
        if accepted in (0, len(found)):
            what = f"{len(found)} labels, all {'accepted' if accepted else 'rejected'}" if found else "no labels"
            raise SettingsError(
                f"the {part} part has {what}, from {len(by_image)} images with {len(examples)} labels; label more"
                " images, give it a larger share (held_out_share, test_share), or draw the parts anew with another seed"
            )
    return Parts(tuple(parts["train"]), tuple(parts["held-out"]), tuple(parts["test"]))
