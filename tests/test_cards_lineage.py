"""The lineage of rows of every recipe, kept or lost, in the terminal and as JSON, and what is said where it ends."""

import hashlib
import json
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hardship import call
from installed_recipe import NAME, write_distribution
from reported_runs import HOSTILE, RECIPES, Runs, explainer_of, lossy_run

import ostensive
from cards.explaining import NO_ENTRY, NO_JOURNAL
from cards.lineage import ImageRows, Lineage
from ostensive.errors import SettingsError, StorageError
from ostensive.run.folder import RunFolder


@pytest.fixture(scope="module", autouse=True)
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = write_distribution(tmp_path_factory.mktemp("site"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield


@pytest.fixture(scope="module")
def runs(known: None, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.getbasetemp())


def lineage(run: Path, row_id: str) -> Lineage:
    found = ostensive.explain(run, row_id)
    assert isinstance(found, Lineage)
    return found


@pytest.mark.parametrize("name", RECIPES)
def test_fates_are_those_that_stages_counted_and_each_kind_is_explained(runs: Runs, name: str) -> None:
    explainer = explainer_of(runs[name])
    by_fate: dict[tuple[str, str, str], list[str]] = {}
    images = explainer.rows.find_images("")
    assert len(images) == 3
    for image_id in images:
        listed = explainer.explain(image_id)
        assert isinstance(listed, ImageRows)
        for row in listed.rows:
            by_fate.setdefault((row.fate.state, row.fate.stage, row.fate.reason), []).append(row.row_id)
    assert sorted(row for rows in by_fate.values() for row in rows) == [
        row.row_id for row in explainer.rows.find_rows("")
    ]
    corpus = ostensive.open_corpus(runs[name])
    assert len(by_fate["kept", "judged", ""]) == corpus.row_count > 0
    run = RunFolder(runs[name])
    for stage in explainer.rows.stages[1:]:  # what the first loses may be no row
        summary = run.summary(stage.name)
        kinds = (("dropped", summary.dropped), ("failed", summary.failed))
        lost = {(kind, reason): count for kind, counts in kinds for reason, count in counts.items()}
        found = {
            (state, why): len(rows) for (state, where, why), rows in by_fate.items() if where == stage.name and why
        }
        assert found == lost
    for fate, (row_id, *_) in by_fate.items():
        found_row = lineage(runs[name], row_id)
        assert (found_row.fate.state, found_row.fate.stage, found_row.fate.reason) == fate
        assert found_row.requests
        assert all(one.exchange is not None and one.exchange.reply for one in found_row.requests)
        assert found_row.journal_note == ""
        assert (found_row.place is not None) == (found_row.fate.state == "kept")
        assert (found_row.teacher, bool(found_row.prompt_hash), bool(found_row.texts)) == ("scripted", True, True)


def test_a_kept_row_stands_where_it_is_said_to(runs: Runs) -> None:
    run = runs["localized"]
    for row in list(ostensive.open_corpus(run).rows())[::9]:
        place = lineage(run, row["row_id"]).place
        assert place is not None
        table = pq.read_table(run / "corpus" / place.rows_file)
        assert table.column("row_id")[place.rows_place].as_py() == row["row_id"]
        with tarfile.open(run / "corpus" / place.shard) as tar:
            member = tar.extractfile(place.shard_member)
            assert member is not None
            assert row["row_id"] in {one["row_id"] for one in json.load(member)["rows"]}


def test_all_requests_behind_a_row_are_there_with_their_pictures_named(runs: Runs) -> None:
    row = next(iter(ostensive.open_corpus(runs["preferences"]).rows()))
    found = lineage(runs["preferences"], row["row_id"])
    assert [one.field for one in found.requests] == ["request_key", "rejected_request_key"]
    assert len({one.key for one in found.requests}) == 2
    pictures = [p for one in found.requests if one.exchange for m in one.exchange.messages for p in m.pictures]
    assert pictures
    assert all(picture.startswith("sha256:") for picture in pictures)


def test_rows_of_one_reply_know_each_other(runs: Runs) -> None:
    explainer = explainer_of(runs["localized"])
    for row in explainer.rows.find_rows("")[:4]:
        found = explainer.explain(row.row_id)
        assert isinstance(found, Lineage)
        for other in found.same_reply:
            back = explainer.explain(other.row_id)
            assert isinstance(back, Lineage)
            assert row.row_id in {one.row_id for one in back.same_reply}
            assert back.requests == found.requests
    assert isinstance(found, Lineage)
    assert found.same_reply


def test_what_a_row_repeats_is_named(runs: Runs) -> None:
    explainer = explainer_of(runs[NAME])
    found = [explainer.explain(row.row_id) for row in explainer.rows.find_rows("")]
    steps = [step for one in found if isinstance(one, Lineage) for step in one.steps if step.outcome == "dropped"]
    assert [step.reason for step in steps] == ["repeats another candidate"]
    kept = {one.row_id for one in found if isinstance(one, Lineage) and one.fate.state == "kept"}
    assert steps[0].repeats in kept


def test_rows_that_were_lost_in_every_way(tmp_path: Path) -> None:
    run = lossy_run(tmp_path)
    explainer = explainer_of(run.path)
    (image_id,) = {row.image_id for row in explainer.rows.find_rows("")}
    found = explainer.explain(image_id)
    assert isinstance(found, ImageRows)
    assert [row.fate.words for row in found.rows] == [
        "waiting for corpus",  # nobody wrote it
        "dropped by unique: near duplicate",
        "failed by scored: no score",
        "dropped by judged: hedging",
        "dropped by candidates: missing answer",
    ]
    assert [(loss.stage, loss.reason) for loss in found.losses] == [("candidates", "too few triples")]
    (other,) = explainer.rows.find_images("").keys() - {image_id}
    nothing = explainer.explain(other)
    assert isinstance(nothing, ImageRows)
    assert nothing.rows == ()
    assert [(loss.outcome, loss.reason, loss.detail) for loss in nothing.losses] == [
        ("failed", "timeout", "after 3 attempts")
    ]
    repeating = explainer.explain(found.rows[1].row_id)
    assert isinstance(repeating, Lineage)
    assert repeating.steps[-1].repeats == found.rows[0].row_id
    rejected = explainer.explain(found.rows[3].row_id)
    assert isinstance(rejected, Lineage)
    assert [(one.accept_probability, one.detail) for one in rejected.scores] == [(0.25, "maybe")]
    assert rejected.made.thresholds == {"rules": 0.5}
    said = call("explain", run.path, found.rows[3].row_id).stdout
    assert "rules (1): 0.2500, 0.5 is asked, rejected: hedging (maybe)" in said
    assert "not there: dropped by judged: hedging (rules 0.250)" in said
    said = call("explain", run.path, other).stdout
    assert "failed by candidates: timeout (after 3 attempts)" in said


def test_a_run_that_is_not_finished_says_what_a_row_waits_for(tmp_path: Path) -> None:
    run = lossy_run(tmp_path)
    for path in run.partition_paths("judged"):
        path.unlink()
    explainer = explainer_of(run.path)
    states = Counter(explainer.explain(row.row_id).fate.words for row in explainer.rows.find_rows(""))  # type: ignore[union-attr]  # rows have lineages
    assert states["waiting for judged"] == 2


def test_a_row_that_could_not_be_published_says_why(tmp_path: Path) -> None:
    run = lossy_run(tmp_path)
    row = explainer_of(run.path).rows.find_rows("")[0]
    run.log("not published", {"image_id": row.image_id, "reason": "of an earlier start"})
    run.log("start")
    run.log("not published", {"image_id": row.image_id, "reason": "image cannot be read", "detail": "it is gone"})
    run.write_state(unpublished={"image cannot be read": 1}, published=0)
    explainer = explainer_of(run.path)
    fates = [explainer.explain(one.row_id).fate for one in explainer.rows.find_rows("")]  # type: ignore[union-attr]  # as above
    assert "accepted, but not published: image cannot be read" in {fate.words for fate in fates}


def test_the_journal_may_be_elsewhere_or_gone_and_is_not_touched(runs: Runs, tmp_path: Path) -> None:
    run = runs[NAME]
    journal, moved = run / "journal.sqlite", tmp_path / "j \u00e9#?.sqlite"
    digest = hashlib.sha256(journal.read_bytes()).hexdigest()
    row_id = explainer_of(run).rows.find_rows("")[0].row_id
    before = sorted(run.iterdir())
    assert "reply" in call("explain", run, row_id).stdout
    assert sorted(run.iterdir()) == before
    assert hashlib.sha256(journal.read_bytes()).hexdigest() == digest
    journal.rename(moved)
    try:
        said = call("explain", run, row_id)
        assert said.returncode == 0
        assert " ".join(said.stdout.split()).count(NO_JOURNAL) == 1
        found = ostensive.explain(run, row_id, journal=moved)
        assert isinstance(found, Lineage)
        assert found.requests[0].exchange is not None
        assert found.requests[0].exchange.reply == found.candidate["caption"]
        with pytest.raises(SettingsError, match=r"--journal .*nowhere: there is no such file"):
            ostensive.explain(run, row_id, journal=tmp_path / "nowhere")
        with pytest.raises(StorageError, match="not a journal"):
            ostensive.explain(run, row_id, journal=run / "recipe.yaml")
        other = lineage(runs["localized"], explainer_of(runs["localized"]).rows.find_rows("")[0].row_id)
        found = ostensive.explain(runs["localized"], other.row_id, journal=moved)
        assert isinstance(found, Lineage)
        assert found.journal_note == NO_ENTRY
    finally:
        moved.rename(journal)


def test_a_beginning_is_enough_and_what_is_unclear_is_one_line(runs: Runs) -> None:
    run = runs["localized"]
    ids = [row.row_id for row in explainer_of(run).rows.find_rows("")]
    images = list(explainer_of(run).rows.find_images(""))
    row_id = ids[0]
    short = next(row_id[:n] for n in range(1, 17) if sum(one.startswith(row_id[:n]) for one in [*ids, *images]) == 1)
    assert lineage(run, short).row_id == row_id
    assert len(images) == 3
    found = ostensive.explain(run, images[0][:20])
    assert isinstance(found, ImageRows)
    said = call("explain", run, "xyz")
    assert said.returncode == 2
    assert "'xyz': no row and no image of the run in" in said.complaint
    assert "the `row_id` of a triple is expected" in said.complaint
    several = call("explain", run, next(one[0] for one in ids if sum(other[0] == one[0] for other in ids) > 1))
    assert several.returncode == 2
    assert "give more of it" in several.complaint
    assert call("explain", run, "").returncode == 2
    assert "there is no run here" in call("explain", run.parent, "x").complaint


def test_json_is_whole_and_says_nothing_of_the_machine(runs: Runs, tmp_path: Path) -> None:
    run = runs["localized"]
    for row in explainer_of(run).rows.find_rows("")[:3]:
        said = call("explain", run, row.row_id, "--json").stdout
        found = json.loads(said)
        assert found["row_id"] == row.row_id
        assert found["image"]["image_id"] == row.image_id
        assert found["requests"][0]["exchange"]["messages"]
        assert str(run.parent) not in said
    assert json.loads(call("explain", run, row.image_id, "--json").stdout)["rows"]


def test_what_a_teacher_wrote_cannot_act_on_a_terminal(tmp_path: Path) -> None:
    run = lossy_run(tmp_path, question=f"\x1b[31m{HOSTILE[2]}", answer=HOSTILE[3])
    for row in explainer_of(run.path).rows.find_rows(""):
        said = call("explain", run.path, row.row_id).stdout
        assert "\x1b" not in said
        assert "\u202e" not in said
        assert "\\x1b[31m" in said
        assert HOSTILE[3] in said  # whole, to be copied
    assert "\x1b" not in call("explain", run.path, row.image_id).stdout
