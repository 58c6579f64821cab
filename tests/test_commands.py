"""The functions behind the commands, as Python calls them."""

import threading
from pathlib import Path

import pytest
from drawing import write_scenes

import ostensive
from ostensive.commands.show import duration, money, stage_table
from ostensive.errors import Interrupted, OstensiveError
from ostensive.records import Spend
from ostensive.run.progress import Lines, counts
from ostensive.run.status import StageStatus, seconds_left
from ostensive.run.summary import StageSummary

SETTINGS = ("corpus.license=cc0-1.0", "corpus.source=drawn by a test", "run.partition_size=2")


def test_a_corpus_is_built_and_read_in_python(tmp_path: Path) -> None:
    images = write_scenes(tmp_path / "images", 3)
    options = ostensive.BuildOptions(settings=SETTINGS)
    corpus = ostensive.build("localized", images=images, out=tmp_path / "run", options=options)
    rows = list(corpus.rows())
    assert len(rows) == corpus.row_count > 0
    dataset = corpus.to_datasets()
    assert len(dataset) == corpus.image_count == 3
    assert sorted(row["row_id"] for sample in dataset for row in sample["rows"]) == sorted(
        row["row_id"] for row in rows
    )
    assert dataset[0]["image"].size == (96, 72)
    again = ostensive.open_corpus(tmp_path / "run")
    assert (again.row_count, again.stages) == (corpus.row_count, corpus.stages)


