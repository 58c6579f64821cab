import pytest
from critic_context import CAPTIONS_CONTEXT, IMAGE, SERVICES, caption, context, evidence, image, noted, qar
from hypothesis import given
from hypothesis import strategies as st

from builders.localized.recipe import shown
from builders.localized.records import Qar
from critics.critic import NoScore, Score
from critics.evidence import (
    NO_EVIDENCE,
    UNKNOWN_REGION,
    UNSUPPORTED,
    EvidenceCritic,
    EvidenceSettings,
    claims,
    common_words,
    known_lines,
    named,
    stem,
)
from ostensive.records import Annotation, Probe, Turn
from ostensive.stage import ImageEvidence


def score_of(row: Qar, *captions: str, concepts: tuple[str, ...] = (), probes: tuple[Probe, ...] = ()) -> Score:
    with EvidenceCritic(EvidenceSettings(), context()).opened(SERVICES) as critic:
        (found,) = critic.score([row], evidence(*captions, concepts=concepts, probes=probes))
    assert isinstance(found, Score)
    return found


@pytest.mark.parametrize(
    "forms",
    [
        ("dog", "dogs", "dog's", "dogs'"),
        ("box", "boxes"),
        ("house", "houses"),
        ("swim", "swims", "swimming"),
        ("lady", "ladies"),
        ("dance", "dances", "dancing", "danced"),
        ("grass", "grass"),
        ("bus", "bus"),
        ("church", "churches"),
        ("glass", "glasses"),
        ("bench", "benches"),
        ("shoe", "shoes"),
        ("wood", "woods"),
    ],
)
def test_forms_of_a_word_have_one_stem(forms: tuple[str, ...]) -> None:
    assert len({stem(form) for form in forms}) == 1, [stem(form) for form in forms]


@pytest.mark.parametrize(("one", "other"), [("red", "ring"), ("sing", "string"), ("bed", "bee"), ("cat", "coat")])
def test_other_words_keep_other_stems(one: str, other: str) -> None:
    assert stem(one) != stem(other)


def test_what_is_supported_and_what_is_not() -> None:
    row = qar(
        "What does [0] do?", "[0] swims beside two dogs.", "Because the red boats are near the harbour, [0] swims."
    )
    known = known_lines(evidence("a swimmer and a dog", "two red boats")[row.image_id])
    assert known is not None
    found = claims(shown(row), ("answer", "rationale"), known)
    assert found.supported == ("[0]", "2", "dog", "red", "boat")
    assert found.unsupported == ("swim", "harbour")
    assert found.supported_share == 5 / 7


def test_a_candidate_that_says_what_is_known() -> None:
    row = qar(answer="[0] is a dog.", rationale="[0] barks, and a dog barks.")
    assert score_of(row, "a barking dog") == Score(1.0, UNSUPPORTED)
    asked = (Probe("Is it wet?", "it is barking"),)
    assert score_of(row, "a dog", probes=asked) == Score(1.0, UNSUPPORTED)
    assert score_of(row, "something", concepts=("A dog barks.",)).accept_probability == 1


def test_unsupported_claims_are_counted_and_named() -> None:
    found = score_of(qar(answer="[0] is a cat.", rationale="[0] has a tail."), "a dog with a tail")
    assert found == Score(2 / 3, UNSUPPORTED, "1 of 3 claims unsupported: cat")


def test_a_region_that_there_is_not_is_the_reason_wherever_it_is_named() -> None:
    found = score_of(qar("What does [3] do?", answer="a dog", rationale="a dog"), "a dog")
    assert found == Score(0.5, UNKNOWN_REGION, "1 of 2 claims unsupported: [3]")


def test_numbers_are_the_same_in_words_and_digits() -> None:
    assert named(["two dogs, 2 cats"]) == ("2", "dog", "cat")
    assert score_of(qar("Who?", "three dogs", "three"), "two dogs").accept_probability == 0.5


def test_an_image_without_text() -> None:
    with EvidenceCritic(EvidenceSettings(), context()).opened(SERVICES) as critic:
        assert critic.score([qar()], {}) == [NoScore(NO_EVIDENCE)]


def test_a_text_that_claims_nothing_has_nothing_unsupported() -> None:
    assert score_of(qar("Why?", "It is.", "")) == Score(1.0, UNSUPPORTED)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_has_a_score_and_one_that_is_the_evidence_is_supported(text: str, other: str) -> None:
    found = score_of(qar("Why?", text, other), text, other)
    # A tag that happens to stand in a text is a region, and there are only two.
    assert found.accept_probability == 1 or "[" in found.detail
    assert 0 <= score_of(qar("Why?", text, other), "x").accept_probability <= 1


def test_the_list_of_common_words_holds_no_name_of_a_thing() -> None:
    assert {"the", "because", "left"} <= common_words()
    assert common_words().isdisjoint({"dog", "red", "two", "image", "wet"})


def test_what_came_in_beside_an_image_is_evidence_where_nobody_verbalized_it() -> None:
    with EvidenceCritic(EvidenceSettings(), CAPTIONS_CONTEXT).opened(SERVICES) as critic:
        rows = [caption("a wet dog", note="a cat"), caption("a dog and a cat"), caption("a dog", image_id="b" * 64)]
        found = critic.score(rows, noted("a dog", "wet ground"))
    assert found == [
        Score(1.0, UNSUPPORTED),
        Score(0.5, UNSUPPORTED, "1 of 2 claims unsupported: cat"),
        NoScore(NO_EVIDENCE),
    ]
    assert known_lines(noted()[IMAGE]) is None
    assert known_lines(None) is None
    assert known_lines(evidence()[IMAGE]) == []  # looked at, and nothing seen


def test_the_turns_of_a_conversation_are_known() -> None:
    turns = (Turn("user", "<image>\nWho is it?"), Turn("assistant", "A nurse in blue."), Turn("user", "<image>"))
    known = ImageEvidence(image(), annotations=(Annotation("a", IMAGE, turns=turns),))
    assert known_lines(known) == ["Who is it?", "A nurse in blue."]
