"""What the critic `geometry` makes of statements about boxes, in words that nobody showed it."""

import time

import pytest
from critic_context import CAPTIONS_CONTEXT, IMAGE, SERVICES, context, image, qar
from hypothesis import given
from hypothesis import strategies as st

from builders.localized.recipe import KIND, shown
from builders.preferences.recipe import KIND as PREFERENCES
from builders.rationales.recipe import KIND as RATIONALES
from critics.critic import Score
from critics.geometry import Finding, findings
from critics.geometry.critic import CONTRADICTED, UNCHECKED, GeometryCritic, GeometrySettings
from critics.table import CRITICS
from ostensive.recipe_kind import ShownText
from ostensive.records import Box, Region, Verbalization
from ostensive.stage import ImageEvidence

DOG, WOMAN, CUP, CAR = 4, 7, 9, 12
REGIONS = (
    Region(DOG, Box(0.05, 0.55, 0.25, 0.85), "dog", 0.9, "a spotted dog on the pavement"),
    Region(WOMAN, Box(0.38, 0.15, 0.58, 0.9), "person", 0.9, "a woman in a yellow coat"),
    Region(CUP, Box(0.48, 0.4, 0.53, 0.48), "cup", 0.9, "a paper cup"),
    Region(CAR, Box(0.7, 0.08, 0.98, 0.32), "car", 0.9, "a blue car"),
    Region(15, Box(0.82, 0.6, 0.9, 0.95), "person", 0.9, "a man with an umbrella"),
    Region(16, Box(0.62, 0.42, 0.67, 0.5), "cup", 0.9, "a green cup"),
)


def found(text: str, *, question: str = "", regions: tuple[Region, ...] = REGIONS) -> tuple[Finding, ...]:
    texts = (ShownText("question", question), ShownText("answer", text)) if question else (ShownText("answer", text),)
    return findings(texts, regions)


