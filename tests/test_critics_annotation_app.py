"""The page over real HTTP: what it shows, what it stores, and what it refuses."""

import http.client
import io
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from annotated_run import candidate, triple_item, write_run
from page_client import PageClient, served
from PIL import Image

from critics.annotation.access import HEADERS, MAX_FORM_BYTES, AccessControl
from critics.annotation.app import MIN_SHARED_ITEMS, AnnotationSession
from critics.annotation.assignment import is_swapped
from critics.annotation.items import Item
from critics.annotation.pictures import Pictures, read_subjects
from critics.annotation.store import AnnotationStore
from critics.annotation.tasks import TASKS
from ostensive.images.loader import ImageLoader
from ostensive.images.settings import IntakeSettings
from ostensive.recipe_kind import ShownText
from ostensive.records import ImageRecord
from ostensive.run.folder import RunFolder

FINE = {"qa": "accept", "rationale": "maybe"}
TOKEN = "0123456789abcdef-token"
HOSTILE = "<script>alert(1)</script>\u202e\u05d0 <img src=x onerror=alert(2)> {{ 7 * 7 }} " + "y" * 10_000

Serve = Callable[..., str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return write_run(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def subjects(run: RunFolder) -> Pictures:
    from ostensive.run.partitions import read_kept

    images = [image for path in run.partition_paths("images") for image in read_kept(path, ImageRecord)]
    return Pictures(read_subjects(run, [image.image_id for image in images]), ImageLoader(IntakeSettings()))


@pytest.fixture
def store(tmp_path: Path, subjects: Pictures) -> Iterator[AnnotationStore]:
    with AnnotationStore(tmp_path / "annotations.sqlite") as store:
        store.add_items([triple_item(candidate(image_id, n)) for image_id in subjects.subjects for n in range(5)])
        yield store


@pytest.fixture
def serve(store: AnnotationStore, subjects: Pictures) -> Iterator[Serve]:
    """Starts the page over the test's store and returns its address."""
    with ExitStack() as running:

        def start(token: str | None = None) -> str:
            tasks = tuple(task for task in TASKS.values() if store.items(task.name))
            session = AnnotationSession(store, subjects, tasks, 2)
            access = AccessControl(store.secret(), host="127.0.0.1", token=token)
            return running.enter_context(served(session, access))

        yield start


def test_from_the_name_to_a_judgement_and_back(serve: Serve, store: AnnotationStore) -> None:
    with PageClient(serve()) as ada:
        assert "Who is labelling?" in ada.get("/").text
        assert ada.get("/label/triple").headers["location"] == "/"
        ada.enter(" Ada ")
        assert "You have judged 0" in ada.page
        first = ada.judge(**FINE)
        second = ada.judge(qa="reject")
        assert first != second
        assert store.answers("triple") == {
            first: {"Ada": FINE},
            second: {"Ada": {"qa": "reject", "rationale": "reject"}},
        }
        ada.get("/label/triple")
        assert "Triple 3 of 5 on this picture" in ada.page
        assert ada.send("/undo/triple").headers["location"] == "/label/triple"
        ada.get("/label/triple")
        assert ada.item_id == second
        assert ada.send("/leave").status_code == 303
        assert "Who is labelling?" in ada.get("/").text
        ada.enter("ADA")
        assert "You have judged 1;" in ada.page


def test_at_the_end_there_is_an_end(serve: Serve) -> None:
    with PageClient(serve()) as ada:
        ada.enter("Ada")
        assert [bool(ada.judge(**FINE)) for _ in range(16)] == [True] * 15 + [False]
        assert "Nothing left for you here" in ada.page


def test_a_bad_name_is_told(serve: Serve) -> None:
    with PageClient(serve()) as ada:
        ada.get("/")
        response = ada.send("/enter", name="\u202e")
        assert (response.status_code, "A name of 1 to 40 visible characters is expected." in response.text) == (
            422,
            True,
        )


def test_nobody_sees_what_another_said(serve: Serve, store: AnnotationStore) -> None:
    address = serve()
    with PageClient(address) as ada, PageClient(address) as bo:
        bo.enter("Bo")
        before = bo.get("/label/triple").text
        ada.enter("Ada")
        for _ in range(5):
            ada.judge(**FINE)
        assert bo.item_id in store.answers("triple")
        after = bo.get("/label/triple").text
        assert after == before
        assert "Ada" not in after
        assert "checked" not in after


def test_texts_are_texts(serve: Serve, store: AnnotationStore, subjects: Pictures) -> None:
    image_id = next(iter(subjects.subjects))
    store.retire_items("triple", [item.item_id for item in store.items("triple")])
    store.add_items([triple_item(candidate(image_id, 77, question=HOSTILE, answer="'\"><b>[0]</b>"))])
    with PageClient(serve()) as ada:
        page = ada.enter("<i>Ada</i>").get("/label/triple").text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert (
            "&lt;script&gt;alert(1)&lt;/script&gt;\u202e\u05d0 &lt;img src=x onerror=alert(2)&gt; {{ 7 * 7 }} yyy"
            in page
        )
        assert '&#39;&#34;&gt;&lt;b&gt;<span class="tag region-0">[0]</span>&lt;/b&gt;' in page
        assert "<i>Ada" not in page


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:1", "https://localhost"])
def test_forms_of_other_origins_are_refused(serve: Serve, store: AnnotationStore, origin: str | None) -> None:
    with PageClient(serve()) as ada:
        ada.enter("Ada").get("/label/triple")
        response = ada.send("/label/triple", origin=origin, item_id=ada.item_id, **FINE)
        assert response.status_code == 403
        assert "This form did not come from the page itself" in response.text
        assert store.answers("triple") == {}


def test_forms_without_the_visitors_own_token_are_refused(serve: Serve, store: AnnotationStore) -> None:
    address = serve()
    with PageClient(address) as ada, PageClient(address) as mallory:
        mallory.get("/")
        ada.enter("Ada").get("/label/triple")
        for token in ("x", mallory.form_token):
            response = ada.send("/label/triple", token=token, item_id=ada.item_id, **FINE)
            assert response.status_code == 403
            assert "This form is not the page&#39;s own, or cookies are off" in response.text
        assert ada.send("/enter", token=mallory.form_token, name="Mallory").status_code == 403
        mallory.http.cookies.clear()
        assert mallory.send("/enter", name="Mallory").status_code == 403
        assert store.answers("triple") == {}


def test_other_methods_write_nothing(serve: Serve) -> None:
    with PageClient(serve()) as ada:
        ada.enter("Ada")
        for method in ("PUT", "DELETE", "PATCH"):
            assert ada.http.request(method, "/label/triple").status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "10.1.2.3"])
