import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from microworld_scenes import regions_of, scene

from builders.localized.facts import PromptBox, facts_of
from builders.localized.records import Qar
from builders.localized.scripted import make_script
from builders.localized.settings import MODES, LocalizedSettings, Mode
from builders.localized.stage import CandidatesStage
from builders.localized.triples import Limits, Triple, TurnText, turn_triples
from microworld import findings as why
from microworld.corrupting import corrupt
from microworld.findings import TruthValue
from microworld.geometry import holds
from microworld.grammar import caption, narrative, region_phrase, statement
from microworld.oracle import judge_probe, judge_qar, judge_region_caption, judge_text
from microworld.questions import TOPICS, ask, reason
from microworld.scenes import PLACES, Held, Scene, Thing
from microworld.sentences import tokens_of, write_statement
from microworld.slots import FURTHER, IN_PLACE, PLACE_NOUNS, RELATIONS
from microworld.teacher import forms_from
from microworld.truth import scope_of
from ostensive.chat.records import Message
from ostensive.chat.scripted import ScriptedTeacherSettings, script_seed
from ostensive.records import Box, Probe, Region, Verbalization

BIG, LITTLE = 12 / 64, 7 / 64


def box(x: float, y: float, radius: float) -> Box:
    return Box(x - radius, y - radius, x + radius, y + radius)


