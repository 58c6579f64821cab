"""From a run's finished stages to its corpus folder: the samples in order, and the facts that its card states."""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final  # Any: record classes, candidates of any recipe, JSON values

import pyarrow.compute as pc
import pyarrow.parquet as pq

from cards.card import CARD_NAME
from cards.funnel import check_funnel
from cards.reading import Corpus, CorpusManifest, read_corpus, read_manifest
from cards.samples import IMAGE_UNPUBLISHABLE, IMAGE_UNREADABLE, CorpusSample, LostSample
from cards.takedowns import taken_down_images
from cards.writing import write_corpus
from ostensive.errors import Interrupted, OstensiveError
from ostensive.fingerprint import fingerprint
from ostensive.images.paths import shown_name
from ostensive.images.publish import publishable_jpeg
from ostensive.recipe import Recipe, recipe_hash
from ostensive.records import Annotation, ImageRecord, ImageSignature, ImageSplit, Judged, Scored, Verbalization
from ostensive.run import partitions
from ostensive.run.agreements import read_agreements
from ostensive.run.build import FinishedStages
from ostensive.run.folder import RunFolder
from ostensive.run.partitions import PartitionInfo
from ostensive.run.planning import INTAKE_RECORDS
from ostensive.run.splits import DEFAULT_SPLIT
from ostensive.run.summary import IN_NO_SPLIT, TAKEN_DOWN, RunFacts, SplitFigures, StageSummary
from ostensive.run.thresholds import in_force, read_choices
from ostensive.stage import record_name
from ostensive.user_paths import model_label
from ostensive.version import VERSION

PICTURES_AHEAD: Final = 32  # read and cleaned before they are written; bounds memory
_OF_SAMPLES: Final = (ImageRecord, Verbalization, Annotation, ImageSplit, Judged)


def publish(finished: FinishedStages) -> Corpus:
    """Writes `corpus/` from the partitions that are whole; does nothing where it is there already.

    An image that cannot be read any more, or not be published, costs its own rows, which are counted and logged; the
    next call tries it again. Raises `Interrupted`, `StorageError`, and `OstensiveError` when no row is left.
    """
    run, recipe = finished.run, finished.recipe
    records = {name: record_name(INTAKE_RECORDS[name]) for name in finished.intake_stages}
    records |= {stage.name: record_name(stage.record_out) for stage in finished.stages}
    infos = {name: run.infos(name) for name in records}
    made_from = _made_from(run, recipe, infos, taken_down_images(run.path))
    is_whole = read_manifest(run.corpus_path) is not None and (run.corpus_path / CARD_NAME).exists()
    if not is_whole or run.read_state().get("corpus") != made_from:
        sources = _Sources.of(run, records)
        facts = _facts(run, recipe, sources, records, infos)
        check_funnel(facts, finished.carried_out)
        manifest = write_corpus(
            _samples(finished, sources),
            run.corpus_path,
            kind=finished.kind,
            settings=recipe.corpus,
            facts=facts,
            tell=partial(_log_loss, run),
        )
        _remember(run, manifest, made_from)
    return read_corpus(run)


def _made_from(
    run: RunFolder, recipe: Recipe, infos: Mapping[str, Sequence[PartitionInfo]], taken_down: Collection[str]
) -> str:
    """A fingerprint of all that the corpus depends on; `infos` are those of every stage."""
    return fingerprint(
        [
            recipe.identity(),
            VERSION,
            [asdict(choice) for choice in read_choices(run.path)],
            [asdict(one) for one in read_agreements(run.path)],
            *([info.fingerprint, info.digest] for of_stage in infos.values() for info in of_stage),
            *sorted(taken_down),
        ]
    )


def _remember(run: RunFolder, manifest: CorpusManifest, made_from: str) -> None:
    """Says in the run's state what the corpus is made from.

    What was lost may be there again at the next call, so this one is then not the last word.
    """
    lost = dict(manifest.lost)
    run.write_state(
        corpus=None if set(lost) - {IN_NO_SPLIT} else made_from,
        published=manifest.rows,
        unpublished=lost,
        taken_down=manifest.taken_down_rows,
    )


@dataclass(frozen=True, slots=True)
class FinishedFacts:
    """A finished run as its folder has it: what its card states, and whether its corpus is of it as it is now."""

    run: RunFolder
    recipe: Recipe
    records: Mapping[str, str]
    infos: Mapping[str, Sequence[PartitionInfo]]

    @classmethod
    def of(cls, run: RunFolder, recipe: Recipe) -> "FinishedFacts":
        """`recipe` is that of the run."""
        infos = {name: found for name in run.stage_names() if (found := run.infos(name))}
        return cls(run, recipe, {name: found[0].record for name, found in infos.items()}, infos)

    def is_current(self, taken_down: Collection[str]) -> bool:
        """Whether the corpus is made from what the run holds less the images `taken_down`.

        One that lost rows says nothing of it, and counts as current.
        """
        return self.run.read_state().get("corpus") in (
            None,
            _made_from(self.run, self.recipe, self.infos, taken_down),
        )

    def facts(self) -> RunFacts:
        """What the card states."""
        return _facts(self.run, self.recipe, _Sources.of(self.run, self.records), self.records, self.infos)

    def remember(self, manifest: CorpusManifest, taken_down: Collection[str]) -> None:
        """Says that the corpus is of the run as it is now less the images `taken_down`."""
        _remember(self.run, manifest, _made_from(self.run, self.recipe, self.infos, taken_down))