def test_every_row_leads_back_to_its_image_request_and_critic(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    images = write_scenes(tmp_path / "images", 2)
    options = ostensive.BuildOptions(settings=SETTINGS)
    corpus = ostensive.build("localized", images=images, out=tmp_path / "run", options=options)
    with closing(sqlite3.connect(tmp_path / "run" / "journal.sqlite")) as journal:
        keys = {key for (key,) in journal.execute("select key from answers")}
    for row in corpus.rows():
        assert row["request_key"] in keys
        assert row["source"] in {"scene 0000.jpg", "scene 0001.jpg"}
        assert [judgement["critic"] for judgement in row["judgements"]] == ["rules"]
        assert len(row["recipe_hash"]) == len(row["prompt_hash"]) == 16


def test_what_is_exported_is_there_and_nothing_else_is() -> None:
    for name in ostensive.__all__:
        assert getattr(ostensive, name) is not None
    with pytest.raises(AttributeError, match="module 'ostensive' has no attribute 'biuld'"):
        _ = ostensive.biuld


def test_a_stop_while_the_corpus_is_written_leaves_the_stages_whole(tmp_path: Path) -> None:
    images = write_scenes(tmp_path / "images", 3)
    stop = threading.Event()

    class StopAtTheEnd(Lines):
        def finish(self, summary: StageSummary) -> None:
            if summary.name == "judged":
                stop.set()

    options = ostensive.BuildOptions(settings=(*SETTINGS[:2], "run.partition_size=8"))
    with pytest.raises(Interrupted):
        ostensive.build(
            "localized", images=images, out=tmp_path / "run", options=options, reporter=StopAtTheEnd(), stop=stop
        )
    assert ostensive.status(tmp_path / "run").stages[-1].partitions_done == 1
    assert not (tmp_path / "run" / "corpus" / "manifest.json").exists()
    corpus = ostensive.build("localized", images=images, out=tmp_path / "run", options=options)
    assert corpus.image_count == 3


def test_a_corpus_that_is_there_is_not_written_again_and_one_that_is_damaged_is(tmp_path: Path) -> None:
    images = write_scenes(tmp_path / "images", 2)
    options = ostensive.BuildOptions(settings=SETTINGS)

    def build() -> ostensive.Corpus:
        return ostensive.build("localized", images=images, out=tmp_path / "run", options=options)

    card = build().path / "README.md"
    written = card.stat().st_mtime_ns
    assert build().path.joinpath("README.md").stat().st_mtime_ns == written
    card.unlink()
    assert build().path.joinpath("README.md").exists()
    renamed = ostensive.BuildOptions(settings=(*SETTINGS, "corpus.name=other"))
    other = ostensive.build("localized", images=images, out=tmp_path / "run", options=renamed)
    assert [path.name for path in (other.path / "shards").glob("*.tar")] == ["other-train-000000.tar"]


def test_an_image_that_changes_while_the_run_is_at_work_is_named(tmp_path: Path) -> None:
    images = write_scenes(tmp_path / "images", 2)
    options = ostensive.BuildOptions(settings=SETTINGS)

    class ChangeAnImage(Lines):
        def finish(self, summary: StageSummary) -> None:
            if summary.name == "judged":
                write_scenes(images, 1, first=50)
                (images / "scene 0050.jpg").rename(images / "scene 0001.jpg")

    with pytest.raises(OstensiveError, match=r"scene 0001\.jpg"):
        ostensive.build("localized", images=images, out=tmp_path / "run", options=options, reporter=ChangeAnImage())
    assert ostensive.build("localized", images=images, out=tmp_path / "run", options=options).image_count == 2


def status(name: str, done: int) -> StageStatus:
    return StageStatus(StageSummary(name, 0, 0), done)


def test_time_left_is_that_of_the_slowest_stage_since_the_last_start() -> None:
    log: list[dict[str, object]] = [
        {"event": "partition", "stage": "a", "t": 1.0},
        {"event": "start", "t": 100.0},
        {"event": "partition", "stage": "a", "t": 101.0},
        {"event": "partition", "stage": "a", "t": 102.0},
        {"event": "partition", "stage": "b", "t": 110.0},
    ]
    assert seconds_left(log, [status("a", 4), status("b", 1)], 4) == pytest.approx(30)
    assert seconds_left(log, [status("a", 3)], 4) == pytest.approx(1)
    assert seconds_left(log, [status("a", 4), status("b", 4)], 4) is None
    assert seconds_left(log[:1], [status("a", 1)], 4) is None, "nothing was started"
    assert seconds_left(log[1:2], [status("a", 0)], 4) is None, "nothing is finished yet"


def test_the_stage_table_names_each_reason_commonest_first() -> None:
    summary = StageSummary("candidates", 2, 30, {"hedging": 1, "a rare one": 1, "no region": 3}, {"timeout": 1})
    assert list(stage_table([summary])) == [
        "stage              in     rows     kept  dropped   failed",
        "candidates          2       36       30        5        1",
        "                    3 dropped: no region",
        "                    1 dropped: a rare one",
        "                    1 dropped: hedging",
        "                    1 failed: timeout",
    ]
    assert counts(summary) == "30 kept, 5 dropped, 1 failed"
    assert counts(StageSummary("images", 1, 1)) == "1 kept"


def test_sums_of_money_and_time_are_told_with_sense() -> None:
    assert [money(usd) for usd in (None, 0, 0.00123, 12.345)] == [
        "unknown (no price is known for the model)",
        "$0.00",
        "$0.0012",
        "$12.35",
    ]
    assert [duration(s) for s in (None, 0, 59.6, 61, 3661)] == ["unknown", "0 s", "1 min 0 s", "1 min 1 s", "1 h 1 min"]


def test_counts_of_stages_add_up_over_partitions() -> None:
    one = StageSummary("s", 2, 1, {"x": 1}, {}, Spend(1, 2, 3, 0.5))
    two = StageSummary("s", 3, 1, {"x": 1, "y": 1}, {"z": 1}, Spend(1, 1, 1, None))
    assert one + two == StageSummary("s", 5, 2, {"x": 2, "y": 1}, {"z": 1}, Spend(2, 3, 4, None))
    assert (one + two).rows == one.rows + two.rows


def test_lines_come_from_time_to_time(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", iter([0.0, 1.0, 20.0, 20.0, 21.0]).__next__)
    lines = Lines()
    lines.plan(["images", "verbalized"], 9)
    lines.advance("images", 4)
    lines.advance("verbalized", 2)
    lines.advance("images", 5)
    assert capsys.readouterr().err == "of 9 images: images 4, verbalized 2\n"
