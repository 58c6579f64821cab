"""Whole runs against a server that misbehaves: nothing is lost, nothing is paid twice, and the counts add up."""

from collections import Counter
from pathlib import Path

import pytest
from drawing import write_scenes
from hardship import REQUESTS_AN_IMAGE, TRIPLES_AN_IMAGE, Done, build_command, call, outcomes, stages_of, tree

from builders.localized.scripted import make_script
from ostensive.chat.faults import FAULT_KINDS, Faults
from ostensive.chat.server import ServerSettings, ServerThread
from ostensive.errors import TooManyFailedError
from ostensive.recipe import RunSettings
from ostensive.run.endings import check_failures
from ostensive.run.folder import RunFolder
from ostensive.run.summary import StageSummary

IMAGES = 4
MORE = "more triples than asked"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("images"), IMAGES)


def scripted(faults: Faults = Faults(), required_key: str | None = None) -> ServerThread:  # noqa: B008 - frozen
    return ServerThread(make_script(0.2), ServerSettings(faults=faults, required_key=required_key))


def assert_nothing_is_lost(run: Path, count: int, triples: int = TRIPLES_AN_IMAGE) -> None:
    """Nine triples an image and mode, each kept, dropped or failed with a reason; the rest are counted as extra."""
    stages = stages_of(run)
    assert stages["candidates"].inputs == count
    rows = outcomes(run, "candidates")
    asked = Counter(row["input_id"] for row in rows if row["outcome_reason"] != MORE)
    assert list(asked.values()) == [triples] * count
    by_mode = Counter((row["input_id"], row["mode"]) for row in rows if row["mode"] and row["outcome_reason"] != MORE)
    assert all(found <= triples // 2 for found in by_mode.values())


@pytest.mark.slow
def test_a_run_survives_every_fault_at_once(tmp_path: Path) -> None:
    images = write_scenes(tmp_path / "images", 10)
    shares = {kind: 0.11 for kind in FAULT_KINDS if kind != "rate_limited_date"}
    faults = Faults(**shares, rate_limited_date=0.01, most_per_request=1, retry_after_s=0.01)
    with scripted(faults) as server:
        done = call(*build_command(images, tmp_path / "run", server.base_url, read_timeout_s=0.4))
        assert done.returncode == 0, done.stderr
        stats = server.stats
    assert set(stats.faults) == set(FAULT_KINDS), "the run met every fault"
    assert_nothing_is_lost(tmp_path / "run", 10)
    candidates = stages_of(tmp_path / "run")["candidates"]
    # Every other fault passes; an answer that was filtered or cut is one that was paid for, and stands.
    assert set(candidates.failed) == {"filtered reply"}
    assert candidates.dropped["truncated reply"] >= stats.faults["length"]
    assert stats.sent_after_answer == 0
    spend = candidates.spend
    assert spend.requests - spend.spoiled_requests == stats.answered, "all that was answered is in the books"
    assert spend.spoiled_requests == stats.faults["bad_json"] + stats.faults["no_choices"], "and what was of no use"
    assert spend.estimated_requests == stats.faults["bad_json"]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("rate_limited", "rate limited"),
        ("server_error", "server error"),
        ("unavailable", "server error"),
        ("close_midway", "connection failed"),
        ("hang", "timeout"),
        ("bad_json", "malformed reply"),
        ("no_choices", "malformed reply"),
        ("content_filter", "filtered reply"),
    ],
)
def test_a_fault_that_stays_fails_every_row_by_its_reason(kind: str, reason: str, tmp_path: Path) -> None:
    images = write_scenes(tmp_path / "images", 1)
    with scripted(Faults(**{kind: 1.0}, most_per_request=99, retry_after_s=0.01)) as server:
        limits = {"read_timeout_s": 0.3, "total_timeout_s": 0.7, "max_attempts": 1}
        done = call(*build_command(images, tmp_path / "run", server.base_url, **limits))
    assert_nothing_is_lost(tmp_path / "run", 1)
    assert stages_of(tmp_path / "run")["candidates"].failed == {reason: TRIPLES_AN_IMAGE}
    assert done.returncode == 1
    assert done.complaint.startswith(f"candidates: 18 of 18 rows failed, 18 of them with {reason!r} (the last: ")


