"""The stage `unanswerable`: accepted candidates are put where they do not hold, with the answer that it cannot be told.

A student that has only seen questions with answers answers every question. Here a question of one picture is asked of
another one, or of another region of the same picture, and the right answer is that the picture does not say. Whether it
holds elsewhere is decided by what is known there, by words as the critic `evidence` finds them: the verbalization, what
came in beside the image, and the candidates of the image itself. Where nothing is known, nothing is asked.

The items are added after the critics, which hold an answer against the picture that it is about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Generic  # Any: candidates of any recipe, JSON values, Arrow types

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from builders.placing import Donor, Hosts, region_apart
from critics import evidence as words
from ostensive import arrow
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.recipe_kind import Misplaced, RecipeKind, Swap, UnanswerableItems
from ostensive.records import CandidateT, Judged, Verbalization
from ostensive.settings import Settings
from ostensive.stage import Dropped, Evidence, Kept, Outcome, RunWideStage

UNANSWERABLE: Final = "unanswerable"
FIELD_NOTE: Final = (
    "empty for an ordinary row; `picture` where the row was made of another picture's, and `region` where of one about"
    " another region: what it asks for is not there, as far as is known, and the answer says so"
)
"""What the field `unanswerable` of a candidate means."""
_SPARE: Final = 4  # times as many candidates as are needed are looked at, since not all can be put elsewhere
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class _Plan(Generic[CandidateT]):
    """What is decided of a candidate: the picture of `image_id` gets an item of it, unless there is a `reason`."""

    image_id: str
    candidate: CandidateT
    swapped: str
    region: int | None
    reason: str


class UnanswerableSettings(Settings):
    """Items that have no answer."""

    share: float = Field(default=0.0, ge=0, le=0.5)
    """Share of the corpus's rows that are to be unanswerable items. They come on top of the rows that were accepted."""


