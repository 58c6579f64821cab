import pytest

from ostensive.errors import SettingsError
from ostensive.settings import known_keys, validate
from verbalizers.settings import VerbalizeSettings


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
    settings = VerbalizeSettings()
    assert (settings.narratives.count, settings.probes.count, settings.regions.choice.max_people) == (5, 15, 4)


def test_memory_is_operational() -> None:
    assert VerbalizeSettings(max_pixels_at_once=1).identity() == VerbalizeSettings().identity()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"regions": {"choice": {"max_region": 3}}}, "the nearest known key is regions.choice.max_regions"),
        ({"concepts": {"kind": "psychic"}}, "concepts.kind: 'psychic' is none of 'pixels', 'clip'"),
        ({"regions": {"min_fill": 2}}, "regions.min_fill: input should be less than or equal to 1, not 2"),
        ({"working_side_px": 8}, "working_side_px: input should be greater than or equal to 32, not 8"),
        ({"regions": {"min_area": 0.5, "max_area": 0.4}}, "regions: min_area is at most max_area"),
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
