"""Types of questions: those that LSKD gives for examples, each question of one type, and recipes that ask nothing."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.table import MODULES, recipe_kind
from cards.statistics.question_types import OTHERS, question_types

# Park et al., 2023, Table 7; the words before the type are its example, made whole.
TABLE = {
    "What is the purpose of [0]?": "purpose",
    "What is the significance of the flag?": "purpose",
    "What is the relationship of [0] and [1]?": "relationship",
    "How are they related?": "relationship",
    "What kind of boat is it?": "type",
    "What is the type of the building?": "type",
    "What emotion does [2] show?": "emotion",
    "What might be the feeling of the crowd?": "emotion",
    "Where are they?": "scene",
    "What time is it?": "scene",
    "What situation is this?": "scene",
    "What state is the road in?": "attribute",
    "What condition is [1] in?": "attribute",
    "What color is the door?": "attribute",
    "What activity is [0] at?": "action",
    "What event is it?": "action",
    "What are they doing?": "action",
    "What can you infer from [0]?": "inference",
    "What would likely come next?": "inference",
    "How might [0] get down?": "inference",
    "WHY does [1] run?": "reason",
    "What is the intention of [1]?": "reason",
    "What is the role of [0]?": "role",
    "What is the occupation of [0]?": "role",
    "What is the main focus of the picture?": "focus",
    "What stands out?": "focus",
    "What atmosphere is there?": "ambience",
    "What is the mood?": "ambience",
    "What vibe has the place?": "ambience",
    '"Is there a dog?"': "factual",
    "Are there clouds?": "factual",
    "Do you think it rains?": "factual",
}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *TABLE.items(),
        ("Was [1] there?", "factual"),
        ("Was ist das?", OTHERS),
        ("And?", OTHERS),
        ("\u8fd9\u662f\u4ec0\u4e48\uff1f", OTHERS),
    ],
)
def test_types_of_questions(text: str, name: str) -> None:
    assert {one: count for one, count in question_types(pa.array([text])).items() if count} == {name: 1}


def test_there_are_thirteen_types_and_others_and_a_word_is_a_whole_one() -> None:
    assert set(question_types(pa.array([], pa.string()))) == {*TABLE.values(), OTHERS}
    assert len(set(TABLE.values())) == 13
    assert question_types(pa.array(["Repurposed jobs, you say"]))[OTHERS] == 1


@given(st.lists(st.sampled_from([*TABLE, "", "?", "\u00c9t\u00e9"])))
def test_every_question_is_of_one_type(texts: list[str]) -> None:
    assert sum(question_types(pa.array(texts, pa.string())).values()) == len(texts)


@pytest.mark.parametrize("name", MODULES)
def test_a_recipe_of_questions_says_which_they_are(name: str) -> None:
    kind = recipe_kind(name)
    assert (kind.questions is not None) == ("visual-question-answering" in kind.task_categories)
