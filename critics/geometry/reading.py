"""From sentences to statements: English about sides, sizes, shares, counts and shared space, by patterns.

A clause is read as a subject, a verb and a predicate, and only where all three are understood to the last word. What
is no claim is not read: conditions, wishes, what might or would be, questions without an answer, quotations, and the
sides of somebody ("to her left"). Yes and no, "which of the two" and "how many" are read together with their answers.

Every function is pure; the time is linear in the length of a sentence, and sentences have a greatest length.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from critics.geometry.phrases import read_phrase
from critics.geometry.predicates import COVERING, read_predicate
from critics.geometry.statements import (
    Alike,
    Compared,
    Counted,
    Described,
    Everything,
    Extreme,
    Is,
    Listed,
    Near,
    Numbers,
    Phrase,
    Predicate,
    Pronoun,
    Read,
    Shared,
    Statement,
)
from critics.geometry.words import NUMBER, OF_PICTURE, PICTURE, number_of

_TRIGGER: Final = re.compile(
    r"\b(?:left|right|above|below|under|beneath|underneath|high|low|higher|lower|top|bottom|upper|middle|edge|corner|near|nearer|nearest|clos\w+|far"
    r"|furthest|further|larg\w+|bigg\w+|big|small\w*|wid\w+|broad\w*|narrow\w*|slimmer|tall\w*|short\w*|covers?|takes?|occup\w+|fills?|spans?|most|least"
    r"|space|size|height|area|central|overlap\w*|intersect\w*|cross\w*|touch\w*|apart|separat\w+|gap|inside|within|outside|surround\w*|enclos\w+"
    r"|contain\w*|beside|next|alongside|adjacent|between|level|before|topmost|bottommost|leftmost|rightmost|uppermost|lowest|highest|only|there|both"
    r"|of|shows|twice|half|third|quarter|percent)\b|%"
)
_NO_CLAIM: Final = re.compile(
    r"\b(?:if|unless|suppose|supposing|supposedly|imagine|imagining|assume|assuming|pretend\w*|whether|wish\w*|hypothetical\w*|mirror\w*"
    r"|flipped|rotated|upside|reflection|once|formerly|previously|used to|as though|had|quoted|says?|said|claims? that|think|thinks|thought|believes?"
    r"|wonder\w*|ask\w*|told|tell|point of view|perspective|viewpoint|seen from|viewed from|facing|let us|lest|in case|rumou?r\w*|according to)\b"
)
_VIEWER: Final = re.compile(
    r"\b(?:from (?:the viewer's|our|the camera's|a viewer's) (?:point of view|perspective|viewpoint|side)|to the viewer|for the viewer|as seen by the viewer)\b,? ?"
)
_NO_CLAUSE: Final = re.compile(
    r"\b(?:would|could|might|may|should|must|ought|shall|will|cannot|can not|(?:his|her|their|my|your|its) (?:own )?(?:left|right)|almost (?:in|out|left|right|above|below|touch\w*|overlap\w*)"
    r"|hardly|barely|scarcely|partly|partially|in front of|behind|supposed to|meant to|not necessarily|not always|sometimes|unlikely|doubt\w*)\b"
)
_CAN: Final = re.compile(r"\b(?:can|may) (?:be|also be|clearly be) (seen|found|made out|spotted)\b")
_CONNECTORS: Final = re.compile(
    r",? (?:so|because|since|while|whereas|although|though|hence|thus|therefore|meaning|making|as|which|where|who|and so|which is why|given that) |; | - |(?<=[a-z\]]) ?[–—] ?"
)
_COMMAS: Final = re.compile(r",? (?:and|but|yet) |, ")
_LEAD_IN: Final = re.compile(
    rf"(?:(?:yes|no|well|here|indeed|also|thus|so|then|and|but|clearly|obviously|evidently|moreover|furthermore|overall|in fact|actually|perhaps|maybe|probably"
    rf"|possibly|most likely|likely|very likely|apparently|presumably|surely|certainly|of course|as shown|as seen|in short|right|correct|because|since|given that|while|although|though|this is because|that is because|in comparison|by comparison|compared with it|compared to it|(?:in|within|on|across|throughout) {PICTURE}"
    rf"|as (?:you|we|one) can see|it (?:is|seems|appears|looks)(?: (?:clear|plain|likely|true|obvious|evident|probable|certain))? (?:that|like)|it looks like|(?:we|you|one) can see(?: that)?|we see(?: that)?"
    r"|note that|notice that|observe that|the reason is(?: that)?|the boxes show that|i think(?: that)?|i believe(?: that)?|only|even|likewise|similarly|by contrast|in contrast|on the other hand|however|meanwhile)(?:,| ) ?)+"
)
_FALSE_THAT: Final = re.compile(
    r"^it (?:is|would be) (?:not (?:true|the case|correct|so|right)|false|untrue|wrong|incorrect)(?: to say)?(?: that)? "
)
_BE: Final = r"is|are|was|were|lies?|lay|sits?|sat|stands?|stood|rests?|hangs?|floats?|hovers?|appears?|seems?|looks?|remains?|stays?|ends up|can be|has been|being"
_LEXICAL: Final = rf"{COVERING}|overlaps?|intersects?|cross(?:es)?|touch(?:es)?|shares?|contains?|encloses?|surrounds?|encompass(?:es)?|includes?|(?:ends?|stops?|finish(?:es)?) before|has|have|reach(?:es)?|meets?|(?:fully|completely|entirely|wholly) (?:contains?|encloses?|surrounds?|covers?)"
_VERB: Final = re.compile(
    rf"(?:^| )(?P<be>{_BE})(?= |$)"
    r"|(?P<aux> (?:(?:do|does|did)(?: not)?|never|no longer|both|all|also|clearly|together))"
    rf"(?: (?P<be2>lie|sit|stand|appear|seem|look|hang|rest)(?= )|(?= {_LEXICAL}\b))"
    rf"| (?={_LEXICAL}\b)"
)
_ADVERB: Final = re.compile(
    r"(?:located|positioned|placed|situated|found|seen|made out|spotted|shown|visible|standing|sitting|seated|lying|resting|parked|hanging|set|to be|to lie|to sit|to stand|being"
    r"|clearly|obviously|definitely|certainly|also|both|all|each|just|still|well|far|much|slightly|a bit|a little|somewhat|a lot|considerably|noticeably|visibly|distinctly|significantly"
    r"|directly|immediately|plainly|indeed|really|actually|even|quite|mostly|mainly|by far|very|rather|safely|entirely|completely|fully|wholly|probably|likely|most likely|apparently|perhaps|maybe|together"
    r"|right(?= (?:above|below|next|beside|between|at|in|on|under|beneath|inside|near))|, |the one that is|the one) "
)
_KEPT: Final = frozenset(("entirely ", "completely ", "fully ", "wholly ", "well ", "far ", "much ", "all "))
_DENIAL: Final = re.compile(r"(?:not|never|no longer|by no means|in no way|nowhere|not at all|anything but|neither) ")
_TRAILING: Final = re.compile(
    rf"(?:,? (?:in|of|within|on|across) {PICTURE}|,? by far|,? as well|,? too|,? here|,? though|,? instead|,? overall|,? by a (?:clear|wide|large|small) margin|,? altogether|,? either|,? in it|,? clearly|,? at all|,? after all|,? as expected|,? in size|,? at a glance)+$"
)
_BOXES_OF: Final = re.compile(
    r"(?:the )?(?:bounds|boxes|box|outlines?|borders?|frames|bounding boxes|extents?|edges) of (?:both )?(?P<o>.+)"
)
_MIDDLE_OF: Final = re.compile(r"(?:the )?middle of (?P<o>.+)")
_SOME_OF: Final = re.compile(
    rf"(?:(?P<bound>exactly|only|just|at least|at most|no more than) )?(?P<n>{NUMBER}|none|neither|no one|not one) of (?P<o>.+)"
)
_NOBODY: Final = re.compile(
    r"(?:nothing(?: else)?|none|no one|no other [a-z]+|no (?:region|box|object|thing|other)|none of the (?:others|other [a-z]+))(?: in the picture)?"
)
_GAP: Final = re.compile(
    r"(?:there (?:is|remains|are|exists) |(?P<has>one can see |we see ))(?P<n>no |not any |not a |a |an |some |enough |plenty of )?(?:(?:clear|visible|small|wide|large|free|empty|narrow|noticeable|distinct|obvious|big|slight) )*(?:gap|space|room|distance|separation) (?:left )?between (?P<o>.+)"
)
_GAP_SEPARATES: Final = re.compile(
    r"(?:a|some) (?:(?:clear|visible|small|wide|large|free|empty|narrow) )*(?:gap|space|strip) (?:separates|lies between|keeps apart|divides|parts|stands between) (?P<o>.+)"
)
_BOUNDS: Final = {
    "exactly": ("exactly", 0),
    "only": ("exactly", 0),
    "just": ("exactly", 0),
    "at least": ("least", 0),
    "more than": ("least", 1),
    "over": ("least", 1),
    "no fewer than": ("least", 0),
    "at most": ("most", 0),
    "no more than": ("most", 0),
    "fewer than": ("most", -1),
    "less than": ("most", -1),
    "up to": ("most", 0),
    "a total of": ("exactly", 0),
}
_HOW_MANY: Final = rf"(?:(?P<bound>{'|'.join(_BOUNDS)}) )?(?P<n>{NUMBER}|no|a|an|not a|a single)"
_TAIL: Final = (
    rf"(?:{OF_PICTURE}| visible| in total| in all| altogether| here| to be seen| shown| present| on display)*"
)
_KIND: Final = r"(?P<kind>(?:(?:marked|numbered|different|distinct|separate|such) )?[a-z']+(?: [a-z']+)?)"
_COUNTS: Final = (
    re.compile(rf"there (?:is|are) (?P<not>not )?{_HOW_MANY} {_KIND}?{_TAIL}"),
    re.compile(
        rf"(?:{PICTURE}|it|we|you|one can) (?:shows?|has|contains|depicts|features|includes|holds|sees?|displays) {_HOW_MANY} {_KIND}?{_TAIL}"
    ),
    re.compile(
        rf"{_HOW_MANY} {_KIND}? (?:are|is|can be) (?:visible|shown|seen|present|there|depicted|to be seen|in view|in {PICTURE}|marked|numbered)(?: in {PICTURE})?"
    ),
    re.compile(rf"the number of {_KIND}? is {_HOW_MANY}"),
)
_ONLY: Final = re.compile(rf"the (?:only|sole|single) (?P<kind>[a-z]+(?: [a-z]+)?){OF_PICTURE}")
_TAG_BEFORE: Final = re.compile(r"\((\[\d+\])\)")


@lru_cache(maxsize=1024)
def read_sentence(sentence: str) -> tuple[Read, ...]:
    """The statements of one sentence in the form of `words.plain`; () where it claims nothing that is understood."""
    sentence = _TAG_BEFORE.sub(r"\1", _VIEWER.sub("", sentence))
    if sentence.endswith("?") or _NO_CLAIM.search(sentence) or not _TRIGGER.search(sentence):
        return ()
    sentence = _CAN.sub(r"is \1", sentence.rstrip(" .!;,:")).strip()
    whole = _read_clause(sentence)
    if whole:
        return whole
    found: list[Read] = []
    for part in _CONNECTORS.split(sentence)[:12]:
        found += _read_part(part.strip(" ,"))
    return tuple(found)


def _read_part(part: str) -> Iterator[Read]:
    """The statements of a part without connectors: as a whole, or cut at "and" and commas, the subject carried on."""
    if not part or not _TRIGGER.search(part):
        return
    whole = _read_clause(part)
    if whole:
        yield from whole
        return
    cuts = [0, *(at.end() for at in _COMMAS.finditer(part))][:10]
    starts = [at.start() for at in _COMMAS.finditer(part)][:9]
    begin, subject = 0, None
    while begin < len(cuts):
        for end in range(len(starts), begin - 1, -1):
            piece = part[cuts[begin] : starts[end] if end < len(starts) else len(part)]
            read = _read_clause(piece)
            if not read and subject is not None:
                read = _read_clause(f"{subject} is {piece}") or _read_clause(f"{subject} {piece}")
            if read:
                yield from read
                subject = _subject_words(piece) or subject
                begin = end
                break
        begin += 1


def _subject_words(piece: str) -> str | None:
    lead = _LEAD_IN.match(piece)
    piece = piece[lead.end() :] if lead else piece
    verb = _VERB.search(piece)
    return piece[: verb.start()].strip() or None if verb else None


@lru_cache(maxsize=2048)
def _read_clause(clause: str) -> tuple[Read, ...]:
    clause = clause.strip(" ,")
    denied = _FALSE_THAT.match(clause)
    if denied is not None:
        clause = clause[denied.end() :]
    elif (lead := _LEAD_IN.match(clause)) is not None and lead.end() < len(clause):
        return _read_clause(clause) if False else _read_bare(clause) or _read_bare(clause[lead.end() :])
    read = _read_bare(clause)
    if denied is None:
        return read
    # Of several statements in one it is not said which is false.
    return (_denied(read[0]),) if len(read) == 1 else ()


def _denied(one: Read) -> Read:
    if isinstance(one, Counted):
        return Counted(one.words, one.head, one.bound, one.number, not one.is_denied, one.is_regions)
    return Statement(one.words, one.subject, one.predicate, not one.is_denied, one.count, one.bound)


def _read_bare(clause: str) -> tuple[Read, ...]:
    if _NO_CLAUSE.search(clause):
        return ()
    counted = _read_count(clause)
    if counted is not None:
        return (counted,)
    for pattern in (_GAP, _GAP_SEPARATES):
        if (found := pattern.fullmatch(clause)) is not None:
            pair = read_phrase(found["o"].replace(" from ", " and "))
            no = (found.groupdict().get("n") or "").strip() in ("no", "not any", "not a")
            return () if pair is None else (Statement(clause, pair, Shared("apart", None), no),)
    for number, verb in enumerate(_VERB.finditer(clause)):
        if number >= 5:
            break
        read = _read_at(clause, verb)
        if read:
            return read
    return ()


def _read_at(clause: str, verb: re.Match[str]) -> tuple[Read, ...]:
    """What a clause says when this is its verb."""
    subject, rest = clause[: verb.start()].strip(" ,"), clause[verb.end() :].strip()
    if not subject:
        return ()
    is_denied = verb["aux"] is not None and verb["aux"].strip() in (
        "do not",
        "does not",
        "did not",
        "never",
        "no longer",
    )
    for candidate, extra in _predicates(rest):
        predicate = read_predicate(candidate) or read_predicate(_TRAILING.sub("", candidate))
        if predicate is not None:
            read = _about(clause, subject, predicate, is_denied != extra)
            if read:
                return read
    return _turned(clause, subject, rest, is_denied) if verb["be"] else ()


def _predicates(rest: str) -> Iterator[tuple[str, bool]]:
    """The words after a verb, once without each adverb that may stand before a predicate, and whether it is denied."""
    is_denied = False
    yield rest, False
    for _ in range(6):
        if (denial := _DENIAL.match(rest)) is not None:
            is_denied, rest = not is_denied, rest[denial.end() :]
        elif (adverb := _ADVERB.match(rest)) is not None:
            rest = rest[adverb.end() :]
        else:
            return
        yield rest, is_denied


def _about(clause: str, subject: str, predicate: Predicate, is_denied: bool) -> tuple[Read, ...]:
    if isinstance(predicate, Shared | Compared) and (found := _BOXES_OF.fullmatch(subject)) is not None:
        subject = found["o"]
    if (found := _MIDDLE_OF.fullmatch(subject)) is not None:
        subject = found["o"]
    if _NOBODY.fullmatch(subject):
        return _nobody(clause, predicate, is_denied)
    if (found := _SOME_OF.fullmatch(subject)) is not None:
        return _some(clause, found, predicate, is_denied)
    if subject.startswith(("neither ", "none of ")):
        is_denied, subject = not is_denied, subject.removeprefix("none of ")
    phrase = None if subject == "the rest" else read_phrase(subject)
    if phrase is None:
        return ()
    several = isinstance(phrase, Listed) or (isinstance(phrase, Numbers) and len(phrase.numbers) > 1)
    if is_denied and several and re.match(r"(?:both|all)\b", subject):
        return ()  # "all are not" may mean that some are
    return (Statement(clause, phrase, predicate, is_denied),)


def _nobody(clause: str, predicate: Predicate, is_denied: bool) -> tuple[Read, ...]:
    """ "Nothing lies further left than [0]": of all, [0] is the leftmost."""
    if is_denied or not isinstance(predicate, Compared) or predicate.factor is not None or predicate.other is None:
        return ()
    return (Statement(clause, predicate.other, Extreme(predicate.measure, predicate.sign, Everything())),)


def _some(clause: str, found: re.Match[str], predicate: Predicate, is_denied: bool) -> tuple[Read, ...]:
    word = found["n"]
    number = 0 if word in ("none", "neither", "no one", "not one") else number_of(word)
    bound = {"at least": "least", "at most": "most", "no more than": "most"}.get(found["bound"] or "", "exactly")
    group = read_phrase(found["o"])
    if group is None or number is None or is_denied:
        return ()
    read: list[Read] = [Statement(clause, group, predicate, count=number, bound=bound)]  # type: ignore[arg-type] # bounds
    noun = isinstance(group, Described | Everything) and group.count
    if noun and group.head:  # type: ignore[union-attr] # those with a count have a head
        read.append(Counted(clause, group.head, "exactly", group.count or 0))  # type: ignore[union-attr]
    return tuple(read)


def _turned(clause: str, subject: str, rest: str, is_denied: bool) -> tuple[Read, ...]:
    """ "The larger of the two is [1]", "to the left of [0] is [1]": the subject stands behind."""
    denial = _DENIAL.match(rest)
    if denial is not None:
        is_denied, rest = not is_denied, rest[denial.end() :]
    phrase = read_phrase(_TRAILING.sub("", rest))
    if phrase is None or isinstance(phrase, Pronoun):
        return _only(clause, subject, rest)
    if (found := _ONLY.fullmatch(subject)) is not None and isinstance(phrase, Numbers) and not is_denied:
        return (Counted(clause, found["kind"], "exactly", 1),)
    predicate = read_predicate(subject)
    if predicate is None:
        return _only(clause, subject, rest)
    if isinstance(phrase, Described) and phrase.picks:
        return ()
    return (Statement(clause, phrase, predicate, is_denied),)


def _only(clause: str, subject: str, rest: str) -> tuple[Read, ...]:
    """ "[1] is the only dog": there is one."""
    found = _ONLY.fullmatch(rest)
    if found is None or not isinstance(read_phrase(subject), Numbers | Described):
        return ()
    return (Counted(clause, found["kind"], "exactly", 1),)


_REGION_NOUNS: Final = frozenset(
    (
        "region",
        "regions",
        "box",
        "boxes",
        "marked regions",
        "numbered regions",
        "marked boxes",
        "numbered boxes",
        "marked areas",
        "numbered areas",
    )
)


def _read_count(clause: str) -> Counted | None:
    for pattern in _COUNTS:
        found = pattern.fullmatch(clause)
        if found is None or not found["kind"]:
            continue
        word, kind = found["n"], found["kind"].strip()
        for adjective in ("different ", "distinct ", "separate "):
            kind = kind.removeprefix(adjective)
        bound, shift = _BOUNDS[found["bound"]] if found["bound"] else ("exactly", 0)
        if word in ("a", "an"):
            return None  # that there is one more is nothing that boxes contradict
        is_denied = bool(found.groupdict().get("not")) or word == "not a"
        number = {"no": 0, "a single": 1, "not a": 0}.get(word)
        number = number_of(word) if number is None else number
        if number is None or number + shift < 0:
            return None
        is_regions = kind in _REGION_NOUNS
        return Counted(
            clause, "" if is_regions else kind, bound, number + shift, is_denied and word != "not a", is_regions
        )  # type: ignore[arg-type] # bounds
    return None
