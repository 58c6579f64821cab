"""What a run remembers of where it was published: `published.json` in its folder, never published itself."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final  # Any: JSON values

from cards.hub.card_merge import PublishedCard
from ostensive.errors import OstensiveError
from ostensive.files import write_text
from ostensive.json_text import parse_json

PUBLISHED_NAME: Final = "published.json"


@dataclass(frozen=True, slots=True)
class LastPublished:
    """A publication that was completed."""

    commit: str
    card: PublishedCard


def read_published(run: Path) -> Mapping[str, LastPublished]:
    """What was published last, by the name on the Hub.

    Raises `OstensiveError` for a file that was changed by hand.
    """
    path = run / PUBLISHED_NAME
    try:
        return {name: _published(values) for name, values in parse_json(path.read_text("utf-8"), strict=False).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise OstensiveError(
            f"{path}: cannot be read; remove it, and run the same command again: cards are then compared without it"
        ) from error


def write_published(run: Path, name: str, last: LastPublished) -> None:
    """Remembers a publication under its name."""
    values = {one: asdict(found) for one, found in {**read_published(run), name: last}.items()}
    write_text(run / PUBLISHED_NAME, json.dumps(values, indent=1, sort_keys=True) + "\n")


def _published(values: Mapping[str, Any]) -> LastPublished:
    card = values["card"]
    return LastPublished(
        values["commit"], PublishedCard(card["yours"], dict(card["header"]), tuple(card["tags"]), card["body_hash"])
    )
