"""Where to ask, with which key, and that the key stays there."""

import pytest

from ostensive.chat.endpoint import OPENAI_BASE_URL, ServedTeacherSettings, resolve_endpoint
from ostensive.errors import SettingsError

KEY = "sk-test-0123456789"


def settings(base_url: str | None = None, api_key: str | None = None) -> ServedTeacherSettings:
    values = {"model": "m", "base_url": base_url, "api_key": api_key}
    return ServedTeacherSettings.model_validate(values)


def test_the_recipe_goes_before_the_environment_and_that_before_openai() -> None:
    environment = {"OPENAI_BASE_URL": "http://10.0.0.1:8000/v1", "OPENAI_API_KEY": KEY}
    assert resolve_endpoint(settings("http://10.0.0.2/v1", "own"), environment).base_url == "http://10.0.0.2/v1"
    assert resolve_endpoint(settings("http://10.0.0.2/v1", "own"), environment).api_key.get_secret_value() == "own"
    assert resolve_endpoint(settings(), environment).base_url == "http://10.0.0.1:8000/v1"
    assert resolve_endpoint(settings(), environment).api_key.get_secret_value() == KEY
    assert resolve_endpoint(settings(), {"OPENAI_API_KEY": KEY}).base_url == OPENAI_BASE_URL


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://API.OpenAI.com/v1/", "https://api.openai.com/v1"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/v1//", "http://[::1]:8000/v1"),
    ],
)
def test_one_address_has_one_form(given: str, expected: str) -> None:
    assert resolve_endpoint(settings(given), {"OPENAI_API_KEY": KEY}).base_url == expected


@pytest.mark.parametrize(
    "url", ["http://localhost:1/v1", "http://127.8.8.8/v1", "http://[::1]/v1", "http://a.localhost"]
)
def test_a_server_on_this_machine_needs_no_key(url: str) -> None:
    endpoint = resolve_endpoint(settings(url), {})
    assert endpoint.loopback
    assert endpoint.scrub("none the wiser") == "none the wiser"


@pytest.mark.parametrize("url", [None, "http://10.0.0.1/v1", "https://localhost.example.org/v1"])
@pytest.mark.parametrize("environment", [{}, {"OPENAI_API_KEY": "  "}])
def test_elsewhere_a_missing_key_is_named(url: str | None, environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        resolve_endpoint(settings(url), environment)
    assert str(caught.value) == (
        f"no key for {url or OPENAI_BASE_URL}: set the environment variable OPENAI_API_KEY"
        " (any word for a server that wants none)"
    )


@pytest.mark.parametrize("url", [f"https://me:{KEY}@example.org/v1", f"https://example.org/v1?key={KEY}"])
def test_a_secret_in_the_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match="a URL without user name, password, query or fragment") as caught:
        resolve_endpoint(settings(api_key=KEY), {"OPENAI_BASE_URL": url})  # the recipe refuses it itself
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"OPENAI_BASE_URL": "example.org/v1"}, "a URL that starts with http:// or https:// is expected"),
        ({"OPENAI_BASE_URL": "http://"}, "a URL that starts with http:// or https:// is expected"),
        ({"OPENAI_BASE_URL": "http://a:b/v1"}, "teacher.base_url: not a URL"),
        ({"OPENAI_BASE_URL": "http://a/v1", "OPENAI_API_KEY": "a\nb"}, "the key in OPENAI_API_KEY or teacher.api_key"),
    ],
)
def test_unusable_addresses_and_keys_are_refused(environment: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        resolve_endpoint(settings(), {"OPENAI_API_KEY": KEY} | environment)
    assert problem in str(caught.value)


def test_the_key_is_scrubbed_and_not_shown() -> None:
    endpoint = resolve_endpoint(settings("http://127.0.0.1/v1", KEY), {})
    assert endpoint.scrub(f"Bearer {KEY}, {KEY}") == "Bearer [key], [key]"
    assert endpoint.scrub_answer(f"x{KEY}".encode()) == b"x[key]"
    assert endpoint.line(f"a\nb {'x' * 290} {KEY}") == f"a b {'x' * 290} [key]"[:300]
    assert KEY not in repr(endpoint)