BEACH = Scene(
    0,
    "beach",
    (
        Thing(0, "circle", "red", "large", "plain", None, None, None, box(0.25, 0.3, BIG), 1.0),
        Thing(1, "star", "blue", "small", "striped", "green", None, None, box(0.75, 0.3, LITTLE), 1.0),
        Thing(2, "circle", "red", "small", "plain", None, None, None, box(0.78, 0.8, LITTLE), 1.0),
        Thing(
            3, "figure", "green", "large", "plain", None, Held("heart", "white"), "waving", box(0.22, 0.78, BIG), 1.0
        ),
        Thing(4, "square", "yellow", "large", "dotted", None, Held("ring", "black"), None, box(0.5, 0.5, BIG), 1.0),
        Thing(5, "cross", "purple", "small", "plain", None, None, None, box(0.5, 0.88, LITTLE), 0.1),
    ),
)
REGIONS = tuple(Region(k, BEACH.things[k].box, "thing", None, "") for k in (0, 1, 2, 3))
CARD = (
    # what is said, what the oracle has to say, and why
    ("This is a beach.", "true", ""),
    ("The place is a night sky", "false", why.WRONG_PLACE),
    ("Sand lies behind everything.", "true", ""),
    ("Behind everything there is snow.", "false", why.WRONG_PLACE),
    ("There is a red circle.", "true", ""),
    ("There is an orange circle.", "false", why.NOT_THERE),
    ("A small striped blue star with a green hat can be seen.", "true", ""),
    ("A small striped blue star with a red hat can be seen.", "false", why.NOT_THERE),
    ("A waving figure in green that holds a white heart is there.", "true", ""),
    ("A waving figure in green that holds a white star is there.", "false", why.NOT_THERE),
    ("There is no white triangle.", "true", ""),
    ("There is no star.", "false", why.THERE_AFTER_ALL),
    ("There are no hexagons.", "true", ""),
    ("Nothing here is black.", "not checkable", why.HALF_SEEN),
    ("Nothing here is orange.", "true", ""),
    ("Nothing here has a green hat.", "false", why.THERE_AFTER_ALL),
    ("There are two red circles.", "true", ""),
    ("There are three red circles.", "false", why.WRONG_COUNT),
    ("There is only one red circle.", "false", why.WRONG_COUNT),
    ("There is only one heart.", "not checkable", why.HALF_SEEN),
    ("There is only one cross.", "not checkable", why.HALF_SEEN),
    ("There are six crosses.", "false", why.WRONG_COUNT),
    ("There is a purple cross.", "not checkable", why.HALF_SEEN),
    ("A red circle and a blue star on a beach.", "true", ""),
    ("A red circle and a blue star in a street.", "false", why.WRONG_PLACE),
    ("A red circle, a blue star and a white square can be seen.", "false", why.NOT_THERE),
    ("A red circle, a red circle and a circle can be seen.", "false", why.NOT_THERE),
    ("A red circle and a heart can be seen.", "not checkable", why.HALF_SEEN),
    ("The circles are a large red circle and a small red circle.", "true", ""),
    ("The circles are a large red circle and a small blue circle.", "false", why.NOT_THE_ENUMERATION),
    ("The only circle is a large red circle.", "false", why.NOT_THE_ENUMERATION),
    ("The only star is a small blue star.", "true", ""),
    ("The star is blue.", "true", ""),
    ("The star is striped.", "true", ""),
    ("The star is a small blue star.", "true", ""),
    ("The star is red.", "false", why.WRONG["colour"]),
    ("The blue thing is a circle.", "false", why.WRONG["shape"]),
    ("The circle is red.", "not checkable", why.MANY_SUCH),
    ("The large circle is red.", "true", ""),
    ("The heart is white.", "not checkable", why.MANY_SUCH),
    ("The triangle is white.", "false", why.NO_SUCH_THING),
    ("The figure is waving.", "true", ""),
    ("The figure is sitting.", "false", why.WRONG["pose"]),
    ("The star wears a green hat.", "true", ""),
    ("The star has a hat.", "true", ""),
    ("The star has no hat.", "false", why.WRONG["hat"]),
    ("The figure has no hat.", "true", ""),
    ("The figure holds a white heart.", "true", ""),
    ("The figure holds something.", "true", ""),
    ("The figure holds nothing.", "false", why.WRONG["holds"]),
    ("A red circle wears a green hat.", "false", why.WRONG["hat"]),
    ("The hat of the star is green.", "true", ""),
    ("The star is the only blue thing.", "true", ""),
    ("The large circle is the only red thing.", "false", why.NOT_ALONE),
    ("Nothing but the figure is waving.", "true", ""),
    ("The large circle is left of the star.", "true", ""),
    ("The large circle stands right of the star.", "false", why.WRONG_RELATION),
    ("The large circle is above the star.", "not checkable", why.TOO_CLOSE),
    ("The large circle is left of the circle.", "not checkable", why.MANY_SUCH),
    ("A red circle is below the star.", "true", ""),
    ("Below the star there is a red circle.", "true", ""),
    ("A purple cross is below the square.", "not checkable", why.HALF_SEEN),
    ("A red circle is right of the star.", "not checkable", why.TOO_CLOSE),
    ("A yellow square is right of the star.", "false", why.WRONG_RELATION),
    ("A white triangle is right of the star.", "false", why.NO_SUCH_THING),
    ("There is a black ring inside the square.", "true", ""),
    ("The star is inside the square.", "not checkable", why.TOO_CLOSE),
    ("The small circle is inside the square.", "false", why.WRONG_RELATION),
    ("The thing nearest to the star is the square.", "true", ""),
    ("The thing nearest to the star is the figure.", "false", why.WRONG_RELATION),
    ("The thing nearest to the cross is the small circle.", "not checkable", why.TOO_CLOSE),
    ("The cross is the only one below the figure.", "not checkable", why.TOO_CLOSE),
    ("The small circle is the only one below the star.", "false", why.NOT_ALONE),
    ("The star is the only one to the right of the square.", "false", why.NOT_ALONE),
    ("On a beach, the star is blue, and the figure is waving.", "true", ""),
    ("On a beach, the star is blue, and the figure is sitting.", "false", why.WRONG["pose"]),
    ("[0] is a large red circle.", "true", ""),
    ("[1] is a large red circle.", "false", why.WRONG["shape"]),
    ("[0] is left of [1].", "true", ""),
    ("[1] is left of [0].", "false", why.WRONG_RELATION),
    ("[7] is left of [0].", "not checkable", why.NO_REGION),
    ("[1] shows a blue star. [3] is waving.", "true", ""),
    ("[1] shows a blue star. [3] is sitting.", "false", why.WRONG["pose"]),
    ("Nonsense. [3] is sitting.", "false", why.WRONG["pose"]),
    ("Nonsense. [3] is waving.", "not checkable", why.UNKNOWN_WORD),
    ("It is blue.", "not checkable", why.NO_IT),
)
UNREADABLE = (
    ("", why.NO_TEXT),
    ("  \n", why.NO_TEXT),
    (".", why.NO_FORM),
    ("?!", why.NO_FORM),
    ("A red", why.NO_FORM),
    ("A red circle", why.NO_FORM),
    ("There is a", why.NO_FORM),
    ("There is a red red circle.", why.NO_FORM),
    ("There is a a red circle.", why.NO_FORM),
    ("There is red circle.", why.NO_FORM),
    ("There is a orange circle.", why.NO_FORM),
    ("There is an red circle.", why.NO_FORM),
    ("There is a red small circle.", why.NO_FORM),
    ("There are two red circle.", why.NO_FORM),
    ("There are one red circle.", why.NO_FORM),
    ("There is a circle red.", why.NO_FORM),
    ("The star is not red.", why.UNKNOWN_WORD),
    ("There isn't a star.", why.UNKNOWN_WORD),
    ("There is a green circle, or a star.", why.UNKNOWN_WORD),
    ("The star is left of.", why.NO_FORM),
    ("The star is left of the.", why.NO_FORM),
    ("left of the star", why.NO_FORM),
    ("There is a dog.", why.UNKNOWN_WORD),
    ("There is a star that is red.", why.NO_FORM),
    ("Is there a star?", why.NO_FORM),
    ("yes", why.NO_FORM),
    ("On a beach.", why.NO_FORM),
    ("On a beach, ", why.NO_FORM),
    ("The star is blue, and", why.NO_FORM),
    ("The star is blue, and , and the figure is waving.", why.NO_FORM),
    ("星 is blue.", why.UNKNOWN_WORD),
    ("[] is blue.", why.UNKNOWN_WORD),
    ("[x] is blue.", why.UNKNOWN_WORD),
    ("[12345] is blue.", why.UNKNOWN_WORD),
    ("The star is blue " * 60, why.TOO_LONG),
)


