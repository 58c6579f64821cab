import random
import re
from collections.abc import Callable, Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.localized.context import asked_for, read_context
from builders.localized.scripted import _MAX_NAME_WORDS, NOTHING_TO_SAY, Wording, _wordings, make_script
from builders.localized.settings import MODES, LocalizedSettings, Mode
from builders.localized.stage import CandidatesStage
from builders.localized.triples import Absent, Limits, Triple, TurnText, turn_triples
from critics.rules import CheckedTexts, RulesSettings, first_broken_rule
from ostensive.chat.records import Message
from ostensive.chat.scripted import ScriptedTeacherSettings, script_seed
from ostensive.records import Box, Probe, Region, Verbalization

SIZES, COLOURS = ("a large", "a small", "a tiny"), ("dark blue", "pale grey", "green", "brown", "red", "white")
TEXTURES, PLACES = ("smooth", "coarse", "finely textured"), ("centre", "lower left", "top", "right")
CAPTIONS = [
    f"{size}, {colour}, {texture} area at the {place}"
    for texture, place, size, colour in product(TEXTURES, PLACES, SIZES, COLOURS)
]
PROBES = (Probe("Is it bright or dark here?", "bright"), Probe("How many faces are there?", "none at all"))


def scene(seed: int, regions: int = 8) -> Verbalization:
    rng = random.Random(seed)
    found = []
    for number, caption in enumerate(rng.sample(CAPTIONS, regions)):
        (x1, x2), (y1, y2) = (sorted((rng.random() * 0.97, rng.random() * 0.97)) for _ in range(2))
        found.append(Region(number, Box(x1, y1, x2 + 0.02, y2 + 0.02), "area", None, caption))
    concepts = ("The colours are mostly blue and grey.",)
    return Verbalization(f"{seed:064x}", concepts, ("Most of the detail is high up.",), tuple(found), PROBES)


STAGE = CandidatesStage(LocalizedSettings(), teacher=ScriptedTeacherSettings(), script=make_script(0.0), seed=0)


def replies(row: Verbalization, mode: Mode, error_rate: float = 0.0, stage: CandidatesStage = STAGE) -> list[str]:
    script = make_script(error_rate)
    conversation = stage.conversation(row, mode)
    messages, texts = list(conversation.messages), []
    for follow_up in (*conversation.follow_ups, None):
        texts.append(script(messages, script_seed(messages, conversation.sampling.seed)))
        messages.append(Message("assistant", texts[-1]))
        if follow_up is not None:
            messages.append(follow_up)
    return texts


def outcomes(row: Verbalization, mode: Mode, error_rate: float = 0.0) -> list[Triple | Absent]:
    limits = Limits(mode, frozenset(region.number for region in row.regions), 3, 5)
    found: list[Triple | Absent] = []
    for text in replies(row, mode, error_rate):
        seen = [one.question for one in found if isinstance(one, Triple) and not one.reason]
        found += turn_triples(TurnText(text, "stop"), limits, seen)
    return found


def broken_rule_of(question: str, answer: str, rationale: str, probes: tuple[str, ...] = ()) -> str:
    texts = {"question": question, "answer": answer, "rationale": rationale}
    return first_broken_rule(CheckedTexts(texts, ("answer", "rationale"), probes), RulesSettings())


def broken_rule(triple: Triple) -> str:
    probes = tuple(probe.question for probe in PROBES)
    return broken_rule_of(triple.question, triple.answer, triple.rationale, probes)


