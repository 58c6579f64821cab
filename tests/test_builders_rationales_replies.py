"""From a reply to a rationale: what is cut off, what is jabber, and what is asked at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.asking import FILTERED, TRUNCATED
from builders.rationales.cleaning import clean
from builders.rationales.items import NO_ANSWER, NO_QUESTION, REPEATED, Item, LostItem, items_of
from builders.rationales.jabber import (
    FEW_LETTERS,
    REPEATS_ANSWER,
    REPEATS_ITSELF,
    REPEATS_QUESTION,
    TOO_SHORT,
    jabber,
    letter_share,
    stutters,
    tokens_of,
    word_count,
)
from builders.rationales.replies import REASONS, Found, read_reply
from builders.rationales.settings import RationalesSettings
from critics.lexicon import first_sentences, sentence_count
from ostensive.rationale_replay import answer_of
from ostensive.records import Annotation

SETTINGS = RationalesSettings()
ITEM = Item("i", "a" * 64, "Is it raining?", "yes")


@pytest.mark.parametrize(
    ("reply", "rationale"),
    [
        ("People hold umbrellas.", "People hold umbrellas."),
        ("  because people hold umbrellas ", "People hold umbrellas"),
        ("Because, people hold umbrellas.", "People hold umbrellas."),
        ("Seeing that people hold umbrellas.", "People hold umbrellas."),
        ("That's because people hold umbrellas.", "People hold umbrellas."),
        ("The reason is that it pours: umbrellas.", "The reason is that it pours: umbrellas."),
        ("Yes, because people hold umbrellas.", "People hold umbrellas."),
        ("The answer is yes because people hold umbrellas.", "People hold umbrellas."),
        ("Yes, people hold umbrellas.", "Yes, people hold umbrellas."),
        ("Because of the rain people hold umbrellas.", "Because of the rain people hold umbrellas."),
        ("Becausewise nothing is known.", "Becausewise nothing is known."),
        ("because iPhones are held up", "iPhones are held up"),
        ("Rationale: People hold umbrellas.", "People hold umbrellas."),
        ("**Explanation:** because people hold umbrellas.", "People hold umbrellas."),
        ("Here is the rationale:\n\nPeople hold umbrellas.", "People hold umbrellas."),
        ("```text\nPeople hold umbrellas.\n```", "People hold umbrellas."),
        ("- People hold umbrellas.\n- They run.", "People hold umbrellas."),
        ("1. People hold umbrellas.", "People hold umbrellas."),
        ('"People hold umbrellas."', "People hold umbrellas."),
        ("“People hold umbrellas.”", "People hold umbrellas."),
        ("'People hold umbrellas.'", "People hold umbrellas."),
        ('"Rain" is written on it, and "wet"', '"Rain" is written on it, and "wet"'),
        ("People hold umbrellas.\nQ: Is it cold?\nA: no", "People hold umbrellas."),
        ("It pours. They run. They laugh.", "It pours. They run."),
        # What the published cleaning loses: apostrophes and colons, digits, other scripts.
        ("It's the dogs' bowl: it isn't the cat's", "It's the dogs' bowl: it isn't the cat's"),
        ("because the clock shows 12:30, and it's 3.5 m high", "The clock shows 12:30, and it's 3.5 m high"),
        ("Потому что люди держат зонты.", "Потому что люди держат зонты."),
        ("人们打着伞。他们在跑。他们在笑。", "人们打着伞。他们在跑。"),
        ("", ""),
        ("because", "because"),
        ("\n \n", ""),
    ],
)
def test_what_is_around_a_rationale_is_cut_off(reply: str, rationale: str) -> None:
    assert clean(reply, "yes", max_sentences=2).text == rationale


@given(st.text(max_size=200), st.text(max_size=20))
def test_cleaning_takes_any_reply_and_adds_nothing(reply: str, answer: str) -> None:
    cleaned = clean(reply, answer, max_sentences=2)
    assert "\n" not in cleaned.text
    assert sentence_count(cleaned.text) <= 2
    assert set(cleaned.text.casefold()) <= set(reply.casefold()) | set(reply.upper().casefold()) | {" "}


@pytest.mark.parametrize(
    ("count", "beginning"),
    [
        (1, "Mr. Doe waves at 3.5 m."),
        (2, "Mr. Doe waves at 3.5 m. Dr. Roe runs!"),
        (3, "Mr. Doe waves at 3.5 m. Dr. Roe runs! So"),
        (9, "Mr. Doe waves at 3.5 m. Dr. Roe runs! So"),
    ],
)
def test_abbreviations_end_no_sentence(count: int, beginning: str) -> None:
    assert first_sentences("Mr. Doe waves at 3.5 m. Dr. Roe runs! So", count) == beginning


@given(st.text(alphabet="ab. !?…e.g", max_size=60), st.integers(1, 4))
def test_first_sentences_are_the_beginning_of_a_text_with_at_most_so_many(text: str, count: int) -> None:
    beginning = first_sentences(text, count)
    assert text.startswith(beginning)
    assert sentence_count(beginning) <= max(count, 0) or beginning == text
    assert first_sentences(beginning, count) == beginning


@pytest.mark.parametrize(
    ("rationale", "question", "answer", "reason"),
    [
        ("People hold umbrellas.", "Is it raining?", "yes", ""),
        ("Its eyes are open.", "Is the cat asleep?", "no", ""),
        # one-word answers, and answers of several words
        ("Yes.", "Is it raining?", "yes", REPEATS_ANSWER),
        ("The answer is yes.", "Is it raining?", "yes", REPEATS_ANSWER),
        ("No, it is not.", "Is it raining?", "no", REPEATS_ANSWER),
        ("The answer is it's so.", "Is it dark?", "it’s so", REPEATS_ANSWER),
        ("It is on.", "Is it on or off?", "on", REPEATS_ANSWER),
        ("It is a ginger cat.", "What is it?", "a ginger cat", REPEATS_ANSWER),
        ("It is a ginger cat with stripes.", "What is it?", "a ginger cat", ""),
        ("The man is riding a horse.", "Is the man riding a horse?", "yes", REPEATS_QUESTION),
        ("The man is holding a camera.", "What is the man holding?", "camera", REPEATS_QUESTION),
        ("The man's hands are on the reins.", "Is the man riding a horse?", "yes", ""),
        ("No.", "Is it raining?", "yes", TOO_SHORT),
        ("It is.", "Is it raining?", "yes", TOO_SHORT),
        ("It just is.", "Is it raining?", "yes", TOO_SHORT),
        ("It is what that is.", "Is it raining?", "yes", ""),
        ("It is there, and it is not there.", "Is it raining?", "yes", TOO_SHORT),
        ("", "Is it raining?", "yes", TOO_SHORT),
        ("Wet street.", "Is it raining?", "yes", TOO_SHORT),
        ("Wet dark street.", "Is it raining?", "yes", ""),
        # digits
        ("7 + 5 = 12", "How many?", "some", FEW_LETTERS),
        ("The clock shows 12:30.", "Is it noon?", "no", ""),
        ("12", "How many?", "12", REPEATS_ANSWER),
        ("There are 12 of them in 4 rows.", "How many?", "12", ""),
        ("???? -- // :: ~~ !!!!", "Is it raining?", "yes", FEW_LETTERS),
        ("??? ok -- // 1 :: 2 ~~ 3 !!!!", "Is it raining?", "yes", FEW_LETTERS),
        # again and again
        ("wet wet wet wet", "Is it raining?", "yes", REPEATS_ITSELF),
        ("It is very, very, very wet outside.", "Is it raining?", "yes", ""),
        ("a wet street a wet street a wet street", "Is it cold?", "yes", REPEATS_ITSELF),
        ("wet man wet dog wet man man wet dog dog wet wet", "Is it cold?", "yes", REPEATS_ITSELF),
        # other scripts
        ("人们打着伞在街上跑", "下雨了吗?", "是", ""),
        ("是", "下雨了吗?", "是", REPEATS_ANSWER),
        ("下雨了", "下雨了吗?", "是", REPEATS_QUESTION),
        ("伞", "下雨了吗?", "是", TOO_SHORT),
        ("哈哈哈哈哈哈哈哈", "下雨了吗?", "是", REPEATS_ITSELF),
        ("Люди держат зонты", "Идёт дождь?", "да", ""),
        ("Да, идёт дождь", "Идёт дождь?", "да", REPEATS_QUESTION),
        ("लोग छाता लिए हुए हैं", "क्या बारिश हो रही है?", "हाँ", ""),
        ("الناس يحملون مظلات", "هل تمطر؟", "نعم", ""),
        ("คนถือร่มกันทุกคน", "ฝนตกไหม", "ใช่", ""),
    ],
)
def test_jabber_is_told_by_its_words(rationale: str, question: str, answer: str, reason: str) -> None:
    assert jabber(rationale, question, answer, SETTINGS) == reason


def test_every_limit_can_be_set() -> None:
    none = SETTINGS.model_copy(update={"min_words": 1, "min_letter_share": 0.0, "min_distinct_share": 0.0})
    assert jabber("Umbrellas.", "Is it raining?", "yes", none) == ""
    assert jabber("7 + 5 = 12", "How many?", "some", none) == ""
    assert jabber("wet man wet dog wet man man wet dog dog wet wet", "Is it cold?", "yes", none) == ""


def test_words_of_any_script() -> None:
    assert list(tokens_of("The dogs' bowl isn’t 3.5 m")) == ["the", "dogs", "bowl", "isn't", "3", "5", "m"]
    assert list(tokens_of("हिन्दी में")) == ["हिन्दी", "में"]
    assert list(tokens_of("a 伞在 b")) == ["a", "伞", "在", "b"]
    assert list(tokens_of("")) == []
    assert word_count(["a", "伞", "在", "街", "b"]) == 4
    assert letter_share("ab 1!") == 0.5
    assert letter_share("में") == 1.0
    assert letter_share(" ") == 0.0


@given(st.lists(st.sampled_from("abc"), max_size=12), st.integers(1, 8))
def test_a_run_that_is_said_thrice_is_found_wherever_it_stands(words: list[str], length: int) -> None:
    run = [f"w{k}" for k in range(length)]
    assert stutters([*words, *run, *run, *run, *run, *words])
    assert not stutters([f"x{k}" for k in range(len(words))])


@pytest.mark.parametrize(
    ("text", "finish_reason", "found"),
    [
        ("People hold umbrellas.", "stop", Found("People hold umbrellas.")),
        ("People hold umbr", "stop", Found("People hold umbr")),
        ("People hold umbr", "length", Found("People hold umbr", TRUNCATED, "finish reason 'length'")),
        ("People hold umbr", "tool_calls", Found("People hold umbr", TRUNCATED, "finish reason 'tool_calls'")),
        # A model that completes texts is always cut off, and its first line is whole.
        ("people hold umbrellas\nQ: What col", "length", Found("people hold umbrellas")),
        ("It pours. They run. They lau", "length", Found("It pours. They run.")),
        ("People hold umbrellas.", "length", Found("People hold umbrellas.")),
        ("People hold umbrellas.", "content_filter", Found("", FILTERED)),
        ("Yes.", "stop", Found("Yes.", REPEATS_ANSWER)),
    ],
)
def test_a_reply_that_was_cut_off_counts_where_the_rationale_is_whole(
    text: str, finish_reason: str, found: Found
) -> None:
    assert read_reply(text, finish_reason, ITEM, SETTINGS) == found


def test_every_reason_is_in_the_list() -> None:
    own = {NO_QUESTION, NO_ANSWER, REPEATED, TRUNCATED, FILTERED}
    assert own | {REPEATS_ANSWER, REPEATS_QUESTION, TOO_SHORT, FEW_LETTERS, REPEATS_ITSELF} == set(REASONS)
    assert len(set(REASONS)) == len(REASONS)


# ---- what is asked --------------------------------------------------------------------------------------------------


def note(name: str, question: str | None = None, *answers: str, **more: object) -> Annotation:
    return Annotation(name, "a" * 64, question=question, answers=answers, **more)  # type: ignore[arg-type]  # of a test


def test_items_are_asked_in_order_and_each_once() -> None:
    found = items_of(
        [
            note("n0", "Is it\n wet?", "yes", choices=("yes ", "no")),
            note("n1", "Is it wet?", "yes", rationales=("Umbrellas.",)),
            note("n2", "Is it wet?", "no"),
            note("n3", "Why?"),
            note("n4", None, "yes"),
            note("n5", label="a cat"),
            note("n6", rationales=("Umbrellas.",)),
        ]
    )
    assert found == [
        Item("n0", "a" * 64, "Is it wet?", "yes", ("yes", "no")),
        LostItem(REPEATED, "asks what n0 asks"),
        Item("n2", "a" * 64, "Is it wet?", "no"),
        LostItem(NO_ANSWER, "item n3"),
        LostItem(NO_QUESTION, "item n4"),
        LostItem(NO_QUESTION, "item n5"),
        LostItem(NO_QUESTION, "item n6"),
    ]


def test_a_label_answers_the_questions_for_labels_and_only_where_it_is_alone() -> None:
    found = items_of(
        [note("n0", label="rock climbing"), note("n1", "What is it?", label="rock climbing"), note("n2", None, "yes")],
        ["What is the person doing?", "Which activity is shown?"],
    )
    assert found == [
        Item("n0", "a" * 64, "What is the person doing?", "rock climbing"),
        Item("n0", "a" * 64, "Which activity is shown?", "rock climbing"),
        LostItem(NO_ANSWER, "item n1"),
        LostItem(NO_QUESTION, "item n2"),
    ]
    assert items_of([]) == []


def test_the_answer_is_the_one_that_most_people_gave() -> None:
    assert answer_of(["red", "brown", "brown"]) == "brown"
    assert answer_of(["red", "brown"]) == "red"
    assert answer_of([]) == ""


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperatures": []}, "at least 1 item"),
        ({"temperatures": [0.1, 0.1]}, "each at most once is expected"),
        ({"temperatures": [2.1]}, "less than or equal to 2"),
        ({"prompts": ["../etc"]}, "should match pattern"),
        ({"samples": 0}, "greater than or equal to 1"),
        ({"label_questions": [" "]}, "questions with words in them are expected"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RationalesSettings.model_validate(values)


def test_the_grid_is_that_of_the_paper() -> None:
    assert SETTINGS.temperatures == (0.01, 0.1, 0.3, 0.6, 0.9)
    assert SETTINGS.requests_an_item == 25