def value(text: str, *, question: str = "", regions: tuple[Region, ...] = REGIONS) -> str:
    """Of all statements: the worst; "nothing" where nothing is read."""
    values = {one.value for one in found(text, question=question, regions=regions)}
    return next((one for one in ("wrong", "not checkable", "right") if one in values), "nothing")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("[4] is left of [7].", "[4] is right of [7]."),
        ("The car is placed further to the right than the dog.", "The car is placed further to the left than the dog."),
        ("[12] lies in the upper half of the image.", "[12] lies in the lower half of the image."),
        ("The dog is in the bottom left corner.", "The dog is in the top right corner."),
        ("The dog sits on the left-hand side of the photo.", "The dog sits on the right-hand side of the photo."),
        ("[12] is higher up than [4].", "[12] is lower down than [4]."),
        ("The car hangs above the dog.", "The car hangs below the dog."),
        ("[12] is closer to the top edge than [4].", "[4] is closer to the top edge than [12]."),
        ("[4] is nearer to the left border than [15].", "[15] is nearer to the left border than [4]."),
        ("[7] is closer to the centre of the picture than [12].", "[12] is nearer the middle than [7]."),
        ("The dog is nearer to a corner than the woman.", "The woman is nearer to a corner than the dog."),
        ("[7] is larger than [4].", "[7] is smaller than [4]."),
        ("[7] takes up more space in the picture than [15].", "[15] takes up more space in the picture than [7]."),
        ("[7] covers more than a twentieth of the view.", "[7] covers more than half of the view."),
        ("[9] covers less than 5% of the frame.", "[7] covers less than 5% of the frame."),
        ("[7] spans more than half of the picture's height.", "[4] spans more than half of the picture's height."),
        ("The car is wider than the woman.", "The car is narrower than the woman."),
        ("The woman is taller than the car.", "The woman is shorter than the car."),
        ("[4] is less tall than [7].", "[7] is less tall than [4]."),
        ("[7] is more than twice as tall as [12].", "[12] is more than twice as tall as [7]."),
        ("[7] is at least as tall as [4].", "[4] is at least as tall as [7]."),
        ("[9] is as wide as [16].", "[9] is as wide as [12]."),
        ("[4] is the leftmost of all.", "[12] is the leftmost of all."),
        ("The woman is the tallest of all.", "The dog is the tallest of all."),
        ("The smaller of [4] and [7] is [4].", "The smaller of [4] and [7] is [7]."),
        ("[12] is the highest region in the picture.", "[15] is the highest region in the picture."),
        ("There are at least two people.", "There is exactly one person in the picture."),
        ("There are two cups.", "There is only one cup."),
        ("There is one dog.", "There is no dog."),
        ("There are six numbered regions.", "There are eight numbered regions."),
        ("[4] is the only dog.", "[9] is the only cup."),
        ("[4] and [12] do not overlap.", "[4] and [12] overlap."),
        ("[9] is inside [7].", "[9] is outside of [7]."),
        ("The woman's box contains the paper cup.", "The paper cup contains the woman."),
        ("[9] is wholly within the bounds of [7].", "[4] is wholly within the bounds of [7]."),
        ("There is a gap between [4] and [7].", "There is no gap between [4] and [7]."),
        ("[4] ends before [7] begins from left to right.", "[7] ends before [4] begins from left to right."),
        ("The woman stands between the dog and the car.", "The dog stands between the woman and the car."),
        ("[4] is far from [12].", "[4] is next to [12]."),
        ("[9] is closer to [16] than to [4].", "[9] is closer to [4] than to [16]."),
        ("[9] and [16] are at the same height.", "[4] and [12] are at the same height."),
        ("Both [4] and [7] are to the left of [12].", "Both [12] and [15] are to the left of [7]."),
        ("Two of [4], [12] and [15] are on the right.", "None of [4], [12] and [15] are on the right."),
        ("Neither [12] nor [15] is on the left.", "Neither [4] nor [12] is on the left."),
        ("Nothing lies further left than [4].", "Nothing lies further left than [12]."),
        ("To the left of the woman is the dog.", "To the left of the dog is the woman."),
        ("It is not true that [12] is left of [4].", "It is not true that [4] is left of [12]."),
        ("[4] isn't right of [7].", "[4] isn't left of [7]."),
        ("The dog is nowhere near the right edge.", "The dog is nowhere near the left edge."),
        ("[12] is no longer left of [7].", "[4] is no longer left of [7]."),
        ("[4] is left of [7] and smaller than it.", "[4] is left of [7] and larger than it."),
        ("[12] is on the right, because it is parked there.", "[12] is on the left, because it is parked there."),
        ("It seems that the dog is left of the car.", "It seems that the dog is right of the car."),
    ],
)  # fmt: skip
def test_what_boxes_bear_out_and_what_they_contradict(right: str, wrong: str) -> None:
    assert (value(right), value(wrong)) == ("right", "wrong"), (found(right), found(wrong))


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        ("Is [4] left of [7]?", "Yes.", "No."),
        ("Does [4] overlap [12]?", "No, it doesn't.", "Yes, it does."),
        ("Which of [4] and [7] is larger?", "[7].", "[4]."),
        ("Which one is further left, the dog or the car?", "The dog.", "The car."),
        ("How many cups can you see?", "Two.", "Just one."),
        ("Where is the car?", "In the upper right corner.", "In the lower left corner."),
        ("Is [12] above or below [4]?", "Above.", "Below it."),
        ("Which region takes up the most space?", "It is [7].", "It is [9]."),
    ],
)
def test_questions_are_read_with_their_answers(question: str, right: str, wrong: str) -> None:
    assert (value(right, question=question), value(wrong, question=question)) == ("right", "wrong")


@pytest.mark.parametrize(
    "text",
    [
        "If [4] were right of [7], the car would be gone.",
        "Imagine that [4] is right of [7].",
        "[4] could be right of [7].",
        "[4] might well lie on the right.",
        "Would [4] be right of [7]?",
        "Is [4] right of [7]?",
        "A sign says “[4] is right of [7]”.",
        "I wish [4] were on the right.",
        "The car is to her left.",
        "The dog is in front of the car.",
        "The car is behind the dog.",
        "In a mirror, [4] is right of [7].",
        "Someone claims that [4] is right of [7].",
        "[4] used to be right of [7].",
        "The dog's tail is right of the car.",
        "[4] is the smallest but one.",
        "The dog is on the right track.",
        "[4] is almost right of [7].",
        "",
        "[",
        "[99999999]",
    ],
)
def test_what_is_no_claim_about_boxes_is_never_wrong(text: str) -> None:
    assert value(text) in ("nothing", "not checkable"), found(text)


