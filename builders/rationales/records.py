"""The record that the builder writes and the critics judge."""

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

    @property
    def record_id(self) -> str:
        return self.row_id
