"""The labelling page says what the boxes say of what was judged last, and not a word of it before."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from annotated_run import candidate, triple_item, write_run
from chromium import MARKS
from page_client import PageClient, served

from critics.annotation.access import AccessControl
from critics.annotation.app import AnnotationSession
from critics.annotation.items import Item
from critics.annotation.pictures import Pictures, read_subjects
from critics.annotation.rendering import box_findings
from critics.annotation.store import AnnotationStore
from critics.annotation.tasks import TASKS
from ostensive.images.loader import ImageLoader
from ostensive.images.settings import IntakeSettings
from ostensive.recipe_kind import ShownText
from ostensive.records import ImageRecord
from ostensive.run.partitions import read_kept

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FINE = {"qa": "accept", "rationale": "maybe"}
WRONG = "[0] is to the right of [1], <b>plainly</b>."
RIGHT = "[1] is larger than [2]."


@pytest.fixture
def pages(tmp_path: Path) -> Iterator["Pages"]:
    with ExitStack() as stack:
        yield Pages(tmp_path, stack)


class Pages:
    """Items about one picture whose rationales say something of boxes, and the page over them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        run = write_run(folder, images=1)
        (image,) = [image for path in run.partition_paths("images") for image in read_kept(path, ImageRecord)]
        subjects = read_subjects(run, [image.image_id])
        self._stack = stack
        self.store = stack.enter_context(AnnotationStore(folder / "annotations.sqlite"))
        self.pictures = Pictures(subjects, ImageLoader(IntakeSettings()))
        self.image_id = image.image_id
        rationales = (WRONG, RIGHT, "[2] is red.")
        self.store.add_items(
            [triple_item(candidate(image.image_id, n, rationale=text)) for n, text in enumerate(rationales)]
        )

    def without_regions(self) -> None:
        for image_id, subject in self.pictures.subjects.items():
            self.pictures.subjects[image_id] = replace(subject, regions=())

    def serve(self) -> str:
        session = AnnotationSession(self.store, self.pictures, (TASKS["triple"],), 2)
        access = AccessControl(self.store.secret(), host="127.0.0.1")
        return self._stack.enter_context(served(session, access))


def boxes_of(page: str) -> str:
    """The part of a page that tells of boxes; empty where it has none."""
    return page.partition('<aside class="boxes">')[2].partition("</aside>")[0]


def test_the_finding_comes_after_the_judgement(pages: Pages) -> None:
    with PageClient(pages.serve()) as ada:
        ada.enter("Ada")
        first = ada.get("/label/triple")
        assert "What the boxes say" not in first.text
        for told in ("right of [1]</span>", "middle x", "<strong>wrong", "contradict"):
            assert told not in first.text
        assert not [name for name in first.headers if "box" in name or "finding" in name]
        ada.judge(**FINE)
        after = boxes_of(ada.get("/label/triple").text)
        assert "<strong>wrong</strong>" in after
        assert "[0] right of [1]" in after
        assert "middle x: [0] 0.20, [1] 0.55" in after
        assert "larger" not in after  # of the item that is now to be judged
        ada.judge(**FINE)
        then = boxes_of(ada.get("/label/triple").text)
        assert "<strong>right</strong>" in then
        assert "right of" not in then


def test_the_last_page_has_it_and_taking_back_takes_it_away(pages: Pages) -> None:
    with PageClient(pages.serve()) as ada:
        ada.enter("Ada")
        for _ in range(2):
            ada.judge(**FINE)
        ada.get("/label/triple")
        ada.send("/undo/triple")
        back = boxes_of(ada.get("/label/triple").text)
        assert "[0] right of [1]" in back  # of the judgement before, which can be taken back next
        ada.send("/undo/triple")
        assert boxes_of(ada.get("/label/triple").text) == ""


def test_nobody_is_told_of_what_another_judged(pages: Pages) -> None:
    address = pages.serve()
    with PageClient(address) as ada, PageClient(address) as bo:
        ada.enter("Ada").judge(**FINE)
        bo.enter("Bo")
        assert boxes_of(bo.get("/label/triple").text) == ""


def test_without_regions_nothing_is_shown(pages: Pages) -> None:
    pages.without_regions()
    with PageClient(pages.serve()) as ada:
        ada.enter("Ada")
        ada.judge(**FINE)
        assert "boxes" not in ada.get("/label/triple").text


def test_two_sides_are_told_by_their_places(pages: Pages) -> None:
    regions = pages.pictures.subjects[pages.image_id].regions
    texts = (ShownText("prompt", "Describe."), ShownText("chosen", WRONG), ShownText("rejected", RIGHT))
    found = box_findings(TASKS["preference"], Item("preference", "i", pages.image_id, texts), "Ada", regions)
    assert {one.text for one in found} == {"left", "right"}


@MARKS[0]
@MARKS[1]
@pytest.mark.parametrize("width", [390, 1600])
def test_it_looks_as_it_should(browser: "Browser", pages: Pages, width: int, tmp_path: Path) -> None:
    page = browser.new_context(viewport={"width": width, "height": 1000}).new_page()
    page.set_default_timeout(60_000)
    page.on("console", lambda message: pytest.fail(message.text) if message.type == "error" else None)
    page.goto(pages.serve())
    page.fill("#name", "Ada")
    page.keyboard.press("Enter")
    page.locator("a.task").click()
    page.locator("#judge").wait_for()
    page.wait_for_load_state("load")  # with the script that hears keys
    assert page.locator(".boxes").count() == 0
    with page.expect_navigation():
        page.keyboard.press("a")
        page.keyboard.press("m")
    assert "wrong [0] right of [1]" in page.locator(".boxes li").inner_text().replace("\n", " ")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.screenshot(path=tmp_path / f"boxes-{width}.png", full_page=True)