@pytest.mark.parametrize(("text", "value", "reason_given"), CARD)
def test_a_scene_that_was_judged_by_hand(text: str, value: TruthValue, reason_given: str) -> None:
    finding = judge_text(text, BEACH, REGIONS)
    assert (finding.value, finding.reason) == (value, reason_given)
    assert bool(finding.about) == (value != "true")


@pytest.mark.parametrize(("text", "reason_given"), UNREADABLE)
def test_what_cannot_be_read_is_not_guessed(text: str, reason_given: str) -> None:
    finding = judge_text(text, BEACH, REGIONS)
    assert (finding.value, finding.reason) == ("not checkable", reason_given)


PROBES = (
    ("What place is this?", "a beach", "true", ""),
    ("Where is this?", "Everything here is on a beach.", "true", ""),
    ("Where is this?", "street", "false", why.WRONG_PLACE),
    ("Where is this?", "The star is blue.", "not checkable", why.NO_ANSWER),
    ("Is there a blue star?", "Yes.", "true", ""),
    ("Is there a blue star?", "no", "false", why.DENIED),
    ("Is there a white triangle?", "No", "true", ""),
    ("Is there a white heart?", "no", "not checkable", why.HALF_SEEN),
    ("Is there a white triangle?", "maybe", "not checkable", why.UNKNOWN_WORD),
    ("Is there a white triangle?", "red", "not checkable", why.NO_ANSWER),
    ("Is the triangle red?", "no", "not checkable", why.NO_SUCH_THING),
    ("Is the triangle red?", "yes", "false", why.NO_SUCH_THING),
    ("Is the circle red?", "yes", "not checkable", why.MANY_SUCH),
    ("How many red circles are there?", "two", "true", ""),
    ("How many red circles are there?", "2", "true", ""),
    ("How many red circles are there?", "There are two red circles.", "true", ""),
    ("How many red circles are there?", "There are two circles.", "not checkable", why.NO_ANSWER),
    ("How many red circles are there?", "1", "false", why.WRONG_COUNT),
    ("How many hexagons are there?", "none", "true", ""),
    ("How many hexagons are there?", "eleven", "not checkable", why.UNKNOWN_WORD),
    ("What colour is the star?", "blue", "true", ""),
    ("What colour is the star?", "It is blue.", "true", ""),
    ("What colour is the star?", "It is small.", "not checkable", why.NO_ANSWER),
    ("What colour is the star?", "large", "not checkable", why.NO_ANSWER),
    ("What colour is the star?", "white", "false", why.WRONG["colour"]),
    ("What colour is the circle?", "red", "not checkable", why.MANY_SUCH),
    ("What shape is the blue thing?", "star", "true", ""),
    ("What shape is the blue thing?", "a thing", "not checkable", why.NO_ANSWER),
    ("What shape is [1]?", "a star", "true", ""),
    ("What is [1]?", "a small blue star with a green hat", "true", ""),
    ("What is [1]?", "a thing", "not checkable", why.NO_ANSWER),
    ("What is the figure doing?", "waving", "true", ""),
    ("What colour is the hat of the star?", "green", "true", ""),
    ("Which hat does the star have?", "a hat", "not checkable", why.NO_ANSWER),
    ("Which hat does the figure have?", "none", "true", ""),
    ("What does the figure hold?", "a white heart", "true", ""),
    ("What does the figure hold?", "nothing", "false", why.WRONG["holds"]),
    ("What does the figure hold?", "something", "not checkable", why.NO_ANSWER),
    ("What is left of the star?", "the large circle", "true", ""),
    ("What is left of the star?", "a red circle", "true", ""),
    ("What is left of the star?", "a thing", "not checkable", why.NO_ANSWER),
    ("What is left of the star?", "it", "not checkable", why.NO_ANSWER),
    ("What is right of the square?", "the figure", "false", why.WRONG_RELATION),
    ("What is inside the square?", "a black ring", "true", ""),
    ("Which of [0] and [1] is further left?", "[0]", "true", ""),
    ("Which of [0] and [1] is further left?", "[1]", "false", why.WRONG_RELATION),
    ("Which of [0] and [1] is further left?", "[2]", "not checkable", why.NO_ANSWER),
    ("What is blue?", "the star", "true", ""),
    ("What is blue?", "the blue thing", "not checkable", why.NO_ANSWER),
    ("What is blue?", "[0]", "false", why.WRONG["colour"]),
    ("What is blue", "the star", "not checkable", why.NO_FORM),
    ("Why is the star blue?", "yes", "not checkable", why.UNKNOWN_WORD),
    ("", "yes", "not checkable", why.NO_TEXT),
    ("What is blue?", "", "not checkable", why.NO_TEXT),
    ("What is blue?" * 60, "the star", "not checkable", why.TOO_LONG),
)


