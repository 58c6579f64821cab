import random
from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from microworld_scenes import regions_of, scene

from microworld.claims import (
    ASPECTS,
    All,
    Answer,
    AskAspect,
    AskCount,
    AskWhether,
    Attribute,
    Count,
    Exists,
    HeldKind,
    Kind,
    Measured,
    Numbered,
    PlaceIs,
    Related,
    Some,
    The,
    kind_of,
    only,
)
from microworld.corrupting import corrupt
from microworld.facts import FACTS, fact
from microworld.forms import ANSWERS, OPEN_QUESTIONS, STATEMENTS, YES_NO_QUESTIONS, form
from microworld.grammar import caption, narrative, region_phrase, statement
from microworld.nouns import PLURALS, fits_one, is_expressible, names_of, read_some, some_name
from microworld.questions import TOPICS, ask, reason
from microworld.scenes import Scene
from microworld.sentences import (
    MARKS,
    VOCABULARY,
    read_answer,
    read_question,
    read_statement,
    sentences_of,
    spoken_of,
    tokens_of,
    write_answer,
    write_question,
    write_statement,
)
from microworld.truth import decide, scope_of

SEEDS = st.integers(0, 10**9)
few = settings(max_examples=40)
EMPTY = Scene(0, "beach", ())


def read(text: str) -> object:
    clauses = read_statement(tokens_of(text))
    assert clauses is not None, text
    assert all(len(readings) == 1 for readings in clauses.readings), f"more than one meaning: {text}"
    claims = tuple(readings[0] for readings in clauses.readings)
    return claims[0] if len(claims) == 1 else All(claims)


@few
@given(SEEDS)
def test_what_is_written_is_read_as_what_was_meant_and_is_true(seed: int) -> None:
    where, rng = scene(seed), random.Random(seed)
    told = [statement(where, rng), caption(where, rng), *narrative(where, rng)]
    for one in told:
        assert read(one.text) == one.claim, one.text
        assert decide(one.claim, scope_of(where)).is_true, one.text


@few
@given(SEEDS)
def test_regions_are_spoken_of_by_their_numbers(seed: int) -> None:
    where, rng = scene(seed), random.Random(seed)
    regions = regions_of(where)
    scope = scope_of(where, regions)
    one = statement(where, rng, regions)
    assert decide(one.claim, scope).is_true, one.text
    assert read(one.text) == one.claim
    assert ("[" in one.text) == any(where.things[k].visible >= 0.3 for k in scope.numbers), one.text
    assert "The(" not in repr(one.claim), "a thing is named where every thing has a number"


@few
@given(SEEDS)
def test_what_a_region_shows_is_read_as_what_was_meant(seed: int) -> None:
    where, rng = scene(seed), random.Random(seed)
    for thing in where.things:
        phrase = region_phrase(thing, rng)
        found = read_some(tokens_of(phrase.text), 0)
        assert found is not None, phrase.text
        assert found.value == phrase.kind
        assert found.end == len(tokens_of(phrase.text))
        assert phrase.kind.fits(thing), phrase.text


@few
@given(SEEDS)
def test_every_word_is_one_of_the_vocabulary(seed: int) -> None:
    where, rng = scene(seed), random.Random(seed)
    texts = [statement(where, rng).text, caption(where, rng).text, region_phrase(where.things[0], rng).text]
    texts += [one.text for one in narrative(where, rng)]
    for topic in TOPICS:
        drawn = reason(where, topic, rng, regions_of(where) if seed % 2 else ())
        if drawn is not None:
            texts += [drawn.asked.question, drawn.asked.answer, drawn.rationale.text]
    known = {*VOCABULARY, *MARKS}
    assert [word for text in texts for word in tokens_of(text) if word not in known and word[0] != "["] == []


def test_the_vocabulary_is_small_and_every_word_and_form_of_it_is_used() -> None:
    assert 140 <= len(VOCABULARY) <= 250
    assert len(set(VOCABULARY)) == len(VOCABULARY)
    assert all(word == word.lower() and word.isalnum() for word in VOCABULARY)
    assert not {"picture", "image", "region", "description", "or", "maybe"} & set(VOCABULARY)
    used: set[str] = set()
    forms: set[str] = set()
    for seed in range(330):
        where, rng = scene(seed), random.Random(seed)
        regions = regions_of(where) if seed % 2 else ()
        for text in (statement(where, rng, regions).text for _ in range(10)):
            used.update(tokens_of(text))
            forms.update(str(match.form.pieces) for clause in clauses_of(text) for match in STATEMENTS.read(clause))
        for topic in TOPICS:
            asked = ask(where, topic, rng, regions)
            if asked is not None:
                question, answer = tokens_of(asked.question), tokens_of(asked.answer)
                used.update((*question, *answer))
                forms.update(str(match.form.pieces) for match in YES_NO_QUESTIONS.read(question))
                forms.update(str(match.form.pieces) for match in OPEN_QUESTIONS.read(question))
                forms.update(str(match.form.pieces) for match in ANSWERS.read(answer))
    # Few scenes have six things of a kind; "something" only stands for what nobody has looked at.
    assert set(VOCABULARY) - used - {"it"} <= {"6", "7", "8", "9", "something"}
    told = [one.pieces for one in (*STATEMENTS.forms, *YES_NO_QUESTIONS.forms)]
    asked_for = [one.pieces for one in (*OPEN_QUESTIONS.forms, *ANSWERS.forms)]
    assert [parts for parts in (*told, *asked_for) if str(parts) not in forms] == []