NAME = r"(\[\d+\]|[Tt]he .+?)"
RELATIONS: dict[str, Callable[[Box, Box], bool]] = {
    rf"{NAME} lies further left than {NAME}, so": lambda a, b: a.center[0] < b.center[0],
    rf"{NAME} lies higher up than {NAME}, so": lambda a, b: a.center[1] < b.center[1],
    rf"{NAME} covers more of the view than {NAME}, so": lambda a, b: a.area > b.area,
    rf"{NAME} lies nearer the middle than {NAME}, so": lambda a, b: off_middle(a) < off_middle(b),
    rf"{NAME} lies wholly within the bounds of {NAME}, so": lambda a, b: holds(b, a),
    rf"The bounds of {NAME} and {NAME} cross, so": lambda a, b: (
        a.overlap(b) > 0 and not holds(a, b) and not holds(b, a)
    ),
    rf"{NAME} ends before {NAME} begins from left to right, so": lambda a, b: a.x2 < b.x1,
    rf"{NAME} ends before {NAME} begins from top to bottom, so": lambda a, b: a.y2 < b.y1,
}
PROPERTIES: dict[str, Callable[[Box], bool]] = {
    "lies in the left half of the view": lambda a: a.x2 <= 0.5,
    "lies in the right half of the view": lambda a: a.x1 >= 0.5,
    "lies in the upper half of the view": lambda a: a.y2 <= 0.5,
    "lies in the lower half of the view": lambda a: a.y1 >= 0.5,
    "covers less than a tenth of the view": lambda a: a.area < 0.1,
    "covers more than a quarter of the view": lambda a: a.area > 0.25,
    "reaches across less than a quarter of the breadth of the view": lambda a: a.x2 - a.x1 < 0.25,
    "reaches across more than half of the breadth of the view": lambda a: a.x2 - a.x1 > 0.5,
    "reaches over less than a quarter of the height of the view": lambda a: a.y2 - a.y1 < 0.25,
    "reaches over more than half of the height of the view": lambda a: a.y2 - a.y1 > 0.5,
}
EXTREMES: dict[str, Callable[[Box, list[Box]], bool]] = {
    "lies further left than all the others": lambda a, others: all(a.center[0] < b.center[0] for b in others),
    "lies further right than all the others": lambda a, others: all(a.center[0] > b.center[0] for b in others),
    "covers more of the view than any of the others": lambda a, others: all(a.area > b.area for b in others),
    "covers less of the view than any of the others": lambda a, others: all(a.area < b.area for b in others),
}


def off_middle(box: Box) -> float:
    return (box.center[0] - 0.5) ** 2 + (box.center[1] - 0.5) ** 2


def holds(outer: Box, inner: Box) -> bool:
    return outer.x1 <= inner.x1 and outer.y1 <= inner.y1 and outer.x2 >= inner.x2 and outer.y2 >= inner.y2


def region_named(row: Verbalization, name: str) -> Region:
    if name.startswith("["):
        return row.regions[int(name[1:-1])]
    return next(region for region in row.regions if region.caption.removeprefix("a ") == name[4:])


def is_true(row: Verbalization, rationale: str) -> bool:
    """Whether the fixed phrase in a rationale holds of the exact boxes; knows nothing of how it came about."""
    for text, extreme in EXTREMES.items():
        if match := re.match(rf"{NAME} {text}, so", rationale):
            region = region_named(row, match[1])
            return extreme(region.box, [other.box for other in row.regions if other is not region])
    for pattern, relation in RELATIONS.items():
        if match := re.match(pattern, rationale):
            return relation(region_named(row, match[1]).box, region_named(row, match[2]).box)
    for text, holds_of in PROPERTIES.items():
        if match := re.match(rf"{NAME} {text}, so", rationale):
            return holds_of(region_named(row, match[1]).box)
    match = re.match(r"(\[\d+\]) is (.+?), (?:and nobody|so that is|so any true)", rationale)
    assert match, f"a rationale that this test does not know: {rationale}"
    return region_named(row, match[1]).caption == match[2]


@pytest.mark.parametrize("mode", MODES)
def test_without_errors_every_triple_is_good_and_true(mode: Mode) -> None:
    stated = 0
    for seed in range(40):
        row = scene(seed)
        found = outcomes(row, mode)
        assert len(found) == 9
        for triple in found:
            assert isinstance(triple, Triple)
            assert (triple.reason, broken_rule(triple)) == ("", "")
            assert is_true(row, triple.rationale), triple.rationale
            stated += 1
        assert len({triple.question for triple in found if isinstance(triple, Triple)}) == 9
    assert stated == 360


def test_every_kind_of_fact_comes_up_and_the_check_can_tell_true_from_false() -> None:
    kinds = {(*RELATIONS, *PROPERTIES, *EXTREMES)[k] for k in range(22)}
    seen = set()
    for seed in range(120):
        for triple in outcomes(scene(seed), "ids"):
            assert isinstance(triple, Triple)
            seen |= {kind for kind in kinds if re.search(kind.removeprefix(NAME), triple.rationale)}
    assert seen == kinds
    row = scene(1)
    wrong = sorted(row.regions, key=lambda region: -region.box.center[0])
    assert not is_true(row, f"[{wrong[0].number}] lies further left than [{wrong[-1].number}], so there.")


