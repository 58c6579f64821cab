from typing import Annotated, Any

import pytest
from pydantic import Field, SecretStr

from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.errors import SettingsError
from ostensive.recipe import Recipe
from ostensive.settings import Operational, Settings, validate


class Inner(Settings):
    temperature: float = Field(default=0.8, ge=0, le=2)
    max_in_flight: Operational[int] = 64


class Outer(Settings):
    name: str
    inner: Inner = Inner()
    key: Operational[SecretStr | None] = None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"name": "a", "inner": {"temprature": 1}},
            "x: inner.temprature: unknown key; the nearest known key is inner.temperature",
        ),
        ({"name": "a", "temperature": 1}, "x: temperature: unknown key; the nearest known key is inner.temperature"),
        ({"name": "a", "zzzzzzzz": 1}, "x: zzzzzzzz: unknown key"),
        (
            {"name": "a", "inner": {"temperature": 3}},
            "x: inner.temperature: input should be less than or equal to 2, not 3",
        ),
        ({}, "x: name: field required"),
        ({"nam": "a"}, "x: nam: unknown key; the nearest known key is name (and 1 more)"),
    ],
)
def test_one_line_says_what_is_wrong_where_and_what_was_meant(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        validate(Outer, values, "x")
    assert str(caught.value) == message


def test_the_kind_of_a_section_is_not_part_of_a_keys_path() -> None:
    values = {
        "recipe": "r",
        "corpus": {"license": "mit", "source": "s", "intended_use": "to test"},
        "teacher": {"kind": "served", "model": "m"},
    }
    with pytest.raises(
        SettingsError, match=r"^x: teacher\.modle: unknown key; the nearest known key is teacher\.model$"
    ):
        validate(Recipe, {**values, "teacher": {"kind": "served", "model": "m", "modle": "n"}}, "x")
    with pytest.raises(SettingsError, match=r"^x: teacher\.kind: 'srvd' is none of 'scripted', 'served', 'self'$"):
        validate(Recipe, {**values, "teacher": {"kind": "srvd"}}, "x")


def test_a_setting_of_another_kind_is_told_from_one_that_nobody_knows() -> None:
    values = {
        "recipe": "r",
        "corpus": {"license": "mit", "source": "s", "intended_use": "to test"},
        "teacher": {"kind": "scripted", "max_attempts": 2},
    }
    with pytest.raises(SettingsError) as caught:
        validate(Recipe, values, "x")
    assert str(caught.value) == "x: teacher.max_attempts: is a setting of another kind of teacher; set teacher.kind too"


def test_a_named_endpoint_is_the_same_at_every_address() -> None:
    def identity(**settings: object) -> dict[str, Any]:
        return validate(ServedTeacherSettings, {"model": "m", **settings}, "x").identity()

    assert identity(base_url="http://a/v1") != identity(base_url="http://b/v1")
    named = identity(base_url="http://a/v1", endpoint_name="our vLLM")
    assert named == identity(base_url="http://b/v1", endpoint_name="our vLLM")
    assert named != identity(base_url="http://a/v1", endpoint_name="another")


def test_identity_leaves_out_operational_fields_and_secrets() -> None:
    settings = Outer(name="a", inner=Inner(max_in_flight=3), key=SecretStr("sk-1"))
    assert settings.identity() == {"name": "a", "inner": {"temperature": 0.8}}


def test_operational_fields_are_still_validated() -> None:
    class Limited(Settings):
        count: Operational[Annotated[int, Field(ge=1)]] = 1

    with pytest.raises(SettingsError, match="count: input should be greater than or equal to 1, not 0"):
        validate(Limited, {"count": 0}, "x")
    assert Limited().identity() == {}


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Inner().temperature = 1.0  # type: ignore[misc]  # that it is one is the point
