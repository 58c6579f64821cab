"""From judged partitions to the corpus folder: the samples in order, and the facts that its card states."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cards.reading import Corpus, read_corpus
from ostensive.errors import Interrupted
from ostensive.fingerprint import fingerprint
from ostensive.images.loader import ImageLoader
from ostensive.images.publish import publishable_jpeg
from ostensive.recipe import Recipe
from ostensive.recipe_files import recipe_hash
from ostensive.records import ImageRecord, Judged, Verbalization
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from ostensive.run.summary import RunFacts
from ostensive.run.thresholds import in_force, read_choices
from ostensive.stage import Stage
from ostensive.version import VERSION

AnyStage = Stage[Any, Any]  # Any: stages of different records
PICTURES_AHEAD = 32  # read and cleaned before they are written; bounds memory


@dataclass(frozen=True, slots=True)
class Materials:
    """What the corpus is made with besides the run's partitions."""

    loader: ImageLoader
    threads: int
    stop: threading.Event


def assemble(run: RunFolder, recipe: Recipe, stages: Sequence[AnyStage], materials: Materials) -> Corpus:
    """Writes `corpus/` from the partitions that are whole; does nothing where it is there already.

    Raises `Interrupted`, `StorageError`, and `ImageChangedError` when an image is no longer what was taken in.
    """
    from cards.manifest import MANIFEST_NAME
    from cards.writing import write_corpus

    names = ["images", *(stage.name for stage in stages)]
    made_from = fingerprint(
        [
            recipe.identity(),
            VERSION,
            [asdict(choice) for choice in read_choices(run.path)],
            *([info.fingerprint, info.digest] for name in names for info in run.infos(name)),
        ]
    )
    whole = (run.corpus_path / MANIFEST_NAME).exists() and (run.corpus_path / "README.md").exists()
    if not whole or run.read_state().get("corpus") != made_from:
        write_corpus(
            _samples(run, stages, recipe.corpus.jpeg_quality, materials),
            run.corpus_path,
            row_type=stages[-1].record_out,
            settings=recipe.corpus,
            facts=_facts(run, recipe, names),
        )
        run.write_state(corpus=made_from)
    return read_corpus(run)


def _facts(run: RunFolder, recipe: Recipe, names: Sequence[str]) -> RunFacts:
    judged = [_lineage(path) for path in run.partition_paths(names[-1])]
    return RunFacts(
        recipe=_publishable(recipe),
        recipe_hash=recipe_hash(recipe),
        stages=tuple(run.summary(name) for name in names),
        teachers=_distinct(table.column("teacher") for table in judged),
        prompt_hashes=_distinct(table.column("prompt_hash") for table in judged),
        critics=_distinct(table.column("critic") for table in judged),
        ostensive_version=VERSION,
        thresholds=in_force(read_choices(run.path), recipe.identity(), _critic_versions(run)),
    )


def _critic_versions(run: RunFolder) -> dict[str, str]:
    """The version of each critic whose scores the run holds, by name."""
    found: dict[str, str] = {}
    for path in run.partition_paths("scored"):
        scores = pc.list_flatten(pq.read_table(path, columns=["scores"]).column("scores")).combine_chunks()
        names, versions = pc.struct_field(scores, "critic"), pc.struct_field(scores, "critic_version")
        found.update(zip(names.to_pylist(), versions.to_pylist(), strict=True))
    return found


def _publishable(recipe: Recipe) -> dict[str, Any]:  # Any: JSON values of any depth
    """The settings that rows depend on, without the addresses of servers, which may be nobody's business."""
    values = _without_addresses(recipe.identity())
    assert isinstance(values, dict), "a recipe is a mapping"
    return values


def _without_addresses(value: Any) -> Any:  # Any: as above
    if isinstance(value, dict):
        return {key: _without_addresses(item) for key, item in value.items() if key != "base_url"}
    return [_without_addresses(item) for item in value] if isinstance(value, list) else value


def _lineage(path: Path) -> pa.Table:
    """The distinct teachers, prompts and critics of the rows of a judged partition."""
    table = pq.read_table(path, columns=["candidate", "judgements"])
    candidates = pc.drop_null(table.column("candidate")).combine_chunks()
    judgements = pc.list_flatten(table.column("judgements")).combine_chunks()
    names = pc.struct_field(judgements, "critic"), pc.struct_field(judgements, "critic_version")
    columns = {
        "teacher": pc.unique(pc.struct_field(candidates, "teacher")).to_pylist(),
        "prompt_hash": pc.unique(pc.struct_field(candidates, "prompt_hash")).to_pylist(),
        "critic": pc.unique(pc.binary_join_element_wise(*names, " ")).to_pylist(),
    }
    longest = max(map(len, columns.values()))
    return pa.table({name: pa.array(v + [None] * (longest - len(v)), pa.string()) for name, v in columns.items()})


def _distinct(columns: Iterator[pa.ChunkedArray]) -> tuple[str, ...]:
    return tuple(sorted({value for column in columns for value in column.to_pylist() if value is not None}))


def _samples(run: RunFolder, stages: Sequence[AnyStage], jpeg_quality: int, materials: Materials) -> Iterator[Any]:
    # Any: CorpusSample, which is of another room
    from cards.samples import CorpusSample

    def finish(planned: _Planned) -> CorpusSample:
        picture = publishable_jpeg(materials.loader.read(planned.image), jpeg_quality=jpeg_quality)
        return CorpusSample(planned.image, picture, planned.verbalization, planned.rows)

    planned = (plan for index in sorted(run.all_partitions(stages[-1].name)) for plan in _plan(run, stages, index))
    yield from _ahead(planned, finish, materials)


@dataclass(frozen=True, slots=True)
class _Planned:
    image: ImageRecord
    verbalization: Verbalization | None
    rows: tuple[Judged[Any], ...]  # Any: candidates of any recipe


def _plan(run: RunFolder, stages: Sequence[AnyStage], index: int) -> Iterator[_Planned]:
    """The images of a partition that have accepted rows, in order."""

    def kept(name: str, record: Any) -> list[Any]:  # Any: a record class, and its records
        return partitions.read_kept(run.all_partitions(name)[index][-1], record)

    rows: dict[str, list[Judged[Any]]] = {}
    for judged in kept(stages[-1].name, stages[-1].record_out):
        rows.setdefault(judged.image_id, []).append(judged)
    texts: dict[str, Verbalization] = {}
    for stage in stages:
        if stage.record_out is Verbalization:
            texts = {text.image_id: text for text in kept(stage.name, Verbalization)}
    for image in kept("images", ImageRecord):
        if image.image_id in rows:
            yield _Planned(image, texts.get(image.image_id), tuple(rows[image.image_id]))


def _ahead(planned: Iterator[_Planned], finish: Callable[[_Planned], Any], materials: Materials) -> Iterator[Any]:
    """`finish` of each in order, a few of them worked out in threads ahead of need. Any: as in `_samples`."""
    with ThreadPoolExecutor(materials.threads) as pool:
        waiting: deque[Future[Any]] = deque()  # Any: as above
        try:
            for plan in planned:
                if materials.stop.is_set():
                    raise Interrupted("interrupted while the corpus was written")
                waiting.append(pool.submit(finish, plan))
                if len(waiting) >= PICTURES_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
