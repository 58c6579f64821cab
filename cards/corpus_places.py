"""Where rows stand in the files of a corpus."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cards.reading import read_manifest
from cards.samples import sample_key
from ostensive.run.folder import RunFolder


@dataclass(frozen=True, slots=True)
class CorpusPlace:
    """Where a row is published. Files are named from the corpus folder; places in them count from 0."""

    split: str
    rows_file: str
    rows_place: int
    shard: str
    shard_member: str  # the file in the shard that holds the row, beside its image


def read_places(run: RunFolder, image_ids: Mapping[str, str]) -> dict[str, CorpusPlace]:
    """The places of rows in the corpus of a run, by row id; `image_ids` names the rows, and gives the image of each.

    A row that is not there has none; without a corpus no row has one.
    """
    manifest = read_manifest(run.corpus_path)
    if manifest is None or not image_ids:
        return {}
    wanted = pa.array(sorted(image_ids), pa.string())
    found = {}
    for file in manifest.files_of("rows"):
        path = run.corpus_path / file.path
        if path.is_file():
            for row_id, place, shard in _matches(path, wanted):
                member = f"{sample_key(image_ids[row_id])}.json"
                found[row_id] = CorpusPlace(file.split, file.path, place, f"shards/{shard}", member)
    return found


def _matches(path: Path, row_ids: pa.Array) -> Iterator[tuple[str, int, str]]:
    """Id, place and shard of the rows in a file that are among `row_ids`."""
    table = pq.read_table(path, columns=["row_id", "shard"])
    is_wanted = pc.is_in(table.column("row_id"), value_set=row_ids).combine_chunks()
    places = pc.indices_nonzero(is_wanted)
    chosen = table.take(places)
    columns = chosen.column("row_id").to_pylist(), places.to_pylist(), chosen.column("shard").to_pylist()
    yield from zip(*columns, strict=True)
