"""The report in a real browser: headless Chromium, as wide as a phone and as a screen, in light and in dark."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chromium import MARKS
from reported_runs import HOSTILE, build_run, lossy_run

import ostensive
from cards.report.gallery import MAX_TEXT_CHARS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page


pytestmark = MARKS


@pytest.fixture(scope="module")
def localized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 54 rows: more than are shown at once."""
    run = build_run("localized", tmp_path_factory.mktemp("localized"), "localized.turns=3")
    return ostensive.report(run).path


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ostensive.report(lossy_run(tmp_path_factory.mktemp("lossy")).path).path


def open_page(browser: "Browser", page: Path, *, width: int = 1280, scheme: str = "light") -> "Page":
    """The page from its file; a complaint in the console and a request that leaves the page are errors."""
    assert scheme in ("light", "dark")
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        has_touch=width < 500,
        color_scheme="dark" if scheme == "dark" else "light",
    )
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: pytest.fail(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: pytest.fail(str(error)))
    opened.goto(page.as_uri())
    opened.locator("#count").get_by_text("rows on this page").wait_for()
    outside = [url for url in asked if url != page.as_uri() and not url.startswith("data:")]
    assert outside == []
    return opened


def shown(page: "Page") -> int:
    """How many rows the filters leave, as the page says."""
    return int(page.locator("#count").inner_text().split()[0].replace(",", ""))


def choose(page: "Page", name: str, value: str) -> None:
    """Sets a filter, and waits until the page has followed."""
    control = page.locator(f"#filters [name={name}]")
    if control.evaluate("one => one.tagName") == "SELECT":
        control.select_option(value)
    else:
        control.fill(value)
    page.wait_for_timeout(200)


def states(page: "Page") -> list[str]:
    return page.locator("article .state").all_inner_texts()


def test_rows_are_shown_in_pages(browser: "Browser", localized: Path) -> None:
    page = open_page(browser, localized)
    assert shown(page) == 54
    assert page.locator("article").count() == 24
    more = page.get_by_role("button", name="Show more (30 left)")
    more.focus()
    page.keyboard.press("Enter")
    assert page.locator("article").count() == 48
    # The keyboard goes on where the new rows begin.
    assert page.locator("article").nth(24).locator("summary").evaluate("one => one === document.activeElement")
    page.get_by_role("button", name="Show more (6 left)").click()
    assert page.locator("article").count() == 54
    assert not page.locator("#next").is_visible()


def test_filters(browser: "Browser", localized: Path) -> None:
    page = open_page(browser, localized)
    choose(page, "state", "dropped")
    dropped = shown(page)
    assert 0 < dropped < 54
    assert set(states(page)) == {"dropped"}
    reason = page.locator("#filters [name=why] option").nth(1)
    choose(page, "why", reason.get_attribute("value") or "")
    assert f"({shown(page)})" in reason.inner_text()
    page.get_by_role("button", name="Reset").click()
    page.wait_for_timeout(100)
    assert shown(page) == 54
    choose(page, "least", "0.5")
    accepted = shown(page)
    choose(page, "least", "")
    choose(page, "most", "0.5")
    rejected = shown(page)
    assert accepted > 0
    assert rejected > 0
    assert accepted + rejected < 54  # the others no critic saw
    choose(page, "most", "")
    kind = page.locator("#filters [name=type] option").nth(1)
    choose(page, "type", kind.get_attribute("value") or "")
    assert f"({shown(page)})" in kind.inner_text()
    assert 0 < shown(page) < 54
    page.get_by_role("button", name="Reset").click()
    opening = page.locator("#filters [name=opening] option").nth(1)
    choose(page, "opening", opening.get_attribute("value") or "")
    assert f"({shown(page)})" in opening.inner_text()
    page.get_by_role("button", name="Reset").click()
    first = page.locator("article summary code").first.inner_text()
    choose(page, "search", first.upper())
    assert shown(page) == 1
    choose(page, "search", "no such word in any row")
    assert shown(page) == 0
    assert page.locator("article").count() == 0


def test_the_best_and_the_worst_come_first(browser: "Browser", lossy: Path) -> None:
    page = open_page(browser, lossy)

    def scores() -> list[str]:
        rows = page.locator("article")
        return [" ".join(rows.nth(place).locator(".score").all_inner_texts()) for place in range(rows.count())]

    assert scores() == ["0.75", "", "", "0.25", ""]
    choose(page, "sort", "best")
    assert scores() == ["0.75", "0.25", "", "", ""]
    choose(page, "sort", "worst")
    assert scores() == ["0.25", "0.75", "", "", ""]
    choose(page, "critic", "rules")
    choose(page, "most", "0.5")
    assert scores() == ["0.25"]


def test_a_row_opens_its_whole_lineage(browser: "Browser", localized: Path) -> None:
    page = open_page(browser, localized)
    row = page.locator("article").first
    assert row.locator(".lineage").count() == 0  # made when it is asked for
    row.locator("summary").focus()
    page.keyboard.press("Enter")
    row.locator(".lineage").wait_for()
    titles = row.locator(".lineage h4").all_inner_texts()
    assert titles[:3] == ["Image", "Regions", "What was known of the picture"]
    assert {"In the corpus", "Judged", "What the stages said", "Teacher", "Fields"} <= set(titles)
    assert any(title.startswith("request key ") for title in titles)
    reply = row.locator(".reply").last.inner_text()
    question = row.locator("dd").first.inner_text()
    assert question in reply
    assert "Write exactly 3 triples" in row.locator(".said").nth(1).inner_text()
    page.keyboard.press("Enter")
    assert not row.locator(".lineage").is_visible()


