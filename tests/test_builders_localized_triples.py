import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.localized import triples
from builders.localized.triples import (
    REASONS,
    UNREADABLE,
    Absent,
    Limits,
    Tagged,
    Triple,
    TurnText,
    comparable,
    read_tags,
    turn_triples,
)

IDS = Limits("ids", frozenset(range(7)), qars=3, max_mentions=5)
WORDS = Limits("descriptions", frozenset(range(7)), qars=3, max_mentions=5)


def triple(question: str = "What is [0]?", answer: str = "A boat.", rationale: str = "It floats.") -> str:
    return f"Question: {question}\nAnswer: {answer}\nRationale: {rationale}"


def reply(*triples: str, finish: str = "stop") -> TurnText:
    return TurnText("\n\n".join(triples), finish)


def reasons(turn: TurnText, limits: Limits = IDS, seen: tuple[str, ...] = ()) -> list[str]:
    return [outcome.reason for outcome in turn_triples(turn, limits, seen)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Tagged("", ())),
        ("no tag (0) here, 0 either", Tagged("no tag (0) here, 0 either", ())),
        ("[0] and [2] and [0]", Tagged("[0] and [2] and [0]", (0, 2))),
        ("[0, 2]", Tagged("[0] and [2]", (0, 2))),
        ("[2,0 , 1]", Tagged("[2], [0] and [1]", (2, 0, 1))),
        ("[0 and 2]", Tagged("[0] and [2]", (0, 2))),
        ("[0, 1, and 2]", Tagged("[0], [1] and [2]", (0, 1, 2))),
        ("[0; 2] [1/3] [4 & 5]", Tagged("[0] and [2] [1] and [3] [4] and [5]", (0, 2, 1, 3, 4, 5))),
        ("[ID 0], [id: 1], [ID2], [IDs 3, 4]", Tagged("[0], [1], [2], [3] and [4]", (0, 1, 2, 3, 4))),
        ("[Region 2] [person 1] [#3]", Tagged("[2] [1] [3]", (2, 1, 3))),
        ("[ID 0, ID 2]", Tagged("[0] and [2]", (0, 2))),
        ("[[0]] and [ 1 ]", Tagged("[0] and [1]", (0, 1))),
        (r"\[0\]", Tagged("[0]", (0,))),
        ("【0】［1］", Tagged("[0][1]", (0, 1))),
        ("[0][1]", Tagged("[0][1]", (0, 1))),
        ("[007]", Tagged("[7]", (7,))),
        ("[-1]", Tagged("[-1]", (UNREADABLE,))),
        ("[0-2]", Tagged("[0-2]", (UNREADABLE,))),
        ("[0–2]", Tagged("[0–2]", (UNREADABLE,))),
        ("[0 to 2]", Tagged("[0 to 2]", (UNREADABLE,))),
        ("[99999999999999999999]", Tagged("[99999999999999999999]", (10**9,))),
        ("[(0.10, 0.20), (0.30, 0.40)]", Tagged("[(0.10, 0.20), (0.30, 0.40)]", ())),
        ("[0.25]", Tagged("[0.25]", ())),
        ("[sic] [3rd] [] [ ] [a1]", Tagged("[sic] [3rd] [] [ ] [a1]", ())),
        ("[0", Tagged("[0", ())),
        ("[٣]", Tagged("[٣]", ())),
    ],
)
def test_tags_are_read_and_written_in_one_form(text: str, expected: Tagged) -> None:
    assert read_tags(text) == expected


FORMS = st.sampled_from(["[{}]", "[ID {}]", "[region {}]", "[#{}]", "[[{}]]", r"\[{}\]", "【{}】", "[ {} ]"])
JOINTS = st.sampled_from([", ", ",", " and ", ", and ", " & ", "/", "; "])


@given(st.lists(st.tuples(st.lists(st.integers(0, 99), min_size=1, max_size=6), FORMS, JOINTS), max_size=6))
def test_numbers_come_back_from_every_form_and_only_once(groups: list[tuple[list[int], str, str]]) -> None:
    text = " then ".join(form.format(joint.join(map(str, numbers))) for numbers, form, joint in groups)
    tagged = read_tags(text)
    assert tagged.mentions == tuple(dict.fromkeys(number for numbers, _, _ in groups for number in numbers))
    assert read_tags(tagged.text) == tagged


