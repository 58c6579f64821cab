"""What a publication changes, and how two edited cards become one: pure functions."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from drawn_corpus import sample_of, write_samples, written_corpus
from hypothesis import given
from hypothesis import strategies as st

from cards.card import read_edits
from cards.hub.card_merge import CardSide, MergedCard, PublishedCard, merge_cards
from cards.hub.plan import (
    BATCH_BYTES,
    BATCH_FILES,
    HubFile,
    LocalFile,
    PlannedFile,
    batches,
    next_version,
    plan_files,
    version_number,
)
from ostensive.errors import OstensiveError


def local(path: str, content: str, byte_count: int = 10) -> LocalFile:
    return LocalFile(path, byte_count, f"sha256 {content}", f"blob {content}")


def large(path: str, content: str) -> HubFile:
    return HubFile(path, 10, "pointer", f"sha256 {content}")


def small(path: str, content: str) -> HubFile:
    return HubFile(path, 10, f"blob {content}", None)


def on_hub(*files: HubFile) -> dict[str, HubFile]:
    return {file.path: file for file in files}


def test_what_becomes_of_each_file() -> None:
    here = [local("a.tar", "1"), local("b.tar", "2"), local("c.json", "3"), local("d.json", "4"), local("e.tar", "5")]
    there = on_hub(
        large("a.tar", "1"), large("b.tar", "old"), small("c.json", "3"), small("d.json", "old"), large("f.tar", "6"),
        small("banner.png", "7"),
    )  # fmt: skip
    owned = {"a.tar", "b.tar", "f.tar", "gone.tar"}
    planned = {file.path: (file.change, file.sent_bytes) for file in plan_files(here, there, owned)}
    assert planned == {
        "a.tar": ("same", 0),
        "b.tar": ("changed", 10),
        "c.json": ("same", 0),
        "d.json": ("changed", 10),
        "e.tar": ("new", 10),
        "f.tar": ("deleted", 0),
    }


def test_what_the_hub_holds_under_another_name_is_not_sent() -> None:
    (planned,) = plan_files([local("new.tar", "1")], on_hub(large("old.tar", "1")), ())
    assert planned == PlannedFile("new.tar", "new", 10, 0)


def test_a_file_without_git_name_is_not_taken_for_the_same() -> None:
    file = LocalFile("c.json", 10, "sha256 3")
    (planned,) = plan_files([file], on_hub(HubFile("c.json", 10, "blob 3", None)), ())
    assert planned.change == "changed"


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ((), "v1"),
        (("v1", "v2"), "v3"),
        (("v2", "v10"), "v11"),
        (("v0", "v01", "v1.0", "release", "v-1", "v 1"), "v1"),
        (("v7", "v3"), "v8"),
        (("v9999999999",), "v1"),
    ],
)
def test_the_next_version(tags: tuple[str, ...], wanted: str) -> None:
    assert next_version(tags) == wanted
    assert version_number(wanted) > max(map(version_number, tags), default=0)


@given(st.lists(st.integers(0, 2 * BATCH_BYTES), max_size=120))
def test_batches_keep_everything_in_order_and_are_bounded(sizes: list[int]) -> None:
    files = [PlannedFile(str(number), "new", size, size) for number, size in enumerate(sizes)]
    found = list(batches(files))
    assert [file for batch in found for file in batch] == files
    for batch in found:
        assert 0 < len(batch) <= BATCH_FILES
        assert len(batch) == 1 or sum(file.byte_count for file in batch) <= BATCH_BYTES
    assert all(
        len(first) == BATCH_FILES or sum(file.byte_count for file in (*first, second[0])) > BATCH_BYTES
        for first, second in pairwise(found)
    )


# ---- two cards become one -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> str:
    return (written_corpus(tmp_path_factory.mktemp("card") / "run", 2).path / "README.md").read_text("utf-8")


OWN = ("ostensive", "rationales", "regions", "synthetic", "vision", "webdataset")


def edited(card: str, yours: str | None = None, tags: tuple[str, ...] = (), without: str = "", **keys: Any) -> str:
    """The card as a person leaves it: prose, further tags, further keys of the header."""
    if yours is not None:
        card = card.replace("(Nothing yet.)", yours)
    if without:
        card = card.replace(without, "")
    lines = "".join(f"- {tag}\n" for tag in tags)
    more = yaml.safe_dump(keys) if keys else ""
    return card.replace("- webdataset\n", f"- webdataset\n{lines}").replace("pretty_name:", f"{more}pretty_name:")


def merged(here: str, there: str | None, last: str | None = None) -> MergedCard:
    sides = CardSide(here, "here"), None if there is None else CardSide(there, "the card of me/x")
    return merge_cards(*sides, None if last is None else PublishedCard.of(last), OWN)


def edits_of(text: str) -> tuple[str, dict[str, Any]]:
    edits = read_edits(text, "x")
    return edits.yours, {key: value for key, value in (edits.header or {}).items() if key in KEYS}


KEYS = ("extra_gated_prompt", "viewer", "tags", "license_name", "made")


def test_a_card_that_nobody_edited_stays_as_it_is(card: str) -> None:
    assert merged(card, None).text == card
    assert merged(card, card).text == card
    assert merged(card, card, card) == MergedCard(card)


def test_what_one_side_wrote_is_taken(card: str) -> None:
    theirs = edited(card, "Theirs.\n\n- with a list", ("birds",), viewer=False, made="2026-01-01")
    mine = edited(card, "Mine.", extra_gated_prompt="Do you agree?")
    for here, there in ((card, theirs), (theirs, card)):
        assert edits_of(merged(here, there).text) == edits_of(theirs)
        assert edits_of(merged(here, there, card).text) == edits_of(theirs)
    assert edits_of(merged(mine, card).text) == edits_of(mine)


def test_both_sides_wrote_different_things(card: str) -> None:
    mine, theirs = (
        edited(card, tags=("fish",), viewer=True),
        edited(card, "Theirs.", ("birds",), extra_gated_prompt="x"),
    )
    yours, header = edits_of(merged(mine, theirs, card).text)
    assert yours == "Theirs."
    assert header == {"viewer": True, "extra_gated_prompt": "x", "tags": [*OWN, "fish", "birds"]}


def test_what_one_side_removed_is_gone(card: str) -> None:
    last = edited(card, "Before.", ("birds",), viewer=False)
    assert edits_of(merged(last, card, last).text) == edits_of(card)
    assert edits_of(merged(card, last, last).text) == edits_of(card)


@pytest.mark.parametrize(
    ("mine", "theirs", "what"),
    [
        ({"yours": "Mine."}, {"yours": "Theirs."}, "the yours lines"),
        ({"viewer": True}, {"viewer": False}, "the key viewer of the header"),
        ({"viewer": True}, {}, "the key viewer of the header"),  # here it was changed, there removed
    ],
)
def test_where_both_sides_changed_the_same_nobody_is_overruled(
    card: str, mine: dict[str, Any], theirs: dict[str, Any], what: str
) -> None:
    last = edited(card, "Before.", viewer="before") if not theirs else card
    here, there = edited(card, **mine), edited(card, **theirs)
    with pytest.raises(OstensiveError) as caught:
        merged(here, there, last)
    assert str(caught.value) == (
        f"here and the card of me/x were both edited, and differ in {what}; make them the same there or here, and run"
        " the same command again"
    )


def test_an_edit_outside_the_markers_is_told(card: str) -> None:
    theirs = card.replace("## Limits\n", "## Limits\n\nOne more.\n")
    assert merged(card, theirs, card) == MergedCard(
        card, "the card of me/x was edited outside the yours lines, which is replaced"
    )
    assert merged(theirs, theirs, card).note == ""
    newer = card.replace("Made by Ostensive 0", "Made by Ostensive 1")
    assert merged(newer, card, card).note == "", "nobody edited it: it is of an earlier build"


def test_prose_stays_text(card: str) -> None:
    """A backslash, a group reference, the end of a header: nothing in prose acts on how it is put in."""
    nasty = r"\1 \g<0> --- {{ 7*7 }} <!-- yours -->" + "\n---\nlicense: stolen\n---"
    text = merged(card, edited(card, nasty)).text
    assert edits_of(text)[0] == nasty
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "cc0-1.0"


def test_line_ends_of_another_system(card: str) -> None:
    windows = edited(card, "Theirs.").replace("\n", "\r\n")
    assert edits_of(merged(card, windows, card).text)[0] == "Theirs."
    assert merged(card, windows, card).note == ""


@pytest.mark.parametrize("side", ["here", "there"])
def test_a_broken_header_is_told_with_its_place(card: str, side: str) -> None:
    broken = card.replace("language: en", "language: [en")
    here, there = (broken, card) if side == "here" else (card, broken)
    with pytest.raises(
        OstensiveError, match=rf"^{'here' if side == 'here' else 'the card of me/x'}: the header between"
    ):
        merged(here, there)


def test_a_card_without_its_markers(card: str) -> None:
    bare = card.replace("<!-- yours -->\n", "").replace("<!-- /yours -->\n", "")
    with pytest.raises(OstensiveError, match=r"^here: the two lines `<!-- yours -->` and `<!-- /yours -->` are gone;"):
        merged(bare, card)
    assert edits_of(merged(edited(card, "Mine."), bare, edited(card, "Mine.")).text)[0] == "(Nothing yet.)"


def test_a_merged_card_is_written_again_as_it_is(tmp_path: Path) -> None:
    """What was merged is kept by the next build, byte for byte."""
    corpus = written_corpus(tmp_path / "run", 2)
    path = corpus.path / "README.md"
    text = merged(path.read_text("utf-8"), edited(path.read_text("utf-8"), "Theirs.", ("birds",), viewer=False)).text
    path.write_text(text, "utf-8")
    write_samples(corpus.path, [sample_of(number, 2) for number in range(2)])
    assert path.read_text("utf-8") == text
