"""What was taken down of a run: `takedowns.jsonl` in its folder, one line an image. It is never published."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ostensive.arrow import from_plain
from ostensive.errors import OstensiveError
from ostensive.files import write_text
from ostensive.json_text import parse_json

TAKEDOWNS_NAME: Final = "takedowns.jsonl"


@dataclass(frozen=True, slots=True)
class Takedown:
    """An image that must not be published again."""

    image_id: str
    rows: int  # of the corpus, which went with it
    reason: str
    day: str  # YYYY-MM-DD


def read_takedowns(run: Path) -> tuple[Takedown, ...]:
    """The takedowns of the run in the folder `run`, in order.

    Raises `OstensiveError` for a line that cannot be read: what stands in it must not come back unseen.
    """
    path = run / TAKEDOWNS_NAME
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise OstensiveError(f"{path}: cannot be read ({error}); mend it, and run the same command again") from error
    found = []
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), 1):
        try:
            found += from_plain([parse_json(line, strict=False)], Takedown)
        except (ValueError, TypeError) as error:
            raise OstensiveError(
                f"{path}, line {number}: is no takedown ({error}); mend the line, and run the same command again"
            ) from error
    return tuple(found)


def taken_down_images(run: Path) -> frozenset[str]:
    """The ids of the images that were taken down."""
    return frozenset(takedown.image_id for takedown in read_takedowns(run))


def write_takedowns(run: Path, takedowns: Sequence[Takedown]) -> None:
    """Replaces the takedowns of a run."""
    lines = [json.dumps(asdict(takedown)) + "\n" for takedown in takedowns]
    write_text(run / TAKEDOWNS_NAME, "".join(lines))
