"""The settings of the kind `clip`: defaults, what is refused and how, what they need."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.localized.recipe import LocalizedRecipe
from builders.table import load
from ostensive.errors import SettingsError
from ostensive.models.needs import ModelNeed
from verbalizers.clip.settings import ClipConceptSettings, LabelListSettings

STAND_INS = (
    "corpus.license=other",
    "corpus.source=a test",
    "corpus.intended_use=to test",
    "verbalize.concepts.kind=clip",
)


def clip(*assignments: str) -> ClipConceptSettings:
    recipe = load("localized", assignments=[*STAND_INS, *(f"verbalize.concepts.{text}" for text in assignments)])
    assert isinstance(recipe, LocalizedRecipe)
    concepts = recipe.verbalize.concepts
    assert isinstance(concepts, ClipConceptSettings)
    return concepts


def refusal(*assignments: str) -> str:
    with pytest.raises(SettingsError) as caught:
        clip(*assignments)
    return str(caught.value).removeprefix("localized: ")


def test_the_defaults_are_those_of_the_paper() -> None:
    made = clip()
    assert (made.model, made.weights) == ("ViT-L-14-336", "openai")
    assert [section.top_k for section in (made.places, made.objects, made.concepts)] == [2, 3, 3]
    assert [section.labels for section in (made.places, made.objects, made.concepts)] == [
        "places",
        "imagenet",
        "concepts",
    ]


def test_one_setting_of_a_list_can_be_changed_alone() -> None:
    made = clip("objects.labels=mine.txt", "places.top_k=0")
    assert (made.objects.labels, made.objects.top_k) == ("mine.txt", 3)
    assert (made.places.labels, made.places.top_k) == ("places", 0)


@pytest.mark.parametrize("template", ["a photo", "{label} and {label}", "{}", "", "{ label }"])
def test_a_template_has_one_place_for_the_label(template: str) -> None:
    assert refusal(f"places.template='{template}'") == (
        f"verbalize.concepts.places.template: a text with {{label}} in it, once, is expected, not {template!r}"
    )


@given(st.text(), st.text())
def test_any_text_around_the_label_is_a_template(before: str, after: str) -> None:
    template = f"{before}{{label}}{after}"
    if template.count("{label}") == 1:
        assert LabelListSettings(labels="places", template=template, top_k=1).template == template


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (
            ("model='local-dir:x'", "pretrained=openai"),
            "verbalize.concepts: pretrained goes with a model that open_clip names, not with hf-hub: or local-dir:",
        ),
        (
            ("places.top_k=0", "objects.top_k=0", "concepts.top_k=0"),
            "verbalize.concepts: one of places, objects and concepts has a top_k of 1 or more",
        ),
        (("places.top_k=-1",), "verbalize.concepts.places.top_k: input should be greater than or equal to 0, not -1"),
        (("max_label_cosine=1.5",), "verbalize.concepts.max_label_cosine: input should be less than or equal to 1"),
        (("device=gpu",), "verbalize.concepts.device: string should match pattern"),
        (("lables=x",), "verbalize.concepts.lables: unknown key"),
    ],
)
def test_what_is_refused(assignments: tuple[str, ...], message: str) -> None:
    assert refusal(*assignments).startswith(message)


def test_what_they_need() -> None:
    assert clip().needs() == (ModelNeed(role="concepts", kind="open_clip", name="ViT-L-14-336", weights="openai"),)
    (local,) = clip("model=local-dir:/x", "device=cpu").needs()
    assert (local.name, local.weights, local.device) == ("local-dir:/x", None, "cpu")
    made = clip("objects.labels=mine.txt", "places={labels: other.txt, top_k: 0}")
    assert made.objects.needs() == (ModelNeed(role="label list", kind="file", name="mine.txt"),)
    assert made.places.needs() == made.concepts.needs() == ()


@pytest.mark.parametrize("key", ["device", "batch_size", "cache_folder"])
def test_what_changes_no_row_is_no_part_of_the_identity(key: str) -> None:
    values: dict[str, Any] = {"device": "cpu", "batch_size": 3, "cache_folder": "x"}
    assert clip(f"{key}={values[key]}").identity() == clip().identity()
    assert clip("dtype=bfloat16").identity() != clip().identity()
