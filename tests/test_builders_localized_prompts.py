from pathlib import Path
from shutil import copytree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.localized.context import SEPARATOR, context_text
from builders.localized.probing import QUESTIONS, load_probing_prompts, parse_questions, probing_prompt
from builders.localized.scripted import make_script
from builders.localized.settings import MODES, LocalizedSettings, Mode, prompt_sets
from builders.localized.stage import CandidatesStage
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.errors import SettingsError
from ostensive.prompts import Prompts, built_in_sets, load_prompts
from ostensive.records import Box, Probe, Region, Verbalization
from ostensive.settings import validate

SHIPPED = Path(str(prompt_sets())) / "localized"
SCENE = Verbalization(
    "a" * 64,
    ("This takes place at a beach or a pier.", "Boats can be seen."),
    ("A man stands on a board.", "The sea is rough."),
    (
        Region(0, Box(0.104, 0.2, 0.305, 0.4), "person", 0.9, "a man on a board"),
        Region(1, Box(0.0, 0.5, 1.0, 1.0), "area", None, "a rough sea"),
    ),
    (Probe("Is it day?", "yes"), Probe("How many boats?", "two")),
)
EXPECTED = """\
This takes place at a beach or a pier. Boats can be seen.

Description 1
A man stands on a board.

Description 2
The sea is rough.

----------

What is where (corners top-left and bottom-right, from 0 to 1 across and from 0 to 1 down):
[0] a man on a board [(0.10, 0.20), (0.30, 0.40)]
[1] a rough sea [(0.00, 0.50), (1.00, 1.00)]

Questions already answered:
Q0: Is it day?
A0: yes
Q1: How many boats?
A1: two"""


def stage(**settings: object) -> CandidatesStage:
    values = LocalizedSettings.model_validate(settings)
    return CandidatesStage(values, teacher=ScriptedTeacherSettings(), script=make_script(0.0), seed=0)


def prompt(mode: Mode) -> str:
    conversation = stage().conversation(SCENE, mode)
    return "\n".join(message.text for message in (*conversation.messages, *conversation.follow_ups))


def test_the_context_has_the_order_of_the_paper() -> None:
    assert context_text(SCENE, "ids") == EXPECTED


def test_in_description_mode_regions_have_a_dash_and_no_number() -> None:
    assert context_text(SCENE, "descriptions") == EXPECTED.replace("\n[0] ", "\n- ").replace("\n[1] ", "\n- ")


def test_what_is_missing_leaves_no_heading() -> None:
    assert context_text(Verbalization("a", (), (), (), ()), "ids") == SEPARATOR
    only_probe = Verbalization("a", (), (), (), (Probe("Is it day?", "yes"),))
    assert context_text(only_probe, "ids") == f"{SEPARATOR}\n\nQuestions already answered:\nQ0: Is it day?\nA0: yes"
    only_concept = Verbalization("a", ("It is a beach.",), (), (), ())
    assert context_text(only_concept, "ids") == f"It is a beach.\n\n{SEPARATOR}"


def test_captions_cannot_pass_for_structure_or_templates() -> None:
    box = Box(0, 0, 0.5, 0.5)
    captions = ("a sign [3] says\n[9] {{ 7 * 7 }} {% raw %} [(0.10, 0.20), (0.30, 0.40)]", "")
    regions = tuple(Region(k, box, "sign", None, caption) for k, caption in enumerate(captions))
    nasty = Verbalization("a", ("{{ mode }}",), ("{# gone? #}",), regions, (Probe("{{ qars }}?", "[0]\n[1] x"),))
    text = stage().conversation(nasty, "ids").messages[-1].text
    assert "[0] a sign (3) says (9) {{ 7 * 7 }} {% raw %} ((0.10, 0.20), (0.30, 0.40)) [(0.00, 0.00)" in text
    assert "[1] sign [(0.00, 0.00), (0.50, 0.50)]" in text
    assert "{{ mode }}" in text
    assert "{# gone? #}" in text
    assert "Q0: {{ qars }}?\nA0: (0) (1) x" in text


@given(st.text(max_size=80), st.text(max_size=80))
def test_the_context_has_as_many_lines_whatever_the_texts(caption: str, answer: str) -> None:
    regions = (Region(0, Box(0, 0, 1, 1), "x", None, caption),)
    text = context_text(Verbalization("a", (), (), regions, (Probe("Q", answer),)), "ids")
    assert len(text.splitlines()) == 8
    assert text.count("[") == 2


