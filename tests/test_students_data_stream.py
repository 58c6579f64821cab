"""Corpora streamed from shards: each sample once, in a known order, going on in the middle; shards that are broken."""

import io
import json
import os
import pickle
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any  # Any: JSON values, batches

import pytest
from drawn_corpus import SIZE, written_corpus

import ostensive
from builders.localized.recipe import KIND
from cards.reading import Corpus
from ostensive.errors import OstensiveError, SettingsError
from students.data.drawn import DrawnRow, RegionAugmentation
from students.data.loader import ResumableLoader
from students.data.mapped import corpus_rows
from students.data.pictures import PictureError
from students.data.shards import ShardError, find_shards
from students.data.stream import CorpusStream, StreamSettings, _shard_samples
from students.reading import CorpusRow

IMAGES, ROWS, A_SHARD = 11, 3, 4


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return written_corpus(tmp_path_factory.mktemp("run"), IMAGES, rows=ROWS, a_shard=A_SHARD)


def name_of(row: CorpusRow, _draw: Random) -> str:
    return row.row_id


def stream_of(corpus: Corpus, **settings: Any) -> CorpusStream:
    return CorpusStream(
        find_shards(corpus.path), KIND, transform=name_of, settings=StreamSettings(**{"buffer": 3, **settings})
    )


def loader_of(corpus: Corpus, workers: int, *, batch_size: int = 2, **settings: Any) -> ResumableLoader:
    return ResumableLoader(stream_of(corpus, **settings), batch_size=batch_size, workers=workers)


def images_of(names: Iterator[str] | list[str]) -> list[str]:
    return [name.partition("-")[0] for name in names]


ALL = [f"{number:03d}" for number in range(IMAGES)]


def test_an_epoch_has_each_image_once_and_as_many_epochs_each_row(corpus: Corpus) -> None:
    stream = stream_of(corpus)
    seen = Counter[str]()
    orders = set()
    for epoch in range(ROWS):
        stream.set_epoch(epoch)
        names = list(stream)
        assert sorted(images_of(names)) == ALL
        assert names == list(stream), "the same again"
        orders.add(tuple(images_of(names)))
        seen.update(names)
    assert len(orders) == ROWS, "another order in each"
    assert set(seen.values()) == {1}
    assert len(seen) == IMAGES * ROWS
    assert list(stream_of(corpus, seed=1)) != list(stream_of(corpus))


def test_an_item_is_a_row_with_its_image_or_what_is_made_of_it(corpus: Corpus) -> None:
    shards = find_shards(corpus.run.path)
    plain = list(CorpusStream(shards, KIND, settings=StreamSettings(buffer=1)))
    row = plain[0]
    assert (row.image.size, len(row.image.regions), row.image.split) == (SIZE, 4, "train")
    assert row.image.rows == (row.row,)
    drawn = list(CorpusStream(shards, KIND, transform=RegionAugmentation(KIND), settings=StreamSettings(buffer=1)))
    assert all(isinstance(one, DrawnRow) for one in drawn)
    assert [one.row_id for one in drawn] == [one.row_id for one in plain]