@pytest.mark.parametrize(("question", "answer", "value", "reason_given"), PROBES)
def test_probes_judged_by_hand(question: str, answer: str, value: TruthValue, reason_given: str) -> None:
    finding = judge_probe(question, answer, BEACH, REGIONS)
    assert (finding.value, finding.reason) == (value, reason_given)


@pytest.mark.parametrize(
    ("text", "around", "value", "reason_given"),
    [
        ("a large red circle", BEACH.things[0].box, "true", ""),
        ("A large red circle.", BEACH.things[0].box, "true", ""),
        ("a circle", box(0.27, 0.31, BIG), "true", ""),
        ("It is a red circle.", BEACH.things[0].box, "true", ""),
        ("a small red circle", BEACH.things[0].box, "false", why.WRONG["size"]),
        ("red circle", BEACH.things[0].box, "not checkable", why.NO_FORM),
        ("a red circle with", BEACH.things[0].box, "not checkable", why.NO_FORM),
        ("a red dog", BEACH.things[0].box, "not checkable", why.UNKNOWN_WORD),
        ("", BEACH.things[0].box, "not checkable", why.NO_TEXT),
        ("a circle", box(0.4, 0.4, BIG), "not checkable", why.NO_THING_THERE),
        ("a circle", Box(0, 0, 1, 1), "not checkable", why.NO_THING_THERE),
        ("a circle", box(0.25, 0.3, 0.02), "not checkable", why.NO_THING_THERE),
    ],
)
def test_captions_of_boxes_judged_by_hand(text: str, around: Box, value: TruthValue, reason_given: str) -> None:
    finding = judge_region_caption(text, around, BEACH)
    assert (finding.value, finding.reason) == (value, reason_given)


def test_a_box_that_fits_two_things_nearly_as_well_is_not_guessed_at() -> None:
    first = BEACH.things[0]
    second = replace(first, number=1, colour="blue", box=box(0.26, 0.3, BIG))
    twins = Scene(0, "beach", (first, second))
    assert judge_region_caption("a red circle", first.box, twins).reason == why.NO_THING_THERE


