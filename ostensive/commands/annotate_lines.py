"""`ostensive annotate` with what it may be told to do besides serving, and what each has to say."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from critics.annotation.label_studio_files import from_label_studio, to_label_studio
from critics.annotation.serving import AnnotateOptions, annotate, export_judgements
from ostensive.commands.agreement import agreement, agreement_lines
from ostensive.commands.show import to_json
from ostensive.errors import SettingsError

if TYPE_CHECKING:
    from critics.annotation.export import Exported


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done instead of serving the page; at most one of them."""

    agreement: bool = False
    export: bool = False
    to_label_studio: Path | None = None
    from_label_studio: Path | None = None


def carry_out(
    run: Path, wish: Wish, *, options: AnnotateOptions, as_json: bool, say: Callable[[str], None]
) -> Iterable[str]:
    """Does what is wished, or serves the page until interrupted; returns the lines of the result."""
    if sum((wish.agreement, wish.export, wish.to_label_studio is not None, wish.from_label_studio is not None)) > 1:
        raise SettingsError(
            "--agreement, --export, --to-label-studio and --from-label-studio: give one of them at a time"
        )
    if wish.agreement:
        found = agreement(run)
        values = {task: [asdict(one) for one in questions] for task, questions in found.items()}
        return [to_json(values)] if as_json else agreement_lines(found)
    if wish.to_label_studio is not None:
        count = to_label_studio(run, wish.to_label_studio, options=options)
        values_ = {"tasks": count, "folder": str(wish.to_label_studio)}
        return [
            to_json(values_) if as_json else f"{count:,} tasks, their images and config.xml in {wish.to_label_studio}"
        ]
    if wish.from_label_studio is not None:
        count = from_label_studio(run, wish.from_label_studio, options=options, on_note=say)
        return [to_json({"judgements": count}) if as_json else f"{count:,} judgements taken in that were not here yet"]
    exported = export_judgements(run) if wish.export else _serve(run, options, say)
    return [to_json(_export_values(exported))] if as_json else _export_lines(exported)


def _serve(run: Path, options: AnnotateOptions, say: Callable[[str], None]) -> "Exported":
    def ready(address: str) -> None:
        # On standard output, and at once: a script waits for it.
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        say("Ctrl-C stops the page; every judgement is stored when it is given.")

    return annotate(run, options=options, on_ready=ready, on_note=say)


def _export_lines(exported: "Exported") -> Iterable[str]:
    judgements = "1 judgement" if exported.judgement_count == 1 else f"{exported.judgement_count:,} judgements"
    yield f"{judgements} in {exported.judgements}"
    if exported.labels is not None:
        labels = "1 label" if exported.label_count == 1 else f"{exported.label_count:,} labels"
        yield f"{labels} in {exported.labels}"


def _export_values(exported: "Exported") -> dict[str, object]:
    return {
        "judgements": str(exported.judgements),
        "labels": None if exported.labels is None else str(exported.labels),
        "judgement_count": exported.judgement_count,
        "label_count": exported.label_count,
    }