@pytest.mark.parametrize("piece", ["[", "[0 ", "[0,", "[0  1  ", "[0, 1, 2 and ", "[[", "\\[", "[[0", "[ ", "[id "])
@pytest.mark.timeout(20)  # milliseconds if linear; minutes if quadratic in the length of the junk
def test_reading_junk_tags_comes_to_an_end(piece: str) -> None:
    read_tags(piece * (100_000 // len(piece)))
    read_tags("[" + "0  1  and " * 40 + "x]")


def test_a_good_triple_carries_its_mentions_in_order_over_all_fields() -> None:
    turn = reply(triple("Who holds [2]?", "[0, 1] do.", "[2] is tied to [0]."))
    first = turn_triples(turn, IDS)[0]
    assert first == Triple(0, "Who holds [2]?", "[0] and [1] do.", "[2] is tied to [0].", (2, 0, 1))


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        (triple(question=""), "missing question", ""),
        (triple(answer=""), "missing answer", ""),
        (triple(rationale=""), "missing rationale", ""),
        (triple(question="What is it?"), "no region mentioned", ""),
        (triple(answer="[7] is."), "unknown region", "mentions 0, 7; the image has 7 regions"),
        (triple(answer="[0-2] are."), "unknown region", "mentions 0, -1; the image has 7 regions"),
        (triple(answer="[1, 2, 3, 4, 5] do."), "too many regions", "mentions 0, 1, 2, 3, 4, 5; at most 5"),
    ],
)
def test_faults_in_id_mode(text: str, reason: str, detail: str) -> None:
    first = turn_triples(reply(text), Limits("ids", IDS.regions, 1, 5))[0]
    assert (first.reason, first.detail) == (reason, detail)


def test_five_regions_are_not_too_many() -> None:
    assert reasons(reply(triple(answer="[1, 2, 3, 4] do.")), Limits("ids", IDS.regions, 1, 5)) == [""]


def test_description_mode_takes_no_tag_at_all() -> None:
    turn = reply(triple(), triple("What is the boat?"), triple("What is it?", "It is [99]."))
    found = turn_triples(turn, WORDS)
    assert [one.reason for one in found] == [
        "region mentioned in description mode",
        "",
        "region mentioned in description mode",
    ]
    assert found[0].detail == "mentions 0"


def test_a_question_that_was_kept_before_is_a_repetition() -> None:
    turn = reply(triple(), triple("what IS  [0] ?"), triple("What is [1]?"))
    assert reasons(turn) == ["", "repeated triple", ""]
    assert reasons(turn, seen=("What is [1]?",)) == ["", "repeated triple", "repeated triple"]


def test_a_faulty_triple_does_not_make_the_next_a_repetition() -> None:
    assert reasons(reply(triple(answer="[9]."), triple())) == ["unknown region", "", "fewer triples than asked"]


def test_fewer_more_and_none() -> None:
    a, b, c, d = (triple(f"What is [{n}]?") for n in range(4))
    assert reasons(reply(a, b)) == ["", "", "fewer triples than asked"]
    assert reasons(reply(a, b, c, d, d)) == ["", "", "", "more triples than asked", "more triples than asked"]
    refusal = turn_triples(TurnText("Sorry, I\ncannot.", "stop"), IDS)
    assert refusal == [Absent("no triples in the reply", "Sorry, I cannot.")] * 3
    assert reasons(TurnText("", "stop")) == ["no triples in the reply"] * 3


def test_a_cut_reply_keeps_the_whole_triples_before_the_cut() -> None:
    a, b, c, d = (triple(f"What is [{n}]?") for n in range(4))
    assert reasons(reply(a, b, finish="length")) == ["", "truncated reply", "truncated reply"]
    assert reasons(reply(a, b, c, finish="length")) == ["", "", "truncated reply"]
    assert reasons(reply(a, b, c, d[:30], finish="length")) == ["", "", "", "more triples than asked"]
    assert reasons(TurnText("", "length")) == ["truncated reply"] * 3
    last = turn_triples(reply(a, finish="tool_calls"), IDS)[0]
    assert (last.reason, last.detail) == ("truncated reply", "finish reason 'tool_calls'")


def test_of_a_filtered_reply_nothing_is_kept() -> None:
    assert reasons(reply(triple(), finish="content_filter")) == ["filtered reply"] * 3


def test_comparable_leaves_case_and_punctuation_aside() -> None:
    assert comparable(" What's  [0]?! ") == comparable("what s 0")
    assert comparable("What is [0]?") != comparable("What is [1]?")


def test_the_table_holds_every_reason() -> None:
    named = {value for name, value in vars(triples).items() if name.isupper() and isinstance(value, str)}
    assert named == set(REASONS)
    assert len(REASONS) == len(set(REASONS))


TEXTS = st.lists(
    st.sampled_from(
        [
            triple(),
            triple("What is [1]?"),
            triple(answer=""),
            triple(answer="[9]."),
            "Question: a",
            "chatter",
            "Answer: b",
        ]
    ),
    max_size=8,
).map("\n\n".join)


@given(
    st.one_of(TEXTS, st.text(max_size=200)),
    st.sampled_from(["stop", "length", "content_filter", "", "x"]),
    st.sampled_from(["ids", "descriptions"]),
    st.integers(1, 5),
)
def test_a_turn_always_adds_up(text: str, finish: str, mode: str, qars: int) -> None:
    limits = Limits("ids" if mode == "ids" else "descriptions", frozenset({0, 1}), qars, 5)
    found = turn_triples(TurnText(text, finish), limits)
    extra = sum(outcome.reason == "more triples than asked" for outcome in found)
    assert len(found) == qars + extra
    assert all(outcome.reason in (*REASONS, "") for outcome in found)
    assert all(isinstance(outcome, Absent) or outcome.slot == place for place, outcome in enumerate(found))
