"""Jabber: replies that are no rationale, told by their words alone, so that no critic is asked about them.

ILLUME filters jabber automatically before people rate (section 4.5, SMID: rating 5) and does not publish how. Its
figures on BLIP and OFA, which repeat the answer in 89 % and 63 % of cases (section 4.3), say what to look for. The
rules are this project's own. They work on words of any script; only the list of words that say nothing is English.
"""

import unicodedata
from collections.abc import Iterator, Sequence

from builders.rationales.settings import RationalesSettings

REPEATS_ANSWER = "repeats the answer"
REPEATS_QUESTION = "repeats the question"
TOO_SHORT = "too short"
FEW_LETTERS = "too few letters"
REPEATS_ITSELF = "repeats itself"

SAYS_NOTHING = frozenset(
    {"a", "an", "the", "is", "are", "was", "were", "be", "been", "being", "am", "do", "does", "did", "has", "have"}
    | {"had", "it", "its", "they", "them", "their", "he", "him", "his", "she", "her", "this", "that", "these", "those"}
    | {"there", "of", "in", "on", "at", "to", "by", "for", "from", "with", "and", "as", "so", "because", "since", "not"}
    | {
        "it's",
        "that's",
        "there's",
        "isn't",
        "aren't",
        "doesn't",
        "don't",
        "answer",
        "right",
        "correct",
        "just",
        "simply",
    }
)
"""English words that say nothing of a picture by themselves."""
# Scripts that are written without blanks: Thai, Lao, Myanmar, Khmer, kana, Han.
_UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF))
_MIN_TOKENS_TO_COUNT = 8  # below that a share of different words says little
_MAX_RUN = 8  # the longest run of words that is looked for as repeated
_RUNS = 3  # so many of one run in succession are jabber
_SINGLES = 4  # and so many of one word: "very, very, very tall" is none


def jabber(rationale: str, question: str, answer: str, settings: RationalesSettings) -> str:
    """Why a rationale is no candidate, as a fixed phrase; empty where it may be one."""
    tokens = list(tokens_of(rationale))
    says = set(tokens) - SAYS_NOTHING
    answered, asked = set(tokens_of(answer)), set(tokens_of(question))
    # An answer may be a word that says nothing elsewhere, such as "on".
    if says <= answered and (says or answered & set(tokens)):
        return REPEATS_ANSWER
    if says and says <= answered | asked:
        return REPEATS_QUESTION
    if not says or word_count(tokens) < settings.min_words:
        # Signs alone have no words; what is wrong with them is that they are signs.
        return FEW_LETTERS if not tokens and rationale else TOO_SHORT
    if letter_share(rationale) < settings.min_letter_share:
        return FEW_LETTERS
    if stutters(tokens) or (
        len(tokens) >= _MIN_TOKENS_TO_COUNT and len(set(tokens)) < settings.min_distinct_share * len(tokens)
    ):
        return REPEATS_ITSELF
    return ""


def tokens_of(text: str) -> Iterator[str]:
    """The words of a text in order, case folded; of scripts that are written without blanks, each letter is one."""
    word = ""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    for place, character in enumerate(folded):
        unspaced = _is_unspaced(character)
        within = character == "'" and folded[place + 1 : place + 2].isalpha()
        if not unspaced and (_is_of_word(character) or (word and within)):
            word += character
            continue
        if word:
            yield word
            word = ""
        if unspaced and character.isalnum():
            yield character
    if word:
        yield word


def word_count(tokens: Sequence[str]) -> int:
    """How many words that is, where two letters of a script without blanks count as about one, rounded up."""
    unspaced = sum(map(_is_unspaced, tokens))
    return len(tokens) - unspaced + (unspaced + 1) // 2


def letter_share(text: str) -> float:
    """The share of letters, with the marks on them, in what is no white space, 0-1; 0 of nothing. Digits are none."""
    visible = [character for character in text if not character.isspace()]
    letters = sum(unicodedata.category(character)[0] in "LM" for character in visible)
    return letters / len(visible) if visible else 0.0


def stutters(tokens: Sequence[str]) -> bool:
    """Whether a run of up to eight words follows on itself again and again: three times, a single word four times."""
    for length in range(1, _MAX_RUN + 1):
        matching, wanted = 0, length * ((_SINGLES if length == 1 else _RUNS) - 1)
        for place in range(len(tokens) - length):
            matching = matching + 1 if tokens[place] == tokens[place + length] else 0
            if matching == wanted:
                return True
    return False


def _is_of_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def _is_unspaced(token: str) -> bool:
    return any(first <= ord(token[0]) <= last for first, last in _UNSPACED)
