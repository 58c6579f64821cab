"""The line with which a run ends that came to little or nothing."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from drawing import write_scenes

import ostensive
from builders.localized.records import Qar
from ostensive.chat.records import Message
from ostensive.chat.server import ServerThread
from ostensive.errors import EmptyCorpusError, TooManyFailedError
from ostensive.records import ImageRecord
from ostensive.run import partitions
from ostensive.run.endings import check_emptied, check_failures
from ostensive.run.folder import RunFolder
from ostensive.run.partitions import PartitionInfo
from ostensive.run.summary import StageSummary
from ostensive.stage import Dropped, Failed, Kept, Outcome


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def image(number: int) -> ImageRecord:
    from ostensive.records import Location

    return ImageRecord(f"{number:064d}", 4, 4, "PNG", "RGB", 9, f"{number}.png", Location(f"/{number}.png"))


def write(run: RunFolder, index: int, outcomes: Sequence[Outcome[Qar]]) -> StageSummary:
    rows = [image(100 * index + number) for number in range(len(outcomes))]
    summary = partitions.summarize("candidates", len(rows), outcomes)
    path = run.partition_path("candidates", index, "f" * 64)
    path.parent.mkdir(parents=True, exist_ok=True)
    table = partitions.outcome_table(rows, outcomes, Qar)
    partitions.write(path, table, PartitionInfo("candidates", index, "f" * 64, "d", "Qar", summary))
    return summary


def test_the_last_words_about_the_commonest_reason_are_quoted(run: RunFolder) -> None:
    whole = write(run, 0, [Failed("request rejected", "status 400: first"), Failed("timeout", "silence")])
    whole += write(run, 1, [Failed("request rejected", "status 400:  the\n last "), Failed("request rejected", "")])
    with pytest.raises(TooManyFailedError) as caught:
        check_failures(run, [whole], 0.5)
    assert str(caught.value).startswith(
        "candidates: 4 of 4 rows failed, 3 of them with 'request rejected' (the last: status 400: the last); the corpus"
    )


def test_words_of_any_length_and_kind_make_one_line_of_a_bearable_length(run: RunFolder) -> None:
    whole = write(run, 0, [Failed("server error", "x\u2028y\r\n" + "long " * 9_999)])
    with pytest.raises(TooManyFailedError) as caught:
        check_failures(run, [whole], 0)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 600


def test_a_corpus_without_rows_names_the_stage_that_kept_none(run: RunFolder) -> None:
    whole = write(run, 0, [Dropped("no triples in the reply", "of 3"), Dropped("no triples in the reply")])
    stages = [StageSummary("images", 2, 2), whole, StageSummary("unique", 0, 0)]
    with pytest.raises(EmptyCorpusError) as caught:
        check_emptied(run, stages, 0)
    assert str(caught.value) == (
        "the corpus is empty: candidates kept none of 2 rows, 2 of them with 'no triples in the reply' (the last: of"
        " 3); mend the cause and run the same command again"
    )
    check_emptied(run, stages, 1)


def test_a_reason_that_nobody_has_words_for_is_named_without(run: RunFolder) -> None:
    whole = write(run, 0, [Failed("timeout"), Kept(())])
    with pytest.raises(TooManyFailedError, match=r"1 of them with 'timeout'; the corpus"):
        check_failures(run, [whole], 0)


@pytest.mark.parametrize("words", ["I would rather not.", "{}", "Question: Why?", "]" * 50])
def test_a_run_in_which_every_reply_is_unusable_does_not_end_well(words: str, tmp_path: Path) -> None:
    def script(messages: Sequence[Message], seed: int) -> str:
        return words

    images = write_scenes(tmp_path / "images", 1)
    with ServerThread(script) as server:
        settings = (
            "corpus.license=cc0-1.0",
            "corpus.source=drawn by a test",
            "corpus.intended_use=to test",
            "teacher.kind=served",
            "teacher.model=scripted",
            f"teacher.base_url={server.base_url}",
        )
        options = ostensive.BuildOptions(settings=settings)
        with pytest.raises(EmptyCorpusError, match="candidates kept none of 18 rows, "):
            ostensive.build("localized", images=images, out=tmp_path / "run", options=options)
    corpus = ostensive.open_corpus(tmp_path / "run")
    assert corpus.row_count == 0
    assert ostensive.status(tmp_path / "run").outcome == "EmptyCorpusError"
