"""From labelled rows of a run to what a critic's model is given: texts under their headings, regions drawn, splits.

The texts are fixed, and a part of what a critic is: one that learned "Rationale:" must not be asked with "Reason:".
What is drawn depends on the seed, the row and the round alone, so that order, batches and resuming change nothing.
"""

import logging
import random
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal  # Any: record classes and their records, JSON values

import PIL.Image

from critics.critic import NoScore
from critics.labels import Label
from critics.trained.read_critics import read_scores, reading_critics
from critics.trained.settings import BackboneName, ShowingSettings
from ostensive.chat.pictures import shrunk
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.images.drawing import draw_regions
from ostensive.images.loader import ImageLoader
from ostensive.images.settings import IntakeSettings
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import Annotation, ImageRecord, Region, Verbalization
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from ostensive.settings import validate
from ostensive.stage import ImageEvidence
from ostensive.yaml_text import read_yaml

TEXT_VERSION: Final = 1
"""Goes up with every change of how texts are put together; a critic says with which it was trained."""
MENTIONED_ALONE_SHARE: Final = 0.6
"""Of the rows in `mixed`: LSKD's repository, the critic's data set."""
APPLIED: Final = -1
"""The round of training in which a critic is not trained but applied."""
MIN_LABELS: Final = 20
_CACHE_BYTES: Final = 512 << 20
SplitName = Literal["train", "held-out", "test"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CriticInput:
    """One row as a critic is given it."""

    row_id: str
    image: ImageRecord
    regions: tuple[Region, ...]  # to be drawn
    text: str
    scores: tuple[float, ...] = ()  # of the critics that it reads, 0-1


@dataclass(frozen=True, slots=True)
class InputFormat:
    """How rows are given to a critic: the same at training and after."""

    backbone: BackboneName
    question: str  # that a chat model is asked after the texts
    show: ShowingSettings
    seed: int

    def input_of(
        self,
        row_id: str,
        texts: Sequence[ShownText],
        image: ImageRecord,
        regions: Sequence[Region],
        *,
        scores: tuple[float, ...] = (),
        epoch: int = APPLIED,
    ) -> CriticInput:
        """A row as it is given in a round of training, or after it; `regions` are all of the image."""
        rng = random.Random(fingerprint([self.seed, row_id, epoch]))  # noqa: S311 - no secret
        mentions = {number for text in texts for number in text.mentions}
        drawn = drawn_regions(mentions, regions, self.show, rng)
        return CriticInput(row_id, image, drawn, self.text_of(texts), scores)

    def text_of(self, texts: Sequence[ShownText]) -> str:
        """The texts in one; tags such as `[0]` stay, for the picture has the same numbers."""
        text = " ".join(f"{one.name.replace('_', ' ').capitalize()}: {one.text}" for one in texts)
        # A chat model's last token has to look back at a task; a matching model matches the text itself.
        return f"{text}\n{self.question}" if self.backbone == "vlm" else text


def drawn_regions(
    mentions: set[int], regions: Sequence[Region], show: ShowingSettings, rng: random.Random
) -> tuple[Region, ...]:
    """The regions of an image to be drawn for a row, in the order of their numbers."""
    mentioned = [region for region in regions if region.number in mentions]
    others = [region for region in regions if region.number not in mentions]
    alone = show.regions == "mentioned"
    if show.regions == "mixed":
        alone = rng.random() < MENTIONED_ALONE_SHARE
    room = 0 if alone else min(len(others), max(0, show.max_regions - len(mentioned)))
    return tuple(sorted([*mentioned, *rng.sample(others, room)], key=lambda region: region.number))


class Pictures:
    """Images scaled down for a critic, the last used kept; any number of threads may ask.

    Images are kept as they are before anything is drawn: of one image many rows are judged, each with regions of its
    own.
    """

    def __init__(
        self, load: Callable[[ImageRecord], PIL.Image.Image], side_px: int, *, max_bytes: int = _CACHE_BYTES
    ) -> None:
        self._load = load
        self._side_px = side_px
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, PIL.Image.Image] = OrderedDict()
        self._lock = threading.Lock()

    def drawn(self, row: CriticInput) -> PIL.Image.Image:
        """The picture of a row; raises `ImageChangedError` where the image is no longer what was taken in."""
        return draw_regions(self._picture(row.image), row.regions)

    def _picture(self, image: ImageRecord) -> PIL.Image.Image:
        with self._lock:  # held while it is decoded: threads that ask together want the same one
            picture = self._kept.get(image.image_id)
            if picture is None:
                picture = shrunk(self._load(image), self._side_px)
                self._kept[image.image_id] = picture
                self._bytes += _bytes_of(picture)
            self._kept.move_to_end(image.image_id)
            while self._bytes > self._max_bytes and len(self._kept) > 1:
                self._bytes -= _bytes_of(self._kept.popitem(last=False)[1])
            return picture