@pytest.mark.parametrize("readers", [2, 3, 7, 16])
def test_readers_share_an_epoch(corpus: Corpus, readers: int) -> None:
    """Processes, of which there may be more than shards, and than samples."""
    parts = [list(stream_of(corpus, rank=rank, world_size=readers)) for rank in range(readers)]
    assert sorted(images_of([name for part in parts for name in part])) == ALL
    assert [stream_of(corpus, rank=rank, world_size=readers).sample_count for rank in range(readers)] == [
        len(part) for part in parts
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_goes_on_behind_any_batch(corpus: Corpus, workers: int) -> None:
    """A state through JSON, in a loader of its own; into the next epoch."""
    straight = loader_of(corpus, workers)
    whole = [*straight, *straight]
    assert straight.epoch == 2
    assert sorted(images_of([name for batch in whole for name in batch])) == sorted(ALL * 2)
    half = len(whole) // 2
    for done in (1, 3, half, half + 1):
        first = loader_of(corpus, workers)
        begun = list(islice(first, min(done, half)))
        begun += list(islice(first, 1)) if done > half else []
        state = json.loads(json.dumps(first.state_dict()))
        later = loader_of(corpus, workers)
        later.load_state_dict(state)
        rest = list(later)
        rest += list(later) if later.epoch < 2 else []
        assert begun + rest == whole


def test_two_processes_of_two_workers_see_each_once_and_go_on(corpus: Corpus) -> None:
    loaders = [loader_of(corpus, 2, rank=rank, world_size=2) for rank in range(2)]
    begun = [name for loader in loaders for batch in islice(loader, 1) for name in batch]
    rest = []
    for rank, loader in enumerate(loaders):
        later = loader_of(corpus, 2, rank=rank, world_size=2)
        later.load_state_dict(loader.state_dict())
        rest += [name for batch in later for name in batch]
    assert sorted(images_of(begun + rest)) == ALL


def test_going_on_opens_no_shard_that_is_done_with(corpus: Corpus, tmp_path: Path) -> None:
    copied = shutil.copytree(corpus.path, tmp_path / "corpus")
    stream = CorpusStream(find_shards(copied), KIND, transform=name_of, settings=StreamSettings(buffer=2))
    whole = list(stream)
    items = iter(stream)
    begun = list(islice(items, 7))
    done = CorpusStream(find_shards(copied), KIND, transform=name_of, settings=StreamSettings(buffer=2))
    done.load_state_dict(stream.state_dict())
    first = next(iter(stream._stretches(0, 1)))
    (copied / "shards" / stream.shards.shards[first.shard].name).unlink()
    assert begun + list(done) == whole
    with pytest.raises(ShardError, match="cannot be read: No such file or directory"):
        list(done)


def test_a_worker_that_is_started_anew_gets_the_same(corpus: Corpus) -> None:
    """As on systems without fork: everything goes through pickle."""
    stream = pickle.loads(pickle.dumps(stream_of(corpus)))
    assert list(stream) == list(stream_of(corpus))


def test_torch_takes_a_stream_for_an_iterable_data_set(corpus: Corpus) -> None:
    from torch.utils.data import DataLoader, IterableDataset

    stream: Any = stream_of(corpus)
    assert isinstance(stream, IterableDataset)
    names = [name for batch in DataLoader(stream, batch_size=2, num_workers=2) for name in batch]
    assert sorted(images_of(names)) == ALL


def test_a_state_of_something_else_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    other = written_corpus(tmp_path, IMAGES - 1, rows=ROWS, a_shard=A_SHARD)
    state = loader_of(corpus, 2).state_dict()
    for loader, words in (
        (loader_of(other, 2), "with made_from "),
        (loader_of(corpus, 2, seed=5), "with made_from "),
        (loader_of(corpus, 2, batch_size=3), "with batch_size 2, and this has 3;"),
        (loader_of(corpus, 2, rank=0, world_size=2), "with world_size 1, and this has 2;"),
        (loader_of(corpus, 3), "is of 2 workers, and this loader has 3; go on with as many"),
    ):
        with pytest.raises(SettingsError, match=words):
            loader.load_state_dict(state)
    with pytest.raises(SettingsError, match=r"^the state is of other shards, seed or buffer than this stream"):
        stream_of(corpus, buffer=9).load_state_dict(stream_of(corpus).state_dict())
    with pytest.raises(SettingsError, match=r"is of reader 0 of 1 .* this is 1 of 2; go on with as many"):
        stream_of(corpus, rank=1, world_size=2).load_state_dict(stream_of(corpus).state_dict())
    with pytest.raises(SettingsError, match="rank 2 of 2: "):
        StreamSettings(rank=2, world_size=2)
    with pytest.raises(SettingsError, match="buffer 0: "):
        StreamSettings(buffer=0)


# ---- shards that are not what their index says -----------------------------------------------------------------------


@pytest.fixture
def copied(corpus: Corpus, tmp_path: Path) -> Path:
    return Path(shutil.copytree(corpus.path, tmp_path / "corpus"))


def shard_in(folder: Path) -> Path:
    return folder / "shards" / "drawn-train-000001.tar"


def edit_index(folder: Path, **values: Any) -> None:
    path = folder / "shards" / "shardindex-train.json"
    index = json.loads(path.read_text())
    for entry in index["shardlist"]:
        if entry["url"] == shard_in(folder).name:
            entry.update(values)
    path.write_text(json.dumps(index))


def complaint(folder: Path, workers: int = 0, *, drop_last: bool = False, batch_size: int = 2) -> str:
    stream = CorpusStream(find_shards(folder), KIND, transform=RegionAugmentation(KIND))
    with pytest.raises(OstensiveError) as caught:
        list(ResumableLoader(stream, batch_size=batch_size, workers=workers, drop_last=drop_last))
    assert isinstance(caught.value, ShardError | PictureError)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(folder), "FOLDER").replace(os.path.relpath(folder), "FOLDER")


