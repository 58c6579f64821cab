"""What a recipe tells the rest of the house of itself, and nothing more: its `RecipeKind`.

Commands, critics, cards and engines read the kind; none of them imports a recipe or spells the fields of its rows. A
kind is made of classes and functions of modules, so that it pickles.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, Literal  # Any: a kind is typed by its own recipe and candidate, which nobody here knows

from ostensive.chat.scripted import Script
from ostensive.recipe import Recipe
from ostensive.records import Spend, Turn
from ostensive.stage import AnyStage

NO_MENTIONS: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownText:
    """A text of a candidate as people and critics are shown it, under its name."""

    name: str  # "question", "rationale", "caption"
    text: str
    mentions: tuple[int, ...] = NO_MENTIONS  # the regions that it mentions, in the order of first mention


@dataclass(frozen=True, slots=True)
class Preference:
    """Two replies to one request about an image, of which the first is to be liked better."""

    prompt: str
    chosen: str
    rejected: str


View = Literal["messages", "prompt-completion", "llava", "preference", "lskd"]
"""A form of training rows; see `students.rows`."""
_LSKD_PARTS: Final = ("question", "answer", "rationale")

Swap = Literal["picture", "region"]


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A candidate that is put where it does not hold, for an unanswerable item to be made of it."""

    candidate: Any
    host: Any  # a candidate of the picture it is put on; its own where it is put on another region
    swapped: Swap
    region: int | None  # the other region, in place of the one that it mentions
    row_id: str  # of the item
    draw: Random  # for wordings


@dataclass(frozen=True, slots=True)
class UnanswerableItems:
    """How a recipe makes items whose answer is that it cannot be told, or is not there."""

    asked: str  # the name of the text, among those that `shown` gives, that is put elsewhere
    premise: Callable[[Any], tuple[str, ...]]  # stems of what a candidate takes to be there, empty for nothing
    said: Callable[[Any], str]  # what a candidate says that holds of its own picture
    make: Callable[[Misplaced], Any]  # the item: a candidate of its `row_id`, about the host's image
    # Share of the premise that may be known of a picture on which the candidate still does not hold, 0-1.
    max_known_share: float = 0.0


@dataclass(frozen=True, slots=True)
class ListedConcepts:
    """What became of asking a teacher for the concepts of labels."""

    kept: int  # labels that the file had before
    added: int
    lost: Mapping[str, str]  # labels that got none, with the reason
    few: Mapping[str, int]  # labels with too few to select from, in the file as it is now, and how many they have
    spend: Spend


def nothing_given(_candidate: Any) -> Sequence[str]:
    """Of a recipe whose candidates are written from what is known of their image alone."""
    return ()


def no_notes(_run: Path) -> Sequence[str]:
    """Of a recipe that has nothing to say of its runs."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeKind:
    """All that is known of a recipe outside its folder."""

    name: str
    recipe: type[Recipe]  # the model of its settings
    candidate: type[Any]  # the record that its rows are, a `Candidate`
    make_stages: Callable[[Any], Sequence[AnyStage]]  # from a recipe; nothing is opened
    script: Callable[[Any], Script]  # what the scripted teacher says to its prompts, from a recipe

    shown: Callable[[Any], tuple[ShownText, ...]]  # the texts of a candidate, in the order in which they are read
    compared_text: Callable[[Any], str]  # what stands for a candidate when it is compared or embedded
    parts: tuple[str, ...]  # the names of the texts that `shown` gives, in their order; critics may ask about each
    # What a candidate asks, for figures of what is asked; None where it asks nothing, as a caption does.
    questions: Callable[[Any], Sequence[str]] | None = None
    judged_parts: tuple[str, ...]  # those of `parts` that are claims: what a critic holds to be right or wrong
    judging_question: str = (
        "Does this hold for what the image shows?"  # that a model is asked after a candidate's texts
    )
    # What a candidate's teacher was told of the picture besides what its evidence holds, a line each, such as concepts
    # that were selected for it. Critics take it for known.
    given: Callable[[Any], Sequence[str]] = nothing_given
    # Fields of the candidate that hold the key of a journal's entry, the usual one first.
    request_fields: tuple[str, ...] = ("request_key",)
    has_regions: bool = False  # whether texts may mention regions as `[k]`

    # What a build has to say at its end besides its counts, a line each, from the run folder.
    run_notes: Callable[[Path], Sequence[str]] = no_notes
    counted_fields: tuple[str, ...] = ()  # fields of the candidate by whose values the card counts rows
    averaged_fields: tuple[str, ...] = ()  # fields of the candidate, numbers or yes and no, whose means the card gives
    unanswerable: UnanswerableItems | None = None  # None where the recipe has no such items

    # Asks the recipe's teacher what a thing of each label looks like and writes the list to a file, from a recipe, the
    # labels, the file and services; None where a recipe reads no such list.
    list_concepts: Callable[[Any, Iterable[str], Path, Any], ListedConcepts] | None = None
    tasks: tuple[str, ...] = ("accept",)  # annotation tasks that suit its candidates, the usual one first
    # What a student is trained on: a conversation about the image, in which it learns what the assistant says, and
    # which may begin with a turn of system; or two replies to a request. No text of them has a slot for the image.
    dialogue: Callable[[Any], Sequence[Turn]] | None = None
    # A conversation beside `dialogue`, in which a reason is asked for as the teacher was asked; () where there is none.
    explanation: Callable[[Any], Sequence[Turn]] | None = None
    preference: Callable[[Any], Preference] | None = None
    # What came in beside images: fields of `Annotation`, or names of extras, without which it cannot work, and others.
    annotations_required: tuple[str, ...] = ()
    annotations_optional: tuple[str, ...] = ()

    title: str  # what a corpus of it is, in a few words
    noun: str = "row"  # what people call one candidate: "triple", "caption"
    task_categories: tuple[str, ...]  # as the Hub names them
    tags: tuple[str, ...] = ()  # of the card, beside those of every corpus
    method: str  # how rows are made, in Markdown, for card and report
    citation: str  # BibTeX; empty where there is no paper
    limits: tuple[str, ...] = ()  # what a user of the corpus has to know of the method, a sentence each
    field_notes: Mapping[str, str] = field(default_factory=dict)  # what the fields of its candidate mean, for the card
    package: str  # the importable folder of the recipe, with `recipe.yaml` in it
    # Settings of its demo, over `builders.demo.SETTINGS`. Files in a folder `demo` of the package are copied beside the
    # photographs; `{demo}` in a setting is where they lie, and `annotations.jsonl` among them belongs to photographs.
    demo_settings: tuple[str, ...] = ()

    @property
    def one(self) -> str:
        """One candidate with its article: "a triple", "an explanation"."""
        return f"{'an' if self.noun[:1] in set('aeiou') else 'a'} {self.noun}"

    def conversations(self, candidate: Any) -> tuple[tuple[Turn, ...], ...]:
        """All that a student is told of a candidate; () where rows are pairs."""
        makers = [make for make in (self.dialogue, self.explanation) if make is not None]
        return tuple(tuple(turns) for make in makers if (turns := make(candidate)))

    @property
    def views(self) -> tuple[View, ...]:
        """The forms in which its rows can be exported for training."""
        views: list[View] = ["messages", "prompt-completion", "llava"] if self.dialogue else []
        views += ["preference"] if self.preference else []
        return (*views, "lskd") if self.has_regions and self.parts == _LSKD_PARTS else tuple(views)

    @property
    def reads_annotations(self) -> bool:
        """Whether anything that came in beside images is of use to it, and so to the critics of its candidates."""
        return bool(self.annotations_required or self.annotations_optional)
