"""What the recipe `instructions` proposes: an instruction about an image, and a description of it to be put before."""

from dataclasses import dataclass

from ostensive.records import Turn


@dataclass(frozen=True, slots=True)
class InfusedInstruction:
    """A candidate of the `instructions` recipe. `infusing` puts description and turns together."""

    row_id: str  # from the image, the request that wrote the description, and the turns
    image_id: str
    annotation_id: str  # of the item that the turns are from
    description: str
    turns: tuple[Turn, ...]  # as they came in, in order, without an image slot; user and assistant by turns
    prompt: str  # the name of the template that asked for the description
    teacher: str  # the model's name as the reply gave it
    prompt_hash: str  # of the prompt templates, see `ostensive.prompts`
    request_key: str  # of the journal's entry that holds the description
    unanswerable: str = ""  # "picture" or "region" where it was put where it does not hold; else empty

    @property
    def record_id(self) -> str:
        return self.row_id
