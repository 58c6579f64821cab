from dataclasses import dataclass, replace

import pytest
from critic_context import CAPTIONS_CONTEXT, SERVICES, caption, context, evidence
from hypothesis import given
from hypothesis import strategies as st

from builders.localized.records import Qar
from critics import rules
from critics.critic import Score
from critics.lexicon import sentence_count, without_phrases
from critics.rules import RULES, CheckedTexts, RulesCritic, RulesSettings
from ostensive.errors import SettingsError
from ostensive.records import Probe
from ostensive.settings import validate

SETTINGS = RulesSettings()


@dataclass(frozen=True)
class Parts:
    """The texts of a triple."""

    question: str
    answer: str
    rationale: str
    probes: tuple[str, ...] = ()


def first_broken_rule(parts: Parts, settings: RulesSettings) -> str:
    texts = {"question": parts.question, "answer": parts.answer, "rationale": parts.rationale}
    return rules.first_broken_rule(CheckedTexts(texts, ("answer", "rationale"), parts.probes), settings)


GOOD = Parts(
    "What is [0] about to do?", "[0] will dive into the wave.", "[0] leans forward on the board and faces the water."
)


def broken(question: str = GOOD.question, answer: str = GOOD.answer, rationale: str = GOOD.rationale) -> str:
    return first_broken_rule(Parts(question, answer, rationale), SETTINGS)


def test_a_good_candidate_breaks_no_rule() -> None:
    assert first_broken_rule(GOOD, SETTINGS) == ""


HEDGES = """Maybe [0] dives.|[0] perhaps dives.|It is possibly a dive.|[0] will probably dive.|A dive is likely.
A dive is most unlikely.|[0] seems keen.|They seem keen.|[0] seemed keen.|[0] might dive.|[0] may dive.
It could be a dive.|It could well have been a dive.|[0] appears to dive.|They appear to dive.|It appears that [0] dives.
It looks as if [0] dives.|It is possible that [0] dives.|It's plausible that [0] dives.|I think [0] dives.
I guess so.|It can be assumed that [0] dives.|One can assume a dive.|Apparently a dive.|Presumably a dive.
Arguably the dive.|It supposedly dives.|A dive, seemingly.|It potentially dives.|Conceivably a dive."""


@pytest.mark.parametrize("text", HEDGES.replace("\n", "|").split("|"))
def test_hedges_are_found_in_answer_and_rationale(text: str) -> None:
    assert broken(answer=text) == "hedging"
    assert broken(rationale=f"This holds as follows. {text}") == "hedging"


@pytest.mark.parametrize(
    "text",
    [
        "[0] pulls with all his might.",
        "The regatta is in May.",
        "[0] appears from behind the door.",
        "[0] could hear the sea.",
        "It looks like a harbour.",
        "[0] likes the water.",
        "The seams hold.",
    ],
)
def test_words_that_only_look_like_hedges_pass(text: str) -> None:
    assert broken(answer=text) == ""


def test_a_question_may_ask_what_might_come_next() -> None:
    assert broken(question="What might [0] do next?") == ""


UNCLEAR = """It is unclear.|That is unknown.|This is not specified.|It cannot be determined.|It can't be told.
It can’t be said.|It can not be known.|It is impossible to tell.|It is hard to say.|There is no way to tell.
There is not enough information.|It depends.|They are unsure."""


@pytest.mark.parametrize("text", UNCLEAR.replace("\n", "|").split("|"))
def test_answers_that_are_none_are_found(text: str) -> None:
    assert broken(answer=text) == "unclear answer"


SOURCES = """The image shows it.|It is in the picture.|The PHOTO has it.|The photographs tell.|As the description says.
The caption says so.|From the context it follows.|The region is wet.|Region 2 is wet.|The bounding box is wide.
Its coordinates are low.|As described, it is wet.|It is mentioned above.|According to the text it is wet.
The provided text says so.|It lies at (0.10, 0.25).|It is depicted so.|The notes say so.|These notes tell.
The screenshot shows it.|As stated, it is wet."""


@pytest.mark.parametrize("text", SOURCES.replace("\n", "|").split("|"))
def test_talk_of_the_source_is_found_in_every_field(text: str) -> None:
    reason = "speaks of an image or a description"
    assert broken(answer=text) == reason
    assert broken(rationale=text) == reason
    assert broken(question=f"Why? {text[:-1]}?") == reason


@pytest.mark.parametrize(
    "text",
    [
        "The imagery of the poem pleases [0].",
        "The picture frame hangs askew.",
        "Two Picture Frames hang askew.",
        "The photographer waits.",
        "[0] imagines a boat.",
        "The regional train waits.",
        "It costs (1, 2) coins.",
        "Their notes are on the desk.",
    ],
)
def test_words_that_only_look_like_the_source_pass(text: str) -> None:
    assert broken(rationale=text) == ""