def test_hosts_that_are_not_this_machine_are_refused(serve: Serve, host: str) -> None:
    with PageClient(serve()) as ada:
        response = ada.http.get("/", headers={"host": host})
        assert response.status_code == 421
        assert "This server does not answer to that name; use its address, or --allow-host NAME." in response.text
        assert ada.http.get("/", headers={"host": "localhost:1234"}).status_code == 200


def test_every_answer_tells_the_browser_to_be_careful(serve: Serve, subjects: Pictures) -> None:
    image_id = next(iter(subjects.subjects))
    with PageClient(serve()) as ada:
        ada.enter("Ada")
        paths = ("/", "/label/triple", "/nowhere", "/static/annotate.js", f"/image/{image_id}/0.jpg", "/agreement")
        for path in paths:
            headers = ada.get(path).headers
            assert {name: headers.get(name) for name in HEADERS} == HEADERS, path
        assert "'unsafe" not in HEADERS["Content-Security-Policy"]
        assert ada.get("/").headers["cache-control"] == "no-store"
        for cookie in ada.http.get("/", headers={"cookie": ""}).headers.get_list("set-cookie"):
            assert "HttpOnly" in cookie
            assert "SameSite=lax" in cookie


def test_no_page_has_a_script_or_a_style_within(serve: Serve) -> None:
    with PageClient(serve()) as ada:
        ada.enter("Ada")
        for path in ("/", "/label/triple", "/agreement"):
            page = ada.get(path).text
            assert page.count("<script") == page.count('<script src="/static/')
            assert "style=" not in page
            assert "<style" not in page
            assert "http://" not in page.replace(ada.address, "")
            assert "https://" not in page


