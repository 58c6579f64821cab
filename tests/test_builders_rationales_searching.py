"""The search for prompts: what a prompt scores, what is drawn and tried, and whole runs that keep the better one."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from annotated_images import write_rows
from drawing import draw_scene, write_scenes
from plain_services import plain_services
from test_builders_rationales_stage import SERVED, Saying, note, reply, write_images

import ostensive
from builders.asking import UNREADABLE
from builders.rationales.records import Prompted, Rationale, Sampled, Trial, Tried
from builders.rationales.scoring import ranked, score_line, summed, tried
from builders.rationales.scripted import make_script, seen_in
from builders.rationales.searching import ChooseStage, SampleStage, TryStage, read_scores, search_notes
from builders.rationales.settings import PromptSearchSettings, RationalesSettings
from builders.rationales.stage import RationalesStage
from ostensive.chat.records import Conversation, NoReply, Reply
from ostensive.commands.show import corpus_lines, corpus_values
from ostensive.errors import SettingsError
from ostensive.records import Annotation, ImageRecord, Location, Spend
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from ostensive.settings import validate
from ostensive.stage import Evidence, Failed, ImageEvidence, Kept

# ---- the score ------------------------------------------------------------------------------------------------------


def after(*replies: tuple[str, bool], references: Sequence[str] = ()) -> Trial:
    trial = Trial("why")
    for text, is_candidate in replies:
        trial = tried(trial, text, is_candidate=is_candidate, references=references, min_overlap=0.7)
    return trial


def test_what_fits_and_what_is_a_candidate_are_counted() -> None:
    said = [("it rains on them", True), ("they stay at home", True), ("it rains on them", False), ("ab", True)]
    assert after(*said) == Trial("why", replies=4, candidates=3)
    found = after(*said, references=["nobody", "It rains on them!"])
    assert (found.replies, found.candidates, found.referenced, found.fitting) == (4, 3, 4, 1)
    assert found.overlap_sum == pytest.approx(1.0), "a reply that is no candidate has no overlap"
    assert "3 of 4 replies are candidates, 1 of 4 fit, mean ROUGE-L 0.25; kept" in score_line(ranked([found], 1)[0])


def order(*trials: Trial, keep: int = 1) -> list[int]:
    return [score.rank for score in ranked(trials, keep)]


def test_fitting_counts_first_then_likeness_then_candidates_then_the_order() -> None:
    plain = Trial("a", 10, 10, 10, 0, 1.0)
    assert order(plain, Trial("b", 10, 2, 10, 1, 1.0)) == [2, 1], "what fits is what is wanted, jabber or not"
    assert order(plain, Trial("b", 10, 2, 10, 0, 1.5)) == [2, 1]
    assert order(plain, Trial("b", 10, 10, 10, 0, 1.0 + 1e-12)) == [1, 2], "rounding decides nothing"
    assert order(Trial("a", 10, 4), Trial("b", 10, 5), Trial("c", 10, 5)) == [3, 1, 2]
    assert order(Trial("a"), Trial("b")) == [1, 2], "without a reply the first prompts are kept"
    assert [score.is_kept for score in ranked([Trial("a", 2, 0), Trial("b", 2, 1), Trial("c", 2, 2)], 2)] == [
        False,
        True,
        True,
    ]
    # A share and not a number: failed requests are no replies.
    assert order(Trial("a", 10, 5), Trial("b", 4, 3)) == [2, 1]
    assert summed([Trial("b", 1, 1, 1, 1, 0.5), Trial("b", 2, 1, 1, 0, 0.25)], ("a", "b")) == [
        Trial("a"),
        Trial("b", 3, 2, 2, 1, 0.75),
    ]


# ---- the stages alone -----------------------------------------------------------------------------------------------

SEARCH = PromptSearchSettings(sample=3, samples=1)
SETTINGS = RationalesSettings(temperatures=(0.1, 0.9), samples=2, prompts=("why", "because"), prompt_search=SEARCH)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRecord]:
    return write_images(tmp_path_factory.mktemp("drawn") / "images", 4)


def evidence_of(images: Sequence[ImageRecord], *, questions: int = 2, rationales: tuple[str, ...] = ()) -> Evidence:
    def notes(image_id: str) -> tuple[Annotation, ...]:
        asked = [f"Is it wet: {number}?" for number in range(questions)]
        return tuple(note(text, image_id, text, "it's so", rationales=rationales) for text in asked)

    return {image.image_id: ImageEvidence(image, annotations=notes(image.image_id)) for image in images}


def drawn(parts: Sequence[Sequence[ImageRecord]], settings: RationalesSettings = SETTINGS, seed: int = 0) -> set[Any]:
    stage = SampleStage(settings, seed)
    evidence = evidence_of([image for part in parts for image in part])
    decision = stage.decide([stage.summarise(part, evidence) for part in parts])
    outcomes = [outcome for part in parts for outcome in stage.apply(part, decision)]
    rows = [row for outcome in outcomes if isinstance(outcome, Kept) for row in outcome.records]
    assert len(rows) == sum(map(len, parts)), "every image goes on"
    return {(row.image_id, item) for row in rows for item in row.items}


def test_the_sample_is_of_the_whole_run_however_it_is_cut(images: list[ImageRecord]) -> None:
    whole = drawn([images])
    assert len(whole) == 3
    assert drawn([images[:1], images[1:], []]) == whole
    assert drawn([images[::-1]]) == whole
    assert drawn([images], seed=1) != whole
    more = replace(images[0], image_id="f" * 64)
    assert len(whole & drawn([images, [more]])) >= 1, "most of a sample stays when an image is added"
    large = SETTINGS.model_copy(update={"prompt_search": PromptSearchSettings(sample=50)})
    assert len(drawn([images], large)) == 8


def attempts(
    say: Callable[[Conversation], Reply | NoReply], rows: Sequence[Sampled], evidence: Evidence
) -> tuple[Saying, list[Any]]:
    chat = Saying(say)
    stage = TryStage(SETTINGS, teacher=SERVED, script=make_script(0.0), seed=0)
    with stage.opened(plain_services(open_chat=lambda *_: chat)):
        return chat, stage.process(rows, evidence)


def test_every_prompt_is_tried_on_the_sampled_items_alone(images: list[ImageRecord]) -> None:
    of, key = sorted(drawn([images]))[0]
    evidence = evidence_of([image for image in images if image.image_id == of], rationales=("It rains on them",))
    rows = [Sampled(of, (key,))]

    def say(asked: Conversation) -> Reply | NoReply:
        is_why = not asked.messages[0].text.endswith("because")
        if is_why and asked.sampling.temperature == 0.9:
            return NoReply("timeout", "60 s", spend=Spend(1, 10, 0, 0.1))
        return reply("It rains on them." if is_why else "It's so.")

    chat, (outcome,) = attempts(say, rows, evidence)
    assert len(chat.asked) == 2 * 2, "two prompts, two temperatures, one draw"
    assert {one.sampling.draw for one in chat.asked} == {0}
    assert isinstance(outcome, Kept)
    (row,) = outcome.records
    assert row.trials == (Trial("why", 1, 1, 1, 1, 1.0), Trial("because", 2, 0, 2, 0, 0.0))
    assert [(type(loss), loss.reason) for loss in outcome.losses] == [(Failed, "timeout")]
    assert outcome.spend.requests == 4


def test_an_image_that_is_gone_is_counted_and_goes_on(images: list[ImageRecord]) -> None:
    gone = replace(images[0], location=Location("/nowhere/gone.png"))
    keys = tuple(sorted(item for _, item in drawn([images])))
    chat, (lost, idle) = attempts(
        lambda _: reply(),
        [Sampled(gone.image_id, keys), Sampled(images[1].image_id, ())],
        evidence_of([gone, images[1]]),
    )
    assert chat.asked == []
    assert isinstance(lost, Kept)
    assert [loss.reason for loss in lost.losses] == [UNREADABLE]
    assert isinstance(idle, Kept)
    assert [one.records[0].trials for one in (lost, idle)] == [(), ()]


def test_the_decision_is_one_for_the_run_and_says_what_every_prompt_scored() -> None:
    stage = ChooseStage(SETTINGS)
    parts = [
        [Tried("a", ("x",), (Trial("why", 4, 1), Trial("because", 4, 2))), Tried("b", ())],
        [Tried("c", ("y",), (Trial("because", 2, 1),))],
    ]
    decision = stage.decide([stage.summarise(part, {}) for part in parts])
    assert [(score.trial, score.rank, score.is_kept) for score in read_scores(decision)] == [
        (Trial("why", 4, 1), 2, False),
        (Trial("because", 6, 3), 1, True),
    ]
    assert stage.apply(parts[0], decision) == [
        Kept((Prompted("a", ("because",), ("x",)),)),
        Kept((Prompted("b", ("because",), ()),)),
    ]


def test_a_tried_request_is_asked_again_in_the_same_words_and_paid_once(images: list[ImageRecord]) -> None:
    image_id, key = sorted(drawn([images]))[0]
    evidence = evidence_of([image for image in images if image.image_id == image_id])
    before, _ = attempts(lambda _: reply(), [Sampled(image_id, (key,))], evidence)
    chat = Saying(lambda _: reply())
    stage = RationalesStage(SETTINGS, teacher=SERVED, script=make_script(0.0), seed=0)
    with stage.opened(plain_services(open_chat=lambda *_: chat)):
        (outcome,) = stage.process([Prompted(image_id, ("because",), (key,))], evidence)
    assert isinstance(outcome, Kept)
    assert {record.prompt for record in outcome.records} == {"because"}
    assert len(chat.asked) == 2 * 2 * 2
    assert outcome.spend.requests == 8 - 2

    def words(asked: Sequence[Conversation]) -> set[str]:
        return {f"{one.messages[0].text} {one.sampling}" for one in asked}

    again = words(before.asked) & words(chat.asked)
    assert len(again) == 2, "one draw at two temperatures with the prompt that was kept"


def test_a_search_that_cannot_choose_is_refused() -> None:
    for values, said in (
        ({"prompt_search": {"sample": 5}}, "prompt_search keeps 1 of 1 prompts; name more in prompts, or keep fewer"),
        (
            {"prompts": ["why", "because"], "samples": 2, "prompt_search": {"sample": 5, "samples": 3}},
            "prompt_search.samples is at most samples, 2; it is 3",
        ),
    ):
        with pytest.raises(SettingsError, match=said):
            validate(RationalesSettings, values, "rationales")
    assert validate(RationalesSettings, {"prompt_search": {"keep": 3}}, "rationales").prompt_search.sample == 0


# ---- whole runs -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Searched:
    folder: Path
    run: RunFolder
    made: dict[str, bytes]

    def build(self, out: str, *settings: str) -> RunFolder:
        return build(self.folder, out, *settings)


def build(folder: Path, out: str, *settings: str) -> RunFolder:
    own = [
        "corpus.license=cc0-1.0",
        "corpus.source=drawn by a test",
        "corpus.intended_use=to test",
        "rationales.temperatures=[0.5]",
        "rationales.samples=2",
        f"run.partition_size={4 if 'whole' in out else 2}",
        f"rationales.prompt_set={folder / 'prompts'}",
        "rationales.prompts=[blind, seeing]",
    ]
    options = ostensive.BuildOptions(
        settings=[*own, *settings], annotations=folder / "asked.jsonl", journal=folder / f"{out}.sqlite"
    )
    ostensive.build("rationales", images=folder / "images", out=folder / out, options=options)
    return RunFolder(folder / out)


def files_of(run: RunFolder) -> dict[str, bytes]:
    return {path.relative_to(run.path).as_posix(): path.read_bytes() for path in run.path.glob("*/*.parquet")}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """A run whose teacher has nothing to say to one of two prompts, and speaks as people do to the other."""
    folder = tmp_path_factory.mktemp("searched")
    write_scenes(folder / "images", 4)
    rows = [
        {
            "file_name": f"scene {number:04d}.jpg",
            "question": question,
            "answer": "it's so",
            "rationales": [text for wording in seen_in(draw_scene(number)) for text in wording],
        }
        for number in range(4)
        for question in ("Is the light even?", "What's seen: a box?")
    ]
    write_rows(folder / "asked.jsonl", rows)
    (folder / "prompts").mkdir()
    (folder / "prompts/explain_seeing.j2").write_text("Question: {{ question }}\nAnswer: {{ answer }}\nWhy?")
    (folder / "prompts/explain_blind.j2").write_text("Why is {{ answer }} right for {{ question }}")
    run = build(folder, "run", "rationales.prompt_search={sample: 3}")
    return Searched(folder, run, files_of(run))


def test_the_better_prompt_is_kept_and_only_it_is_asked_of_everything(searched: Searched) -> None:
    (path,) = (searched.run.path / "prompts").glob("decision-*.parquet")
    scores = {score.trial.prompt: score for score in read_scores(pq.read_table(path))}
    assert {name: score.is_kept for name, score in scores.items()} == {"blind": False, "seeing": True}
    assert scores["seeing"].trial.fitting > scores["blind"].trial.fitting == 0
    assert scores["blind"].trial.candidates == scores["blind"].trial.replies == 3, "it is no jabber"
    rows = [row for path in searched.run.partition_paths("candidates") for row in partitions.read_kept(path, Rationale)]
    assert {row.prompt for row in rows} == {"seeing"}
    assert len(rows) == 4 * 2 * 2
    with closing(sqlite3.connect(searched.folder / "run.sqlite")) as journal:
        tables = [name for (name,) in journal.execute("select name from sqlite_master where type = 'table'")]
        counts = {name: journal.execute(f"select count(*) from {name}").fetchone()[0] for name in tables}
    asked = 4 * 2 * 2 + 3  # all with the one prompt, three items with the other
    assert asked in counts.values(), counts
    corpus = ostensive.open_corpus(searched.run.path)
    assert sum(stage.spend.requests for stage in corpus.stages) == asked


def test_what_prompts_scored_is_told_at_the_end_of_a_build(searched: Searched) -> None:
    notes = search_notes(searched.run.path)
    assert [line.partition(":")[0] for line in notes] == ["blind", "seeing"]
    assert notes[1].endswith("; kept")
    corpus = ostensive.open_corpus(searched.run.path)
    assert "\n".join(corpus_lines(corpus, None, notes)).count("replies are candidates") == 2
    assert corpus_values(corpus, None, notes)["notes"] == notes
    assert json.loads(json.dumps(corpus_values(corpus)))["rows"] == corpus.row_count


def test_the_same_search_elsewhere_and_again_is_the_same(searched: Searched) -> None:
    again = searched.build("run", "rationales.prompt_search={sample: 3}")
    assert files_of(again) == searched.made
    other = searched.build("whole", "rationales.prompt_search={sample: 3}")
    assert search_notes(other.path) == search_notes(searched.run.path)
    # Without a search both prompts are asked of everything, and nothing of the search is left.
    plain = searched.build("plain")
    assert search_notes(plain.path) == []
    rows = [row for path in plain.partition_paths("candidates") for row in partitions.read_kept(path, Rationale)]
    assert {row.prompt for row in rows} == {"blind", "seeing"}
    kept = {row["row_id"] for row in ostensive.open_corpus(searched.run.path).rows()}
    assert kept <= {row.row_id for row in rows}, "a row is the same with and without a search"