def _log_loss(run: RunFolder, lost: LostSample) -> None:
    values = {"source": lost.image.source, "image_id": lost.image.image_id, "rows": lost.row_count}
    run.log("not published", {**values, "reason": lost.reason, "detail": lost.detail})


@dataclass(frozen=True, slots=True)
class _Sources:
    """The partitions that samples are made of: for each class of records those of the last stage that has it."""

    paths: Mapping[str, Mapping[int, Path]]  # by the name of the class, then by index
    whole: tuple[int, ...]  # the partitions that every one of these stages has finished

    @classmethod
    def of(cls, run: RunFolder, records: Mapping[str, str]) -> "_Sources":
        """`records` names the class of each stage's records, by the stage's name, in order."""
        last = {record: stage for stage, record in records.items()}
        assert record_name(Judged) in last, "a recipe has a stage that judges"
        paths = {
            name: {index: found[-1] for index, found in run.all_partitions(last[name]).items()}
            for name in map(record_name, _OF_SAMPLES)
            if name in last
        }
        return cls(paths, tuple(sorted(set.intersection(*map(set, paths.values())))))

    def kept(self, record: Any, index: int) -> list[Any]:
        """The records of a partition; none where no stage makes such records."""
        paths = self.paths.get(record_name(record))
        return [] if paths is None else partitions.read_kept(paths[index], record)


def _facts(
    run: RunFolder,
    recipe: Recipe,
    sources: _Sources,
    records: Mapping[str, str],
    infos: Mapping[str, Sequence[PartitionInfo]],
) -> RunFacts:
    judged = [sources.paths[record_name(Judged)][index] for index in sources.whole]
    lineage = _lineage(judged)
    return RunFacts(
        recipe=publishable_settings(recipe),
        recipe_hash=recipe_hash(recipe),
        stages=tuple(
            sum((info.summary for info in of_stage), StageSummary(name, 0, 0)) for name, of_stage in infos.items()
        ),
        records=records,
        accepted=sum(partitions.read_info(path).summary.kept for path in judged),
        teachers=lineage.teachers,
        prompt_hashes=lineage.prompt_hashes,
        critics=lineage.critics,
        ostensive_version=VERSION,
        split_figures=(figures := _split_figures(recipe, sources, records)),
        splits=_splits(recipe, figures),
        thresholds=in_force(read_choices(run.path), recipe.identity(), _critic_versions(run, records)),
        agreements=read_agreements(run.path),
        sources=run.read_state().get("sources", {}),
        partitions={name: len(of_stage) for name, of_stage in infos.items()},
    )


def _split_figures(recipe: Recipe, sources: _Sources, records: Mapping[str, str]) -> SplitFigures | None:
    """How the images of whole partitions were put into splits; None where nobody asked for any."""
    paths = sources.paths.get(record_name(ImageSplit))
    if paths is None:
        return None
    images, groups, left_out, leaking = Counter[str](), Counter[str](), 0, 0
    for index in sources.whole:
        found = sources.kept(ImageSplit, index)
        images.update(one.split for one in found)
        groups.update(one.group for one in found if one.group is not None)
        leaking += sum(one.leaks for one in found)
        left_out += partitions.read_info(paths[index]).summary.dropped.get(IN_NO_SPLIT, 0)
    return SplitFigures(
        images=dict(sorted(images.items())),
        asked=dict(recipe.corpus.splits),
        groups=len(groups),
        grouped=groups.total(),
        left_out=left_out,
        leaking=leaking,
        is_compared=record_name(ImageSignature) in records.values(),
    )


def _splits(recipe: Recipe, figures: SplitFigures | None) -> tuple[str, ...]:
    """Those that the recipe names, in its order, then those given beside images, by name and the usual one first."""
    if figures is None:
        return ()
    asked = tuple(recipe.corpus.splits)
    given = set(figures.images) - set(asked)
    return (*asked, *sorted(given, key=lambda split: (split != DEFAULT_SPLIT, split)))