def clauses_of(text: str) -> list[list[str]]:
    tokens = tokens_of(text)[:-1]
    starts = [0, *(at + 2 for at in range(len(tokens) - 1) if tokens[at : at + 2] == [",", "and"])]
    return [tokens[start:end] for start, end in zip(starts, [*(s - 2 for s in starts[1:]), len(tokens)], strict=True)]


@few
@given(SEEDS)
def test_a_name_is_the_shortest_that_fits_one_thing(seed: int) -> None:
    where = scene(seed)
    for thing in where.things:
        full = kind_of(thing)
        said = [aspect for aspect in ASPECTS if getattr(full, aspect) is not None]
        fitting = [
            kind
            for size in range(1, len(said) + 1)
            for aspects in combinations(said, size)
            if is_expressible(kind := only(full, *aspects)) and fits_one(kind, where)
        ]
        name = next(iter(names_of(where, thing)), None)
        if name is None:
            assert fitting == []
            continue
        assert name.fits(thing)
        assert write_statement(Exists(name), random.Random(seed)) is not None
        assert [other.number for other in where.things if name.fits(other)] == [thing.number]
        assert len(name.aspects) == min(len(kind.aspects) for kind in fitting)
        assert decide(Attribute(The(name), full), scope_of(where)).is_true


def test_what_is_sayable_can_be_said() -> None:
    for hat in (None, "none", "any", "red"):
        for holds in (None, "nothing", HeldKind(), HeldKind("star"), HeldKind("star", "white")):
            kind = Kind("circle", hat=hat, holds=holds)
            assert is_expressible(kind) == (write_statement(Exists(kind), random.Random(0)) is not None), kind


def test_of_two_that_look_alike_neither_has_a_name() -> None:
    one = replace(scene(1).things[0], holds=None)
    twins = Scene(0, "meadow", (one, replace(one, number=1)))
    assert names_of(twins, one) == ()
    assert some_name(twins, one, random.Random(0)) is None
    assert names_of(twins, one, ("shape",)) == ()


def test_a_name_leaves_out_what_is_asked_for() -> None:
    for seed in range(300):
        asked = ask(scene(seed), "colour", random.Random(seed))
        if asked is not None and isinstance(asked.asks, AskAspect) and isinstance(asked.asks.subject, The):
            assert asked.asks.subject.kind.colour is None, asked.question


@settings(max_examples=25)
@given(SEEDS)
def test_questions_are_read_and_answers_are_true(seed: int) -> None:
    where, rng = scene(seed), random.Random(seed)
    for regions in ((), regions_of(where)):
        scope = scope_of(where, regions)
        for topic in TOPICS:
            asked = ask(where, topic, rng, regions)
            if asked is None:
                continue
            assert asked.asks in read_question(tokens_of(asked.question)), asked.question
            assert asked.answered in read_answer(asked.asks, tokens_of(asked.answer)) or "it " in asked.answer.lower()
            finding = decide(asked.answered.claim, scope)
            assert finding.is_true if asked.answered.affirmed else finding.is_false


@settings(max_examples=25)
@given(SEEDS)
def test_rationales_are_true_where_it_means_what_the_answer_is_about(seed: int) -> None:
    where, rng = scene(seed), random.Random(seed)
    for regions in ((), regions_of(where)):
        for topic in TOPICS:
            drawn = reason(where, topic, rng, regions)
            if drawn is not None:
                after = scope_of(where, regions, spoken_of(drawn.asked.answered.claim))
                assert decide(drawn.rationale.claim, after).is_true, drawn
                assert read(drawn.rationale.text) == drawn.rationale.claim