def test_regions_lie_where_they_are(browser: "Browser", lossy: Path) -> None:
    page = open_page(browser, lossy)
    row = page.locator("article").first
    picture = row.locator("figure img").bounding_box()
    assert picture is not None
    assert row.locator("figure img").evaluate("one => one.naturalWidth") == 320
    boxes = row.locator("figure .mentioned .box")
    assert boxes.count() == 2  # those of [0] and [2]; that of [1] is not mentioned
    first = boxes.first.bounding_box()
    assert first is not None
    assert abs(first["x"] - (picture["x"] + 0.05 * picture["width"])) < 2
    assert abs(first["y"] - (picture["y"] + 0.1 * picture["height"])) < 2
    numbers = row.locator("figure svg text").evaluate_all("all => all.map(one => one.textContent)")
    assert numbers == ["0", "2"]
    tag, plate = row.locator("dd .tag").first, row.locator("figure .plate").first
    assert tag.inner_text() == "[0]"
    assert tag.evaluate("one => getComputedStyle(one).backgroundColor") == plate.evaluate(
        "one => getComputedStyle(one).fill"
    )
    row.locator("summary").click()
    row.locator(".lineage").wait_for()
    assert row.locator(".lineage figure .box").count() == 3


def test_what_a_teacher_wrote_is_shown_as_text(browser: "Browser", tmp_path: Path) -> None:
    run = lossy_run(tmp_path, question=HOSTILE[0], answer=HOSTILE[2], rationale=HOSTILE[3])
    page = open_page(browser, ostensive.report(run.path).path, width=360)
    assert page.title() == "localized: report"
    for row in page.locator("article").all():
        texts = row.locator("dd")
        assert texts.nth(0).evaluate("one => one.textContent") == HOSTILE[0]
        assert texts.nth(1).evaluate("one => one.textContent") == HOSTILE[2]
        assert texts.nth(2).evaluate("one => one.textContent").startswith(HOSTILE[3][:MAX_TEXT_CHARS])
        assert texts.locator("script, img, a").count() == 0
        row.locator("summary").click()
    page.wait_for_timeout(100)
    assert page.title() == "localized: report"
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    # Marks of direction stay within their text.
    assert page.locator("dt").first.evaluate("one => getComputedStyle(one).direction") == "ltr"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_and_can_be_read(browser: "Browser", localized: Path, width: int, scheme: str) -> None:
    page = open_page(browser, localized, width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("#filters").is_visible() == (width > 720)
    # No number of a table is beyond the edge, and words in plots are as large as small print.
    assert page.locator(".scroll").evaluate_all("all => all.every(one => one.scrollWidth <= one.clientWidth)")
    cells = page.locator(".stacked tbody tr:first-child td[data-name]")
    assert all(cell.is_visible() for cell in cells.all())
    letters = page.locator(".plots svg text").evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert min(letters) >= 10, "px from the top of the highest letter to the foot of the lowest"
    ground = luminance(page.locator("body"), "backgroundColor")
    assert (ground < 0.1) == (scheme == "dark")
    for selector in ("h1", "dt", ".state", ".quiet", "article summary", "table tbody td"):
        words = luminance(page.locator(selector).first, "color")
        sheet = luminance(page.locator("article").first, "backgroundColor")
        for back in (ground, sheet):
            assert (max(words, back) + 0.05) / (min(words, back) + 0.05) >= 4.5, selector
    plot = page.locator(".plots svg .ground").first
    sheet = luminance(page.locator("article").first, "backgroundColor")
    assert abs(luminance(plot, "fill") - sheet) < 0.01
    page.locator("#theme").click()
    assert (luminance(page.locator("body"), "backgroundColor") < 0.1) == (scheme == "light")
    turned = luminance(page.locator("article").first, "backgroundColor")
    assert abs(luminance(plot, "fill") - turned) < 0.01
    for button in page.locator("button:visible, select:visible, input:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 44, "large enough for a finger"


def luminance(element: "Locator", name: str) -> float:
    """Relative luminance of a computed colour, as WCAG 2.1 defines it."""
    found: list[float] = element.evaluate(
        "(one, name) => getComputedStyle(one)[name].match(/[\\d.]+/g).slice(0, 3).map(Number)", name
    )
    levels = [channel / 255 for channel in found]
    linear = [level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_without_scripts_all_but_the_gallery_is_there(browser: "Browser", localized: Path) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(localized.as_uri())
    assert page.get_by_text("The gallery needs JavaScript").is_visible()
    assert page.locator("table").first.is_visible()
    assert not page.locator("#filters").is_visible()
    scripted = open_page(browser, localized)
    assert not scripted.get_by_text("The gallery needs JavaScript").is_visible()


def test_a_script_that_got_in_could_not_run(browser: "Browser", lossy: Path, tmp_path: Path) -> None:
    """The policy of the page holds, whatever the escaping does."""
    text = lossy.read_text("utf-8").replace("<main>", "<main><script>document.title = 'taken'</script>", 1)
    broken = tmp_path / "broken.html"
    broken.write_text(text, "utf-8")
    page = browser.new_context().new_page()
    page.goto(broken.as_uri())
    page.locator("article").first.wait_for()
    assert page.title() == "localized: report"