def test_a_box_has_to_fit_its_thing_by_half() -> None:
    alone = Scene(0, "beach", BEACH.things[:1])
    shifted = [box(0.25 + shift, 0.3, BIG) for shift in (0.08, 0.16)]
    assert [round(one.overlap(alone.things[0].box), 2) for one in shifted] == [0.65, 0.4]
    assert [judge_region_caption("a red circle", one, alone).value for one in shifted] == ["true", "not checkable"]


def test_a_name_that_a_held_thing_could_have_too_is_not_checkable() -> None:
    star = replace(BEACH.things[1], hat=None, pattern="plain", colour="white")
    square = replace(BEACH.things[4], holds=Held("star", "white"))
    where = Scene(0, "beach", (star, square))
    assert judge_text("The star is small.", where).reason == why.MANY_SUCH
    assert judge_text("The white thing is a star.", where).reason == why.MANY_SUCH
    assert judge_text("The star wearing a hat is small.", where).reason == why.NO_SUCH_THING
    assert judge_text("There is only one star.", where).reason == why.HALF_SEEN
    assert judge_text("There are two things.", where).is_true
    assert judge_text("There are three stars.", where).is_false


SIDES_OF_STAR = {
    "right of": True,
    "to the right of": True,
    "on the right of": True,
    "above": True,
    "over": True,
    "higher than": True,
    "left of": False,
    "to the left of": False,
    "on the left of": False,
    "below": False,
    "under": False,
    "beneath": False,
    "lower than": False,
    "inside": False,
}
FURTHER_OF_STAR = {
    "further right": True,
    "higher": True,
    "further up": True,
    "further left": False,
    "lower": False,
    "further down": False,
}


def test_every_phrase_for_a_relation_means_what_it_says() -> None:
    assert set(SIDES_OF_STAR) == set(RELATIONS)
    assert set(FURTHER_OF_STAR) == set(FURTHER)
    for phrase, so in SIDES_OF_STAR.items():
        assert judge_text(f"The star is {phrase} the figure.", BEACH).is_true == so, phrase
        assert judge_text(f"The star is {phrase} the figure.", BEACH).is_false != so, phrase
    for phrase, so in FURTHER_OF_STAR.items():
        question = f"Which of the star and the figure is {phrase}?"
        assert judge_probe(question, "the star", BEACH).is_true == so, phrase
        assert judge_probe(question, "the figure", BEACH).is_true != so, phrase


def test_every_word_for_a_place_a_size_and_a_number_means_what_it_says() -> None:
    grounds = {"meadow": "grass", "beach": "sand", "snowfield": "snow", "street": "pavement", "night sky": "darkness"}
    assert set(grounds) == set(PLACES) == set(PLACE_NOUNS)
    for place in PLACES:
        where = replace(BEACH, place=place)
        for phrase in IN_PLACE:
            assert judge_text(f"Everything here is {phrase}.", where).is_true == phrase.endswith(place), phrase
        for other, ground in grounds.items():
            assert judge_text(f"Behind everything lies {ground}.", where).is_true == (other == place)
            assert judge_probe("Where is this?", other, where).is_true == (other == place)
    for word, size in {"small": "small", "little": "small", "large": "large", "big": "large"}.items():
        assert judge_text(f"The star is {word}.", BEACH).is_true == (size == "small")
    for number, words in enumerate((("none", "zero", "0"), ("one", "1"), ("two", "2"), ("three", "3"), ("four", "4"))):
        things = tuple(replace(BEACH.things[0], number=k) for k in range(number))
        for word in words:
            assert judge_probe("How many circles are there?", word, Scene(0, "beach", things)).is_true
            assert judge_probe("How many circles are there?", word, BEACH).is_true == (number == 2)


def test_words_that_may_mean_two_things_are_only_decided_when_both_are() -> None:
    assert why.agreed([why.TRUE, why.TRUE]) == why.TRUE
    assert why.agreed([why.TRUE, why.false(why.NOT_THERE)]).reason == why.TWO_MEANINGS
    assert why.agreed([why.unsure(why.TOO_CLOSE), why.TRUE]).reason == why.TWO_MEANINGS


