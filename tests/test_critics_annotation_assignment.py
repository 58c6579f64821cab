"""Who is given what."""

from hypothesis import given
from hypothesis import strategies as st

from critics.annotation.assignment import (
    ASSIGNMENT_HOLDS_S,
    Assignment,
    ImageOfRound,
    choose_image,
    is_swapped,
    shuffled,
)

SIZES = {"a": 5, "b": 5, "c": 1}


def choose(given: list[Assignment], annotator: str = "ada", *, wanted: int = 2, now: float = 1000.0) -> str | None:
    sizes = {ImageOfRound(image_id, 1): size for image_id, size in SIZES.items()}
    image = choose_image(sizes, given, annotator, annotators_per_item=wanted, now=now)
    return None if image is None else image.image_id


def test_what_a_later_round_adds_to_an_image_is_given_out_by_itself() -> None:
    sizes = {ImageOfRound("a", 1): 5, ImageOfRound("a", 2): 2}
    given = [Assignment("a", 1, "ada", 5, 0), Assignment("a", 1, "bo", 5, 0)]

    def next_of(annotator: str, given: list[Assignment]) -> ImageOfRound | None:
        return choose_image(sizes, given, annotator, annotators_per_item=2, now=1e9)

    assert next_of("cy", given) == next_of("ada", given) == ImageOfRound("a", 2)
    given += [Assignment("a", 2, "ada", 2, 0), Assignment("a", 2, "cy", 2, 0)]
    assert next_of("bo", given) is None


def test_the_first_image_that_lacks_annotators() -> None:
    assert choose([]) == "a"
    assert choose([Assignment("a", 1, "bo", 0, 1000)]) == "a"
    assert choose([Assignment("a", 1, "bo", 0, 1000), Assignment("a", 1, "cy", 2, 1000)]) == "b"
    assert choose([Assignment("a", 1, "bo", 0, 1000)], wanted=1) == "b"


def test_nobody_is_given_an_image_twice() -> None:
    assert choose([Assignment("a", 1, "ada", 5, 0)]) == "b"
    assert choose([Assignment(image, 1, "ada", 0, 0) for image in SIZES]) is None


def test_an_image_that_is_left_is_free_after_a_while_and_a_finished_one_never() -> None:
    left = [Assignment("a", 1, "bo", 4, 1000), Assignment("a", 1, "cy", 5, 1000)]
    assert choose(left, now=1000 + ASSIGNMENT_HOLDS_S - 1) == "b"
    assert choose(left, now=1000 + ASSIGNMENT_HOLDS_S) == "a"
    finished = [Assignment("a", 1, "bo", 5, 0), Assignment("a", 1, "cy", 5, 0)]
    assert choose(finished, now=1e9) == "b"


@given(st.integers(1, 3), st.lists(st.sampled_from(["ada", "bo", "cy", "di"]), max_size=40))
def test_no_image_gets_more_annotators_than_wanted(wanted: int, askers: list[str]) -> None:
    given: list[Assignment] = []
    for asker in askers:
        image = choose(given, asker, wanted=wanted)
        if image is not None:
            given.append(Assignment(image, 1, asker, SIZES[image], 1000))
    by_image = {image: [one.annotator for one in given if one.image_id == image] for image in SIZES}
    for annotators in by_image.values():
        assert len(set(annotators)) == len(annotators) <= wanted


def test_sides_fall_by_lot_and_stay() -> None:
    falls = [is_swapped(f"item {number}", "ada") for number in range(400)]
    assert 140 < sum(falls) < 260
    assert falls == [is_swapped(f"item {number}", "ada") for number in range(400)]
    assert falls != [is_swapped(f"item {number}", "bo") for number in range(400)]


def test_the_order_of_images_follows_from_the_seed() -> None:
    images = [f"{number:064x}" for number in range(50)]
    assert shuffled(images, 1) == shuffled(images[::-1], 1)
    assert sorted(shuffled(images, 1)) == images
    assert shuffled(images, 1) != shuffled(images, 2)
    assert shuffled(images, 1) != images
