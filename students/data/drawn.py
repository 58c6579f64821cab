"""Rows as a student is shown them: a picture with regions drawn on it, and texts that know them by the same numbers."""

from dataclasses import dataclass, replace
from random import Random

import PIL.Image

from cards.samples import mentions_of
from ostensive.images.drawing import draw_regions
from ostensive.recipe_kind import Preference, RecipeKind, ShownText
from ostensive.records import Region, Turn
from students.data.augmentation import Augmentation, augment, numbers_in, renumbered
from students.data.pictures import transformed
from students.data.settings import DEFAULT, AugmentationSettings
from students.reading import CorpusRow


@dataclass(frozen=True, slots=True)
class DrawnRow:
    """A row with its picture: RGB, `regions` drawn on it, and all texts with the numbers of these."""

    row_id: str
    image_id: str
    picture: PIL.Image.Image
    texts: tuple[ShownText, ...]
    conversations: tuple[tuple[Turn, ...], ...]  # what a student is told; () where rows are pairs
    preference: Preference | None  # None where rows are conversations
    regions: tuple[Region, ...]  # on this picture, in the order of their numbers

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Those of all conversations, one after another."""
        return tuple(turn for turns in self.conversations for turn in turns)


@dataclass(frozen=True, slots=True)
class RegionAugmentation:
    """Draws the picture of a row anew at each call, as `settings` say: a `transform` of the readers of this folder.

    Calling it raises `PictureError` for a picture that cannot be decoded.
    """

    kind: RecipeKind
    settings: AugmentationSettings = DEFAULT

    def __call__(self, row: CorpusRow, draw: Random) -> DrawnRow:
        """The same state of `draw` gives the same row."""
        candidate = row.row.candidate
        texts = self.kind.shown(candidate)
        conversations = self.kind.conversations(candidate)
        preference = self.kind.preference(candidate) if self.kind.preference else None
        said = [*(text.text for text in texts), *(turn.text for turns in conversations for turn in turns)]
        if preference is not None:
            said += [preference.prompt, preference.chosen, preference.rejected]
        said = list(dict.fromkeys(said))  # a conversation is mostly made of the texts
        drawn = augment(
            row.image.regions,
            {*mentions_of(texts), *(number for text in said for number in numbers_in(text))},
            said,
            size=row.image.size,
            settings=self.settings,
            draw=draw,
        )
        picture = transformed(row.image.jpeg, drawn.geometry)
        return DrawnRow(
            row_id=row.row_id,
            image_id=row.image.image_id,
            picture=draw_regions(picture, drawn.regions) if drawn.regions else picture,
            texts=tuple(_renumbered_text(text, drawn) for text in texts),
            conversations=tuple(
                tuple(replace(turn, text=renumbered(turn.text, drawn.numbers)) for turn in turns)
                for turns in conversations
            ),
            preference=None if preference is None else _renumbered_pair(preference, drawn),
            regions=drawn.regions,
        )


def _renumbered_text(text: ShownText, drawn: Augmentation) -> ShownText:
    mentions = tuple(drawn.numbers.get(number, number) for number in text.mentions)
    return replace(text, text=renumbered(text.text, drawn.numbers), mentions=mentions)


def _renumbered_pair(pair: Preference, drawn: Augmentation) -> Preference:
    sides = (renumbered(text, drawn.numbers) for text in (pair.prompt, pair.chosen, pair.rejected))
    return Preference(*sides)