def test_replies_that_are_all_cut_short_lose_only_what_was_cut(images: Path, tmp_path: Path) -> None:
    with scripted(Faults(length=1.0, most_per_request=99)) as server:
        done = call(*build_command(images, tmp_path / "run", server.base_url))
    assert done.returncode == 0, done.stderr
    assert_nothing_is_lost(tmp_path / "run", IMAGES)
    candidates = stages_of(tmp_path / "run")["candidates"]
    assert candidates.failed == {}
    assert candidates.kept > 0
    # At least one of the three triples of each reply lies in the half that is missing.
    assert candidates.dropped["truncated reply"] >= IMAGES * REQUESTS_AN_IMAGE


@pytest.mark.slow
def test_a_run_in_which_every_request_fails_is_mended_by_retrying(images: Path, tmp_path: Path) -> None:
    # No follow-up, which would fail at first too, and no end of the run before all have been asked once.
    run, one_turn = tmp_path / "run", ["--set", "localized.turns=1", "--set", "teacher.stop_after_refusals=null"]
    with scripted(Faults(server_error=1.0, most_per_request=1)) as server:

        def build(*arguments: object, out: Path = run) -> Done:
            return call(*build_command(images, out, server.base_url, *one_turn, *arguments, max_attempts=1))

        done = build()
        assert done.returncode == 1
        assert done.complaint == (
            "candidates: 24 of 24 rows failed, 24 of them with 'server error' (the last: status 500: the server had an"
            " error; 1 attempt); the corpus holds what is left; mend the cause and run the same command with"
            " --retry-failed, or allow more with --set run.max_failed_share=1"
        )
        assert "24 failed: server error" in done.stdout
        assert "corpus      0 rows about 0 images" in done.stdout
        assert "empty       no row was accepted; the reasons are above" in done.stdout
        assert "no row" in (run / "corpus" / "README.md").read_text().lower()
        openings = 2 * IMAGES
        assert (server.stats.received, server.stats.answered) == (openings, 0)

        assert build().returncode == 1, "the same command says it again"
        assert server.stats.received == openings, "and asks nothing: failed rows are only retried when asked to"

        mended = build("--retry-failed")
        assert mended.returncode == 0, mended.stderr
        assert server.stats.answered == server.stats.distinct == openings
        assert server.stats.sent_after_answer == 0
        assert_nothing_is_lost(run, IMAGES, 6)
        assert stages_of(run)["candidates"].failed == {}
        assert build(out=tmp_path / "undisturbed").returncode == 0, "the server's faults are over"
    assert tree(run / "corpus") == tree(tmp_path / "undisturbed" / "corpus")