@pytest.mark.parametrize("mode", MODES)
def test_with_errors_every_triple_is_caught_but_wrong_claims(mode: Mode) -> None:
    caught: dict[str, int] = {}
    wrong = total = 0
    for seed in range(40):
        row = scene(seed)
        for one in outcomes(row, mode, error_rate=1.0):
            total += 1
            reason = one.reason or (broken_rule(one) if isinstance(one, Triple) else "")
            if reason:
                caught[reason] = caught.get(reason, 0) + 1
            else:
                assert isinstance(one, Triple)
                assert not is_true(row, one.rationale), one.rationale
                wrong += 1
    stranger = "unknown region" if mode == "ids" else "region mentioned in description mode"
    assert set(caught) == {"hedging", "missing question", "missing answer", "missing rationale", stranger}
    assert total == 360 == wrong + sum(caught.values())
    # Each of the four ways has a share of a quarter; 360 draws stay within 18 to 32 percent with room to spare.
    missing = sum(count for reason, count in caught.items() if reason.startswith("missing"))
    assert all(0.18 * total < count < 0.32 * total for count in (wrong, missing, caught["hedging"], caught[stranger]))


def test_the_error_rate_is_the_share_of_spoiled_triples() -> None:
    spoiled = total = 0
    for seed in range(60):
        for mode in MODES:
            good, drawn = (replies(scene(seed), mode, rate) for rate in (0.0, 0.3))
            for one, other in zip(good, drawn, strict=True):
                for first, second in zip(one.split("\n\n"), other.split("\n\n"), strict=True):
                    spoiled, total = spoiled + (first != second), total + 1
    assert total == 60 * 18
    assert 0.25 < spoiled / total < 0.35


def test_the_same_request_has_the_same_reply_and_another_seed_other_errors() -> None:
    conversation = STAGE.conversation(scene(3), "ids")
    script = make_script(0.5)
    assert script(conversation.messages, 7) == make_script(0.5)(conversation.messages, 7)
    assert len({script(conversation.messages, seed) for seed in range(8)}) > 1
    assert len({make_script(0.0)(conversation.messages, seed) for seed in range(8)}) == 1


@pytest.mark.parametrize("regions", [1, 2])
@pytest.mark.parametrize("mode", MODES)
def test_a_scene_with_one_region_gives_what_it_can_without_repeating(regions: int, mode: Mode) -> None:
    for seed in range(20):
        found = outcomes(scene(seed, regions), mode)
        good = [one for one in found if isinstance(one, Triple)]
        assert all((one.reason, broken_rule(one)) == ("", "") for one in good)
        assert len(good) >= 3
        assert all(
            one.reason in ("fewer triples than asked", "no triples in the reply") for one in found if one not in good
        )


def test_without_regions_it_tells_what_the_notes_say() -> None:
    row = scene(0, 0)
    good = [one for one in outcomes(row, "descriptions") if isinstance(one, Triple)]
    assert {one.answer for one in good} == {*row.concepts, *row.narratives}
    assert len(good) == 3  # a question that is the same for every sentence is asked once
    assert all((one.reason, broken_rule(one)) == ("", "") for one in good)


def test_a_long_caption_is_named_by_its_beginning() -> None:
    tail = "with broad light and dark patches, across the middle and bottom"
    captions = (f"a very large area in a mix of grey, black and orange {tail}", "a man on a board", "dog")
    regions = tuple(
        Region(k, Box(0.3 * k, 0.1, 0.3 * k + 0.2, 0.3), "area", None, caption) for k, caption in enumerate(captions)
    )
    row = Verbalization("c" * 64, (), (), regions, ())
    good = [one for one in outcomes(row, "descriptions") if isinstance(one, Triple)]
    text = " ".join(one.question for one in good)
    assert "the very large area in a mix of grey, black and orange" in text
    assert "patches" not in text
    assert "the man on a board" in text
    said = " ".join(one.answer for one in outcomes(row, "ids") if isinstance(one, Triple))
    assert f"{captions[0]}." in said or "a man on a board." in said or "dog." in said


