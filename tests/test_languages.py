"""Languages by the codes of the Hub, however they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.languages import language_code, language_tag, nearest_languages


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("en", "en"),
        ("EN", "en"),
        ("eng", "en"),
        ("English", "en"),
        (" english ", "en"),
        ("ger", "de"),  # the bibliographic code
        ("deu", "de"),
        ("Deutsch", "de"),
        ("iw", "he"),  # withdrawn
        ("no", "no"),
        ("Norwegian Bokmal", "nb"),
        ("norsk bokmål", "nb"),
        ("Persian", "fa"),
        ("Farsi", "fa"),
        ("中文", "zh"),
        ("हिन्दी", "hi"),
        ("Ελληνικά", "el"),
        ("yue", "yue"),
        ("Cantonese", "yue"),
        ("gsw", "gsw"),
        ("aaa", "aaa"),  # of ISO 639-3 alone
        ("multilingual", "multilingual"),
        ("mul", "multilingual"),
        ("code", "code"),
        ("en-US", "en-US"),
        ("EN_us", "en-US"),
        ("eng-us", "en-US"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("Simplified Chinese", "zh-Hans"),
        ("Brazilian Portuguese", "pt-BR"),
        ("es-419", "es-419"),
        ("sl-ROZAJ", "sl-rozaj"),
        ("de-1996", "de-1996"),
        ("en-x-Twain", "en-x-twain"),
    ],
)
def test_what_people_write(text: str, expected: str) -> None:
    assert language_tag(text) == expected


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("", ()),
        ("Englsih", ("en",)),
        ("Englisch", ("en",)),
        ("English (US)", ("en",)),
        ("English and German", ("en", "de")),
        ("en-USA", ("en",)),
        ("en-US.UTF-8", ("en",)),
        ("en US", ("en",)),
        ("multilingual-US", ("multilingual",)),
        ("xx", ("xh",)),
        ("3", ()),
    ],
)
def test_what_names_no_language(text: str, near: tuple[str, ...]) -> None:
    assert language_tag(text) is None
    assert tuple(nearest_languages(text))[: len(near)] == near


@given(st.text(max_size=30) | st.from_regex(r"[a-z]{2,3}([-_][A-Za-z]{2})?", fullmatch=True))
def test_any_text_is_a_tag_or_none_and_the_same_again(text: str) -> None:
    tag = language_tag(text)
    nearest_languages(text)
    if tag is not None:
        assert language_tag(tag) == tag
        assert language_tag(language_code(tag)) == language_code(tag)
        assert language_code(tag) in {"code", "multilingual"} or len(language_code(tag)) in {2, 3}
