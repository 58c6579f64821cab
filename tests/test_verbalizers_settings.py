import pytest

from builders.table import load
from ostensive.errors import SettingsError
from ostensive.settings import known_keys, validate
from verbalizers.table import VerbalizeSettings


def test_defaults_are_all_pixels() -> None:
    identity = VerbalizeSettings().identity()
    assert {
        section: identity[section]["kind"] for section in ("concepts", "narratives", "regions", "captions", "probes")
    } == {
        "concepts": "pixels",
        "narratives": "pixels",
        "regions": "pixels",
        "captions": "pixels",
        "probes": "pixels",
    }


def test_the_papers_numbers() -> None:
    values = VerbalizeSettings().model_dump()
    assert [values[part]["count"] for part in ("narratives", "probes")] == [5, 15]
    assert values["regions"]["choice"]["max_people"] == 4


@pytest.mark.parametrize("profile", ["open", "paper", "served"])
def test_the_teacher_asks_until_there_are_fifteen_questions(profile: str) -> None:
    recipe = load(
        "localized",
        profile=profile,
        assignments=("corpus.license=other", "corpus.source=a test", "corpus.intended_use=to test"),
    )
    probes = recipe.model_dump()["verbalize"]["probes"]
    assert (probes["asked_by"], probes["count"]) == ("teacher", 15)


def test_memory_is_operational() -> None:
    assert VerbalizeSettings(max_pixels_at_once=1).identity() == VerbalizeSettings().identity()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"regions": {"kind": "pixels", "choice": {"max_region": 3}}},
            "the nearest known key is regions.choice.max_regions",
        ),
        ({"concepts": {"kind": "psychic"}}, "concepts.kind: 'psychic' is none of 'pixels', 'clip'"),
        (
            {"regions": {"kind": "pixels", "min_fill": 2}},
            "regions.min_fill: input should be less than or equal to 1, not 2",
        ),
        ({"working_side_px": 8}, "working_side_px: input should be greater than or equal to 32, not 8"),
        ({"regions": {"kind": "pixels", "min_area": 0.5, "max_area": 0.4}}, "regions: min_area is at most max_area"),
        ({"regions": {"kind": "detector"}}, "regions.model: field required"),
        (
            {"regions": {"kind": "detector", "model": "m", "vocabulary": ["dog"]}},
            "regions.vocabulary: is a setting of another kind of regions; set regions.kind too",
        ),
        ({"regions": {"kind": "zero_shot", "model": "m"}}, "regions.vocabulary: field required"),
        (
            {"regions": {"kind": "zero_shot", "model": "m", "vocabulary": []}},
            "regions.vocabulary: a list of labels, or a file with a label a line, is expected, not []",
        ),
        (
            {"regions": {"kind": "zero_shot", "model": "m", "vocabulary": 5}},
            "regions.vocabulary: a list of labels, or a file with a label a line, is expected, not 5",
        ),
        (
            {"regions": {"kind": "zero_shot", "model": "m", "vocabulary": ["dog", " "]}},
            "regions.vocabulary: labels are texts of 1 to 200 characters, not ['dog', ' ']",
        ),
        (
            {"regions": {"kind": "zero_shot", "model": "m", "vocabulary": ["dog"], "template": "a photo"}},
            "regions.template: a text with {label} in it, once, is expected, not 'a photo'",
        ),
        (
            {"regions": {"kind": "torchvision", "labels": ["dog"]}},
            "regions: labels go with a file of weights; torchvision's own say what their classes are",
        ),
    ],
)
def test_wrong_settings_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        validate(VerbalizeSettings, values, "recipe.yaml")
    assert str(refused.value).startswith("recipe.yaml: ")
    assert message in str(refused.value)


def test_every_setting_is_documented() -> None:
    def undocumented(model: type, prefix: str = "") -> list[str]:
        missing = []
        for name, field in model.model_fields.items():  # type: ignore[attr-defined]  # a pydantic model
            if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
                missing += undocumented(field.annotation, f"{prefix}{name}.")
            elif name != "kind" and not field.description:
                missing.append(prefix + name)
        return missing

    assert undocumented(VerbalizeSettings) == []
    assert "regions.choice.max_people" in set(known_keys(VerbalizeSettings))
