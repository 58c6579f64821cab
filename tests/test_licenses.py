"""Licences by the ids of the Hub, however they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.licenses import forbids_publishing, license_id, license_ids, license_key, nearest_licenses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CC-BY-4.0", "cc-by-4.0"),
        ("cc by 4.0", "cc-by-4.0"),
        ("  CC_BY_4.0 ", "cc-by-4.0"),
        ("CC\u2011BY\u20114.0", "cc-by-4.0"),  # hyphens that do not break
        ("Creative Commons Attribution 4.0", "cc-by-4.0"),
        ("Creative Commons Attribution 4.0 International", "cc-by-4.0"),
        ("Creative Commons Attribution 4.0 International License.", "cc-by-4.0"),
        ("Attribution 4.0 International (CC BY 4.0)", "cc-by-4.0"),
        ("https://creativecommons.org/licenses/by/4.0/", "cc-by-4.0"),
        ("http://creativecommons.org/licenses/by-nc-sa/3.0/legalcode", "cc-by-nc-sa-3.0"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International", "cc-by-nc-sa-4.0"),
        ("CC BY-SA-NC 4.0", "cc-by-nc-sa-4.0"),
        ("CC BY NC NoDerivs 3.0 Unported", "cc-by-nc-nd-3.0"),
        ("CC0", "cc0-1.0"),
        ("CC0 1.0 Universal (CC0 1.0)", "cc0-1.0"),
        ("Creative Commons Zero", "cc0-1.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0"),
        ("Apache-2.0", "apache-2.0"),
        ("Apache License, Version 2.0", "apache-2.0"),
        ("Apache Licence 2", "apache-2.0"),
        ("MIT", "mit"),
        ("The MIT License (MIT)", "mit"),
        ("https://opensource.org/licenses/MIT", "mit"),
        ("GPLv3", "gpl-3.0"),
        ("GNU GPL v3", "gpl-3.0"),
        ("GPL-3.0-only", "gpl-3.0"),
        ("GNU General Public License v2.0", "gpl-2.0"),
        ("BSD 3-Clause", "bsd-3-clause"),
        ("ODbL 1.0", "odbl"),
        ("ODC-By", "odc-by"),
        ("Llama 3.1", "llama3.1"),
        ("OpenRAIL++-M", "openrail++"),
        ("Other", "other"),
        ("UNKNOWN", "unknown"),
    ],
)
def test_what_people_write(text: str, expected: str) -> None:
    assert license_id(text) == expected


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("", ()),
        ("   ", ()),
        ("---", ()),
        ("proprietary", ()),
        ("All rights reserved", ()),
        ("CC-BY", ("cc-by-4.0", "cc-by-3.0", "cc-by-2.5")),  # which version is not ours to say
        ("CC BY 5.0", ("cc-by-4.0",)),
        ("CC BY-NC-ND 2.0", ("cc-by-nc-nd-4.0",)),  # not on the list
        ("Apache", ("apache-2.0",)),
        ("Apach-2.0", ("apache-2.0",)),
        ("GPL-3.0-or-later", ("gpl-3.0",)),
        ("MIT OR Apache-2.0", ("apache-2.0",)),
        ("cc-by-4.0, cc-by-sa-4.0", ("cc-by-sa-4.0",)),
        ("CC BY 4.0 (MIT)", ("cc-by-4.0",)),
        ("public domain", ("pddl", "cc0-1.0")),
        ("YOURS", ()),
    ],
)
def test_what_names_no_licence_of_the_list(text: str, near: tuple[str, ...]) -> None:
    assert license_id(text) is None
    assert tuple(nearest_licenses(text))[: len(near)] == near
    if not near:
        assert not nearest_licenses(text)


@pytest.mark.parametrize("one", license_ids())
def test_each_id_is_itself_in_any_case(one: str) -> None:
    for text in (one, one.upper(), one.title(), one.replace("-", " "), one.replace("-", "_")):
        assert license_id(text) == one


def test_the_list() -> None:
    assert len(license_ids()) == len(set(license_ids())) == 82
    assert all(one == one.lower() for one in license_ids())


@given(st.text(max_size=60))
def test_any_text_is_an_id_or_none_and_the_same_again(text: str) -> None:
    found = license_id(text)
    assert found is None or license_id(found) == found
    assert set(nearest_licenses(text)) <= set(license_ids())
    assert license_key(text) == license_key(text.upper().lower())


def test_the_same_licence_has_one_key() -> None:
    assert license_key("CC-BY-4.0") == license_key("Creative Commons Attribution 4.0") == "cc-by-4.0"
    assert license_key("Our own terms") == license_key("our  OWN terms") != license_key("their own terms")


@pytest.mark.parametrize(
    ("text", "forbids"),
    [
        ("All rights reserved", True),
        ("© 2020 Somebody. ALL  RIGHTS-RESERVED.", True),
        ("no redistribution", True),
        ("Research only; redistribution is not permitted", True),
        ("", False),
        ("unknown", False),
        ("(not given)", False),
        ("cc-by-nd-4.0", False),  # unchanged copies may be passed on
        ("CC BY-NC 4.0", False),
        ("some rights reserved", False),
        ("redistribution is permitted", False),
    ],
)
def test_licences_that_forbid_passing_on(text: str, forbids: bool) -> None:
    assert forbids_publishing(text) is forbids
