"""A corpus in the form that a trainer reads: what TRL takes as Parquet, LLaVA as JSON, the LSKD release as JSON Lines.

Everything is written into a hidden folder beside the final one and renamed when it is whole. The same corpus gives the
same bytes.
"""

import io
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TextIO  # Any: JSON values; datasets ships no types

import PIL.Image

from cards.parquet import ParquetFolder
from cards.reading import Corpus
from cards.samples import sample_key
from ostensive.errors import SettingsError
from ostensive.files import new_folder
from ostensive.image_slots import SlotError
from ostensive.images.drawing import draw_regions
from ostensive.own_folders import EXPORT, mark_folder
from ostensive.recipe_kind import RecipeKind, View
from ostensive.records import Region
from ostensive.user_paths import shown_path
from students.reading import CorpusImage, JudgedRow, read_images
from students.rows import Json, llava_row, lskd_row, messages_row, preference_row, prompt_completion_rows

ShownRegions = Literal["mentioned", "all", "none"]
"""Which regions are drawn on a picture: those that the row mentions, all of the image, or none."""
UNUSABLE: Final = "row cannot be trained on"
"""Why a row is not exported; the detail says what of it."""
_FILE_BYTES: Final = 500_000_000
_ROWS_A_GROUP: Final = 100
_JPEG_QUALITY: Final = 95
_LOSSES_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: rows for training by split, and rows of the corpus that could not be used, by reason."""

    rows: Mapping[str, int]
    lost: Mapping[str, int]
    details: tuple[str, ...]  # of the first losses


def export(corpus: Corpus, kind: RecipeKind, view: View, out: Path, *, regions: ShownRegions | None = None) -> Exported:
    """Writes `corpus` in the form `view` to the folder `out`.

    On pictures of a recipe with regions those that a row mentions are drawn, unless `regions` says otherwise; records
    of the LSKD release name boxes and have plain pictures. Raises `SettingsError` for a view that the recipe does not
    have, for `regions` where there are none or that the view does not draw, for a corpus without rows and for a folder
    that holds something; `StorageError` when the disk refuses.
    """
    _check(corpus, kind, view, out, regions)
    shown: ShownRegions = regions or ("mentioned" if kind.has_regions and view != "lskd" else "none")
    with new_folder(out) as work, ExitStack() as stack:
        mark_folder(work, EXPORT)
        writer = _WRITERS[view](view, work, stack)
        for image in read_images(corpus, kind):
            for row in image.rows:
                writer.add(image, row, kind, shown)
        writer.finish()
    return Exported(dict(writer.rows), dict(writer.lost), tuple(writer.details))


def _check(corpus: Corpus, kind: RecipeKind, view: View, out: Path, regions: ShownRegions | None) -> None:
    if view not in kind.views:
        raise SettingsError(f"--view {view}: rows of {kind.name} have no such form; {', '.join(kind.views)} are there")
    if regions is not None and (not kind.has_regions or view == "lskd"):
        raise SettingsError(f"--regions {regions}: nothing is drawn on pictures of {kind.name} as {view}; leave it out")
    if not corpus.row_count:
        raise SettingsError(f"{shown_path(corpus.path)}: holds no row, so that there is nothing to export")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"--out {shown_path(out)}: is there already; name a folder that is empty or not there")


@dataclass
class _Writer(ABC):
    """Writes the rows of one view into a folder, each split by itself; `add` counts what cannot be used."""

    view: View
    folder: Path
    stack: ExitStack
    rows: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)

    def add(self, image: CorpusImage, row: JudgedRow, kind: RecipeKind, shown: ShownRegions) -> None:
        """One row of the corpus."""
        try:
            made = list(self._made(image, row, kind))
        except SlotError as error:
            self.lost[UNUSABLE] += 1
            if len(self.details) < _LOSSES_SHOWN:
                self.details.append(f"{row.candidate.row_id}: {error}")
            return
        mentioned = {number for text in kind.shown(row.candidate) for number in text.mentions}
        drawn = [one for one in image.regions if shown == "all" or (shown == "mentioned" and one.number in mentioned)]
        name, jpeg = _picture(image, row, drawn)
        for one in made:
            self.rows[image.split] += 1
            self._write(image, row, one, name, jpeg)

    @abstractmethod
    def finish(self) -> None:
        """Writes what is left; the files are closed with the stack."""

    @abstractmethod
    def _made(self, image: CorpusImage, row: JudgedRow, kind: RecipeKind) -> Iterator[Json]: ...

    @abstractmethod
    def _write(self, image: CorpusImage, row: JudgedRow, made: Json, name: str, jpeg: bytes) -> None: ...


@dataclass
class _ParquetWriter(_Writer):
    """Rows for TRL: `data/<split>-00000-of-00001.parquet`, with the picture in a column `images`."""

    _files: dict[str, ParquetFolder] = field(default_factory=dict)

    def finish(self) -> None:
        for file in self._files.values():
            file.finish()

    def _made(self, image: CorpusImage, row: JudgedRow, kind: RecipeKind) -> Iterator[Json]:  # noqa: ARG002 - of all views
        if kind.preference is not None and self.view == "preference":
            yield preference_row(kind.preference(row.candidate))
        else:
            for turns in kind.conversations(row.candidate):
                yield from [messages_row(turns)] if self.view == "messages" else prompt_completion_rows(turns)

    def _write(self, image: CorpusImage, row: JudgedRow, made: Json, name: str, jpeg: bytes) -> None:
        if image.split not in self._files:
            folder = self.folder / "data"
            folder.mkdir(exist_ok=True)
            written = ParquetFolder(
                folder, image.split, training_features(list(made)), max_bytes=_FILE_BYTES, group_rows=_ROWS_A_GROUP
            )
            self._files[image.split] = self.stack.enter_context(written)
        whole = {**made, "images": [{"bytes": jpeg, "path": name}], **_lineage(image, row)}
        self._files[image.split].add(whole, len(jpeg))


@dataclass
class _FileWriter(_Writer):
    """Rows in a text file for each split, beside a folder `images`."""

    _files: dict[str, TextIO] = field(default_factory=dict)

    def finish(self) -> None:
        for file in self._files.values():
            file.flush()

    def _write(self, image: CorpusImage, row: JudgedRow, made: Json, name: str, jpeg: bytes) -> None:
        picture = self.folder / "images" / name
        picture.parent.mkdir(exist_ok=True)
        if not picture.exists():
            picture.write_bytes(jpeg)
        self._write_row(image.split, row, {**made, "image": f"images/{name}"})

    @abstractmethod
    def _write_row(self, split: str, row: JudgedRow, made: Json) -> None: ...

    def _file(self, name: str) -> TextIO:
        if name not in self._files:
            self._files[name] = self.stack.enter_context((self.folder / name).open("w", encoding="utf-8", newline="\n"))
        return self._files[name]


@dataclass
class _LlavaWriter(_FileWriter):
    """`llava-<split>.json`, one list, a row a line."""

    def finish(self) -> None:
        for file in self._files.values():
            file.write("\n]\n")

    def _made(self, image: CorpusImage, row: JudgedRow, kind: RecipeKind) -> Iterator[Json]:  # noqa: ARG002 - of all views
        for number, turns in enumerate(kind.conversations(row.candidate), 1):
            row_id = row.candidate.row_id if number == 1 else f"{row.candidate.row_id}-{number}"
            yield llava_row(row_id, "", turns)

    def _write_row(self, split: str, row: JudgedRow, made: Json) -> None:  # noqa: ARG002 - of all views
        file = self._file(f"llava-{split}.json")
        file.write("[\n" if self.rows[split] == 1 else ",\n")
        file.write(json.dumps(made, ensure_ascii=False))


@dataclass
class _LskdWriter(_FileWriter):
    """`lskd-<split>.jsonl`."""

    def _made(self, image: CorpusImage, row: JudgedRow, kind: RecipeKind) -> Iterator[Json]:
        yield lskd_row(
            kind.shown(row.candidate),
            image.regions,
            image="",
            size=image.size,
            source=kind.name,
            split=image.split,
            number=self.rows[image.split],
            prediction=row.accept_probability,
        )

    def _write_row(self, split: str, row: JudgedRow, made: Json) -> None:  # noqa: ARG002 - of all views
        self._file(f"lskd-{split}.jsonl").write(json.dumps(made, ensure_ascii=False) + "\n")


_WRITERS: Final[Mapping[View, type[_Writer]]] = {
    "messages": _ParquetWriter,
    "prompt-completion": _ParquetWriter,
    "preference": _ParquetWriter,
    "llava": _LlavaWriter,
    "lskd": _LskdWriter,
}


def _picture(image: CorpusImage, row: JudgedRow, regions: Sequence[Region]) -> tuple[str, bytes]:
    """The picture of a row, with regions drawn where there are any, and the name of its file."""
    key = sample_key(image.image_id)
    if not regions:
        return f"{key}.jpg", image.jpeg
    drawn = io.BytesIO()
    with PIL.Image.open(io.BytesIO(image.jpeg)) as plain:
        draw_regions(plain, regions).save(drawn, "JPEG", quality=_JPEG_QUALITY)
    return f"{key}-{row.candidate.row_id}.jpg", drawn.getvalue()


def _lineage(image: CorpusImage, row: JudgedRow) -> dict[str, str]:
    """Where a row is from: ids, and all else in one text, since columns of varying types break readers."""
    values = {
        "teacher": row.candidate.teacher,
        "prompt_hash": row.candidate.prompt_hash,
        "request_key": row.candidate.request_key,
        "accept_probability": {one.critic: one.accept_probability for one in row.judgements},
    }
    return {
        "row_id": row.candidate.row_id,
        "image_id": image.image_id,
        "lineage": json.dumps(values, ensure_ascii=False, sort_keys=True),
    }


def training_features(columns: Sequence[str]) -> Any:
    """What `datasets` is told of the columns: lists of messages, the picture, and where a row is from."""
    import datasets

    text = datasets.Value("string")
    message = {"role": text, "content": datasets.List({"type": text, "text": text})}
    return datasets.Features(
        {
            **{name: datasets.List(message) for name in columns},
            "images": datasets.List(datasets.Image()),
            "row_id": text,
            "image_id": text,
            "lineage": text,
        }
    )