def test_nearly_every_answer_has_a_visible_reason() -> None:
    asked, reasoned = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for seed in range(150):
        where, rng = scene(seed), random.Random(seed)
        for topic in TOPICS:
            drawn = ask(where, topic, random.Random(seed))
            if drawn is not None:
                asked[topic, ""] += 1
                why = reason(where, topic, rng)
                reasoned[topic, ""] += why is not None
                if why is not None:
                    reasoned[topic, f"{type(why.asked.asks).__name__} {why.asked.answered.affirmed}"] += 1
    assert min(reasoned[topic, ""] / asked[topic, ""] for topic in TOPICS if topic != "inside") > 0.8
    assert reasoned["inside", ""] > 0.5 * asked["inside", ""]
    sides = {form: reasoned["side", form] for form in ("AskWhether True", "AskWhether False", "AskEither True")}
    assert min(sides.values()) > 10, sides


@few
@given(SEEDS)
def test_a_corrupted_claim_is_false_of_the_same_form_and_can_be_said(seed: int) -> None:
    where, rng = scene(seed), random.Random(seed)
    scope = scope_of(where)
    for name in FACTS:
        claim = fact(scope, name, rng)
        wrong = None if claim is None else corrupt(claim, scope, rng)
        if wrong is not None:
            assert type(wrong) is type(claim)
            assert decide(wrong, scope).is_false
            assert write_statement(wrong, rng) is not None


def test_yes_and_no_are_about_as_frequent() -> None:
    answers = [
        asked.answered.affirmed
        for seed in range(400)
        for topic in ("existence", "side", "colour")
        if (asked := ask(scene(seed), topic, random.Random(seed))) and isinstance(asked.asks, AskWhether)
    ]
    assert len(answers) > 200
    assert 0.42 <= sum(answers) / len(answers) <= 0.58


def test_the_same_generator_writes_the_same() -> None:
    where = scene(5)
    once, again = (
        [
            statement(where, rng).text,
            caption(where, rng).text,
            *(one.text for one in narrative(where, rng)),
            *(str(reason(where, topic, rng)) for topic in TOPICS),
        ]
        for rng in (random.Random(9), random.Random(9))
    )
    assert once == again


def test_wording_varies() -> None:
    rng = random.Random(0)
    kind = Kind("circle", "red", "small", "striped", hat="blue")
    texts = {write_statement(Exists(kind), rng) for _ in range(300)}
    assert len(texts) >= 20
    sides = {write_statement(Related(The(kind), "left of", Numbered(3)), rng) for _ in range(300)}
    assert len(sides) >= 40
    assert len({write_question(AskCount(Kind("star")), rng) for _ in range(50)}) == 4
    assert {write_answer(AskCount(Kind("star")), Answer(Count(Kind("star"), 2)), rng) for _ in range(200)} >= {
        "two",
        "2",
    }


def test_a_narrative_goes_from_the_place_on_and_says_nothing_twice() -> None:
    for seed in range(100):
        told = narrative(scene(seed), random.Random(seed), sentences=5)
        assert 1 <= len(told) <= 5
        assert type(told[0].claim).__name__ in ("PlaceIs", "GroundIs")
        assert len({one.claim for one in told}) == len(told)
        assert "it" not in tokens_of(" ".join(one.text for one in told))
        assert len(sentences_of(tokens_of(" ".join(one.text for one in told)))) == len(told)


def test_of_an_empty_scene_only_what_is_so_is_told() -> None:
    rng = random.Random(0)
    texts = {statement(EMPTY, rng).text for _ in range(60)}
    assert any("beach" in text for text in texts)
    assert all(decide(statement(EMPTY, rng).claim, scope_of(EMPTY)).is_true for _ in range(60))
    assert caption(EMPTY, rng).text
    assert [ask(EMPTY, topic, rng) for topic in ("colour", "side", "which", "inside")] == [None] * 4
    counted = ask(EMPTY, "count", rng)
    assert counted is not None
    assert counted.answer in {"none", "zero", "0"} or counted.answer.endswith(".")


def test_what_cannot_be_said_in_words_is_not_written() -> None:
    rng = random.Random(0)
    assert write_statement(Measured("left", Numbered(0), Numbered(1)), rng) is None
    assert write_statement(Exists(Kind("star", hat="none", holds=HeldKind("ring", "red"))), rng) is None
    assert write_statement(All((PlaceIs("beach"), Measured("left", Numbered(0)))), rng) is None
    assert write_question(AskWhether(Related(Some(Kind("star")), "above", Some(Kind("ring")))), rng) is None


def test_plurals_and_articles_agree() -> None:
    assert {"crosses", "boxes"} & set(PLURALS) == {"crosses"}
    rng = random.Random(1)
    texts = [write_statement(Exists(Kind("star", "orange")), rng) for _ in range(30)]
    assert all("an orange" in str(text).lower() for text in texts)


def test_a_form_with_an_unknown_slot_is_refused() -> None:
    with pytest.raises(ValueError, match=r"form 'there is \{what:somme\}': there are no slots \['somme'\]; known: "):
        form(Exists, "there is {what:somme}")