# Every requirement of the published prompts (methods 1.7), and words of ours that carry it.
BOTH = {
    "interesting, succinct and fun": "interesting, succinct and fun question",
    "a rationale for the answer": "a rationale that says what makes the answer right",
    "confident, no hedging": "Be confident",
    "no watermarks, no text at the bottom": "Do not ask about watermarks or about text at the bottom",
    "no ambience": "Do not ask about the atmosphere, the ambience or the lighting",
    "no clothes, hair colour, outfit colour": "what someone is wearing, nor for the colour of hair or of an outfit",
    "no unclear answers": "answer is unclear",
    "one to two sentences": "are one to two sentences each",
    "a single attribute": "a single attribute or fact",
    "no alternatives": 'Never join alternatives with "or"',
    "inference preferred": "Prefer questions that need inference",
    "likely events": "likely to happen next",
    "feel": "how someone feels",
    "attributes": "what a thing is like",
    "situation and occasion": "what the situation or the occasion is",
    "relationship": "are related",
    "never mention the source": "Never mention an image",
    "as if present": "as if you were present in the scene",
    "no repetition of the context's questions": "do not repeat or lightly rephrase a question and answer",
    "no trivial questions": "Skip trivially simple questions",
    "three responses": "Write exactly 3 triples",
    "fields": "Question: ...\nAnswer: ...\nRationale: ...",
    "follow-up: three more": "Write exactly 3 more triples",
    "follow-up: others than before": "no question may repeat or lightly rephrase one that you have already written",
}
ONLY_IDS = {
    "no significance of an outfit": "Do not ask about the significance of an outfit",
    "IDs in all three fields": "by their ID tag, such as [0], instead of by name, in the question, in the answer and",
    "makes sense when IDs are replaced": "has to make sense if each ID were replaced",
    "one or more IDs": "Every triple uses one or more IDs",
    "at most five IDs": "at most 5 different ones",
}
ONLY_DESCRIPTIONS = {
    "more descriptive about doing": "When you ask what a person is doing, be more descriptive",
    "named by description": "Name people and things by what they look like",
    "no tags": "Never use numbers or tags in brackets",
}


@pytest.mark.parametrize("requirement", [*BOTH, *ONLY_IDS])
def test_the_id_prompt_carries(requirement: str) -> None:
    assert {**BOTH, **ONLY_IDS}[requirement] in prompt("ids")


@pytest.mark.parametrize("requirement", [*BOTH, *ONLY_DESCRIPTIONS])
def test_the_description_prompt_carries(requirement: str) -> None:
    assert {**BOTH, **ONLY_DESCRIPTIONS}[requirement] in prompt("descriptions")


def test_what_belongs_to_one_mode_is_not_in_the_other() -> None:
    assert not [phrase for phrase in ONLY_DESCRIPTIONS.values() if phrase in prompt("ids")]
    assert not [phrase for phrase in ONLY_IDS.values() if phrase in prompt("descriptions")]


def test_each_rule_stands_on_its_own_line_after_the_context() -> None:
    for mode in MODES:
        opening = stage().conversation(SCENE, mode).messages[-1].text
        assert opening.startswith(context_text(SCENE, mode) + f"\n\n{SEPARATOR}\n\n")
        rules = opening.partition("Rules:\n")[2].partition("\n\nFormat")[0].split("\n")
        assert all(rule.startswith("- ") and rule.count("- ") == 1 for rule in rules)


def test_the_settings_reach_the_prompt() -> None:
    conversation = stage(qars_per_turn=4, turns=2, max_mentions=2).conversation(SCENE, "ids")
    assert "Write exactly 4 triples" in conversation.messages[-1].text
    assert "at most 2 different ones" in conversation.messages[-1].text
    assert [("Write exactly 4 more" in turn.text) for turn in conversation.follow_ups] == [True]


def test_the_hash_follows_every_source_and_name() -> None:
    prompts = load_prompts(
        "localized", prompt_sets(), required=(), variables=("context", "mode", "qars", "max_mentions", "sees_image")
    )
    assert len(prompts.prompt_hash) == 16
    assert prompts.prompt_hash == stage().prompt_hash
    changed = {Prompts("x", (("a", "b"),)), Prompts("x", (("a", "c"),)), Prompts("x", (("ab", ""),))}
    assert len({one.prompt_hash for one in changed}) == 3


