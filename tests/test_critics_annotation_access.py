"""Hosts, origins, tokens and signatures."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from critics.annotation import access
from ostensive.errors import SettingsError

SECRET = b"s" * 32


@pytest.mark.parametrize("authority", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.0.0.2"])
def test_loopback_is_known(authority: str) -> None:
    assert access.is_known_host(authority, bound_to="127.0.0.1")


@pytest.mark.parametrize(
    "authority",
    ["evil.example:8000", "localhost.evil.example", "10.0.0.7:8000", "", "localhost:99999999", "a@localhost", "[::1",
     "127.0.0.1.evil.example", "localhost/x", "localhost?x"],
)  # fmt: skip
def test_other_names_are_not(authority: str) -> None:
    assert not access.is_known_host(authority, bound_to="127.0.0.1")


def test_beyond_loopback_addresses_are_known_and_names_when_they_are_named() -> None:
    assert access.is_known_host("10.0.0.7:8000", bound_to="0.0.0.0")
    assert access.is_known_host("[fe80::1]:8000", bound_to="::")
    assert not access.is_known_host("labs.example:8000", bound_to="0.0.0.0")
    assert access.is_known_host("labs.example:8000", bound_to="0.0.0.0", also=["Labs.example"])
    assert access.is_known_host("labs.example", bound_to="labs.example")


@pytest.mark.parametrize(
    ("origin", "is_own"),
    [
        ("http://127.0.0.1:8000", True),
        ("https://127.0.0.1:8000", True),
        ("http://127.0.0.1:8001", False),
        ("http://127.0.0.1", False),
        ("http://evil.example", False),
        ("http://evil.example/127.0.0.1:8000", False),
        ("null", False),
        ("file://127.0.0.1:8000", False),
        ("", False),
        (None, False),
    ],
)
def test_origins(origin: str | None, is_own: bool) -> None:
    assert access.is_own_origin(origin, "127.0.0.1:8000") == is_own


def test_what_is_loopback() -> None:
    assert all(map(access.is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "localhost"]))
    assert not any(map(access.is_loopback, ["0.0.0.0", "::", "10.0.0.7", "example.org", ""]))


def test_tokens_are_needed_beyond_loopback_and_long() -> None:
    access.check_token(None, "127.0.0.1")
    access.check_token("0123456789abcdef", "0.0.0.0")
    with pytest.raises(SettingsError, match=r"--host 0\.0\.0\.0 is open to others, so a token is needed: --token TEXT"):
        access.check_token(None, "0.0.0.0")
    for token in ("short", "0123456789abcde\n", "0123456789abcdé0"):
        with pytest.raises(SettingsError, match="--token: at least 16 printable ASCII characters are expected"):
            access.check_token(token, "127.0.0.1")


@given(st.text())
def test_a_sealed_value_comes_back(value: str) -> None:
    cookie = access.sealed(SECRET, "name", value.encode("utf-8", "replace").decode())
    assert access.unsealed(SECRET, "name", cookie) == value.encode("utf-8", "replace").decode()
    assert cookie.isascii()
    assert access.unsealed(b"other", "name", cookie) is None
    assert access.unsealed(SECRET, "visitor", cookie) is None


@given(st.text(st.characters(max_codepoint=255)))
def test_a_made_up_cookie_is_worth_nothing(cookie: str) -> None:
    assert access.unsealed(SECRET, "name", cookie) is None


def test_signatures() -> None:
    good = access.sign(SECRET, "form", "key")
    assert access.is_signed(SECRET, "form", "key", good)
    assert not access.is_signed(SECRET, "form", "other", good)
    assert not access.is_signed(SECRET, "form", "key", "")
    assert access.sign(SECRET, "a", "bc") != access.sign(SECRET, "ab", "c")
    assert access.equal("\ud800", "\ud800")


@pytest.mark.parametrize(
    "path",
    [
        *(
            "//evil.example/",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n//evil.example",
        ),
        *(
            "/%2F%2Fevil.example",
            "/%09/evil.example",
            "/%5Cevil.example",
            "/label//evil.example",
            "https://evil.example",
        ),
        *(
            "/.//evil.example",
            "/../x",
            "/@evil.example",
            "/x:y",
            "/label/\N{FULLWIDTH SOLIDUS}evil",
            "",
            "label",
            "/a b",
            "/a\r\nX: y",
        ),
    ],
)
def test_a_redirect_stays_on_the_page(path: str) -> None:
    assert access.own_path(path) == "/"


@pytest.mark.parametrize("path", ["/", "/label/triples", "/label/a-b_c.d/", "/picture/0123.jpg"])
def test_a_path_of_the_page_is_gone_to(path: str) -> None:
    assert access.own_path(path) == path


@pytest.mark.parametrize(
    "path", ["//evil.example/", "/%2F%2Fevil.example", "/%09/evil.example", "/%5C%5Cevil.example", "/label/x"]
)
def test_the_answer_to_a_token_leads_to_the_page(path: str) -> None:
    """As the server itself has it, with what it makes of an escaped path."""
    import asyncio

    from starlette.requests import Request

    control = access.AccessControl(b"secret", host="127.0.0.1", token="0123456789abcdef")
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": b"token=0123456789abcdef",
        "headers": [(b"host", b"127.0.0.1")],
    }
    response = asyncio.run(control.check(Request(scope)))
    assert response is not None
    assert response.headers["location"] == (path if path == "/label/x" else "/")