@pytest.mark.parametrize(
    "text",
    [
        "[9] is above [16].",  # two hundredths, which the margin takes
        "There are four cups.",  # more may be there than are marked
        "Three of the cups are on the left.",
        "The person is on the left.",  # one of two
        "The woman in a green coat is on the right.",  # nobody is described so
        "The cat is on the right.",
        "[3] is on the right.",
        "It is on the right.",
        "[7] is on the right.",  # about the middle
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_not_checkable(text: str) -> None:
    assert value(text) == "not checkable", found(text)


def test_descriptions_are_resolved_through_labels_and_captions() -> None:
    for name in ("the woman in the yellow coat", "the woman", "the taller person", "the left person", "the man"):
        (one,) = found(f"{name} is to the right of the car.".capitalize())
        assert one.value == ("wrong" if name != "the man" else "not checkable"), one
        assert f"[{15 if name == 'the man' else WOMAN}]" in one.statement


def test_a_region_that_may_be_meant_as_well_keeps_a_description_open() -> None:
    nobody_knows = (*REGIONS[:1], Region(1, Box(0.6, 0.2, 0.8, 0.8), "person", 0.9, ""), *REGIONS[1:2])
    assert value("The woman is right of the dog.", regions=nobody_knows) == "not checkable"
    assert value("The woman is right of the dog.") == "right"


def test_a_second_box_of_one_thing_is_not_counted() -> None:
    twice = (*REGIONS, Region(20, Box(0.06, 0.56, 0.25, 0.84), "dog", 0.5, "a dog"))
    assert value("There is exactly one dog.", regions=twice) == "right"
    apart = (*REGIONS, Region(20, Box(0.3, 0.56, 0.36, 0.84), "dog", 0.5, "a dog"))
    assert value("There is exactly one dog.", regions=apart) == "wrong"


def test_pronouns_only_where_they_are_plain() -> None:
    assert value("[4] is a dog. It lies on the right.") == "wrong"
    assert value("[4] chases [12]. It lies on the right.") == "not checkable"
    assert value("[4] is smaller than [7] and [12]. They are on the left.") in ("wrong", "not checkable")


@pytest.mark.parametrize(("lead", "expected"), [(0.2, "right"), (0.01, "not checkable"), (-0.2, "wrong")])
def test_within_the_margin_nothing_is_said(lead: float, expected: str) -> None:
    pair = (_region(0, 0.4, 0.4, 0.1, 0.1), _region(1, 0.4 + lead, 0.4, 0.1, 0.1))
    assert value("[0] is left of [1].", regions=pair) == expected


def test_the_margin_grows_with_what_is_compared() -> None:
    narrow = (_region(0, 0.4, 0.4, 0.05, 0.1), _region(1, 0.45, 0.4, 0.05, 0.1))
    broad = (_region(0, 0.1, 0.1, 0.6, 0.1), _region(1, 0.15, 0.5, 0.6, 0.1))
    assert [value("[0] is left of [1].", regions=one) for one in (narrow, broad)] == ["right", "not checkable"]


def test_a_finding_says_the_words_and_the_boxes() -> None:
    (one,) = found("As you can see, the car is to the left of [4].")
    assert one.statement == "[12] left of [4]"
    assert one.because == "middle x: [12] 0.84, [4] 0.15"
    assert "the car is to the left of [4]" in one.words
    assert one.text == "answer"


def _region(number: int, x: float, y: float, width: float, height: float) -> Region:
    return Region(number, Box(x, y, x + width, y + height), "thing", None, "")


# ---- laws -----------------------------------------------------------------------------------------------------------

_SIDE = st.floats(0.02, 0.4)
_BOXES = st.builds(
    lambda x, y, w, h: Box(x * (1 - w), y * (1 - h), min(x * (1 - w) + w, 1), min(y * (1 - h) + h, 1)),
    st.floats(0, 1), st.floats(0, 1), _SIDE, _SIDE,
)  # fmt: skip
_PAIRS = st.tuples(_BOXES, _BOXES)
_FORMS = st.sampled_from(
    [
        "{a} {verb} left of {b}.", "{a} {verb} right of {b}.", "{a} {verb} above {b}.", "{a} {verb} larger than {b}.",
        "{a} {verb} wider than {b}.", "{a} {verb} on the left side of the picture.", "{a} {verb} in the left half.",
        "{a} {verb} inside {b}.", "{a} {verb} the leftmost of {a} and {b}.",
        "{a} {verb} closer to the left edge than {b}.",
    ]
)  # fmt: skip


def _said(form: str, pair: tuple[Box, Box], verb: str = "is") -> str:
    regions = tuple(Region(number, box, "thing", None, "") for number, box in enumerate(pair))
    return value(form.format(a="[0]", b="[1]", verb=verb), regions=regions)


@given(_FORMS, _PAIRS)
def test_what_is_denied_is_the_opposite(form: str, pair: tuple[Box, Box]) -> None:
    opposite = {"right": "wrong", "wrong": "right", "not checkable": "not checkable"}
    assert _said(form, pair, "is not") == opposite[_said(form, pair)]


@given(_FORMS, _PAIRS)
def test_a_mirrored_picture_turns_left_into_right(form: str, pair: tuple[Box, Box]) -> None:
    mirrored = tuple(Box(1 - box.x2, box.y1, 1 - box.x1, box.y2) for box in pair)
    turned = form.replace("left", "LEFT").replace("right", "left").replace("LEFT", "right")
    values = {_said(form, pair), _said(turned, mirrored)}  # type: ignore[arg-type] # two boxes
    # What lies on the very limit of a margin may fall to either side of it, by rounding.
    assert len(values) == 1 or "not checkable" in values


@given(_PAIRS)
def test_two_things_are_not_both_left_of_each_other(pair: tuple[Box, Box]) -> None:
    values = [_said("{a} {verb} left of {b}.", pair), _said("{a} {verb} left of {b}.", pair[::-1])]
    assert sorted(values) in (["right", "wrong"], ["not checkable", "not checkable"])


@given(st.text(max_size=300))
def test_no_text_is_too_odd(text: str) -> None:
    for one in found(text):
        assert one.value in ("right", "wrong", "not checkable")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[4] is left of [7]. " * 5_000,
        "left of " * 12_500,
        "[4] and " * 12_500,
        "the " * 25_000 + "is left of [7]",
        "[4] is not " * 9_000,
        '"' * 100_000,
        "'a " * 33_000,
        "“" * 50_000 + "”" * 50_000,
        "\u202e[4] is left of [7]\u202e\u0301" * 4_000,
        "- " * 50_000,
        "there are two of the two of the two of the " * 2_000,
        ("[4] is " + "far " * 90 + "left of [7]. ") * 250,
        ("a, " * 130 + "is left of [7]. ") * 250,
        ("[4] is left and right and above and below and " * 8 + ". ") * 250,
    ],
    ids=range(15),
)
def test_hostile_texts_take_no_time(text: str) -> None:
    begin = time.process_time()
    found(text[:100_000], question=text[:100_000] + "?")
    assert time.process_time() - begin < 1.0


