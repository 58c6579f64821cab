"""What is known of an image as text: for a judge to read, and for words to be looked up in."""

from collections.abc import Iterator

from ostensive.records import Verbalization


def scene_lines(known: Verbalization) -> Iterator[str]:
    """The verbalization line by line: concepts, narratives, regions by number, probes."""
    yield from known.concepts
    yield from known.narratives
    for region in known.regions:
        label = "" if region.label in ("", "area") else f" ({region.label})"
        yield f"[{region.number}]{label} {region.caption}"
    for probe in known.probes:
        yield f"{probe.question} {probe.answer}"


def one_line(text: str) -> str:
    """A text on one line, so that it cannot pass for the lines around it."""
    return " ".join(text.split())