def test_captions_that_break_rules_or_sentences_are_not_spoken() -> None:
    box = Box(0.1, 0.1, 0.3, 0.3)
    captions = [
        "a picture of a dog",
        "a man wearing a hat",
        "a cat. It sleeps",
        "",
        "twin",
        "twin",
        "x " * 30,
        "[3] fun",
    ]
    regions = tuple(
        Region(k, Box(0.1 * k, box.y1, 0.1 * k + 0.15, box.y2), "thing", None, caption)
        for k, caption in enumerate(captions)
    )
    row = Verbalization("b" * 64, (), (), regions, (Probe("What does the photo show?", "fog"), Probe("Wet", "yes.")))
    for mode in MODES:
        good = [one for one in outcomes(row, mode) if isinstance(one, Triple)]
        assert all((one.reason, broken_rule(one)) == ("", "") for one in good)
        text = " ".join(f"{one.question} {one.answer} {one.rationale}" for one in good)
        assert not re.search(r"picture|wearing|sleeps|photo|fog|Wet", text)
        assert mode == "ids" or "twin" not in text


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [""],
        ["Tell me a joke."],
        ["Write a rationale."],
        ["Rationale please\n[0] a dog [(0.1.2, 0.20), (9, 9)]"],
        ["Rationale please, 99 triples\n[0] a dog [(0.90, 0.90), (0.10, 0.10)]\n- x [(0, 0), (1, 1)]"],
        ["rationale {a} {b} {0}\n[0] {a} {} [(0.10, 0.20), (0.30, 0.40)]\nQ0: {x}?\nA0: {}"],
        ["rationale\n[999999] a dog [(0.10, 0.20), (0.30, 0.40)]", "0 triples", "no number"],
    ],
)
def test_prompts_of_others_never_make_it_fail(texts: Sequence[str]) -> None:
    messages = [Message("system", "x"), *(Message("user", text) for text in texts)]
    for rate in (0.0, 1.0):
        for seed in range(12):
            assert make_script(rate)(messages, seed).strip()


@given(st.lists(st.text(max_size=200), max_size=3), st.integers(0, 2**64))
def test_nothing_makes_it_fail(texts: list[str], seed: int) -> None:
    messages = [Message("user", f"rationale\n- {text} [(0.10, 0.20), (0.30, 0.40)]") for text in texts]
    assert make_script(1.0)(messages, seed)


def test_a_prompt_without_rationales_gets_a_plain_answer() -> None:
    assert make_script(0.0)([Message("user", "Hello there")], 0) == NOTHING_TO_SAY


def test_an_error_rate_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"error_rate: a share from 0 to 1 is expected, not 1.5"):
        make_script(1.5)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Write exactly 4 triples.", 4),
        ("three more triples", 3),
        ("Give me TEN responses", 10),
        ("[0] two questions [(0.1, 0.1), (0.2, 0.2)]\n----------\nWrite 5 QARs", 5),
        ("nothing", 3),
        ("0 triples", 1),
        ("99 triples", 50),
    ],
)
def test_how_many_are_asked_for(text: str, count: int) -> None:
    assert asked_for(text) == count


def test_it_writes_as_many_as_it_is_asked_for() -> None:
    settings = LocalizedSettings(qars_per_turn=5, turns=4)
    stage = CandidatesStage(settings, teacher=ScriptedTeacherSettings(), script=make_script(0.0), seed=0)
    texts = replies(scene(5), "ids", stage=stage)
    assert [text.count("Question: ") for text in texts] == [5, 5, 5, 5]
    questions = re.findall(r"Question: (.*)", "\n".join(texts))
    assert len(set(questions)) == 20


def test_the_notes_are_read_back_as_they_were_written() -> None:
    row = scene(4)
    for mode in MODES:
        notes = read_context(STAGE.conversation(row, mode).messages[-1].text)
        assert [region.caption for region in notes.regions] == [region.caption for region in row.regions]
        assert [(probe.question, probe.answer) for probe in notes.probes] == [(p.question, p.answer) for p in PROBES]
        assert notes.sentences == (*row.concepts, *row.narratives)
        assert notes.with_numbers == (mode == "ids")
        for read, true in zip(notes.regions, row.regions, strict=True):
            assert read.box.x1 == pytest.approx(true.box.x1, abs=0.0051)
            assert read.box.y2 == pytest.approx(true.box.y2, abs=0.0051)


@pytest.mark.parametrize("kind", _wordings())
def test_the_wordings_keep_the_rules_of_the_prompt(kind: str) -> None:
    name = "the large, dark blue, finely textured area at the lower left corner"  # as long as names may be
    assert len(name.split()) == _MAX_NAME_WORDS
    other = name.replace("large, dark blue", "small, pale green")
    for wording in _wordings()[kind]:
        assert isinstance(wording, Wording)
        question, answer, rationale = (
            text.format(a=name, b=other, x="a wet dog")
            for text in (wording.question, wording.answer, wording.rationale)
        )
        assert broken_rule_of(question, answer, rationale) == ""
