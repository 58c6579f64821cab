"""What a model says, what it is given to say it, which choice follows, and what is counted."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from builders.self_talk import measuring, records, talking
from builders.self_talk.choosing import Choice, choose
from builders.self_talk.figures import Answered, Counted, answer_values, figure_lines, figure_values, measured
from builders.self_talk.json_formats import winogrande
from builders.self_talk.prompts import TASKS, Wording, asking, passages, prompt_hash, shipped_wordings, telling
from builders.self_talk.records import Question
from builders.self_talk.replies import ReplyError, clarification_of, topic_of
from builders.self_talk.settings import SelfTalkSettings
from builders.self_talk.talking import Asked, answer_sampling, question_sampling

ABOUT = "Kai's dog ran: it was late."


def question_of(task: str = "csqa", *, question: str = "Why?", candidate: str = "") -> Question:
    return Question(
        task=task,
        place="line 1",
        group="1",
        about=ABOUT,
        context=ABOUT,
        choices=("{{ a }}", "b's"),
        right=0,
        question=question,
        candidate=candidate,
    )


@pytest.mark.parametrize(
    ("reply", "topic"),
    [(" the dog? And", "the dog"), (" Kai's\n  way ?", "Kai's way"), (" DOG??", "DOG")],
)
def test_a_question_ends_at_its_mark(reply: str, topic: str) -> None:
    assert topic_of(reply, ABOUT) == topic


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (" the dog.", "question does not end"),
        ("", "question does not end"),
        ("?", "question without a word of the text"),
        (" the cat?", "question without a word of the text"),
    ],
)
def test_what_is_no_question(reply: str, reason: str) -> None:
    with pytest.raises(ReplyError, match=reason):
        topic_of(reply, ABOUT)


@pytest.mark.parametrize(
    ("reply", "whole", "text"),
    [
        (" 3.5 metres, it's said. More", False, "The way is 3.5 metres, it's said."),
        (" long\nand", False, "The way is long."),
        (" long", True, "The way is long."),
        (", in short, long!", False, "The way is, in short, long!"),
        (" the dog's: his?", False, "The way is the dog's: his?"),
    ],
)
def test_a_clarification_is_one_sentence(reply: str, whole: bool, text: str) -> None:
    assert clarification_of("The way is", reply, is_whole=whole) == text


@pytest.mark.parametrize(
    ("reply", "whole", "reason"),
    [
        (" long and", False, "answer does not end"),
        (" ...", True, "answer says nothing"),
        ("", True, "answer says nothing"),
        (" what I'm told.", False, "answer speaks of me or you"),
        (" Yours, and my own.", False, "answer speaks of me or you"),
    ],
)
def test_what_is_no_clarification(reply: str, whole: bool, reason: str) -> None:
    with pytest.raises(ReplyError, match=reason):
        clarification_of("The way is", reply, is_whole=whole)


def test_the_choice_is_the_likeliest_under_any_clarification() -> None:
    assert choose([[-2.0, -1.0], [-0.5, -3.0]]) == Choice(0, 1)
    assert choose([[-2.0, -1.0], [-1.5, -3.0]]) == Choice(1, 0)
    assert choose([[-1.0, -1.0], [-1.0, -1.0]]) == Choice(0, 0)


def test_every_task_has_wordings_and_each_statement_takes_a_topic() -> None:
    for task in TASKS:
        wordings = shipped_wordings()[task]
        assert len({wording.ask for wording in wordings}) == len(wordings) >= 5
        assert all(wording.tell.count("_") == 1 and "?" not in wording.ask for wording in wordings)
    assert len(prompt_hash()) == 16


def test_a_model_asks_and_answers_about_the_text_alone() -> None:
    wording = Wording("What is the use of", "_ is there for")
    assert asking(ABOUT, wording) == f"{ABOUT} What is the use of"
    assert telling("{{ x }}", wording, "a {} _ dog") == "{{ x }} What is the use of a {} _ dog? A {} _ dog is there for"


def test_each_text_is_drawn_from_a_seed_of_its_own() -> None:
    settings = SelfTalkSettings(model="m", question_top_p=0.3, answer_top_p=0.4, question_tokens=7, answer_tokens=8)
    other, wording, another = settings.model_copy(update={"seed": 1}), Wording("Why", "_ is"), Wording("How", "_ has")
    questions = [
        question_sampling(*given)
        for given in [
            (settings, ABOUT, wording, 0),
            (other, ABOUT, wording, 0),
            (settings, "It", wording, 0),
            (settings, ABOUT, another, 0),
            (settings, ABOUT, wording, 1),
        ]
    ]
    asked = [
        Asked(ABOUT, wording, "x"),
        Asked("It", wording, "x"),
        Asked(ABOUT, another, "x"),
        Asked(ABOUT, wording, "y"),
    ]
    answers = [answer_sampling(one, about, 0) for one in (settings, other) for about in asked]
    answers.append(answer_sampling(settings, asked[0], 1))
    drawn = [(one.seed, one.draw) for one in (*questions, *answers)]
    assert len(set(drawn)) == len(drawn)
    assert question_sampling(settings, ABOUT, wording, 0) == questions[0]
    assert {(one.top_p, one.max_tokens, one.temperature) for one in questions} == {(0.3, 7, 1.0)}
    assert {(one.top_p, one.max_tokens, one.temperature) for one in answers} == {(0.4, 8, 1.0)}


@pytest.mark.parametrize("task", TASKS)
def test_choices_stand_behind_what_is_asked(task: str) -> None:
    one = question_of(task, candidate="an hour" if task == "mc_taco" else "")
    for clarification in ("", "It's {{ clear }}."):
        first, second = passages(one, clarification)
        assert (first.continuation, second.continuation) == (" {{ a }}", " b's")
        assert first.prompt == second.prompt == first.prompt.strip()
        assert clarification in first.prompt
        assert "  " not in first.prompt
        assert "\n\n" not in first.prompt
        assert task == "csqa" or ABOUT.rstrip(".") in first.prompt
        assert ("an hour" in first.prompt) == (task == "mc_taco")


@pytest.mark.parametrize(
    ("asked_for", "clarification", "prompt"),
    [
        ("cause", "", "Kai's dog ran: it was late because"),
        ("effect", "Dogs run.", "Dogs run. Kai's dog ran: it was late, so"),
    ],
)
def test_choices_of_copa_end_the_sentence_of_the_premise(asked_for: str, clarification: str, prompt: str) -> None:
    one = replace(question_of("copa", question=asked_for), choices=("The dog ran.", "I'm late."))
    first, second = passages(one, clarification)
    assert first.prompt == second.prompt == prompt
    assert (first.continuation, second.continuation) == (" the dog ran.", " I'm late.")


@pytest.mark.parametrize(
    ("sentence", "clarification", "prompt", "continuation"),
    [
        ("_ is late.", "", "", "Ann is late."),
        ("_ is late.", "So.", "So.", " Ann is late."),
        ("Then _'s late.", "So.", "So. Then", " Ann's late."),
        ('"_ is late."', "", '"', 'Ann is late."'),
    ],
)
def test_a_choice_fills_the_blank_of_a_sentence(
    sentence: str, clarification: str, prompt: str, continuation: str
) -> None:
    one = winogrande({"sentence": sentence, "option1": "Ann", "option2": "Bo", "answer": "1"}, None, "line 1")
    first, _ = passages(one, clarification)
    assert (first.prompt, first.continuation) == (prompt, continuation)


def answered(baseline: int, chosen: int, group: str = "1") -> Answered:
    clarification = "So." if chosen != baseline else ""
    return Answered(replace(question_of(), group=group), baseline, chosen, clarification, 3)


def test_questions_of_a_group_count_as_one() -> None:
    rows = [
        answered(0, 0, group="a"),
        answered(1, 0, group="a"),  # mended, and its group with it
        answered(0, 0, group="b"),
        answered(0, 1, group="b"),  # spoilt
        answered(1, 1, group="c"),
    ]
    counted = Counted(Counter({"no label": 2}), 9, Counter({"x": 1, "y": 3}), Counter({"z": 1}))
    found = measured(rows, counted, file="f.tsv", task="mc_taco")
    assert found.baseline is not None
    assert found.self_talk is not None
    assert (found.questions, found.baseline.right, found.self_talk.right) == (3, 1, 1)
    assert (found.mended, found.spoilt, found.clarifications) == (1, 1, 15)
    assert found.chance == pytest.approx((0.25 + 0.25 + 0.5) / 3)
    _, row, changed, lost, replies, unscored = figure_lines([found])
    assert row.split()[:6] == ["f.tsv", "mc_taco", "3", "33.3%", "33.3%", "(6.1%"]
    assert changed == "  1 mended and 1 spoilt by 15 clarifications"
    assert (lost, replies) == ("  rows lost (2): 2 no label", "  replies lost (4 of 9): 3 y, 1 x")
    assert unscored == "  clarifications not scored (1): 1 z"
    values = figure_values(found)
    assert (values["replies_lost"], values["clarifications_not_scored"]) == ({"y": 3, "x": 1}, {"z": 1})


def test_a_file_of_which_all_is_lost_has_no_accuracy() -> None:
    found = measured([], Counted(Counter({"too long for the model": 2})), file="f", task="csqa")
    assert list(figure_lines([found]))[1].split() == ["f", "csqa", "0", "0.0%", "-", "-"]
    assert figure_values(found)["baseline"] is None


def test_what_was_chosen_is_told_with_its_clarification() -> None:
    values = answer_values(answered(0, 1))
    assert (values["baseline"], values["self_talk"], values["clarification"], values["candidate"]) == (
        0,
        1,
        "So.",
        None,
    )
    assert answer_values(answered(0, 0))["clarification"] is None


def test_the_page_names_every_reason() -> None:
    page = (Path(__file__).parent.parent / "docs/self-talk.md").read_text("utf-8")
    table = page.partition("<!-- reasons: self-talk -->")[2].partition("\n\n")[0]
    known = {value for name, value in vars(records).items() if name.isupper()}
    known |= {measuring.NOT_FINITE, talking.TOO_LONG, talking.OUT_OF_MEMORY, talking.MODEL_FAILED}
    assert set(re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)) == known