def raw_get(address: str, path: str) -> tuple[int, bytes]:
    """Without the tidying that clients do to paths."""
    host, _, port = address.removeprefix("http://").partition(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=60)) as connection:
        connection.putrequest("GET", path)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read()


def test_nothing_but_the_runs_images_can_be_read(serve: Serve, run: RunFolder, subjects: Pictures) -> None:
    address, image_id = serve(), next(iter(subjects.subjects))
    for path in (
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/annotate.css%00.js",
        f"/image/{'0' * 64}/none.jpg",
        "/image/..%2f..%2frecipe.yaml/none.jpg",
        f"/image/{image_id}/..%2fnone.jpg",
        f"/image/{image_id}/99.jpg",
        f"/image/{image_id}/0-x.jpg",
        f"/image/{image_id}/-1.jpg",
        "/annotations.sqlite",
        "/openapi.json",
        "/docs",
    ):
        status, body = raw_get(address, path)
        assert status == 404, path
        assert b"root:" not in body
        assert b"import " not in body


def test_pictures_are_drawn_and_kept_by_the_browser(serve: Serve, subjects: Pictures) -> None:
    image_id = next(iter(subjects.subjects))
    with PageClient(serve()) as ada:
        plain, drawn, all_ = (ada.get(f"/image/{image_id}/{which}.jpg") for which in ("none", "0-2", "0-1-2"))
        assert drawn.headers["content-type"] == "image/jpeg"
        assert "immutable" in drawn.headers["cache-control"]
        assert Image.open(io.BytesIO(drawn.content)).size == (640, 480)
        assert len({plain.content, drawn.content, all_.content}) == 3


