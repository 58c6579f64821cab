"""The page in a real browser: headless Chromium, driven by keys and by touch, as wide as a phone and as a screen."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from annotated_run import candidate, triple_item, write_run
from chromium import MARKS
from page_client import served

from critics.annotation.access import AccessControl
from critics.annotation.app import AnnotationSession
from critics.annotation.pictures import Pictures, read_subjects
from critics.annotation.store import AnnotationStore
from critics.annotation.tasks import TASKS
from ostensive.images.loader import ImageLoader
from ostensive.images.settings import IntakeSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

HOSTILE = "<script>document.title='taken'</script>\u202e\u05d0\u05d1 <img src=x onerror=\"document.title='taken'\"> "
LONG = "word" * 2500

pytestmark = MARKS


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnnotationStore]:
    with AnnotationStore(tmp_path / "annotations.sqlite") as store:
        yield store


@pytest.fixture
def address(tmp_path: Path, store: AnnotationStore) -> Iterator[str]:
    run = write_run(tmp_path, images=2)
    photos = sorted((tmp_path / "photos").iterdir())
    import hashlib

    image_ids = [hashlib.sha256(path.read_bytes()).hexdigest() for path in photos]
    store.add_items([triple_item(candidate(image_id, n)) for image_id in image_ids for n in range(5)])
    store.add_items([triple_item(candidate(image_ids[1], 9, question=HOSTILE, answer=LONG))])
    pictures = Pictures(read_subjects(run, image_ids), ImageLoader(IntakeSettings()))
    session = AnnotationSession(store, pictures, (TASKS["triple"],), 2)
    with served(session, AccessControl(store.secret(), host="127.0.0.1")) as address:
        yield address


def open_page(browser: "Browser", address: str, name: str, *, width: int = 1600, height: int = 1000) -> "Page":
    """A browser of its own for a person, who has given their name; anything the console complains of is an error."""
    page = browser.new_context(viewport={"width": width, "height": height}, has_touch=width < 500).new_page()
    page.set_default_timeout(60_000)
    page.on("console", lambda message: pytest.fail(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(address)
    page.fill("#name", name)
    page.keyboard.press("Enter")
    page.locator("a.task").click()
    page.locator("#judge").wait_for()
    page.wait_for_load_state("load")  # with style and script, which a page in the making does without
    return page


def answer(page: "Page", *keys: str) -> None:
    """Gives a whole judgement by keys and waits for what comes after it."""
    with page.expect_navigation():
        for key in keys:
            page.keyboard.press(key)


def option(page: "Page", question: int, value: str) -> "Locator":
    """The button of an answer, which is a radio button all over."""
    return page.locator("fieldset").nth(question).locator(f"input[value={value}]")


def place(page: "Page") -> str:
    return page.locator("div.progress span").first.inner_text()


def test_a_whole_image_by_keyboard_with_undo_and_a_reload(
    browser: "Browser", address: str, store: AnnotationStore
) -> None:
    page = open_page(browser, address, "Ada")
    assert place(page) == "Triple 1 of 5 on this picture"
    assert page.locator("#guide").get_attribute("open") is not None
    picture = page.locator("#picture")
    assert picture.evaluate("image => image.naturalWidth") == 640
    answer(page, "a", "m")
    assert page.locator("#guide").get_attribute("open") is None
    page.keyboard.press("g")
    assert page.locator("#guide").get_attribute("open") is not None
    answer(page, "r")  # the rationale is rejected with the answer, and nothing more is asked
    answer(page, "a", "a")
    assert place(page) == "Triple 4 of 5 on this picture"

    # Backspace clears an answer that is not saved yet; a reload in the middle loses only that.
    page.keyboard.press("a")
    page.keyboard.press("Backspace")
    assert page.locator("input:checked").count() == 0
    page.keyboard.press("a")
    page.reload()
    assert place(page) == "Triple 4 of 5 on this picture"
    assert page.locator("input:checked").count() == 0

    before = page.locator("dd").first.inner_text()
    answer(page, "m", "m")
    with page.expect_navigation():
        page.keyboard.press("u")
    assert (place(page), page.locator("dd").first.inner_text()) == ("Triple 4 of 5 on this picture", before)
    answer(page, "m", "r")
    answer(page, "a", "a")
    assert place(page) == "Triple 1 of 6 on this picture"

    said = [(one.answers["qa"], one.answers["rationale"]) for one in store.standing("triple")]
    assert said == [
        ("accept", "maybe"),
        ("reject", "reject"),
        ("accept", "accept"),
        ("maybe", "reject"),
        ("accept", "accept"),
    ]


def test_regions_can_be_seen_each_way(browser: "Browser", address: str) -> None:
    page = open_page(browser, address, "Ada")
    seen = []
    for _ in range(4):
        seen.append(
            (page.locator("a.selection[aria-current]").inner_text(), page.locator("#picture").get_attribute("src"))
        )
        page.keyboard.press("b")
    assert [name for name, _ in seen] == ["mentioned", "all", "none", "mentioned"]
    assert [str(source).rpartition("/")[2] for _, source in seen[:3]] == ["0-2.jpg", "0-1-2.jpg", "none.jpg"]


def test_two_annotators_and_nobody_sees_the_other(browser: "Browser", address: str, store: AnnotationStore) -> None:
    ada, bo = open_page(browser, address, "Ada"), open_page(browser, address, "Bo")
    for _ in range(5):
        answer(ada, "a", "a")
    for number in range(5):
        assert place(bo) == f"Triple {number + 1} of 5 on this picture"
        assert bo.locator("input:checked").count() == 0
        assert "Ada" not in bo.content()
        answer(bo, "m", "r")
    answers = store.answers("triple")
    assert len(answers) == 5
    assert all(given["Ada"]["qa"] == "accept" and given["Bo"]["qa"] == "maybe" for given in answers.values())


def test_texts_of_models_are_shown_as_text(browser: "Browser", address: str) -> None:
    page = open_page(browser, address, "Ada", width=390, height=844)
    for _ in range(10):
        answer(page, "a", "a")
    texts = page.locator("dd")
    # As it is, character by character: nothing ran, nothing was taken out, nothing became an element.
    assert texts.nth(0).evaluate("one => one.textContent") == HOSTILE
    assert texts.nth(1).evaluate("one => one.textContent") == LONG
    assert texts.nth(0).locator("script, img").count() == 0
    assert page.title() == "Triples · Ostensive"
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    # Right-to-left marks stay within their text: the heading still begins at the left.
    assert page.locator("dt").first.evaluate("one => getComputedStyle(one).direction") == "ltr"
    assert page.locator("#judge").is_visible()


@pytest.mark.parametrize("width", [390, 1600])
def test_the_page_fits(browser: "Browser", address: str, width: int) -> None:
    page = open_page(browser, address, "Ada", width=width, height=844)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for box in [one.bounding_box() for one in page.locator(".option, .bar button").all()]:
        assert box is not None
        assert box["height"] >= 44, "large enough for a finger"
        assert box["width"] >= 60
    assert page.locator("kbd").first.is_visible()
    columns = page.locator(".session").evaluate("one => getComputedStyle(one).gridTemplateColumns.split(' ').length")
    assert columns == (1 if width == 390 else 2)


def test_by_touch(browser: "Browser", address: str, store: AnnotationStore) -> None:
    page = open_page(browser, address, "Ada", width=390, height=844)
    page.get_by_role("button", name="Save").tap()  # nothing is answered yet
    assert store.answers("triple") == {}
    option(page, 0, "maybe").tap()
    option(page, 1, "accept").tap()
    with page.expect_navigation():
        page.get_by_role("button", name="Save").tap()
    (given,) = store.answers("triple").values()
    assert given == {"Ada": {"qa": "maybe", "rationale": "accept"}}
    option(page, 0, "reject").tap()
    assert page.locator("fieldset").nth(1).locator("input:checked").get_attribute("value") == "reject"
    option(page, 0, "accept").tap()
    assert page.locator("fieldset").nth(1).locator("input:checked").count() == 0


def test_without_the_script(browser: "Browser", address: str, store: AnnotationStore) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    page.fill("#name", "Ada")
    page.click("text=Begin")
    page.click("a.task")
    option(page, 0, "reject").click()
    page.get_by_role("button", name="Save").click()
    assert place(page) == "Triple 2 of 5 on this picture"
    assert next(iter(store.answers("triple").values())) == {"Ada": {"qa": "reject", "rationale": "reject"}}
