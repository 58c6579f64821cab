"""Who judged elsewhere than on the page: which of the people in an export are one, and what to call them.

An e-mail address tells people apart wherever they come from. Label Studio's numbers do so only within one installation,
and some of its exports have nothing else; so a number stands for the person whom the same export, the same annotation
in an earlier one, or else any earlier one names with it, as long as that is one person.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

from critics.annotation.items import Item

MAX_FOREIGN_NAME: Final = 254
"""Most characters of a name that comes from elsewhere: as many as an e-mail address may have."""
_DIGEST_CHARS: Final = 12


@dataclass(frozen=True, slots=True)
class ForeignJudgement:
    """What somebody said of an item elsewhere than on the page. Times are seconds since the epoch."""

    item: Item
    annotator: str
    answers: Mapping[str, str]
    annotation_id: str | None = None  # there, of one item
    user_id: str | None = None  # there, of the annotator
    created_at: float | None = None
    updated_at: float | None = None
    swapped: bool = False  # whether the two sides were shown in the other order; the answers are in the item's own

    @property
    def is_numbered(self) -> bool:
        """Whether nothing but a number is known of the annotator."""
        return self.user_id is not None and self.annotator == numbered(self.user_id)

    def is_of(self, taken: "TakenIn") -> bool:
        """Whether it is the same annotation, as it was then or changed since."""
        return (self.item.task, self.item.item_id, self.annotation_id) == taken.key and (
            None in {self.created_at, taken.created_at} or self.created_at == taken.created_at
        )


@dataclass(frozen=True, slots=True)
class TakenIn:
    """An annotation that came in an earlier export."""

    task: str
    item_id: str
    annotation_id: str
    created_at: float | None
    annotator: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.task, self.item_id, self.annotation_id


@dataclass(frozen=True, slots=True)
class Recognised:
    """Judgements with the people they are by, and what follows for those who came earlier."""

    judgements: tuple[ForeignJudgement, ...]
    renamed: Mapping[str, str]  # earlier names, and what these people are called now
    notes: tuple[str, ...]  # one line each


def numbered(user_id: str) -> str:
    """What somebody is called of whom only a number is known."""
    return f"Label Studio {user_id}"


def recognised(
    judgements: Sequence[ForeignJudgement], taken: Iterable[TakenIn], known: Mapping[str, Set[str]]
) -> Recognised:
    """The judgements of one export, one for each person and item; `known` are the names that came with each user id.

    Of several by one person about one item the last counts. Neither depends on the order in which exports come, as long
    as a number stands for one person.
    """
    by_key: dict[tuple[str, str, str], list[TakenIn]] = defaultdict(list)
    for earlier in taken:
        by_key[earlier.key].append(earlier)
    notes: list[str] = []
    judgements = [replace(one, annotator=fitting(one.annotator)) for one in judgements]
    names, renamed = _names(judgements, by_key, known)
    named_here = {one.user_id for one in judgements if not one.is_numbered}
    resolved = []
    for one in judgements:
        there = by_key.get((one.item.task, one.item.item_id, one.annotation_id or ""), [])
        same = next((taken_in for taken_in in there if one.is_of(taken_in)), None)
        if same is not None:
            annotator = renamed.get(same.annotator, same.annotator)
        elif there and one.is_numbered and one.user_id not in named_here:
            notes.append(
                f"item {one.item.item_id}: its annotation {one.annotation_id} is not the one that was taken in earlier,"
                f" but as of another Label Studio, so {one.annotator} may be somebody else; left out, export with the"
                " users' e-mail addresses"
            )
            continue
        else:
            annotator = names.get(one.user_id or "", one.annotator) if one.is_numbered else one.annotator
        resolved.append(replace(one, annotator=annotator))
    apart, told = _apart(resolved, known)
    last, repeated = _last_of_each(apart)
    return Recognised(tuple(last), renamed, (*notes, *told, *repeated))


def fitting(name: str) -> str:
    """`name`, or if it is too long its beginning with a hash, so that two long names stay two."""
    plain = " ".join(name.split())
    if len(plain) <= MAX_FOREIGN_NAME:
        return plain
    digest = hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARS]
    return f"{plain[: MAX_FOREIGN_NAME - _DIGEST_CHARS - 1]}~{digest}"


def _names(
    judgements: Sequence[ForeignJudgement],
    by_key: Mapping[tuple[str, str, str], Sequence[TakenIn]],
    known: Mapping[str, Set[str]],
) -> tuple[dict[str, str], dict[str, str]]:
    """What each user id of the export stands for, and who of earlier exports is called otherwise now."""
    here: dict[str, set[str]] = defaultdict(set)
    overlapping: dict[str, set[str]] = defaultdict(set)
    for one in judgements:
        if one.user_id is None:
            continue
        if not one.is_numbered:
            here[one.user_id].add(one.annotator)
        for earlier in by_key.get((one.item.task, one.item.item_id, one.annotation_id or ""), ()):
            if one.is_of(earlier) and earlier.annotator != numbered(one.user_id):
                overlapping[one.user_id].add(earlier.annotator)
    names, renamed = {}, {}
    for user_id in {one.user_id for one in judgements if one.user_id is not None}:
        earlier_names = known.get(user_id, frozenset()) - {numbered(user_id)}
        named = next((found for found in (here[user_id], overlapping[user_id], earlier_names) if found), set())
        if len(named) == 1:
            (names[user_id],) = named
        if len({*here[user_id], *overlapping[user_id], *earlier_names}) == 1 and numbered(user_id) in known.get(
            user_id, ()
        ):
            renamed[numbered(user_id)] = names[user_id]
    return names, renamed


def _apart(
    judgements: Sequence[ForeignJudgement], known: Mapping[str, Set[str]]
) -> tuple[list[ForeignJudgement], list[str]]:
    """Two people who have one name get their numbers added; one e-mail address is one person, whatever the number."""
    owners: dict[str, set[str]] = defaultdict(set)
    for user_id, names in known.items():
        for name in names:
            owners[name.casefold()].add(user_id)
    first_owner: dict[str, str] = {}
    told: dict[str, str] = {}
    apart = []
    for one in judgements:
        name = one.annotator
        if one.user_id is not None and "@" not in name and name != numbered(one.user_id):
            of_others = owners[name.casefold()] - {one.user_id}
            is_first = first_owner.setdefault(name.casefold(), one.user_id) == one.user_id
            if one.user_id not in owners[name.casefold()] and (of_others or not is_first):
                name = fitting(f"{name} ({numbered(one.user_id)})")
                told[name] = f"there is another {one.annotator}; the one with the number {one.user_id} is called {name}"
        apart.append(replace(one, annotator=name))
    return apart, list(told.values())


def _last_of_each(judgements: Sequence[ForeignJudgement]) -> tuple[list[ForeignJudgement], list[str]]:
    """The last judgement of each person about each item, by its time where there is one, else by its place."""
    of_each: dict[tuple[str, str, str], list[ForeignJudgement]] = defaultdict(list)
    for one in judgements:
        of_each[one.item.task, one.item.item_id, one.annotator.casefold()].append(one)
    notes = [
        f"item {given[0].item.item_id}: {given[0].annotator} judged it {len(given)} times; the last one counts"
        for given in of_each.values()
        if len(given) > 1 and len({tuple(sorted(one.answers.items())) for one in given}) > 1
    ]
    # `max` would take the first of equals.
    last = [sorted(given, key=lambda one: one.updated_at or one.created_at or 0.0)[-1] for given in of_each.values()]
    return last, notes