@pytest.mark.slow
def test_ten_thousand_true_and_ten_thousand_corrupted_sentences() -> None:
    values: Counter[tuple[bool, str]] = Counter()
    seed = 0
    while values.total() < 20_000:
        where, rng = scene(seed), random.Random(seed)
        seed += 1
        regions = regions_of(where) if seed % 4 == 0 else ()
        scope = scope_of(where, regions)
        told = [statement(where, rng, regions) for _ in range(4)] + ([] if regions else [caption(where, rng)])
        for one in told:
            wrong = corrupt(one.claim, scope, rng)
            text = None if wrong is None else write_statement(wrong, rng)
            if text is not None:
                values[True, judge_text(one.text, where, regions).value] += 1
                values[False, judge_text(text, where, regions).value] += 1
    assert values[True, "false"] == values[False, "true"] == 0
    assert values[True, "true"] >= 0.99 * 10_000
    assert values[False, "false"] >= 0.99 * 10_000


def test_triples_of_the_grammar_are_true_and_none_with_a_wrong_answer_is() -> None:
    values: Counter[tuple[str, str]] = Counter()
    for seed in range(70):
        where, rng = scene(seed), random.Random(seed)
        regions = regions_of(where) if seed % 2 else ()
        for topic in TOPICS:
            drawn = reason(where, topic, rng, regions)
            if drawn is None:
                continue
            row = qar(drawn.asked.question, drawn.asked.answer, drawn.rationale.text)
            finding = judge_qar(row, regions, where)
            values["answer", finding.answer.value] += 1
            values["rationale", finding.rationale.value] += 1
            assert finding.whole.is_true, (row, finding)
            other = reason(scene(seed + 5000), topic, rng)
            if other is not None:
                foreign = judge_qar(qar(row.question, other.asked.answer, row.rationale), regions, where)
                assert foreign.whole.value != "true" or foreign.answer.is_true
    assert values["answer", "true"] == values["rationale", "true"] > 600


def test_a_word_said_twice_makes_no_sentence() -> None:
    for seed in range(250):
        where, rng = scene(seed), random.Random(seed)
        tokens = tokens_of(statement(where, rng).text)
        at = rng.randrange(len(tokens) - 1)
        doubled = " ".join([*tokens[:at], tokens[at], *tokens[at:]])
        assert judge_text(doubled, where).value == "not checkable", doubled


def test_shuffled_words_are_hardly_ever_a_sentence() -> None:
    readable = 0
    for seed in range(500):
        where, rng = scene(seed), random.Random(seed)
        tokens = tokens_of(statement(where, rng).text)[:-1]
        mixed = rng.sample(tokens, len(tokens))
        readable += mixed != tokens and judge_text(" ".join(mixed), where).decided
    assert readable <= 15  # "[1] is left of [0]" and the like are sentences in another order too


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_a_sentence_cut_short_is_never_called_false(seed: int, rng: random.Random) -> None:
    where = scene(seed)
    tokens = tokens_of(statement(where, random.Random(seed)).text)[:-1]
    cut = " ".join(tokens[: rng.randrange(1, len(tokens))])
    finding = judge_text(cut, where)
    # "There are two stars" may be left of a longer sentence, but then says less.
    assert not finding.is_false or "only" in cut or finding.reason in (why.WRONG_COUNT, why.NOT_THE_ENUMERATION), cut


@pytest.mark.slow
@given(st.text(max_size=200))
def test_any_text_has_a_verdict(text: str) -> None:
    assert judge_text(text, BEACH, REGIONS).value in ("true", "false", "not checkable")
    assert judge_probe(text, text, BEACH).value == "not checkable"
    assert judge_region_caption(text, BEACH.things[0].box, BEACH).value in ("true", "false", "not checkable")


@pytest.mark.parametrize(
    "piece", ["the ", "a red ", "“", "” . ", "there is a red circle. ", ", and ", "[0] ", "\\", "? "]
)
def test_long_texts_take_time_in_proportion(piece: str) -> None:
    """Of the processor and side by side, so that other work on the machine does not matter; squares would take 16."""

    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        began = time.process_time()
        judge_text(text, BEACH)
        judge_region_caption(text, BEACH.things[0].box, BEACH)
        judge_qar(qar(text, text, text), REGIONS, BEACH)
        return time.process_time() - began

    assert seconds(24_000) < 10 * seconds(6_000) + 0.5


BOXES = st.builds(
    lambda x, y, w, h: Box(x * (1 - w), y * (1 - h), x * (1 - w) + w, y * (1 - h) + h),
    *(st.floats(0, 1),) * 2,
    *(st.floats(0.03, 0.9),) * 2,
)


