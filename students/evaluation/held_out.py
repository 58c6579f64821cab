"""Rows of a corpus of ours that a student was not trained on: how likely it finds what the assistant says there."""

from collections.abc import Iterator

import PIL.Image

from cards.reading import Corpus
from ostensive.errors import SettingsError
from ostensive.images.refusals import MISSING
from ostensive.recipe_kind import RecipeKind
from ostensive.user_paths import shown_path
from students.evaluation.items import BrokenRowError, ChoiceItem, Question, Read, ShownBox
from students.evaluation.pictures import with_boxes
from students.evaluation.reading import ReadOptions
from students.reading import CorpusImage, JudgedRow, read_images

HELD_OUT = "test"
_UNIT = (1, 1)  # the size of a picture whose corners are normalised


def read_held_out(corpus: Corpus, kind: RecipeKind, options: ReadOptions) -> Read[ChoiceItem]:
    """An item of each turn of the assistant in the rows of a split, `test` unless the options name another.

    Its one choice is what the assistant says. Raises `SettingsError` for a recipe without conversations, or a corpus
    without rows in that split.
    """
    if kind.dialogue is None:
        raise SettingsError(f"--format corpus: rows of {kind.name} are no conversations; nothing is said in them")
    split = options.split or HELD_OUT
    read: Read[ChoiceItem] = Read()
    for image in read_images(corpus, kind):
        for row in image.rows:
            if image.split != split:
                read.passed_over += 1
                continue
            try:
                read.add(list(_items(image, row, kind, options)))
            except BrokenRowError as error:
                read.lose(str(error))
    if not read.items:
        raise SettingsError(
            f"--split {split}: {shown_path(corpus.path)} has no row in it; build with --set corpus.splits.{split}=0.1"
        )
    return read


def _items(image: CorpusImage, row: JudgedRow, kind: RecipeKind, options: ReadOptions) -> Iterator[ChoiceItem]:
    candidate = row.candidate
    mentioned = {number for text in kind.shown(candidate) for number in text.mentions}
    drawn = [
        region
        for region in image.regions
        if kind.has_regions
        and (options.regions == "all" or (options.regions == "mentioned" and region.number in mentioned))
    ]
    boxes = tuple(ShownBox(one.number, (one.box.x1, one.box.y1, one.box.x2, one.box.y2), _UNIT) for one in drawn)
    before = 0  # turns of conversations before this one
    for turns in kind.conversations(candidate):
        for place, turn in enumerate(turns):
            if turn.role == "assistant":
                question = Question(f"{candidate.row_id} {before + place}", (image.image_id,), turns[:place], boxes)
                yield ChoiceItem(question, (turn.text,), lead="")
        before += len(turns)


class CorpusPictures:
    """The pictures of a corpus, for questions in the order of its files."""

    def __init__(self, corpus: Corpus, kind: RecipeKind) -> None:
        self._corpus, self._kind = corpus, kind
        self._images = iter(read_images(corpus, kind))
        self._current: CorpusImage | None = None

    def picture(self, question: Question) -> PIL.Image.Image:
        """See `students.evaluation.pictures.Pictures`."""
        (image_id,) = question.places
        return with_boxes(self._found(image_id).jpeg, question.boxes)

    def _found(self, image_id: str) -> CorpusImage:
        if self._current is not None and self._current.image_id == image_id:
            return self._current
        for image in self._images:
            if image.image_id == image_id:
                self._current = image
                return image
        raise BrokenRowError(MISSING)