def test_retrying_pays_only_for_what_is_missing(images: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with scripted(Faults(server_error=0.3, most_per_request=1)) as server:
        done = call(*build_command(images, run, server.base_url, max_attempts=1))
        first = stages_of(run)["candidates"]
        answered = server.stats.answered
        assert first.kept > 0, "some requests were answered"
        assert 0 < first.failed["server error"] <= 36, done.stderr
        assert done.returncode == 0, "fewer failed than half"
        assert_nothing_is_lost(run, IMAGES)

        again = call(*build_command(images, run, server.base_url, "--retry-failed", max_attempts=2))
        assert again.returncode == 0, again.stderr
        assert (server.stats.answered, server.stats.sent_after_answer) == (IMAGES * REQUESTS_AN_IMAGE, 0)
        assert server.stats.answered > answered
        assert stages_of(run)["candidates"].failed == {}
        assert_nothing_is_lost(run, IMAGES)
        call(*build_command(images, tmp_path / "undisturbed", server.base_url))
    assert tree(run / "corpus") == tree(tmp_path / "undisturbed" / "corpus")


def test_a_refused_key_stops_the_run_before_any_work(images: Path, tmp_path: Path) -> None:
    with scripted(required_key="sk-right") as server:
        done = call(*build_command(images, tmp_path / "run", server.base_url, api_key="sk-wrong"))
        assert server.stats.received == 0
    assert done.returncode == 1
    assert done.complaint.startswith(f"{server.base_url} refuses the key (")
    assert done.complaint.endswith("check OPENAI_API_KEY or teacher.api_key")
    assert not list((tmp_path / "run").glob("*/*.parquet"))


@pytest.mark.slow
def test_a_run_whose_key_was_revoked_goes_on_with_another(images: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with scripted(required_key="sk-right") as server:

        def build(key: str, *arguments: object, out: Path = run) -> Done:
            return call(*build_command(images, out, server.base_url, *arguments, api_key=key))

        assert build("sk-right", "--max-requests", 13).returncode == 1
        assert server.stats.answered == 13
        there = tree(run / "candidates"), tree(run / "corpus")
        assert build("sk-revoked").complaint.startswith(f"{server.base_url} refuses the key (")
        assert (tree(run / "candidates"), tree(run / "corpus")) == there, "what was there is not touched"
        done = build("sk-right")
        assert done.returncode == 0, done.stderr
        assert (server.stats.answered, server.stats.sent_after_answer) == (IMAGES * REQUESTS_AN_IMAGE, 0)
        assert_nothing_is_lost(run, IMAGES)
        build("sk-right", out=tmp_path / "undisturbed")
    assert tree(run / "corpus") == tree(tmp_path / "undisturbed" / "corpus")


def test_a_server_that_is_down_is_named_and_nothing_is_failed(images: Path, tmp_path: Path) -> None:
    with scripted() as server:
        pass
    done = call(*build_command(images, tmp_path / "run", server.base_url, max_attempts=1))
    assert done.returncode == 1
    assert done.complaint.startswith(f"{server.base_url} cannot be reached (")
    assert done.complaint.endswith("check teacher.base_url or OPENAI_BASE_URL, and that the server is up")
    assert not (tmp_path / "run" / "candidates").exists(), "no row is written off because nobody was there"


def stage(kept: int, **failed: int) -> StageSummary:
    return StageSummary(
        "candidates", 9, kept, {"a rule": 1}, {reason.replace("_", " "): n for reason, n in failed.items()}
    )


def test_the_share_of_failures_that_is_borne(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    check_failures(run, [], 0)
    check_failures(run, [StageSummary("unique", 0, 0)], 0)
    check_failures(run, [stage(2)], 0)
    check_failures(run, [stage(2, timeout=3)], 0.5)  # exactly half
    check_failures(run, [stage(0, timeout=9)], 1)
    with pytest.raises(TooManyFailedError, match=r"^candidates: 1 of 4 rows failed, 1 of them with 'timeout'; "):
        check_failures(run, [stage(0), stage(2, timeout=1)], 0)
    with pytest.raises(TooManyFailedError, match=r"candidates: 5 of 6 rows failed, 3 of them with 'server error'; "):
        check_failures(run, [stage(0, timeout=2, server_error=3)], 0.8)
    assert RunSettings().max_failed_share == 0.5


def test_the_share_is_a_setting_that_redoes_nothing(tmp_path: Path) -> None:
    images = write_scenes(tmp_path / "images", 1)
    with scripted(Faults(bad_json=1.0, most_per_request=99)) as server:
        command = build_command(images, tmp_path / "run", server.base_url, max_attempts=1)
        assert call(*command).returncode == 1
        received = server.stats.received
        done = call(*command, "--set", "run.max_failed_share=1")
        assert (done.returncode, done.complaint) == (
            1,
            "the corpus is empty: candidates kept none of 18 rows, 18 of them with 'malformed reply' (the last: not"
            " JSON; 1 attempt); mend the cause and run the same command again",
        )
        assert server.stats.received == received
