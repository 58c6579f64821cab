"""The records that move between stages: frozen, typed, and known to nobody but themselves.

Every record names the image it belongs to and has a `record_id` made from content or source, never from position. What
a stage learns is added beside what it read; nothing here is ever changed in place.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Final, Generic, Protocol, TypeVar


class Record(Protocol):
    """What the run folder asks of a record: an id of its own and the image it is about."""

    @property
    def record_id(self) -> str: ...
    @property
    def image_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Location:
    """Where the bytes of an image lie: a file, or a place in one, as the file's format counts places.

    `path` is absolute. A tar member is `length` bytes from `offset`; a Parquet image is row `offset` of the column
    `column`; a plain file has no `offset`.
    """

    path: str
    offset: int | None = None
    length: int | None = None
    column: str | None = None


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image that was taken in: width and height in pixels after EXIF rotation."""

    # Moving the folder changes nothing that is said about its images, so no later stage is redone for it. A file that
    # is renamed within it counts as one that went and one that came: its answers come from the journal.
    DIGEST_EXCLUDES: ClassVar[frozenset[str]] = frozenset({"source", "location"})

    image_id: str  # SHA-256 of the file's bytes, hexadecimal
    width: int
    height: int
    format: str  # Pillow's name of the file format: JPEG, PNG, WEBP, ...
    mode: str  # Pillow's mode before conversion to RGB: RGB, L, CMYK, P, I;16, RGBA, ...
    byte_count: int
    source: str  # the name shown to people: path relative to what the user gave, `tar!member`, `parquet#row`
    location: Location
    # Of 16-bit samples, how many bits hold the picture: the same pixels are then looked at and published.
    sample_bits: int | None = None

    @property
    def record_id(self) -> str:
        return self.image_id


@dataclass(frozen=True, slots=True)
class NamedText:
    """A text and what it is: a column beside an image."""

    name: str
    text: str


IMAGE_SLOT: Final = "<image>"
"""What stands for an image in the text of a turn, as LLaVA writes it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side of a conversation says; an image stands in it as `IMAGE_SLOT`."""

    role: str  # "system", "user" or "assistant"
    text: str  # may be empty


@dataclass(frozen=True, slots=True)
class Annotation:
    """Text that came in beside an image; an image may have many.

    No text is empty, but in turns: what was not given is None or ().
    """

    # They say under which terms an image is published, and no text that is made of it depends on that.
    DIGEST_EXCLUDES: ClassVar[frozenset[str]] = frozenset({"source", "license"})

    annotation_id: str  # from the image and the texts, not from split, source and licence
    image_id: str
    question: str | None = None
    answers: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    label: str | None = None
    instruction: str | None = None
    turns: tuple[Turn, ...] = ()  # of a conversation, in order
    rationales: tuple[str, ...] = ()
    split: str | None = None  # this and the next two are the same in all annotations of an image
    source: str | None = None
    license: str | None = None
    extras: tuple[NamedText, ...] = ()  # what `annotations.columns` names beyond these, in the order of the names

    @property
    def record_id(self) -> str:
        return self.annotation_id


@dataclass(frozen=True, slots=True)
class Box:
    """A box on an upright image: corners normalised to 0-1, `x1 < x2`, `y1 < y2`, y downwards."""

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        corners = (self.x1, self.y1, self.x2, self.y2)
        ordered = 0 <= self.x1 < self.x2 <= 1 and 0 <= self.y1 < self.y2 <= 1
        if not (ordered and all(math.isfinite(corner) for corner in corners)):
            raise ValueError(f"not a box with corners in 0-1, first above and left of second: {corners}")

    @property
    def area(self) -> float:
        """Share of the image the box covers, 0-1."""
        return (self.x2 - self.x1) * (self.y2 - self.y1)

    @property
    def center(self) -> tuple[float, float]:
        """The middle of the box, normalised `(x, y)`."""
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    def overlap(self, other: "Box") -> float:
        """Intersection over union with `other`, 0-1."""
        width = min(self.x2, other.x2) - max(self.x1, other.x1)
        height = min(self.y2, other.y2) - max(self.y1, other.y1)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.area + other.area - shared)

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """`(left, top, right, bottom)` in whole pixels of a `width` x `height` image; at least one pixel large."""
        left, top = min(round(self.x1 * width), width - 1), min(round(self.y1 * height), height - 1)
        return left, top, max(round(self.x2 * width), left + 1), max(round(self.y2 * height), top + 1)


AREA_LABEL: Final = "area"
"""The label of a region whose proposer does not know what it took."""


