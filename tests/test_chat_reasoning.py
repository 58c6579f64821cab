"""The answer in a text, without the reasoning around it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ostensive.chat.reasoning import without_reasoning

THINK = "<think>I draft.\nQuestion: no?</think>"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (f"{THINK}\n\nYes.", "Yes."),
        (f"  {THINK}Yes.  ", "Yes."),
        ("I draft.</think>\nYes.", "Yes."),
        (f"{THINK}\n{THINK}\nYes.", "Yes."),
        (f"One.\n{THINK}\nTwo.", "One.\n\nTwo."),
        (f"One.{THINK}Two.", "One.\nTwo."),
        ("<think>a<think>b</think>c</think>Yes.", "Yes."),
        ("One.<think>a<think>b</think>c</think>Two.", "One.\nTwo."),
        ("<think>I write <think> first.</think>Yes.", "Yes."),
        ("<THINK>a</Think >Yes.", "Yes."),
        ("< think >a< / think >Yes.", "Yes."),
        ('<think budget="3">a</think>Yes.', "Yes."),
        ("<thinking>a</thinking>Yes.", "Yes."),
        ("<thought>a</thought>Yes.", "Yes."),
        ("<reasoning>a</reasoning>Yes.", "Yes."),
        ("<seed:think>a</seed:think>Yes.", "Yes."),
        ("[THINK]a[/THINK]Yes.", "Yes."),
        ("◁think▷a◁/think▷Yes.", "Yes."),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>", "Yes."),
        ("<think>a</think><answer>\nYes.\n</answer>", "Yes."),
        ("<think>a</think><answer>Yes, but it was cut", "Yes, but it was cut"),
        ("One.<think/>", "One."),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
            "Yes.",
        ),
        ("a<|end|><|start|>assistant<|channel|>final<|message|>Yes, but it was cut", "Yes, but it was cut"),
        ("final<|message|>Yes.", "Yes."),
        ("<|channel|>commentary to=functions.x<|message|>{}<|call|>", ""),
        ("analysisI draft.assistantfinalYes.", "Yes."),
        ("<think>a", ""),
        ("One.<think>a", ""),
        ("<think>a</think>", ""),
        ("<|channel|>analysis<|message|>a", ""),
        ("Yes.<|im_end|>", "Yes."),
        ("Yes.</s>\n<|endoftext|> ", "Yes."),
        (f"{THINK}Yes.<end_of_turn>", "Yes."),
    ],
)
def test_only_the_answer_is_left(text: str, answer: str) -> None:
    assert without_reasoning(text).text == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "Yes.",
        "  Yes.\r\n\r\n",
        "I think so: <b>bold</b> & [0] <thinker> <think",
        "The analysis is final, says the assistant.",
        "</s> in the middle of <|im_end|> a text",
        "<s>struck out</s>",
        "<|channel|> alone",
        "<answer>without reasoning</answer>",
    ],
)
def test_a_text_without_reasoning_is_as_it_was(text: str) -> None:
    found = without_reasoning(text)
    assert (found.text, found.mark) == (text, "")


PIECES = [
    *("<think>", "</think>", "<think/>", "< /THINKING x>", "[THINK]", "[/THINK]", "◁think▷", "◁/think▷", "<thi", "nk>"),
    *("<|channel|>", "analysis", "final", "assistantfinal", "<|message|>", "<|end|>", "<|start|>", "assistant", "<s>"),
    *("<answer>", "</answer>", "<|im_end|>", "</s>", "word", " ", "\n", "<", ">", "/", "<|channel>", "<channel|>"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example("<think<think></think>>x")
@example("<thi<think></think>nk>x")
@example("<think></think><answer>x<|im_end|></answer>")
@example("<think></think><answer>analysis assistantfinal x</answer>")
def test_what_is_left_has_no_reasoning(text: str) -> None:
    once = without_reasoning(text).text
    assert without_reasoning(once).text == once


@given(st.text(alphabet=st.characters(exclude_characters="<[◁")))
def test_a_text_without_any_bracket_is_never_touched(text: str) -> None:
    if not text.startswith("analysis"):
        assert without_reasoning(text).text == text


@given(st.text(max_size=30), st.text(alphabet="abc \n", min_size=1, max_size=30).filter(str.strip))
def test_a_block_before_an_answer_leaves_the_answer(reasoning: str, answer: str) -> None:
    assert without_reasoning(f"<think>{reasoning}</think>{answer}").text == answer.strip()