def test_a_phrase_is_allowed_only_while_the_settings_allow_it() -> None:
    parts = replace(GOOD, rationale="The picture frame hangs askew.")
    assert first_broken_rule(parts, RulesSettings(allowed_phrases=())) == "speaks of an image or a description"
    assert without_phrases("a PICTURE FRAME, a picture framed", SETTINGS.allowed_phrases) == (
        "a thing, a picture framed"
    )


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("What does the watermark say?", "banned topic: watermark"),
        ("What does the text at the bottom say?", "banned topic: watermark"),
        ("What do the words along the very bottom mean?", "banned topic: watermark"),
        ("What is the atmosphere like?", "banned topic: ambience"),
        ("How does the ambiance feel?", "banned topic: ambience"),
        ("What is the overall mood here?", "banned topic: ambience"),
        ("How is the lighting in here?", "banned topic: ambience"),
        ("What is [0] wearing?", "banned topic: clothing"),
        ("What does [0] wear?", "banned topic: clothing"),
        ("How is [0] dressed today?", "banned topic: clothing"),
        ("What does the outfit of [0] say about the day?", "banned topic: clothing"),
        ("What colour is the shirt of [0]?", "banned topic: clothing"),
        ("What kind of hat has [0] got?", "banned topic: clothing"),
        ("What colour is the hair of [0]?", "banned topic: hair colour"),
        ("Is the hair of [0] of a dark shade?", "banned topic: hair colour"),
        ("Is [0] a boat or a plank?", "alternatives in the question"),
        ("OR what is [0]?", "alternatives in the question"),
        ("Tell what [0] is.", "not a question"),
    ],
)
def test_banned_questions(question: str, reason: str) -> None:
    assert broken(question=question) == reason


@pytest.mark.parametrize(
    "question",
    [
        "What is the orange on [0] for?",
        "Is [0] more or less full?",
        "Who is lighting the candle?",
        "Why is the paint of [0] wearing off?",
        "What is at the bottom of [0]?",
        "What does [0] do with the hair brush?",
        "How moody is [0] today?",
        "What suits [0] best?",
        "What makes “[0] so tall?”",
        "[0] は 何 を していますか？",
    ],
)
def test_questions_that_only_look_banned_pass(question: str) -> None:
    assert broken(question=question) == ""


def test_a_rationale_may_cite_clothes_and_light() -> None:
    assert broken(rationale="[0] wears a wetsuit in the dim lighting.") == ""


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("Why does the surfer fall off the board?", "The surfer falls off.", ""),
        ("Why is the surfer falling off the board?", "The surfer is falling off.", "answer given in the question"),
        ("Is [0] a wet dog?", "It is a wet dog.", "answer given in the question"),
        ("Is [0] a wet dog?", "Yes, it is a wet dog.", ""),
        ("Which of the man and the boy is taller?", "The man is taller.", ""),
        ("Who is taller, [0]?", "[0] is.", ""),
        ("What is above [0] here?", "[1].", ""),
    ],
)
def test_answers_given_in_the_question(question: str, answer: str, reason: str) -> None:
    assert broken(question=question, answer=answer) == reason


def test_a_question_that_repeats_a_probe() -> None:
    probes = ("Is it day or night?", "How many people are on the beach?", "")
    asked = replace(GOOD, question="How many people are there on the beach?", probes=probes)
    assert first_broken_rule(asked, SETTINGS) == "question already answered in the context"
    assert first_broken_rule(asked, RulesSettings(min_probe_overlap=0.9)) == ""
    other = replace(GOOD, question="How many boats are far out at sea?", probes=probes)
    assert first_broken_rule(other, SETTINGS) == ""


def test_length_limits_are_inclusive() -> None:
    settings = RulesSettings(limits={"answer": {"min_words": 2, "max_words": 3}})
    reasons = [
        first_broken_rule(replace(GOOD, answer=answer), settings) for answer in ("A.", "A b.", "A b c.", "A b c d.")
    ]
    assert reasons == ["answer too short", "", "", "answer too long"]
    assert broken(question="Why?") == "question too short"
    assert broken(question="What is " + "very " * 50 + "wet?") == "question too long"
    assert broken(rationale="So. It is. Yes.") == "rationale too long"
    assert broken(rationale="So.") == "rationale too short"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("...", 1),
        ("One", 1),
        ("One.", 1),
        ("One. Two", 2),
        ("Dr. Smith waits at 3.5 metres, e.g. here.", 1),
        ("“Stop!” he says. Then he goes.", 3),
        ("一。二。", 2),
        ("Really?! Yes.", 2),
    ],
)
def test_sentence_count(text: str, count: int) -> None:
    assert sentence_count(text) == count


