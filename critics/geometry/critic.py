"""The critic `geometry`: what a candidate says of boxes has to be so."""

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import Field

from critics.critic import Critic, NoScore, Score, ScoringSettings
from critics.geometry.deciding import Finding, findings
from ostensive.fingerprint import fingerprint
from ostensive.recipe_kind import RecipeKind
from ostensive.records import Candidate, Region
from ostensive.stage import Evidence

CONTRADICTED: Final = "contradicts the boxes"
UNCHECKED: Final = "nothing that boxes could prove"
CODE_VERSION: Final = 1
"""Goes up when the same texts and boxes would give another score."""


class GeometrySettings(ScoringSettings):
    """What a candidate's claims say of sides, sizes, counts and shared space, held to the boxes of the regions."""

    kind: Literal["geometry"] = "geometry"
    min_accept_probability: float = Field(default=0.5, ge=0, le=1)
    """0.5 drops what the boxes contradict; 1 keeps only what they bear out."""

    def lacking(self, kind: RecipeKind) -> str:
        """Claims, and regions to hold them against."""
        if not kind.judged_parts:
            return "a text that claims something"
        return "" if "verbalize" in kind.recipe.model_fields else "a verbalization with regions"


def score_of(found: Sequence[Finding]) -> Score:
    """0 where one statement is wrong, 1 where one is right and none wrong, 0.5 where nothing could be checked."""
    values = {one.value for one in found}
    worst = "wrong" if "wrong" in values else "right" if "right" in values else "not checkable"
    detail = "; ".join(str(one) for one in found if one.value == worst)
    if worst == "wrong":
        return Score(0.0, CONTRADICTED, detail)
    return Score(1.0, "", detail) if worst == "right" else Score(0.5, UNCHECKED, detail)


class GeometryCritic(Critic[GeometrySettings]):
    """The critic `geometry`: by the boxes alone, without a model."""

    @property
    def version(self) -> str:
        return fingerprint({"code": CODE_VERSION, "settings": self.settings.scoring_identity()})[:12]

    def score(self, rows: Sequence[Candidate], evidence: Evidence) -> list[Score | NoScore]:
        return [self._score(row, evidence) for row in rows]

    def _score(self, row: Candidate, evidence: Evidence) -> Score:
        known, kind = evidence.get(row.image_id), self.context.kind
        regions: tuple[Region, ...] = ()
        if known is not None and known.verbalization is not None:
            regions = known.verbalization.regions
        return score_of(findings(kind.shown(row), regions, kind.judged_parts))