@settings(max_examples=300)
@given(st.lists(BOXES, min_size=1, max_size=5))
def test_what_the_teacher_holds_for_certain_is_so(boxes: list[Box]) -> None:
    noted = [PromptBox(*(round(corner, 2) for corner in (b.x1, b.y1, b.x2, b.y2))) for b in boxes]
    for fact in facts_of(noted):
        a, b = boxes[fact.a], None if fact.b < 0 else boxes[fact.b]
        others = [other for k, other in enumerate(boxes) if k != fact.a]
        assert holds(fact.kind, a, b, others) is True, fact


def qar(question: str, answer: str, rationale: str, mode: str = "ids") -> Qar:
    return Qar("row", "image", mode, question, answer, rationale, (), "teacher", "prompt", "request")


STAGE = CandidatesStage(LocalizedSettings(), teacher=ScriptedTeacherSettings(), script=make_script(0.0), seed=0)


def verbalized(where: Scene) -> Verbalization:
    rng = random.Random(where.seed)
    regions = regions_of(where, {thing.number: region_phrase(thing, rng).text for thing in where.things})
    probes = [asked for topic in TOPICS if (asked := ask(where, topic, rng))]
    told = " ".join(sentence.text for sentence in narrative(where, rng))
    pairs = tuple(Probe(asked.question, asked.answer) for asked in probes[:8])
    return Verbalization(f"{where.seed:064x}", (caption(where, rng).text,), (told,), regions, pairs)


def taught_triples(row: Verbalization, mode: Mode, error_rate: float) -> Iterator[Triple | None]:
    """What the real teacher writes about a verbalization, as the stage reads it; None for what has holes."""
    script, conversation = make_script(error_rate), STAGE.conversation(row, mode)
    messages = list(conversation.messages)
    limits = Limits(mode, frozenset(region.number for region in row.regions), 3, 5)
    for follow_up in (*conversation.follow_ups, None):
        text = script(messages, script_seed(messages, conversation.sampling.seed))
        for one in turn_triples(TurnText(text, "stop"), limits, []):
            yield one if isinstance(one, Triple) and one.question and one.answer and one.rationale else None
        messages.append(Message("assistant", text))
        messages += [] if follow_up is None else [follow_up]


@dataclass(frozen=True)
class Lessons:
    whole: int
    answers: Counter[str]
    rationales: Counter[str]


def lessons(mode: Mode, scenes: range) -> Lessons:
    answers, rationales, whole = Counter[str](), Counter[str](), 0
    for seed in scenes:
        where = scene(seed)
        row = verbalized(where)
        for triple in taught_triples(row, mode, 0.0):
            if triple is not None:
                found = judge_qar(qar(triple.question, triple.answer, triple.rationale, mode), row.regions, where)
                answers[found.answer.value] += 1
                rationales[found.rationale.value] += 1
                whole += 1
                if not found.whole.is_true:
                    assert found.whole.reason == why.MANY_SUCH, (triple, found)
    return Lessons(whole, answers, rationales)


@pytest.mark.parametrize(("mode", "least_decided"), [("ids", 1.0), ("descriptions", 0.9)])
def test_what_the_scripted_teacher_writes_of_true_words_is_true(mode: Mode, least_decided: float) -> None:
    found = lessons(mode, range(60))
    assert found.whole > 300
    assert found.answers["false"] == found.rationales["false"] == 0
    assert found.answers["true"] >= least_decided * found.whole
    assert found.rationales["true"] >= least_decided * found.whole


@pytest.mark.parametrize("mode", MODES)
def test_wrong_claims_of_the_scripted_teacher_come_out_false(mode: Mode) -> None:
    findings, asides = Counter[str](), Counter[str]()
    for seed in range(60):
        where = scene(seed)
        row = verbalized(where)
        for right, wrong in zip(taught_triples(row, mode, 0.0), taught_triples(row, mode, 1.0), strict=False):
            if right is None or wrong is None or hedged_or_strange(wrong) or wrong == right:
                continue
            # What is wrong here is a claim: neither a hedge, nor a hole, nor a region that there is not.
            found = judge_qar(qar(wrong.question, wrong.answer, wrong.rationale, mode), row.regions, where)
            findings[found.whole.value] += 1
            assert found.answer.value == found.rationale.value or found.answer.is_false, (wrong, found)
            asides["quoted"] += "Asked" in wrong.rationale
            if found.whole.is_true:
                # A caption put on another region may fit that too.
                assert " is a" in wrong.rationale, wrong
    assert findings.total() > 60
    assert findings["false"] >= 0.93 * findings.total()
    assert asides["quoted"]


