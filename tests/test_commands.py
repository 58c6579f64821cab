"""The functions behind the commands, as Python calls them."""

import json
import threading
from pathlib import Path

import pytest
from drawing import write_scenes
from odd_server import OddServer

import ostensive
from ostensive.commands.show import (
    corpus_lines,
    corpus_values,
    duration,
    money,
    stage_table,
    status_lines,
    status_values,
)
from ostensive.errors import EmptyCorpusError, Interrupted
from ostensive.records import Spend
from ostensive.run.folder import RunFolder
from ostensive.run.progress import Bars, Lines, counts
from ostensive.run.status import StageStatus, seconds_left
from ostensive.run.summary import StageSummary, requests_text

PARTS = (("Question", "ball"), ("Answer", "box"), ("Rationale", "bird"))
SETTINGS = (
    "corpus.license=cc0-1.0",
    "corpus.source=drawn by a test",
    "corpus.intended_use=to test",
    "run.partition_size=2",
)


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

    options = ostensive.BuildOptions(settings=(*SETTINGS[:3], "run.partition_size=8"))
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

    corpus = ostensive.build(
        "localized", images=images, out=tmp_path / "run", options=options, reporter=ChangeAnImage()
    )
    assert {row["source"] for row in corpus.rows()} == {"scene 0000.jpg"}
    last = corpus.stages[-1]
    assert (last.name, last.kept, list(last.failed)) == ("corpus", corpus.row_count, ["image cannot be read"])
    assert last.rows == corpus.stages[-2].kept
    (event,) = [event for event in RunFolder(tmp_path / "run").read_log() if event["event"] == "not published"]
    assert event["source"] == "scene 0001.jpg"
    again = ostensive.build("localized", images=images, out=tmp_path / "run", options=options)
    assert (again.image_count, again.manifest.lost) == (2, {})


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
    assert [money(usd) for usd in (None, 0, 0.00123, 12.345, 0.0000123, 1e-300)] == [
        "unknown (no price is known for the model)",
        "$0.00",
        "$0.0012",
        "$12.35",
        "$0.000012",
        f"${1e-300:.20f}",
    ]
    assert [duration(s) for s in (None, 0, 59.6, 61, 3661)] == ["unknown", "0 s", "1 min 0 s", "1 min 1 s", "1 h 1 min"]


def test_a_build_status_and_card_say_how_many_requests_are_spoiled_or_estimated(tmp_path: Path) -> None:
    def answer(body: bytes, times: int) -> bytes:
        lines = "\n".join(f"{label}: The {thing} is near the door of {len(body)}" for label, thing in PARTS)
        message = {"content": lines if times else ""}  # nothing at first, and no word of what it took
        return json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()

    images = write_scenes(tmp_path / "images", 1)
    with OddServer(answer) as server:
        served = (f"teacher.base_url={server.base_url}", "teacher.kind=served", "teacher.model=m")
        priced = ("teacher.price.prompt=1", "teacher.price.completion=1")
        options = ostensive.BuildOptions(settings=(*SETTINGS, *served, *priced), max_cost_usd=5.0)
        for _ in "once", "and again":
            with pytest.raises(EmptyCorpusError, match="judged kept none of 1 rows, 1 of them with 'not a question'"):
                ostensive.build("localized", images=images, out=tmp_path / "run", options=options)
    corpus = ostensive.open_corpus(tmp_path / "run")
    asked = len(server.received)
    status = ostensive.status(tmp_path / "run")
    text = f"{asked} requests ({asked // 2} of them spoiled, {asked} with estimated tokens)"
    assert any(text in line for line in corpus_lines(corpus))
    assert any(text in line for line in status_lines(status))
    assert text in (corpus.path / "README.md").read_text("utf-8")
    assert corpus_values(corpus)["spend"] == status_values(status)["spend"]
    assert status_values(status)["spend"]["estimated_requests"] == asked


def test_requests_are_told_with_what_came_of_them() -> None:
    assert requests_text(Spend(1)) == "1 request"
    assert requests_text(Spend(1200)) == "1,200 requests"
    assert requests_text(Spend(12, estimated_requests=3)) == "12 requests (3 with estimated tokens)"
    assert requests_text(Spend(12, spoiled_requests=2)) == "12 requests (2 of them spoiled)"
    both = Spend(12, spoiled_requests=2, estimated_requests=3)
    assert requests_text(both) == "12 requests (2 of them spoiled, 3 with estimated tokens)"


def test_counts_of_stages_add_up_over_partitions() -> None:
    one = StageSummary("s", 2, 1, {"x": 1}, {}, Spend(1, 2, 3, 0.5))
    two = StageSummary("s", 3, 1, {"x": 1, "y": 1}, {"z": 1}, Spend(1, 1, 1, None))
    assert one + two == StageSummary("s", 5, 2, {"x": 2, "y": 1}, {"z": 1}, Spend(2, 3, 4, None))
    assert (one + two).rows == one.rows + two.rows


def test_bars_begin_anew_with_each_build(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        for _ in range(2):
            bars.plan(["images"], 4)
            bars.advance("images", 4)
            bars.finish(StageSummary("images", 4, 4))
    shown = capsys.readouterr().err
    assert shown.count("images") == 1
    assert "4/4 4 kept" in " ".join(shown.split())


def test_lines_come_from_time_to_time(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", iter([0.0, 1.0, 20.0, 20.0, 21.0]).__next__)
    lines = Lines()
    lines.plan(["images", "verbalized"], 9)
    lines.advance("images", 4)
    lines.advance("verbalized", 2)
    lines.advance("images", 5)
    assert capsys.readouterr().err == "of 9 images: images 4, verbalized 2\n"