# ---- the critic -----------------------------------------------------------------------------------------------------


def score_of(answer: str, rationale: str = "So it is.", *, regions: tuple[Region, ...] = REGIONS) -> Score:
    known = Verbalization(IMAGE, (), (), regions, ())
    with GeometryCritic(GeometrySettings(), context()).opened(SERVICES) as critic:
        (score,) = critic.score([qar("What is it?", answer, rationale)], {IMAGE: ImageEvidence(image(), known)})
    assert isinstance(score, Score)
    return score


def test_the_score_is_that_of_the_worst_statement() -> None:
    wrong = score_of("[4] is left of [7].", "[12] is left of [4].")
    assert (wrong.accept_probability, wrong.reason) == (0, CONTRADICTED)
    assert "[12] left of [4] (middle x: [12] 0.84, [4] 0.15)" in wrong.detail
    right = score_of("[4] is left of [7].", "[9] is above [16].")
    assert (right.accept_probability, right.reason) == (1, "")
    assert "[4] left of [7]" in right.detail
    for open_ in (
        score_of("[9] is above [16]."),
        score_of("[4] is brown."),
        score_of("[4] is left of [7].", regions=()),
    ):
        assert (open_.accept_probability, open_.reason) == (0.5, UNCHECKED)
    assert GeometrySettings().min_accept_probability <= 0.5


def test_an_image_that_nobody_verbalized_has_no_boxes() -> None:
    critic = GeometryCritic(GeometrySettings(), context())
    scores = critic.score([qar("?", "[4] is left of [7].")], {IMAGE: ImageEvidence(image())})
    assert [one.accept_probability for one in scores if isinstance(one, Score)] == [0.5]
    assert critic.score([qar("?", "[4] is left of [7].")], {}) == scores


def test_only_the_texts_that_claim_are_read() -> None:
    sides = ("chosen", "[4] is left of [7]."), ("rejected", "[12] is left of [7].")
    texts = [ShownText("prompt", "Describe."), *(ShownText(*side) for side in sides)]
    assert [one.value for one in findings(texts, REGIONS, PREFERENCES.judged_parts)] == ["right"]
    assert [one.value for one in findings(texts, REGIONS)] == ["right", "wrong"]
    row = qar("Is [4] left of [7]?", "No.", "[12] is left of [7].")
    assert [one.value for one in findings(shown(row), REGIONS, KIND.judged_parts)] == ["wrong", "wrong"]
    assert [one.value for one in findings(shown(row), REGIONS, RATIONALES.judged_parts)] == ["wrong"]


def test_what_it_requires() -> None:
    assert GeometrySettings in CRITICS
    assert GeometrySettings().lacking(KIND) == ""
    assert "regions" in GeometrySettings().lacking(CAPTIONS_CONTEXT.kind)


def test_the_version_says_what_scores_depend_on() -> None:
    version = GeometryCritic(GeometrySettings(), context()).version
    assert version == GeometryCritic(GeometrySettings(min_accept_probability=1, name="boxes"), context()).version
    assert len(version) == 12
