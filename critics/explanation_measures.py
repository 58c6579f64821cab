"""Rule measures of an answer: whether it explains, how many of its concepts it names, and whether it goes in circles.

They stand for three measures of the paper: Explanation Existence and Cognition Score, of which GPT-4o is the judge by
prompts that are not published, and fluency, the perplexity under a language model that is not named. These are rules
of our own, cruder and free, and not comparable with the paper's figures. For a model as the judge there are the prompt
sets `explanation_existence`, `cognition` and `fluency` of the critic `judge`.
"""

from collections.abc import Sequence
from typing import Final

from critics.label_names import plain_label
from critics.lexicon import words_of

MEASURES_VERSION: Final = 1
"""Goes up with every change to a rule."""

MIN_WORD_SHARE: Final = 0.5
"""The share of a concept's content words that an answer has where it mentions the concept."""

_FUNCTION_WORDS = frozenset(
    {"a", "an", "the", "and", "or", "of", "in", "on", "at", "to", "by", "for", "from", "with", "without", "as", "is"}
    | {"are", "was", "were", "be", "been", "has", "have", "had", "its", "it", "this", "that", "these", "those", "there"}
    | {"their", "his", "her", "into", "over", "under", "than", "then", "very", "some", "any", "each", "all", "one"}
    | {"two", "more", "most"}
)
_REASON_WORDS = frozenset(
    {"because", "since", "as", "given", "by", "from", "with", "has", "have", "having", "shows", "show", "seen"}
    | {"visible", "evident", "evidenced", "indicates", "indicate", "tells", "told", "therefore", "thus", "hence", "so"}
    | {"which", "whose", "recognisable", "recognizable", "identified", "features", "feature"}
)


def content_words(text: str) -> frozenset[str]:
    """The words of a text that say something, in the singular where that is only an "s" less."""
    return frozenset(_singular(word) for word in words_of(plain_label(text)) if word not in _FUNCTION_WORDS)


def mentions(answer: str, concept: str) -> bool:
    """Whether an answer has at least `MIN_WORD_SHARE` of the content words of a concept."""
    wanted = content_words(concept)
    return bool(wanted) and len(wanted & content_words(answer)) >= MIN_WORD_SHARE * len(wanted)


def concept_share(answer: str, concepts: Sequence[str]) -> float:
    """The share of `concepts` that an answer mentions, 0-1; 0 where there are none."""
    return sum(mentions(answer, concept) for concept in concepts) / len(concepts) if concepts else 0.0


def explains(answer: str, label: str, concepts: Sequence[str]) -> bool:
    """Whether an answer says more than the label: it mentions a concept, beyond the label's words, with a reason."""
    beyond = " ".join(sorted(content_words(answer) - content_words(label)))
    gives_reason = not _REASON_WORDS.isdisjoint(words_of(answer))
    return gives_reason and any(mentions(beyond, concept) for concept in concepts)


def distinct_trigrams(answer: str) -> float:
    """The different sequences of three words of an answer for each one that it has, 0-1; 1 for fewer than three words.

    Distinct-n with n = 3 (Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models", 2016,
    section 5.3): low where a model repeats itself, which is how small ones lose fluency.
    """
    words = words_of(answer)
    trigrams = list(zip(words, words[1:], words[2:], strict=False))
    return len(set(trigrams)) / len(trigrams) if trigrams else 1.0


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