FAULTY = {
    "not_a_question": Parts("Tell of [0] now.", GOOD.answer, GOOD.rationale),
    "hedging": replace(GOOD, answer="Maybe."),
    "unclear_answer": replace(GOOD, answer="Unknown."),
    "speaks_of_source": replace(GOOD, rationale="The image shows it."),
    "watermark": replace(GOOD, question="What is the watermark?"),
    "ambience": replace(GOOD, question="What is the ambience like?"),
    "clothing": replace(GOOD, question="What is [0] wearing?"),
    "hair_colour": replace(GOOD, question="What colour is the hair?"),
    "alternatives": replace(GOOD, question="Is [0] wet or dry?"),
    "answer_in_question": replace(GOOD, question="Why does [0] dive?", answer="[0] does dive."),
    "repeats_probe": replace(GOOD, probes=(GOOD.question,)),
    "length": replace(GOOD, rationale="So."),
}


@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_a_switch_that_turns_it_off(name: str) -> None:
    assert first_broken_rule(FAULTY[name], SETTINGS) != ""
    assert first_broken_rule(FAULTY[name], RulesSettings.model_validate({name: False})) == ""


def test_every_switch_has_a_rule() -> None:
    switches = {name for name, field in RulesSettings.model_fields.items() if field.annotation is bool}
    assert switches == set(RULES) == set(FAULTY)


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_no_text_makes_a_rule_fail(question: str, answer: str, rationale: str) -> None:
    assert isinstance(first_broken_rule(Parts(question, answer, rationale, (question,)), SETTINGS), str)


def qar(question: str, image_id: str = "a" * 64) -> Qar:
    return Qar("r", image_id, "ids", question, GOOD.answer, GOOD.rationale, (0,), "t", "p", "k")


def test_the_critic_scores_and_reads_the_probes() -> None:
    probes = (Probe("What is [1] about to do now?", "sleep"),)
    rows = [qar(GOOD.question), qar("Is it wet or dry?"), qar("What is [1] about to do?")]
    with RulesCritic(SETTINGS, context()).opened(SERVICES) as critic:
        scores = critic.score(rows, evidence(probes=probes))
    assert scores == [
        Score(1.0, ""),
        Score(0.0, "alternatives in the question"),
        Score(0.0, "question already answered in the context"),
    ]
    assert [one.accept_probability for one in critic.score(rows, {})] == [1, 0, 1]  # no evidence, nothing to repeat


def test_the_version_follows_the_settings_and_neither_name_nor_threshold() -> None:
    version = RulesCritic(SETTINGS, context()).version
    assert version == RulesCritic(RulesSettings(), context()).version
    assert version == RulesCritic(RulesSettings(name="mine", min_accept_probability=0.9), context()).version
    assert version != RulesCritic(RulesSettings(limits={"answer": {"max_sentences": 3}}), context()).version


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hedgeing": True}, "critic: hedgeing: unknown key; the nearest known key is hedging"),
        (
            {"limits": {"answer": {"min_words": 9, "max_words": 3}}},
            "critic: limits.answer: min_words at most max_words is expected, not 9 and 3",
        ),
        ({"limits": {"answer": 3}}, "critic: limits.answer: input should be a valid dictionary"),
        ({"limits": {"answer": {"max_wrds": 3}}}, "unknown key; the nearest known key is limits.max_words"),
        ({"name": "a b"}, "critic: name: string should match pattern"),
        ({"allowed_phrases": [" x"]}, "phrases that begin with a letter or digit are expected"),
    ],
)
def test_wrong_settings_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        validate(RulesSettings, values, "critic")
    assert message in str(caught.value)


def test_limits_that_are_not_given_stay() -> None:
    limits = RulesSettings(limits={"rationale": {"max_words": 9}, "caption": {"max_words": 4}}).limits
    assert (limits["rationale"].min_words, limits["rationale"].max_words) == (3, 9)
    assert limits["question"] == SETTINGS.limits["question"]
    assert limits["caption"].max_sentences == 2
    again = RulesSettings.model_validate(RulesSettings(limits=limits).model_dump())
    assert again.limits == limits


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a dog in the water", ""),
        ("What is [0] wearing, wet or dry", ""),  # rules on questions ask for one
        ("perhaps a dog", "hedging"),
        ("the watermark of a dog", "banned topic: watermark"),
        ("the picture of a dog", "speaks of an image or a description"),
        ("a " * 500, ""),  # nobody said how long it may be
    ],
)
def test_a_candidate_without_a_question_is_held_to_the_rules_that_apply(text: str, reason: str) -> None:
    with RulesCritic(SETTINGS, CAPTIONS_CONTEXT).opened(SERVICES) as critic:
        assert critic.score([caption(text)], {}) == [Score(0.0 if reason else 1.0, reason)]
