"""What an engine tells of its progress, and to whom: a progress display, or nobody."""

from typing import Final, Protocol

from ostensive.run.summary import StageSummary


class Reporter(Protocol):
    """Told by the engine, from several threads, what is done."""

    def plan(self, stages: list[str], images: int) -> None:
        """The stages in order, and how many source images the run is planned for."""
        ...

    def advance(self, stage: str, images: int) -> None:
        """`stage` is done with that many more source images, finished before or now."""
        ...

    def finish(self, summary: StageSummary) -> None:
        """A partition of a stage is finished, with these counts."""
        ...

    def note(self, text: str) -> None:
        """Something a user wants to know while it happens."""
        ...


class Silence:
    """A reporter for those who do not want to know."""

    def plan(self, stages: list[str], images: int) -> None: ...

    def advance(self, stage: str, images: int) -> None: ...

    def finish(self, summary: StageSummary) -> None: ...

    def note(self, text: str) -> None: ...


SILENCE: Final = Silence()
