"""What the settings of all critics that score have in common."""

from typing import Annotated, Any

from pydantic import Field

from ostensive.settings import Settings

CriticName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class ScoringSettings(Settings):
    """A name, and the threshold, neither of which scores depend on."""

    kind: str
    name: CriticName | None = None
    """What scores and judgements call it; None takes the kind. Two critics of one kind need two names."""
    min_accept_probability: float = Field(default=0.5, ge=0, le=1)
    """A candidate is accepted from this probability on."""

    @property
    def title(self) -> str:
        """Its name, or its kind where it has none."""
        return self.name or self.kind

    def scoring_identity(self) -> dict[str, Any]:  # Any: JSON values of any depth
        """The settings that scores depend on: all that rows depend on but the name and the threshold."""
        values = self.identity()
        return {key: value for key, value in values.items() if key not in ("name", "min_accept_probability")}

    def decision(self) -> list[Any]:  # Any: JSON values
        """What decisions depend on besides the scores."""
        return [self.title, self.min_accept_probability]