def written_tar(path: Path, members: list[tuple[str, bytes]]) -> int:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path.stat().st_size


def members_of(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as tar:
        found = []
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            found.append((member.name, file.read()))
    return found


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_that_is_broken_off_is_one_line(copied: Path, workers: int) -> None:
    data = shard_in(copied).read_bytes()
    shard_in(copied).write_bytes(data[: len(data) // 2])
    found = complaint(copied, workers)
    assert f"is {len(data) // 2:,} bytes long, and {len(data):,} are expected: it was cut short" in found
    # An index that does not know sizes: the tar itself ends in the middle of a member, or of a header.
    for length in (len(data) // 2, 700):
        shard_in(copied).write_bytes(data[:length])
        edit_index(copied, filesize=None)
        assert "drawn-train-000001.tar: " in complaint(copied, workers)


def test_a_shard_that_ends_between_two_samples_is_noticed(copied: Path) -> None:
    """Which no reader of tars does: the two are whole that are there."""
    size = written_tar(shard_in(copied), members_of(shard_in(copied))[:4])
    edit_index(copied, filesize=size)
    assert complaint(copied).endswith(
        "drawn-train-000001.tar: ends after 2 of the 4 samples that its index says; copy it again"
    )
    # A failure is in the smaller batch that would be left out.
    assert "ends after 2 of the 4" in complaint(copied, 2, drop_last=True, batch_size=5)
    edit_index(copied, filesize=size, nsamples=1)
    assert complaint(copied).endswith("holds more than the 1 samples that its index says")


def test_samples_that_are_no_rows_are_one_line(copied: Path) -> None:
    good = members_of(shard_in(copied))
    key = good[0][0].partition(".")[0]
    picture, damaged = good[0][1], (good[0][0], b"no")
    typed = "its .json is no image with rows of localized (TypeError: int where str is expected"
    wrong = re.sub(rb'"question":"[^"]*"', b'"question":7', good[1][1])
    cases = {
        "has 2 images, and a row has one slot; leave one of them": [
            (f"{key}.0.jpg", picture), (f"{key}.1.jpg", picture), *good[1:],
        ],
        "has no image; a .jpg and a .json are expected": good[1:],
        "has png; a .jpg and a .json are expected": [(f"{key}.png", picture), *good[1:]],
        "its .json is no image with rows of localized (KeyError: 'rows')": [good[0], (good[1][0], b"{}"), *good[2:]],
        typed: [good[0], (good[1][0], wrong), *good[2:]],
        "its .json is no image with rows of localized (JSONDecodeError: ": [good[0], (good[1][0], b"{"), *good[2:]],
        f"image {json.loads(good[1][1])['image_id']}: the picture cannot be decoded: ": [damaged, *good[1:]],
    }  # fmt: skip
    for words, members in cases.items():
        edit_index(copied, filesize=written_tar(shard_in(copied), members))
        found = complaint(copied)
        assert words in found
        assert key in found


def test_pickles_are_not_read(copied: Path) -> None:
    """A member that would run a program when it is loaded changes nothing."""
    members = members_of(shard_in(copied))
    key = members[0][0].partition(".")[0]
    evil = b"cos\nsystem\n(S'touch " + str(copied / "evil").encode() + b"'\ntR."
    more = [(f"{key}.{suffix}", evil) for suffix in ("pyd", "pickle", "pth", "npy", "cls")]
    edit_index(copied, filesize=written_tar(shard_in(copied), [*members[:2], *more, *members[2:]]))
    shards = find_shards(copied)
    assert sorted(images_of(list(CorpusStream(shards, KIND, transform=name_of)))) == ALL
    names = {name for sample in _shard_samples(shards, shards.shards[1], A_SHARD) for name in sample}
    assert names == {"__key__", "__url__", "jpg", "json"}
    assert not (copied / "evil").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "../other.tar"}, "'../other.tar' is no name of a shard beside it"),
        ({"url": "http://127.0.0.1/x.tar"}, "is no name of a shard beside it"),
        ({"url": 7}, "7 is no name of a shard"),
        ({"nsamples": -1}, "-1 is no count"),
        ({"nsamples": "4"}, "'4' is no count"),
        ({"filesize": 1.5}, "1.5 is no count"),
    ],
)
def test_an_index_that_leads_elsewhere_is_refused(copied: Path, change: dict[str, Any], words: str) -> None:
    edit_index(copied, **change)
    with pytest.raises(SettingsError, match=r"shardindex-train\.json is no index of shards") as caught:
        find_shards(copied)
    assert words in str(caught.value)