def _critic_versions(run: RunFolder, records: Mapping[str, str]) -> dict[str, str]:
    """The version of each critic whose scores the run holds, by name."""
    found: dict[str, str] = {}
    scored = [stage for stage, record in records.items() if record == record_name(Scored)][-1:]
    for path in (path for stage in scored for path in run.partition_paths(stage)):
        scores = pc.list_flatten(pq.read_table(path, columns=["scores"]).column("scores")).combine_chunks()
        names, versions = pc.struct_field(scores, "critic"), pc.struct_field(scores, "critic_version")
        found.update(zip(names.to_pylist(), versions.to_pylist(), strict=True))
    return found


def publishable_settings(recipe: Recipe) -> dict[str, Any]:
    """The settings that rows depend on, without the addresses of servers, which may be nobody's business."""
    values = _without_addresses(recipe.identity())
    assert isinstance(values, dict), "a recipe is a mapping"
    return values


def _without_addresses(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: model_label(item) if key == "model" and isinstance(item, str) else _without_addresses(item)
            for key, item in value.items()
            if key != "base_url"
        }
    return [_without_addresses(item) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class _Lineage:
    """The distinct teachers, prompts and critics of rows, in alphabetical order."""

    teachers: tuple[str, ...]
    prompt_hashes: tuple[str, ...]
    critics: tuple[str, ...]  # "name version"


def _lineage(judged: Iterable[Path]) -> _Lineage:
    """What the rows of judged partitions come from, whether they were accepted or not."""
    teachers, prompt_hashes, critics = set[str](), set[str](), set[str]()
    for path in judged:
        table = pq.read_table(path, columns=["candidate", "judgements"])
        candidates = pc.drop_null(table.column("candidate")).combine_chunks()
        judgements = pc.list_flatten(table.column("judgements")).combine_chunks()
        names = pc.struct_field(judgements, "critic"), pc.struct_field(judgements, "critic_version")
        teachers.update(pc.unique(pc.struct_field(candidates, "teacher")).to_pylist())
        prompt_hashes.update(pc.unique(pc.struct_field(candidates, "prompt_hash")).to_pylist())
        critics.update(pc.unique(pc.binary_join_element_wise(*names, " ")).to_pylist())
    return _Lineage(*(tuple(sorted(found)) for found in (teachers, prompt_hashes, critics)))


def _samples(finished: FinishedStages, sources: _Sources) -> Iterator[CorpusSample | LostSample]:
    """The images that have accepted rows, in order; a few of them are worked out in threads ahead of need."""

    def with_picture(sample: CorpusSample | LostSample) -> CorpusSample | LostSample:
        if isinstance(sample, LostSample):
            return sample
        image, reason = sample.image, IMAGE_UNREADABLE
        try:
            data = finished.services.images.read(image)
            reason = IMAGE_UNPUBLISHABLE
            quality = finished.recipe.corpus.jpeg_quality
            jpeg = publishable_jpeg(data, jpeg_quality=quality, sample_bits=image.sample_bits)
        except Exception as error:  # noqa: BLE001 - the boundary of one image: its rows are lost, the others are not
            detail = str(error) if isinstance(error, OstensiveError) else f"{type(error).__name__}: {error}"
            return LostSample(image, len(sample.rows), reason, shown_name(detail[:300]))
        return replace(sample, jpeg=jpeg)

    with ThreadPoolExecutor(finished.services.threads) as pool:
        waiting: deque[Future[CorpusSample | LostSample]] = deque()
        try:
            for sample in chain.from_iterable(_without_pictures(finished, sources, index) for index in sources.whole):
                if finished.stop.is_set():
                    raise Interrupted("interrupted while the corpus was written")
                waiting.append(pool.submit(with_picture, sample))
                if len(waiting) >= PICTURES_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _without_pictures(finished: FinishedStages, sources: _Sources, index: int) -> Iterator[CorpusSample | LostSample]:
    """The samples of a partition before their pictures are read, and those whose image was taken down."""
    candidate: Any = finished.kind.candidate
    rows = _by_image(sources.kept(Judged[candidate], index))
    texts = _by_image(sources.kept(Verbalization, index))
    items = _by_image(sources.kept(Annotation, index))
    splits = _by_image(sources.kept(ImageSplit, index))
    has_splits = record_name(ImageSplit) in sources.paths
    taken_down = taken_down_images(finished.run.path)
    for image in sources.kept(ImageRecord, index):
        key = image.image_id
        if key in rows and key in taken_down:
            yield LostSample(image, len(rows[key]), TAKEN_DOWN, "")
        elif key in rows:
            text = texts[key][-1] if key in texts else None
            if has_splits and key not in splits:
                yield LostSample(image, len(rows[key]), IN_NO_SPLIT, "see the rows of the stage splits")
                continue
            split = splits[key][-1].split if has_splits else DEFAULT_SPLIT
            yield CorpusSample(image, b"", text, tuple(rows[key]), tuple(items.get(key, ())), split)


def _by_image(records: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for record in records:
        found.setdefault(record.image_id, []).append(record)
    return found
