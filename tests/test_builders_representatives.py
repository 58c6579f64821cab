"""Which candidates of an image are shown to people."""

from annotated_run import candidate

from builders.dedupe import DedupeSettings
from builders.localized.recipe import KIND
from builders.representatives import representatives

IMAGE, OTHER = "ab" * 32, "cd" * 32
# Three things said in two ways each.
SAID = (
    ("What is the man with the umbrella waiting for?", "He waits for the bus."),
    ("For what does the man holding an umbrella wait?", "He is waiting for the bus."),
    ("Which fruit lies in the bowl on the table?", "Red apples lie in it."),
    ("What kind of fruit is in the bowl on the table?", "There are red apples in it."),
    ("How many dogs run along the beach?", "Three dogs run there."),
    ("What number of dogs is running on the beach?", "There are three dogs."),
)


def test_one_of_each_thing_that_is_said() -> None:
    rows = [
        candidate(IMAGE, number, question=question, answer=answer, rationale="")
        for number, (question, answer) in enumerate(SAID)
    ]
    chosen = representatives(rows, 3, DedupeSettings(), KIND)
    assert [SAID.index((row.question, row.answer)) // 2 for row in chosen] == [0, 1, 2]
    turned = representatives(rows[::-1], 3, DedupeSettings(), KIND)
    assert {row.row_id for row in turned} == {row.row_id for row in chosen}


def test_an_image_with_few_needs_no_model_and_loses_none() -> None:
    rows = [candidate(image, number) for number in range(5) for image in (IMAGE, OTHER)]
    nothing = DedupeSettings(model="there is no such model")
    assert representatives(rows, 5, nothing, KIND) == rows
    assert representatives([], 5, nothing, KIND) == []


def test_each_image_has_its_own_clusters() -> None:
    rows = [
        candidate(image, number, question=question, answer=answer, rationale="")
        for image in (IMAGE, OTHER)
        for number, (question, answer) in enumerate(SAID)
    ]
    chosen = representatives([*rows, candidate("ef" * 32, 0)], 1, DedupeSettings(), KIND)
    assert [row.image_id for row in chosen] == [IMAGE, OTHER, "ef" * 32]