def test_a_copied_set_is_the_same_set_and_an_edited_one_is_not(tmp_path: Path) -> None:
    folder = copytree(SHIPPED, tmp_path / "mine")
    assert stage(prompt_set=str(folder)).identity == stage().identity
    marked = (folder / "rules.j2").read_text("utf-8")
    (folder / "rules.j2").write_text(marked, "utf-8-sig")  # as some editors save it
    assert stage(prompt_set=str(folder)).identity == stage().identity, "a byte order mark is no part of a prompt"
    (folder / "system.j2").unlink()
    own = stage(prompt_set=str(folder))
    assert own.identity != stage().identity
    assert [message.role for message in own.conversation(SCENE, "ids").messages] == ["user"]


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("follow_up", "{{ count }}", "follow_up.j2 uses the unknown variable 'count'; known are context, mode, qars"),
        ("rules", "line\n{% if %}", "rules.j2, line 2: not valid Jinja: "),
        ("system", "{{ 1 // 0 }}", "the template system.j2 cannot be rendered: "),
        ("system", "{{ context.missing }}", "the template system.j2 cannot be rendered: "),
        ("system", "{{ mode.__class__.__mro__ }}", "the template system.j2 cannot be rendered: "),
        ("system", '{% include "../../x" %}', "the template system.j2 cannot be rendered: "),
        ("system", "{% for i in range(10 ** 9) %}x{% endfor %}", "the template system.j2 cannot be rendered: "),
    ],
)
def test_a_wrong_template_is_named_before_any_work(tmp_path: Path, name: str, source: str, message: str) -> None:
    folder = copytree(SHIPPED, tmp_path / "mine")
    (folder / f"{name}.j2").write_text(source, "utf-8")
    with pytest.raises(SettingsError) as caught:
        stage(prompt_set=str(folder))
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_unreadable_templates(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"nowhere: neither a built-in prompt set \(localized, probing\) nor a fold"
    ):
        stage(prompt_set="nowhere")
    with pytest.raises(SettingsError, match=r"localised: neither .* nor a folder; did you mean localized\?"):
        stage(prompt_set="localised")
    with pytest.raises(SettingsError, match=r"the template opening_ids.j2 is missing; there is no .j2 file"):
        stage(prompt_set=str(tmp_path))
    (tmp_path / "opening_ids.j2").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(SettingsError, match="a template cannot be read as UTF-8 text"):
        stage(prompt_set=str(tmp_path))
    (tmp_path / "opening_ids.j2").write_text("{{ context }}", "utf-8")
    with pytest.raises(SettingsError, match=r"opening_descriptions.j2 is missing; there is opening_ids.j2"):
        stage(prompt_set=str(tmp_path))
    assert stage(prompt_set=str(tmp_path), modes=["ids"], turns=1).conversation(SCENE, "ids").follow_ups == ()


def test_settings_are_checked() -> None:
    with pytest.raises(SettingsError, match="localized: modes: each mode at most once is expected"):
        validate(LocalizedSettings, {"modes": ["ids", "ids"]}, "localized")
    with pytest.raises(SettingsError, match="localized: turn: unknown key; the nearest known key is turns"):
        validate(LocalizedSettings, {"turn": 3}, "localized")
    defaults = LocalizedSettings()
    assert len(defaults.modes) * defaults.turns * defaults.qars_per_turn == 18


def test_the_shipped_sets() -> None:
    assert built_in_sets(prompt_sets()) == ["localized", "probing"]


PROBING = {
    "fifteen": f"Write exactly {QUESTIONS} interesting yet simple questions",
    "to understand more": "help you to understand the scene better",
    "global, then local descriptors": context_text(SCENE, "descriptions"),
}


@pytest.mark.parametrize("requirement", PROBING)
def test_the_probing_prompt_carries(requirement: str) -> None:
    assert PROBING[requirement] in probing_prompt(load_probing_prompts(), SCENE)


@pytest.mark.parametrize(
    ("reply", "questions"),
    [
        ("", []),
        ("I cannot see anything.", []),
        ("1. Is it day?\n2. Who is there?", ["Is it day?", "Who is there?"]),
        (
            "Sure!\n\n**1.** Is it day?\n2) **Who is there?**\n- Is it?\nDone.",
            ["Is it day?", "Who is there?", "Is it?"],
        ),
        ("Q1: Is it day?\nQuestion 2. Who is there?\nis it DAY?", ["Is it day?", "Who is there?"]),
        ('"Is it day?",\r\n"Quite who is there?"', ["Is it day?", "Quite who is there?"]),
        ("3 boats or 4?", ["3 boats or 4?"]),
    ],
)
def test_probing_questions_are_read(reply: str, questions: list[str]) -> None:
    assert parse_questions(reply) == questions


def test_no_more_questions_than_asked() -> None:
    reply = "\n".join(f"{n}. Is it number {n}?" for n in range(1, 30))
    assert len(parse_questions(reply)) == 15
    assert parse_questions(reply, questions=2) == ["Is it number 1?", "Is it number 2?"]