def hedged_or_strange(triple: Triple) -> bool:
    return "bears it out" in triple.rationale or triple.answer.startswith(
        ("Perhaps", "Maybe", "It seems", "Most likely")
    )


def test_hedges_and_unknown_regions_of_the_teacher_are_not_checkable() -> None:
    question = "Which way should somebody who faces straight ahead turn to meet [0]?"
    fine = "[0] lies in the left half of the view, so the right would lead away from it."
    assert judge_qar(qar(question, "They should turn left.", fine), REGIONS, BEACH).whole.is_true
    hedged = judge_qar(qar(question, "Perhaps they should turn left.", fine), REGIONS, BEACH)
    assert hedged.answer.value == "not checkable"
    strange = judge_qar(qar(question, "They should turn left.", f"{fine[:-1]}, and [9] bears it out."), REGIONS, BEACH)
    assert strange.rationale.value == "not checkable"
    gone = question.replace("[0]", "[9]")
    assert judge_qar(qar(gone, "They should turn left.", fine), REGIONS, BEACH).answer.reason == why.NO_REGION
    other = judge_qar(qar(question, "They should turn left.", fine.replace("[0]", "[1]")), REGIONS, BEACH)
    assert (other.answer.value, other.rationale.value) == ("true", "false")


def test_asides_are_judged_by_their_probe() -> None:
    lead = "[0] lies in the left half of the view, so the right would lead away from it."
    question = "Which way should somebody who faces straight ahead turn to meet [0]?"

    def rationale(aside: str) -> tuple[TruthValue, str]:
        found = judge_qar(qar(question, "They should turn left.", f"{lead} {aside}"), REGIONS, BEACH)
        return found.rationale.value, found.rationale.reason

    assert rationale("Asked “Is there a star?”, anyone here would say “yes”.") == ("true", "")
    assert rationale("Asked “Is there a star?”, anyone here would say “no”.") == ("false", why.DENIED)
    assert rationale("Asked “Is there a star?”, no one here would say “no”.")[0] == "not checkable"
    assert rationale("Asked “Is there a “star”?”, anyone here would say “no”.")[0] == "not checkable"


def test_it_means_what_the_answer_is_about() -> None:
    def rationale(question: str, answer: str, text: str) -> TruthValue:
        return judge_qar(qar(question, answer, text), REGIONS, BEACH).rationale.value

    assert rationale("What is blue?", "the star", "It is the only blue thing.") == "true"
    assert rationale("What is blue?", "the figure", "It is the only blue thing.") == "false"
    assert rationale("What colour is [0]?", "red", "It is a large red circle.") == "true"
    assert rationale("What colour is [1]?", "It is blue.", "It is a large red circle.") == "false"
    assert rationale("Where is this?", "a beach", "It is a large red circle.") == "not checkable"
    assert rationale("Where is this?", "a beach", "") == "not checkable"


def test_a_table_with_unknown_kinds_is_refused() -> None:
    with pytest.raises(ValueError, match=r"wordings of kinds \['nearer'\]: known are \['above', "):
        forms_from({"nearer": [["Which?", "{a}.", "{a} is nearer."]]})


def test_geometry_of_one_box_and_of_extremes() -> None:
    wide = Box(0.1, 0.1, 0.9, 0.4)
    assert holds("broad", wide, None, ()) is True
    assert holds("narrow", wide, None, ()) is False
    assert holds("on_left", wide, None, ()) is None
    assert holds("upper", wide, None, ()) is True
    assert holds("leftmost", wide, None, (Box(0.7, 0.1, 0.9, 0.4),)) is True
    assert holds("leftmost", wide, None, (Box(0.7, 0.1, 0.9, 0.4), Box(0, 0, 0.1, 0.1))) is False
    assert holds("leftmost", wide, None, (Box(0.49, 0.1, 0.53, 0.4),)) is None
    assert holds("overlap", wide, Box(0.5, 0.2, 0.95, 0.6), ()) is True
    assert holds("overlap", wide, Box(0.2, 0.2, 0.3, 0.3), ()) is False
    assert holds("inside", Box(0.2, 0.2, 0.3, 0.3), wide, ()) is True
