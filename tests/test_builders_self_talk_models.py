"""Likelihoods, drawn texts and whole measurements with small real models."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_language_models import EVERYTHING, HELD_OUT, KINDS, save_random, save_taught, where_is
from typer.testing import CliRunner

from builders.self_talk.continuing import Beginning, Continued, continued
from builders.self_talk.figures import Answered
from builders.self_talk.measuring import answers_to, measure
from builders.self_talk.prompts import passages
from builders.self_talk.records import Question, QuestionFile
from builders.self_talk.settings import SelfTalkSettings
from builders.self_talk.talking import failure, talk
from ostensive.chat.records import Sampling
from ostensive.cli import app
from ostensive.errors import SettingsError
from ostensive.models.batching import BatchSize
from ostensive.models.likelihoods import Passage, TooLongError, mean_log_likelihoods, tokens_of
from ostensive.models.text_model import TextModel, load_text_model

PASSAGES = [
    Passage("A dog runs over the grass.", " It's wet."),
    Passage("Where is it?", " 12 metres: there, and a good deal further than anybody had thought that it would be"),
    Passage("", "A dog"),
    Passage("Describe what can be seen. Where is it? A dog runs over the", " grass"),
    Passage('She said "', "dog"),
]
DRAWN = [Sampling(temperature=1.0, top_p=0.9, max_tokens=9, seed=seed, draw=draw) for seed in (1, 2) for draw in (0, 1)]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    folder = save_random(tmp_path_factory.mktemp("models") / request.param, request.param)
    return load_text_model(SelfTalkSettings(model=str(folder), device="cpu"))


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_taught(tmp_path_factory.mktemp("models") / "taught")


def by_transformers(loaded: TextModel, passage: Passage) -> float:
    """The same of one passage, without anything of ours."""
    import torch

    prompt = loaded.tokenizer(passage.prompt)["input_ids"]
    whole = loaded.tokenizer(passage.prompt + passage.continuation)["input_ids"]
    if not prompt:
        prompt, whole = [loaded.tokenizer.eos_token_id], [loaded.tokenizer.eos_token_id, *whole]
    with torch.no_grad():
        scores = loaded.model(torch.tensor([whole])).logits[0].log_softmax(-1)
    found = [float(scores[place - 1, whole[place]]) for place in range(len(prompt), len(whole))]
    return sum(found) / len(found)


def test_likelihoods_are_those_of_transformers_in_every_batch(loaded: TextModel) -> None:
    wanted = [by_transformers(loaded, passage) for passage in PASSAGES]
    assert len({round(value, 2) for value in wanted}) == len(wanted)
    for rows in (1, 2, 5):
        assert mean_log_likelihoods(loaded, PASSAGES, BatchSize(rows, "m")) == pytest.approx(wanted, abs=1e-5)


def test_only_the_continuation_is_scored(loaded: TextModel) -> None:
    for passage in PASSAGES:
        found = tokens_of(passage, loaded.tokenizer)
        assert loaded.tokenizer.decode(found.ids[found.start :]) == passage.continuation
        assert found.start > 0


def test_a_passage_that_is_too_long_costs_no_other(loaded: TextModel) -> None:
    long = Passage("A dog runs. " * 100, "And?")
    first, second, third = mean_log_likelihoods(loaded, [PASSAGES[0], long, PASSAGES[1]], BatchSize(3, "m"))
    assert isinstance(second, TooLongError)
    assert [first, third] == pytest.approx([by_transformers(loaded, PASSAGES[place]) for place in (0, 1)], abs=1e-5)


def test_texts_depend_on_their_seeds_and_not_on_their_neighbours(loaded: TextModel) -> None:
    texts = ["Where is it?", "A dog runs over the grass and", "It's", "A dog runs. " * 100]
    beginnings = [Beginning(text, sampling) for text in texts for sampling in DRAWN]
    at_once = continued(loaded, beginnings, BatchSize(16, "m"))
    assert at_once == [
        one if isinstance(one, Continued) else at_once[place]
        for place, one in enumerate(continued(loaded, beginnings, BatchSize(3, "m")))
    ]
    assert all(isinstance(one, TooLongError) for one in at_once[12:])
    assert len({one.text for one in at_once[:12] if isinstance(one, Continued)}) > 8


def test_the_likeliest_text_is_that_of_transformers(loaded: TextModel) -> None:
    import torch

    ids = torch.tensor([loaded.tokenizer("A dog runs")["input_ids"]])
    whole = loaded.model.generate(ids, max_new_tokens=6, do_sample=False, attention_mask=torch.ones_like(ids))
    greedy = Sampling(temperature=0, max_tokens=6, seed=0)
    beginnings = [Beginning(text, greedy) for text in ("A dog runs", "Where is it? It's over there")]
    found = continued(loaded, beginnings, BatchSize(2, "m"))[0]
    assert isinstance(found, Continued)
    assert found.text == loaded.tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True)


def test_clarifications_help_a_model_that_knows_more_than_it_answers(taught: Path) -> None:
    file = QuestionFile("things", "csqa", tuple(where_is(thing) for thing in EVERYTHING), {"no label": 2})
    settings = SelfTalkSettings(model=str(taught), questions=1, answers=2, device="cpu")
    notes: list[str] = []
    (found,) = measure([file], settings, tell=notes.append)
    figures = found.figures
    assert figures.baseline is not None
    assert figures.self_talk is not None
    assert (figures.questions, figures.chance, figures.counted.rows) == (14, 0.5, {"no label": 2})
    assert figures.self_talk.right >= 12 > 9 >= figures.baseline.right
    assert figures.mended - figures.spoilt == figures.self_talk.right - figures.baseline.right
    mended = [one for one in found.answered if one.is_right and not one.is_baseline_right]
    assert all(f"is meant {EVERYTHING[one.question.place]}" in one.clarification for one in mended)
    assert {one.question.place for one in mended} & HELD_OUT.keys()
    assert notes == ["things: 8 of 14 rows", "things: 14 of 14 rows"]


def proposed(sentence: str, candidate: str) -> Question:
    """An answer of MC-TACO that is to be judged."""
    choices = ("yes", "no")
    return Question("mc_taco", candidate, sentence, sentence, sentence, choices, 0, "How long?", candidate)


def test_questions_that_are_too_long_are_lost_with_all_of_their_group(loaded: TextModel) -> None:
    questions = (proposed("A dog runs.", "a day"), proposed("A dog runs.", "a day " * 100), proposed("It's", "a day"))
    settings = SelfTalkSettings(model=loaded.name, questions=1, answers=1, device="cpu")
    (found,) = measure([QuestionFile("f", "mc_taco", questions, {})], settings, tell=lambda _: None)
    assert [one.question.about for one in found.answered] == ["It's"]
    assert found.figures.counted.rows == {"too long for the model": 1, "another row of its question is lost": 1}
    assert (found.figures.questions, found.figures.chance) == (1, 0.5)


def test_why_a_model_could_not_be_asked() -> None:
    reasons = [failure(error) for error in (TooLongError(), MemoryError(), ValueError("x"))]
    assert reasons == ["too long for the model", "out of memory", "the model failed"]


def test_the_choice_is_the_likeliest_of_all_passages(loaded: TextModel) -> None:
    one = where_is("tov")
    said = ["It's wet.", "A dog runs over the grass.", "Describe what can be seen.", "12 metres: there."]
    (found,) = answers_to(loaded, [one], {one.about: said}, BatchSize(3, "m"), Counter())
    scores = {
        (text, choice): by_transformers(loaded, passage)
        for text in ("", *said)
        for choice, passage in enumerate(passages(one, text))
    }
    assert isinstance(found, Answered)
    assert (found.clarification, found.chosen) == max(scores, key=scores.__getitem__)
    assert scores["", found.baseline] > scores["", 1 - found.baseline]
    assert found.clarifications == 4


def test_a_clarification_that_is_too_long_is_left_out_and_counted(loaded: TextModel) -> None:
    one, unscored = proposed("A dog runs.", "a day"), Counter[str]()
    said = {one.about: ["A dog runs over the grass. " * 40, "It's late."]}
    (found,) = answers_to(loaded, [one], said, BatchSize(4, "m"), unscored)
    assert isinstance(found, Answered)
    assert (found.clarifications, unscored) == (1, {"too long for the model": 1})


def test_a_model_that_comes_to_no_number_answers_nothing(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = save_random(tmp_path / "broken", "gpt2") / "model.safetensors"
    tensors = load_file(weights)
    tensors["transformer.ln_f.weight"].fill_(float("nan"))
    save_file(tensors, weights, metadata={"format": "pt"})
    settings = SelfTalkSettings(model=str(tmp_path / "broken"), questions=0, device="cpu")
    (found,) = measure([QuestionFile("f", "csqa", (where_is("tov"),), {})], settings, tell=lambda _: None)
    assert (found.answered, found.figures.baseline) == ((), None)
    assert found.figures.counted.rows == {"a likelihood is not finite": 1}


def test_what_is_said_of_a_text_is_the_same_whatever_else_is_asked(taught: Path) -> None:
    settings = SelfTalkSettings(
        model=str(taught), questions=4, answers=6, question_top_p=1.0, answer_top_p=1.0, device="cpu"
    )
    loaded = load_text_model(settings)
    texts = [where_is(thing).about for thing in HELD_OUT]
    together = talk(loaded, "csqa", texts, settings, BatchSize(64, "m"))
    alone = [talk(loaded, "csqa", [text], settings, BatchSize(3, "m")) for text in texts]
    assert together.clarifications == {text: one.clarifications[text] for text, one in zip(texts, alone, strict=True)}
    assert together.asked == sum(one.asked for one in alone)
    of_questions = len(texts) * 6 * 4  # wordings, questions of each
    questions = (together.asked - of_questions) / 6  # that are different, each with so many answers
    found = together.lost.total() + sum(map(len, together.clarifications.values()))
    assert found == together.asked - questions  # each reply is a question, a clarification or lost
    other = talk(loaded, "csqa", texts, settings.model_copy(update={"seed": 1}), BatchSize(64, "m"))
    assert (other.clarifications, other.lost) != (together.clarifications, together.lost)


def question_file(path: Path) -> Path:
    rows: list[Any] = [
        {
            "question": {
                "stem": where_is(thing).about,
                "choices": [{"label": label, "text": text} for label, text in zip("AB", KINDS.values(), strict=True)],
            },
            "answerKey": "AB"[where_is(thing).right],
        }
        for thing in HELD_OUT
    ]
    path.write_text("\n".join(map(json.dumps, [*rows, {"question": {"stem": "?"}}])), "utf-8")
    return path


def test_the_command_prints_figures_for_people_and_for_programs(
    taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    question_file(tmp_path / "dev.jsonl")
    words = ["self-talk", str(taught), "dev.jsonl", "--questions", "1", "--answers", "2", "--device", "cpu"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("taught (sha256:")
    assert lines[1].split() == ["file", "data", "set", "questions", "chance", "baseline", "self-talk"]
    assert lines[2].split()[:5] == ["dev.jsonl", "csqa", "4", "50.0%", "50.0%"]
    assert lines[4] == "  rows lost (1): 1 a field is missing or empty"
    assert "dev.jsonl: 4 of 4 rows" in done.stderr
    shown = CliRunner().invoke(app, [*words, "--json", "--quiet", "--limit", "2", "--out", "out/rows.jsonl"])
    values = json.loads(shown.stdout)
    (file,) = values["files"]
    assert (file["questions"], file["baseline"]["right"], file["rows_lost"]) == (
        2,
        1,
        {"a field is missing or empty": 1},
    )
    assert file["baseline"]["share_95"] == pytest.approx([0.0945, 0.9055], abs=1e-4)
    assert values["settings"]["questions"] == 1
    rows = [json.loads(line) for line in (tmp_path / "out/rows.jsonl").read_text("utf-8").splitlines()]
    assert [row["place"] for row in rows] == ["line 1", "line 2"]
    assert rows[0]["choices"] == ["tree", "shed"]
    assert shown.stderr == ""


def test_without_questions_there_is_the_baseline_alone(taught: Path, tmp_path: Path) -> None:
    path = question_file(tmp_path / "dev.jsonl")
    done = CliRunner().invoke(app, ["self-talk", str(taught), str(path), "--questions", "0", "--json", "--quiet"])
    (file,) = json.loads(done.stdout)["files"]
    assert (file["clarifications"], file["replies"]) == (0, 0)
    assert file["baseline"] == file["self_talk"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dtype", "float8"], "self-talk: dtype: input should be 'auto', 'bfloat16', 'float16' or 'float32'"),
        (["--question-top-p", "0"], "self-talk: question_top_p: input should be greater than 0, not 0.0"),
        (["--device", "tpu"], "self-talk: device: "),
        (["--labels", "a.lst"], "--labels: is for one FILE"),
        ([], "a.jsonl: there is no such file; expected are .jsonl"),
    ],
)
def test_the_command_refuses_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["self-talk", "some-model", "a.jsonl", "b.jsonl", *options])
    assert isinstance(done.exception, SettingsError)
    assert str(done.exception).startswith(message)