def test_an_image_that_changed_is_not_shown(store: AnnotationStore, serve: Serve, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", images=1)
    image = next(iter(read_subjects(other, [item.image_id for item in store.items("triple")]).values())).image
    (tmp_path / "other" / "photos" / image.source).write_bytes(b"another file")
    subjects = read_subjects(other, [image.image_id])
    session = AnnotationSession(store, Pictures(subjects, ImageLoader(IntakeSettings())), (), 2)
    with served(session, AccessControl(b"s", host="127.0.0.1")) as address, PageClient(address) as ada:
        response = ada.get(f"/image/{image.image_id}/none.jpg")
        assert response.status_code == 410
        assert "The picture cannot be shown" in response.text
        assert "changed since it was taken in" in response.text


def test_a_token_opens_the_page_once_and_leaves_the_address(serve: Serve) -> None:
    address = serve(token=TOKEN)
    with PageClient(address) as ada, PageClient(address) as mallory:
        for path in ("/", "/?token=wrong", "/?token=", "/static/annotate.css", "/label/triple"):
            response = mallory.get(path)
            assert response.status_code == 401, path
            assert "A token is needed: open the address that the command printed." in response.text
        assert mallory.http.post(f"/enter?token={TOKEN}", headers={"origin": address}).status_code == 401
        mallory.http.cookies.set("ostensive-access", TOKEN)
        assert mallory.get("/").status_code == 401
        response = ada.get(f"/?token={TOKEN}")
        assert (response.status_code, response.headers["location"]) == (303, "/")
        assert TOKEN not in str(response.headers["set-cookie"])
        ada.enter("Ada")
        assert ada.judge(**FINE)


def test_forms_that_are_too_long_or_none(serve: Serve) -> None:
    with PageClient(serve()) as ada:
        ada.enter("Ada")
        headers = {"origin": ada.address, "content-type": "application/x-www-form-urlencoded"}
        response = ada.http.post("/label/triple", content=b"x" * (MAX_FORM_BYTES + 1), headers=headers)
        assert (response.status_code, "This form is too long." in response.text) == (413, True)
        response = ada.http.post("/label/triple", content=b"\xff=%ff", headers=headers)
        assert (response.status_code, "This form cannot be read." in response.text) == (400, True)


def test_answers_that_are_wrong_are_not_stored(serve: Serve, store: AnnotationStore) -> None:
    with PageClient(serve()) as ada:
        ada.get("/")
        response = ada.send("/label/triple", item_id="x", **FINE)
        assert (response.status_code, "Nobody has entered in this browser" in response.text) == (403, True)
        ada.enter("Ada").get("/label/triple")
        response = ada.send("/label/triple", item_id=ada.item_id, qa="accept")
        assert (response.status_code, "Not saved: no answer to rationale" in response.text) == (422, True)
        response = ada.send("/label/triple", item_id="another", **FINE)
        assert (response.status_code, "was not given to Ada" in response.text) == (422, True)
        assert ada.get("/label/rating").status_code == ada.get("/label/nothing").status_code == 404
        assert store.answers("triple") == {}


def test_a_full_disk_is_told_and_nothing_is_lost(serve: Serve, store: AnnotationStore) -> None:
    with PageClient(serve()) as ada:
        ada.enter("Ada")
        first = ada.judge(**FINE)
        ada.get("/label/triple")
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        judged = 0
        # The last page of the table has room for a few dozen rows.
        while (response := ada.send("/label/triple", item_id=ada.item_id, **FINE)).status_code == 303 and judged < 200:
            judged += 1
            store.take_back("triple", "Ada")
        assert response.status_code == 503
        assert "Not saved:" in response.text
        assert "the disk is full; make room and save again" in response.text
        assert list(store.answers("triple")) == [first]
        store._connection.execute("PRAGMA max_page_count = 100000")
        assert ada.judge(**FINE)


def test_agreement_is_shown_when_it_tells_nobodys_answer(serve: Serve) -> None:
    address = serve()
    with PageClient(address) as ada, PageClient(address) as bo:
        assert ada.get("/agreement").headers["location"] == "/"
        ada.enter("Ada")
        bo.enter("Bo")
        for _ in range(MIN_SHARED_ITEMS - 1):
            ada.judge(qa="accept", rationale="accept")
            bo.judge(qa="accept", rationale="accept")
        assert f"Figures are shown from {MIN_SHARED_ITEMS} items on" in ada.get("/agreement").text
        ada.judge(qa="reject")
        bo.judge(qa="reject")
        page = ada.get("/agreement").text
        assert "<bdi>Ada</bdi>, <bdi>Bo</bdi></td><td>10</td><td>100 %</td><td>1.00</td>" in page


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_its_page_and_its_guide(
    name: str, serve: Serve, store: AnnotationStore, subjects: Pictures
) -> None:
    task, image_id = TASKS[name], next(iter(subjects.subjects))
    store.retire_items("triple", [item.item_id for item in store.items("triple")])
    fields = task.fields or ("note", "caption")
    texts = tuple(ShownText(field, f"the {field} of [1]", (1,)) for field in fields)
    store.add_items([Item(name, "one", image_id, texts)])
    answers = {question.name: question.values[0] for question in task.questions}
    first = is_swapped("one", "Ada")  # the place of the first side
    said = answers if task.sides is None else dict.fromkeys(answers, ("left", "right")[first])
    with PageClient(serve()) as ada:
        ada.enter("Ada")
        assert f'href="/label/{name}"' in ada.page
        page = ada.get(f"/label/{name}").text
        for field in fields:
            assert f'the {field} of <span class="tag region-1">[1]</span>' in page
        for question in task.questions:
            assert f"<legend>{question.text}</legend>" in page
        assert page.count('type="radio"') == sum(len(question.options) for question in task.questions)
        assert page.count("<em>") >= len(task.questions), "the guide speaks of the answers"
        assert ada.judge(name, **said) == "one"
        assert ada.judge(name) == ""
    assert store.answers(name) == {"one": {"Ada": answers}}


def test_pairs_are_shown_in_the_order_that_is_stored(serve: Serve, store: AnnotationStore, subjects: Pictures) -> None:
    image_id = next(iter(subjects.subjects))
    texts = (ShownText("prompt", "Say."), ShownText("first", "FIRST TEXT"), ShownText("second", "SECOND TEXT"))
    store.add_items([Item("pairwise", f"p{number}", image_id, texts) for number in range(6)])
    criteria = [question.name for question in TASKS["pairwise"].questions]
    with PageClient(serve()) as ada:
        ada.enter("Ada")
        left_first = {}
        while True:
            page = ada.get("/label/pairwise").text
            if not ada.item_id:
                break
            left_first[ada.item_id] = page.index("FIRST TEXT") < page.index("SECOND TEXT")
            for name in criteria:
                assert re.findall(rf'name="{name}" value="([^"]*)"', page) == ["left", "tie", "right"]
            better = dict.fromkeys(criteria, "left")  # the left text is always the better one
            ada.send("/label/pairwise", item_id=ada.item_id, **better)
        standing = store.standing("pairwise")
        assert len(standing) == 6
        assert {one.swapped for one in standing} == {True, False}
        for one in standing:
            left = "first" if left_first[one.item.item_id] else "second"
            assert set(one.answers.values()) == {left}
            assert one.swapped != left_first[one.item.item_id]


def test_the_source_of_a_page_does_not_tell_which_side_was_chosen(
    serve: Serve, store: AnnotationStore, subjects: Pictures
) -> None:
    image_id = next(iter(subjects.subjects))
    texts = (ShownText("prompt", "Say."), ShownText("chosen", "ONE TEXT"), ShownText("rejected", "ANOTHER TEXT"))
    store.add_items([Item("preference", f"p{number}", image_id, texts) for number in range(6)])
    telling = re.compile(r"confirm|swap|discard|chosen|rejected\b", re.IGNORECASE)
    with PageClient(serve()) as ada:
        ada.enter("Ada")
        page, chosen_left = ada.get("/label/preference").text, {}
        form = page[page.index('<dl class="texts') : page.index("</form>")]
        assert not telling.search(form)
        assert not telling.search(ada.get("/static/annotate.css").text)
        refused = ada.send("/label/preference", item_id=ada.item_id, decision="confirm")
        assert (refused.status_code, "one of left, tie, right is expected" in refused.text) == (422, True)
        while page := ada.get("/label/preference").text:
            if not ada.item_id:
                break
            chosen_left[ada.item_id] = page.index("ONE TEXT") < page.index("ANOTHER TEXT")
            assert ada.send("/label/preference", item_id=ada.item_id, decision="right").status_code == 303
    assert set(chosen_left.values()) == {True, False}
    assert {one.item.item_id: one.answers["decision"] for one in store.standing("preference")} == {
        item_id: "swap" if left else "confirm" for item_id, left in chosen_left.items()
    }


def test_two_annotators_saving_at_once_lose_nothing(serve: Serve, store: AnnotationStore) -> None:
    address, judged = serve(), Counter[str]()

    def label(name: str) -> None:
        with PageClient(address) as client:
            client.enter(name)
            while client.judge(**FINE):
                judged[name] += 1

    threads = [threading.Thread(target=label, args=(name,)) for name in ("Ada", "Bo")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert judged == {"Ada": 15, "Bo": 15}
    assert {len(by_annotator) for by_annotator in store.answers("triple").values()} == {2}
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT count(*) FROM judgements").fetchone() == (30,)