def _bytes_of(picture: PIL.Image.Image) -> int:
    return 3 * picture.width * picture.height


@dataclass(frozen=True, slots=True)
class Example:
    """A row whose label is known, with what it is about."""

    label: Label
    texts: tuple[ShownText, ...]
    image: ImageRecord
    regions: tuple[Region, ...]  # all of the image
    scores: tuple[float, ...] = ()  # of the critics that are read, 0-1

    @property
    def identity(self) -> list[Any]:
        """All that a critic learns from it, as JSON values."""
        regions = [[region.number, *asdict(region.box).values()] for region in self.regions]
        return [asdict(self.label), [asdict(text) for text in self.texts], self.image.image_id, regions, self.scores]


@dataclass(frozen=True, slots=True)
class LabelSplits:
    """Examples by what they are for; no image is in two of them."""

    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    test: tuple[Example, ...]


def read_examples(
    run: RunFolder, labels: Sequence[Label], *, kind: RecipeKind, stage: str, scores_of: Sequence[str] = ()
) -> list[Example]:
    """The examples of a run in the order of their row ids; the labelled candidates are what `stage` kept.

    Labels of candidates that the run no longer has are counted in the log and left out. Raises `SettingsError` where
    there are no candidates, where these lack what a critic in `scores_of` requires, where fewer than `MIN_LABELS`
    labels are left, or where they are not of a kind.
    """
    if not run.partition_paths(stage):
        raise SettingsError(f"{run.path}: has no candidates; run `ostensive build` with this folder as --out first")
    wanted = {label.row_id for label in labels}
    candidates = {row.record_id: row for row in _kept(run, stage, kind.candidate) if row.record_id in wanted}
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
    evidence = _evidence(run, kind)
    rows = [candidates[label.row_id] for label in known]
    examples = []
    lost: Counter[str] = Counter()
    found = read_scores(reading_critics(scores_of, kind), rows, evidence)
    for label, row, scores in zip(known, rows, found, strict=True):
        if isinstance(scores, NoScore):
            lost[f"{scores.reason} ({scores.detail})"] += 1
            continue
        image = evidence[row.image_id]
        regions = () if image.verbalization is None else image.verbalization.regions
        examples.append(Example(label, kind.shown(row), image.image, regions, scores))
    for reason, count in sorted(lost.items()):
        _log.warning("%d of %d labelled candidates are left out: %s", count, len(known), reason)
    if lost:
        check_labels([example.label for example in examples], run.path)
    return examples


def _evidence(run: RunFolder, kind: RecipeKind) -> dict[str, ImageEvidence]:
    """What is known of the images of a run, as the stage that scores is told it."""
    texts = {text.image_id: text for text in _kept_of_class(run, Verbalization)}
    beside: dict[str, list[Annotation]] = {}
    for item in _kept_of_class(run, Annotation) if kind.reads_annotations else ():
        beside.setdefault(item.image_id, []).append(item)
    return {
        image.image_id: ImageEvidence(image, texts.get(image.image_id), tuple(beside.get(image.image_id, ())))
        for image in _kept_of_class(run, ImageRecord)
    }


def check_labels(labels: Sequence[Label], run: Path) -> None:
    """Raises `SettingsError` for too few labels to learn from, of one class only, or of different criteria."""
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
    criteria = sorted({criteria_of(label) for label in labels})
    if len(criteria) > 1:
        found = " and ".join(", ".join(names) or "none" for names in criteria)
        raise SettingsError(f"{run}: the labels are of different criteria ({found}); train on those of one task")


def criteria_of(label: Label) -> tuple[str, ...]:
    """The names of the criteria that a label has targets for, in their order."""
    return tuple(target.name for target in label.targets)


