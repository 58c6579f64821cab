"""What the recipe `preferences` proposes: a prompt with two descriptions, of which the first is to be preferred."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """A candidate of the `preferences` recipe: both sides answer `prompt` about the picture as it is.

    The corrupted picture, where there was one, is never kept: a student sees the clean one beside both sides.
    """

    row_id: str  # from the image, the requests that wrote both sides and its place among the image's pairs
    image_id: str
    prompt: str  # a plain captioning prompt, whatever the sides were written to
    chosen: str
    rejected: str
    way: str  # how the rejected side was spoilt: "imagined" or "corrupted"
    corruption: str  # what was done to the picture, with its numbers; empty where nothing was
    hallucination_prompt: str  # the name of the template that asked for things that are not there; empty without one
    teacher: str  # the model's name as the reply gave it
    prompt_hash: str  # of the prompt templates, see `ostensive.prompts`
    request_key: str  # of the journal's entry that holds the chosen side
    rejected_request_key: str  # and of the one that holds the rejected side
    round: int  # that made it, from 0
    unanswerable: str = ""  # "picture" or "region" where it was put where it does not hold; else empty

    @property
    def record_id(self) -> str:
        return self.row_id
