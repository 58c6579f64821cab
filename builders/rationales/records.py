"""The record that the builder writes and the critics judge, and what moves between the stages of a prompt search."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rationale:
    """Why an answer is right, as a teacher put it that saw the image and was told the answer."""

    row_id: str  # from the image, the request that wrote it and its place among all that was asked of the image
    image_id: str
    annotation_id: str  # of the item that the question and the answer are from
    question: str
    answer: str
    rationale: str
    prompt: str  # the name of its explanation prompt
    temperature: float  # at which it was drawn
    round: int  # that made it, from 0
    teacher: str  # the model's name as the reply gave it
    prompt_hash: str  # of the prompt templates, see `ostensive.prompts`
    request_key: str  # of the journal's entry that holds the request and the reply
    unanswerable: str = ""  # "picture" or "region" where it was put where it does not hold; else empty
    asked: str = ""  # the prompt in the words that the teacher was asked in; empty where no teacher was

    @property
    def record_id(self) -> str:
        return self.row_id


@dataclass(frozen=True, slots=True)
class Sampled:
    """Which items of an image the prompts are tried on, by `items.key_of`; of most images none."""

    image_id: str
    items: tuple[str, ...]

    @property
    def record_id(self) -> str:
        return self.image_id

    def __str__(self) -> str:
        return f"{len(self.items)} items to try the prompts on"


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a prompt, in counts of replies; a request that brought no reply is none."""

    prompt: str
    replies: int = 0
    candidates: int = 0  # of the replies
    referenced: int = 0  # replies about items that have people's rationales
    fitting: int = 0  # of those, candidates that are like enough to a reference
    overlap_sum: float = 0.0  # of those, ROUGE-L to the nearest reference, 0 for what is no candidate


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of each prompt on the sampled items of an image; `trials` are empty where there are none."""

    image_id: str
    items: tuple[str, ...]
    trials: tuple[Trial, ...] = ()

    @property
    def record_id(self) -> str:
        return self.image_id

    def __str__(self) -> str:
        return "; ".join(f"{trial.prompt}: {trial.candidates} of {trial.replies} replies" for trial in self.trials)


@dataclass(frozen=True, slots=True)
class Prompted:
    """The prompts that an image is asked with, those that the search kept, and the items that were tried."""

    image_id: str
    prompts: tuple[str, ...]
    items: tuple[str, ...]

    @property
    def record_id(self) -> str:
        return self.image_id

    def __str__(self) -> str:
        return f"asked with {', '.join(self.prompts)}"
