"""The Python interface to what leaves the run: publishing a corpus, and taking an image out of it."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cards.hub.plan import PublishPlan
    from cards.hub.preparing import PublishOptions
    from cards.hub.publishing import Published
    from cards.takedown import TakenDown


def publish(
    run: Path | str,
    name: str,
    *,
    options: "PublishOptions | None" = None,
    confirm: "Callable[[PublishPlan], bool]" = lambda _plan: True,
    stop: threading.Event | None = None,
    tell: Callable[[str], None] = lambda _line: None,
) -> "Published":
    """Publishes the corpus of the run in `run` on the Hugging Face Hub as `name`, which is `user/name` or `name`.

    `confirm` is shown what is to be done before anything is sent. The same call after an interruption sends only the
    rest. Raises as `cards.hub.publishing.Publication.carry_out` does.
    """
    from builders.table import load, recipe_kind
    from cards.hub.client import HubClient
    from cards.hub.preparing import PublishOptions
    from cards.hub.publishing import Publication
    from ostensive.run.folder import existing_run
    from ostensive.user_paths import user_path

    folder = existing_run(user_path(run, "run folder"))
    recipe = load(str(folder.recipe_path))
    kind = recipe_kind(recipe.recipe)
    chosen = options or PublishOptions()
    return Publication(folder, recipe, kind, chosen, HubClient(tell), confirm, stop, tell).carry_out(name)


def takedown(run: Path | str, image_id: str, *, reason: str) -> "TakenDown":
    """Takes an image, by its id or the beginning of it, out of the corpus of the run in `run`, with all of its rows.

    It is recorded, so that no build puts it back; the next `publish` takes it off the Hub. Raises as
    `cards.takedown.take_down` does.
    """
    from builders.table import load, recipe_kind
    from cards.takedown import take_down
    from ostensive.run.folder import existing_run
    from ostensive.user_paths import user_path

    folder = existing_run(user_path(run, "run folder"))
    recipe = load(str(folder.recipe_path))
    day = datetime.now(UTC).date().isoformat()
    return take_down(folder, recipe, recipe_kind(recipe.recipe), image_id, reason=reason, day=day)
