"""What the recipe `localized` proposes: a question, an answer and a rationale, with the regions that they mention."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Qar:
    """A candidate of the `localized` recipe: a question, an answer and the rationale for it.

    In mode `ids` regions are spoken of as `[k]`, in mode `descriptions` by what they look like. `mentions` are the
    distinct region numbers in the order of their first mention.
    """

    row_id: str  # from the image, the request that wrote it and its place in the reply
    image_id: str
    mode: str  # "ids" or "descriptions"
    question: str
    answer: str
    rationale: str
    mentions: tuple[int, ...]
    teacher: str  # the model's name as the reply gave it
    prompt_hash: str  # of the prompt templates, see `ostensive.prompts`
    request_key: str  # of the journal's entry that holds the request and the reply
    unanswerable: str = ""  # "picture" or "region" where it was put where it does not hold; else empty

    @property
    def record_id(self) -> str:
        return self.row_id