class UnanswerableStage(RunWideStage[Judged[Any], Judged[Any]]):
    """Adds unanswerable items to the accepted candidates; which, and where, is decided over the whole run."""

    name = UNANSWERABLE
    uses_annotations = True

    def __init__(self, settings: UnanswerableSettings, kind: RecipeKind, seed: int) -> None:
        """Raises `SettingsError` for a recipe that has no such items."""
        if kind.unanswerable is None:
            raise SettingsError(f"unanswerable.share: {kind.name} makes no unanswerable items; leave it at 0")
        candidate = kind.candidate
        self._candidate: Any = candidate
        self._plan: Any = _Plan[candidate]  # type: ignore[valid-type]  # known at run time
        self.record_in = self.record_out = Judged[candidate]  # type: ignore[valid-type]  # known at run time
        self._kind, self._seed = kind, seed
        self._ratio = settings.share / (1 - settings.share)  # of items to accepted rows

    @property
    def identity(self) -> Mapping[str, Any]:
        common = fingerprint(sorted(words.common_words()))
        return {"version": _VERSION, "words": [words.CODE_VERSION, common], "ratio": self._ratio, "seed": self._seed}

    @property
    def _items(self) -> UnanswerableItems:
        assert self._kind.unanswerable is not None, "checked when it was made"
        return self._kind.unanswerable

    def summarise(self, rows: Sequence[Judged[Any]], evidence: Evidence) -> pa.Table:
        """Of each picture how many rows it has and what is known of it, and some of its rows, drawn by their ids."""
        by_image: dict[str, list[Any]] = {}
        for row in rows:
            by_image.setdefault(row.image_id, []).append(row.candidate)
        known = [self._picture(image_id, own, evidence) for image_id, own in by_image.items()]
        return pa.Table.from_pylist(known, schema=self._summary)

    def decide(self, summaries: Sequence[pa.Table]) -> pa.Table:
        """The items: each a candidate and the picture or region that it is put on, or neither where it has no place."""
        table = pa.concat_tables([self._summary.empty_table(), *summaries]).sort_by("order")
        limit = self._items.max_known_share
        hosts = Hosts(table.column("image_id").to_pylist(), table.column("known"), table.column("regions"), limit)
        wanted = round(self._ratio * (pc.sum(table.column("rows")).as_py() or 0))
        asked = set[tuple[str, tuple[str, ...]]]()  # premises, each once on a picture
        cursor, placed, plans = 0, 0, list[_Plan[Any]]()
        for donor in sorted(self._donors(table), key=lambda one: one.order):
            if placed >= wanted:
                break
            place = hosts.place(donor, cursor, asked)
            if place.swapped == "picture":
                cursor = place.host + 1
            placed += not place.reason
            asked.add((place.image_id, donor.premise))
            region = donor.other_region if place.swapped == "region" else None
            plans.append(_Plan(place.image_id, donor.row, place.swapped or "", region, place.reason))
        return arrow.to_table(plans, self._plan)

    def apply(self, rows: Sequence[Judged[Any]], decision: pa.Table) -> list[Outcome[Judged[Any]]]:
        """The rows, the first one of a picture with the items that were put on it."""
        here = pa.array(sorted({row.image_id for row in rows}), pa.string())
        decided = decision.filter(pc.is_in(decision.column("image_id"), value_set=here))
        by_image: dict[str, list[_Plan[Any]]] = {}
        for plan in arrow.from_table(decided, self._plan):
            by_image.setdefault(plan.image_id, []).append(plan)
        return [self._outcome(row, by_image.pop(row.image_id, [])) for row in rows]

    def _outcome(self, row: Judged[Any], plans: Sequence[_Plan[Any]]) -> Outcome[Judged[Any]]:
        made = [Judged(self._made(plan, row.candidate), ()) for plan in plans if not plan.reason]
        lost: list[Dropped[Judged[Any]]] = [Dropped(one.reason, one.candidate.row_id) for one in plans if one.reason]
        return Kept((row, *made), tuple(lost))

    def _made(self, plan: _Plan[Any], own: Any) -> Any:
        """The item of a plan, on the picture of the candidate `own`."""
        swapped: Swap = "picture" if plan.swapped == "picture" else "region"
        row_id = fingerprint([UNANSWERABLE, plan.candidate.row_id, own.image_id, swapped, plan.region])[:16]
        host = plan.candidate if swapped == "region" else own
        return self._items.make(Misplaced(plan.candidate, host, swapped, plan.region, row_id, self._draw(row_id)))

    def _picture(self, image_id: str, rows: Sequence[Any], evidence: Evidence) -> dict[str, Any]:
        seen = evidence[image_id].verbalization
        lines = words.known_lines(evidence[image_id]) or ()
        drawn = [row for row in rows if int(self._order(row.row_id)[:8], 16) < _SPARE * self._ratio * 2**32]
        return {
            "image_id": image_id,
            "order": self._order(image_id),
            "rows": len(rows),
            "known": words.named([*lines, *map(self._items.said, rows)]),
            "regions": [] if seen is None else [region.number for region in seen.regions],
            "donors": [self._donor(row, seen) for row in drawn],
        }

    def _donor(self, row: Any, seen: Verbalization | None) -> dict[str, Any]:
        """The row as one of which an item may be made."""
        premise = self._items.premise(row)
        if seen is not None:  # figures of speech name nothing that is there: "the way", "at the hands of"
            there = set(words.named(words.verbalization_lines(seen)))
            premise = tuple(word for word in premise if word in there)
        regions = next(text.mentions for text in self._kind.shown(row) if text.name == self._items.asked)
        other = None
        if seen is not None and premise and len(regions) == 1:
            other = region_apart(seen, regions[0], premise, self._draw(row.row_id))
        return {
            "row": arrow.plain_maker(self._candidate)(row),
            "order": self._order(row.row_id),
            "premise": premise,
            "regions": regions,
            "other_region": other,
        }

    def _donors(self, table: pa.Table) -> list[Donor]:
        flat = pa.Table.from_struct_array(pc.list_flatten(table.column("donors")))
        rows = arrow.from_table(pa.Table.from_struct_array(flat.column("row")), self._candidate)
        rest = flat.drop_columns(["row"]).to_pylist()
        return [
            Donor(row, one["order"], tuple(one["premise"]), tuple(one["regions"]), one["other_region"])
            for row, one in zip(rows, rest, strict=True)
        ]

    def _order(self, name: str) -> str:
        return fingerprint([UNANSWERABLE, self._seed, name])

    def _draw(self, name: str) -> Random:
        return Random(self._order(name))  # noqa: S311 - a draw, no secret

    @property
    def _summary(self) -> pa.Schema:
        texts, numbers = pa.list_(pa.string()), pa.list_(pa.int64())
        donor = {
            "row": arrow.struct_of(self._candidate),
            "order": pa.string(),
            "premise": texts,
            "regions": numbers,
            "other_region": pa.int64(),
        }
        return pa.schema(
            {
                "image_id": pa.string(),
                "order": pa.string(),
                "rows": pa.int64(),
                "known": texts,
                "regions": numbers,
                "donors": pa.list_(pa.struct(donor)),
            }
        )