@dataclass(frozen=True, slots=True)
class Region:
    """A numbered box on an image and what is said of it. `number` counts from 0 and is what `[k]` in a text means."""

    number: int
    box: Box
    label: str  # what the proposer took it for: "face", a detector's class, or `AREA_LABEL`
    label_probability: float | None  # the proposer's own confidence, 0-1; None where it has none
    caption: str


@dataclass(frozen=True, slots=True)
class Probe:
    """A short question asked about an image, and its answer."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Verbalization:
    """All text that stands for an image before a teacher that cannot see it."""

    image_id: str
    concepts: tuple[str, ...]  # whole sentences
    narratives: tuple[str, ...]
    regions: tuple[Region, ...]  # in the order of their numbers
    probes: tuple[Probe, ...]

    @property
    def record_id(self) -> str:
        return self.image_id


@dataclass(frozen=True, slots=True)
class ImageSignature:
    """What an image is compared by, see `ostensive.images.perceptual`; empty where there is nothing to see."""

    image_id: str
    hashes: tuple[str, ...]  # 16 hexadecimal digits each: of the whole, of its middle parts, of the whole mirrored
    thumbnails: str  # bytes in hexadecimal digits
    embedding: tuple[float, ...] = ()  # of unit length; empty where none is asked for

    @property
    def record_id(self) -> str:
        return self.image_id


@dataclass(frozen=True, slots=True)
class ImageSplit:
    """The split of the corpus that an image belongs to, with all that is said of it."""

    image_id: str
    split: str
    group: str | None = None  # the smallest id of those in it that look alike; None for an image that is alone
    drawn_by: str | None = None  # a hash of the settings by which it was drawn; None where the split was given
    leaks: bool = False  # whether it looks like an image of another split

    @property
    def record_id(self) -> str:
        return self.image_id


class Candidate(Record, Protocol):
    """What a builder proposes, whatever the recipe: a record with its lineage. Its `record_id` is its `row_id`."""

    @property
    def row_id(self) -> str:
        """From the image, the request that wrote it and its place in the reply."""
        ...

    @property
    def teacher(self) -> str:
        """The model's name as the reply gave it."""
        ...

    @property
    def prompt_hash(self) -> str:
        """Of the prompt templates, see `ostensive.prompts`."""
        ...

    @property
    def request_key(self) -> str:
        """Of the journal's entry that holds the request and the reply."""
        ...


CandidateT = TypeVar("CandidateT", bound=Candidate)


@dataclass(frozen=True, slots=True)
class CriticScore:
    """What one critic found of one candidate, before any threshold. One polarity everywhere: 1 is accept."""

    critic: str
    critic_version: str  # a hash of all that the score depends on; the threshold is none of it
    accept_probability: float  # 0-1; rules give 0 or 1
    reason: str  # what speaks against it, to count by where the candidate is rejected
    detail: str  # what was found, in free words


@dataclass(frozen=True, slots=True)
class Scored(Generic[CandidateT]):
    """A candidate beside the score of every critic."""

    candidate: CandidateT
    scores: tuple[CriticScore, ...]

    @property
    def record_id(self) -> str:
        return self.candidate.record_id

    @property
    def image_id(self) -> str:
        return self.candidate.image_id


@dataclass(frozen=True, slots=True)
class Judgement:
    """What follows from one critic's score and its threshold. One polarity everywhere: 1 is accept."""

    critic: str
    critic_version: str
    accept_probability: float  # 0-1; rules give 0 or 1
    accepted: bool
    reason: str  # empty when accepted


@dataclass(frozen=True, slots=True)
class Judged(Generic[CandidateT]):
    """A candidate beside every judgement on it."""

    candidate: CandidateT
    judgements: tuple[Judgement, ...]

    @property
    def record_id(self) -> str:
        return self.candidate.record_id

    @property
    def image_id(self) -> str:
        return self.candidate.image_id


@dataclass(frozen=True, slots=True)
class Spend:
    """What the answers behind a row cost when they were bought; `usd` is None where the price is not known.

    All that was paid for is in it: replies of no use too, and replies whose tokens the server did not report, which
    count with the most they can have taken.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = 0.0
    spoiled_requests: int = 0  # those of `requests` whose reply was of no use
    estimated_requests: int = 0  # those of `requests` whose tokens are estimated from above

    def __add__(self, other: "Spend") -> "Spend":
        return Spend(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            None if self.usd is None or other.usd is None else self.usd + other.usd,
            self.spoiled_requests + other.spoiled_requests,
            self.estimated_requests + other.estimated_requests,
        )


NO_SPEND = Spend()


def dollars(usd: float) -> str:
    """A sum in US dollars: four decimals, or as many as it takes to be more than nothing."""
    decimals = 4 if usd <= 0 or usd >= 0.0001 else min(20, 1 - math.floor(math.log10(usd)))
    return f"{usd:,.{decimals}f}"
