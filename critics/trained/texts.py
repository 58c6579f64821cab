"""The words in which a critic reads a triple.

Fixed, and a part of what a critic is: one that learned "Rationale:" must not be asked with "Reason:". The order is that
of LSKD's repository: question, answer, rationale.
"""

from typing import Any, Final  # Any: a candidate

from critics.trained.settings import BackboneName

TEXT_VERSION: Final = 1
"""Goes up with every change of the words below; a critic says with which it was trained."""
_ASKED: Final = "Is the answer right for what is marked, and does the rationale justify it?"


def triple_text(candidate: Any, backbone: BackboneName) -> str:
    """The triple as a model of `backbone` reads it; tags such as `[0]` stay, for the picture has the same numbers."""
    text = f"Question: {candidate.question} Answer: {candidate.answer} Rationale: {candidate.rationale}"
    # A chat model's last token has to look back at a task; a matching model matches the text itself.
    return f"{text}\n{_ASKED}" if backbone == "vlm" else text
