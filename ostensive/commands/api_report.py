"""The functions of the Python interface that look at a run: its report, and the lineage of a row."""

from pathlib import Path
from typing import TYPE_CHECKING

from ostensive.user_paths import user_path

if TYPE_CHECKING:
    from cards.explaining import Explainer
    from cards.lineage import ImageRows, Lineage
    from cards.report.writing import WrittenReport


def explain(run: Path | str, name: str, *, journal: Path | str | None = None) -> "Lineage | ImageRows":
    """The lineage of the row, or the rows of the image, whose id is `name` or alone begins so.

    `journal` None takes the run's own. Raises `SettingsError` where there is no run and where nothing or several things
    have such an id, and `StorageError` for a journal that is none.
    """
    return _explainer(run, journal).explain(name)


def report(
    run: Path | str,
    *,
    out: Path | str | None = None,
    rows: int | None = None,
    journal: Path | str | None = None,
) -> "WrittenReport":
    """Writes the report of a run, finished or not, as one page to `out`, or to `report.html` in the run folder.

    Its gallery has at most `rows` rows, and as many as a page of 15 MB holds; `journal` None takes the run's own.
    Raises `SettingsError` where there is no run or nothing of it is finished, and `StorageError`.
    """
    from cards.report.writing import DEFAULT_ROWS, write_report

    explainer = _explainer(run, journal)
    path = None if out is None else user_path(out, "out")
    return write_report(explainer, out=path, rows=DEFAULT_ROWS if rows is None else rows)


def _explainer(run: Path | str, journal: Path | str | None) -> "Explainer":
    from builders.table import load, recipe_kind
    from cards.explaining import Explainer
    from ostensive.run.folder import existing_run

    folder = existing_run(run)
    recipe = load(str(folder.recipe_path))
    given = None if journal is None else user_path(journal, "journal")
    return Explainer(folder, recipe, recipe_kind(recipe.recipe), given)