def test_where_there_are_no_shards(copied: Path, tmp_path: Path, corpus: Corpus) -> None:
    def refused(source: object, **more: Any) -> str:
        with pytest.raises(SettingsError) as caught:
            find_shards(str(source), **more)
        return str(caught.value)

    (tmp_path / "empty").mkdir()
    assert "holds no shards; the folder of a finished run" in refused(tmp_path / "empty")
    (tmp_path / "bare" / "corpus" / "shards").mkdir(parents=True)
    assert "holds no image, so that there is nothing to train on" in refused(tmp_path / "bare")
    assert "has no split called 'val'; there are train" in refused(copied, split="val")
    assert "a folder, http(s)://... or hf://datasets/... is expected" in refused("s3://bucket/corpus")
    assert refused("hf://models/me/x") == (
        "hf://models/me/x: hf://datasets/OWNER/NAME is expected, or hf://datasets/OWNER/NAME@REVISION"
    )
    for shard in ("drawn-train-000000.tar", "drawn-train-000001.tar", "drawn-train-000002.tar"):
        path = copied / "shards" / "shardindex-train.json"
        index = json.loads(path.read_text())
        index["shardlist"] = [
            {**entry, "nsamples": 0} if entry["url"] == shard else entry for entry in index["shardlist"]
        ]
        path.write_text(json.dumps(index))
    assert "holds no image, so that there is nothing to train on" in refused(copied)
    (copied / "shards" / "shardindex-train.json").write_text("[]")
    assert "is no index of shards (TypeError: " in refused(copied)


# ---- the same corpus by place ----------------------------------------------------------------------------------------


def test_rows_by_place(corpus: Corpus) -> None:
    from torch.utils.data import DataLoader, Dataset

    rows = corpus_rows(corpus, KIND, transform=RegionAugmentation(KIND), seed=3)
    of_torch: Any = rows
    assert isinstance(of_torch, Dataset)
    assert len(rows) == IMAGES * ROWS
    assert [rows.row(place).row_id for place in range(len(rows))] == [row["row_id"] for row in corpus.rows()]
    assert [one.row_id for one in rows.candidates()] == [row["row_id"] for row in corpus.rows()]
    assert rows[-1].row_id == rows[len(rows) - 1].row_id
    for place in (len(rows), -len(rows) - 1):
        with pytest.raises(IndexError, match="there are 33 rows, and none at "):
            rows[place]
    again = pickle.loads(pickle.dumps(rows))
    assert again[7].picture.tobytes() == rows[7].picture.tobytes()
    before = [rows[place].texts for place in range(len(rows))]
    rows.set_epoch(1)
    assert [rows[place].texts for place in range(len(rows))] != before
    taken = list(DataLoader(of_torch, batch_size=4, shuffle=True, num_workers=2, collate_fn=list))
    assert sorted(one.row_id for batch in taken for one in batch) == sorted(row["row_id"] for row in corpus.rows())


def test_rows_of_splits_and_of_no_image(tmp_path: Path) -> None:
    two = written_corpus(tmp_path / "two", 5, rows=2, splits=("train", "test"))
    assert (len(corpus_rows(two, KIND)), len(corpus_rows(two, KIND, split="test"))) == (8, 2)
    assert find_shards(two.path, split="test").sample_count == 1
    with pytest.raises(SettingsError, match="has no rows of a split called 'val'"):
        corpus_rows(two, KIND, split="val")
    none = written_corpus(tmp_path / "none", 0)
    with pytest.raises(SettingsError, match="holds no image, so that there is nothing to train on"):
        corpus_rows(none, KIND)
    with pytest.raises(SettingsError, match="holds no image, so that there is nothing to train on"):
        find_shards(none.path)


def test_an_address_has_to_be_told_its_recipe(corpus: Corpus) -> None:
    for source in ("https://127.0.0.1:9/corpus", str(corpus.path)):
        with pytest.raises(SettingsError, match=r"^recipe: .* does not say by which its rows were made; name it"):
            ostensive.corpus_stream(source)
    rows = [row.row_id for row in ostensive.corpus_stream(corpus.path, recipe="localized")]
    assert sorted(images_of(rows)) == ALL
