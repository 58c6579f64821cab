"""Whether a picture may be mirrored: not where a text tells left from right, a direction, or what is written there.

It would rather leave a picture as it is than make a text false: "bright" is no side, but "that is right" is taken for
one. Words of other languages than those here are not known: set `flip` to 0 for them.
"""

import re
from collections.abc import Iterable
from typing import Final

_ENGLISH: Final = (
    r"(?:(?:upper|lower|top|bottom|far|front|back|rear)-?)?(?:left|right)\w*",  # leftmost, right-hand, bottomleft
    r"[lr]hs",
    r"(?:counter|contra|anti)?clockwise",
    r"o'?clock|clocks?|watch(?:es)?|dials?",  # a clock that is mirrored shows another time
    r"(?:north|south)?-?(?:east|west)\w*",
    r"starboard|port(?:side)?|stage-?(?:left|right)",
    # Writing, which is not to be read in a mirror.
    r"letter(?:s|ing)?|words?|text|writ(?:ten|ing|es?)|read(?:s|ing)?|says|spell(?:s|ed|ing)?|signs?|signage",
    r"labell?ed|labels?|logos?|brands?|numbers?|numerals?|digits?|captions?|titles?|headlines?|plates?|inscri\w+",
)
_OTHERS: Final = (
    r"links|rechts|linke[mnrs]?|rechte[mnrs]?|(?:gegen)?uhrzeigersinns?",  # German
    r"gauche|droite?s?",  # French
    r"izquierd[ao]s?|derech[ao]s?",  # Spanish
    r"esquerd[ao]s?|direit[ao]s?",  # Portuguese
    r"sinistr[aeio]|destr[aeio]",  # Italian
    r"linker\w*|rechter\w*",  # Dutch, beside the German
    r"vänster|höger|venstre|højre|høyre",  # Swedish, Danish, Norwegian
    r"lew\w{1,3}|praw\w{1,3}|lev[áéoý]\w*|prav[áéoý]\w*",  # Polish, Czech
    r"лев\w*|прав\w*|слева|справа|налево|направо",  # Russian
    r"sol\w{0,4}|sağ\w{0,4}",  # Turkish
)
_WORDS: Final = re.compile(rf"\b(?:{'|'.join((*_ENGLISH, *_OTHERS))})\b", re.IGNORECASE)
# Scripts without spaces, and words with what is written together with them.
_PARTS: Final = re.compile("[左右]|왼쪽|오른쪽|يسار|يمين|बाएँ|बाईं|दाएँ|दाईं|ซ้าย|ขวา")


def may_flip(texts: Iterable[str]) -> bool:
    """Whether all of `texts` still hold of the mirrored picture, as far as their words tell."""
    return not any(_WORDS.search(text) or _PARTS.search(text) for text in texts)