def _kept(run: RunFolder, stage: str, record: type) -> Iterator[Any]:
    for path in run.partition_paths(stage):
        yield from partitions.read_kept(path, record)


def _kept_of_class(run: RunFolder, record: type) -> Iterator[Any]:
    """What all stages kept that make records of this class."""
    for stage in sorted({path.parent.name for path in run.path.glob("*/part-*.parquet")}):
        if any(info.record == record.__name__ for info in run.infos(stage)):
            yield from _kept(run, stage, record)


def split_examples(examples: Sequence[Example], *, held_out_share: float, test_share: float, seed: int) -> LabelSplits:
    """`examples` in three splits by whole images, drawn from the seed; each gets an image at least.

    What was held out when candidates were put up to be judged is the test split. Where there is none, or it cannot
    measure a critic (`lacking_of`), further images go there until it has `test_share`, those first whose labels were
    all drawn fairly. Raises `SettingsError` where a split would have labels of one kind only, for it could neither
    stop a training nor measure one.
    """
    by_image: dict[str, list[Example]] = {}
    for example in examples:
        by_image.setdefault(example.image.image_id, []).append(example)
    test_images = {example.image.image_id for example in examples if example.label.held_out}
    splits: dict[SplitName, list[Example]] = {"test": [], "held-out": [], "train": []}
    for image_id in sorted(test_images):
        splits["test"] += by_image.pop(image_id)
    order = sorted(by_image, key=lambda image_id: fingerprint([seed, image_id]))
    if lacking_of([example.label for example in splits["test"]]) is not None:
        fair_first = sorted(order, key=lambda image_id: not all(one.label.is_fair for one in by_image[image_id]))
        for image_id in fair_first:
            if len(splits["test"]) >= test_share * len(examples):
                break
            splits["test"] += by_image.pop(image_id)
    for image_id in order:
        if image_id in by_image:
            is_wanting = len(splits["held-out"]) < held_out_share * len(examples)
            splits["held-out" if is_wanting else "train"] += by_image[image_id]
    for name, found in splits.items():
        accepted = sum(example.label.accepted for example in found)
        if accepted in (0, len(found)):
            what = f"{len(found)} labels, all {'accepted' if accepted else 'rejected'}" if found else "no labels"
            raise SettingsError(
                f"the {name} split has {what}, from {len({one.image.image_id for one in examples})} images with"
                f" {len(examples)} labels; label more images, give it a larger share (held_out_share, test_share), or"
                " draw the splits anew with another seed"
            )
    return LabelSplits(tuple(splits["train"]), tuple(splits["held-out"]), tuple(splits["test"]))


def lacking_of(held_out: Sequence[Label]) -> str | None:
    """Why these labels cannot measure a critic, in a few words; None where they can."""
    if len(held_out) < MIN_LABELS:
        return f"are {len(held_out)}, and {MIN_LABELS} are needed" if held_out else "are none"
    accepted = sum(label.accepted for label in held_out)
    return f"are all {'accepted' if accepted else 'rejected'}" if accepted in (0, len(held_out)) else None


def split_notes(examples: Sequence[Example], test: Sequence[Example]) -> list[str]:
    """What the user should know of a test split: that what was held out is not enough, or that scores chose of it."""
    held_out = [example.label for example in examples if example.label.held_out]
    lacking = lacking_of(held_out) if held_out else None
    notes = []
    if lacking is not None:
        notes.append(f"the labels held out to measure by {lacking}: further images are drawn for the test split")
    unfair = sum(not example.label.is_fair for example in test)
    if unfair:
        notes.append(
            f"{unfair:,} of {len(test):,} labels of the test split were chosen by scores: its figures say nothing of"
            " all candidates; hold some out with `ostensive annotate RUN --held-out 0.2`"
        )
    return notes


def steps_of(examples: Sequence[Example], epoch: int, *, batch_size: int, seed: int) -> list[list[Example]]:
    """The steps of a round: all examples once, in an order drawn from the seed and the round."""
    order = list(examples)
    random.Random(fingerprint([seed, epoch])).shuffle(order)  # noqa: S311 - no secret
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def image_loader(run: RunFolder) -> ImageLoader:
    """What loads the images of a run as they were taken in; raises `SettingsError`."""
    intake = read_yaml(run.recipe_path).get("intake") or {}
    return ImageLoader(validate(IntakeSettings, intake, str(run.recipe_path)))
