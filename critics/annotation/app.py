"""The labelling page: plain server-rendered forms over the store, with FastAPI.

Every answer is a form that is sent and a redirect, so that going back, reloading and closing the browser do what people
expect, and the page works without its one script, which only adds keys. What a page shows follows from the store and
from who asks; there is no state between requests but two cookies.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from critics.annotation.access import HEADERS, AccessControl, Refused, Visitor
from critics.annotation.agreement import QuestionAgreement, task_agreement
from critics.annotation.items import Item
from critics.annotation.pictures import Pictures
from critics.annotation.rendering import box_findings, make_templates, meant_answers, neutral, shown_texts, static_file
from critics.annotation.store import AnnotationStore
from critics.annotation.tasks import AnswerError, Task
from critics.geometry import Finding
from ostensive.errors import StorageError
from ostensive.images.refusals import ImageChangedError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

MIN_SHARED_ITEMS: Final = 10
"""Items judged by two or more from which on the page shows agreement: figures of one item would tell an answer."""
_NO_PAGE: Final = "There is no such page."


@dataclass(frozen=True, slots=True)
class AnnotationSession:
    """What annotators work on while the page is served."""

    store: AnnotationStore
    pictures: Pictures
    tasks: tuple[Task, ...]
    annotators_per_item: int


@dataclass(frozen=True, slots=True)
class RegionSelection:
    """Which regions are drawn on the image of an item: those that are mentioned, all, none."""

    name: str
    address: str


def make_app(session: AnnotationSession, access: AccessControl) -> "FastAPI":
    """The page as an ASGI application."""
    from fastapi import FastAPI
    from starlette.middleware.base import BaseHTTPMiddleware

    page = _Page(session, access)
    app = FastAPI(openapi_url=None)
    app.add_middleware(BaseHTTPMiddleware, dispatch=page.guard)
    app.add_exception_handler(Refused, page.refused)
    app.add_exception_handler(StorageError, page.not_saved)
    app.add_exception_handler(404, page.missing)
    app.add_route("/", page.home, ["GET"])
    app.add_route("/enter", page.enter, ["POST"])
    app.add_route("/leave", page.leave, ["POST"])
    app.add_route("/label/{task}", page.label, ["GET"])
    app.add_route("/label/{task}", page.judge, ["POST"])
    app.add_route("/undo/{task}", page.undo, ["POST"])
    app.add_route("/agreement", page.agreement, ["GET"])
    app.add_route("/image/{image_id}/{numbers}.jpg", page.image, ["GET"])
    app.add_route("/static/{name}", page.static, ["GET"])
    return app


class _Page:
    """The routes. Those that write are called with a form that passed the access control."""

    def __init__(self, session: AnnotationSession, access: AccessControl) -> None:
        self._session = session
        self._access = access
        self._templates = make_templates()

    async def guard(self, request: "Request", answer: "Callable[[Request], Awaitable[Response]]") -> "Response":
        """Lets through what the access control does, and adds the headers that keep a browser from harm."""
        try:
            response = await self._access.check(request) or await answer(request)
        except Refused as refusal:
            response = self.refused(request, refusal)
        for name, value in HEADERS.items():
            response.headers[name] = value
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def home(self, request: "Request") -> "Response":
        """The tasks and how far they are, or the question who is there."""
        visitor = self._access.visitor(request)
        if visitor.name is None:
            return self._html("enter.html", visitor, problem=None)
        wanted = self._session.annotators_per_item
        progress = self._session.store.progress
        rows = [(task, progress(task.name, visitor.name, wanted)) for task in self._session.tasks]
        return self._html("home.html", visitor, rows=rows, annotators_per_item=wanted)

    def enter(self, request: "Request") -> "Response":
        """Notes the annotator's name in a cookie."""
        try:
            name = self._session.store.enter_annotator(request.state.form.get("name", ""))
        except AnswerError as error:
            problem = f"{error}.".capitalize()
            return self._html("enter.html", self._access.visitor(request), status=422, problem=problem)
        response = _to("/")
        self._access.remember_name(response, name)
        return response

    def leave(self, request: "Request") -> "Response":  # noqa: ARG002 - every route has one
        """Forgets the annotator in this browser."""
        response = _to("/")
        self._access.forget_name(response)
        return response

    def label(self, request: "Request") -> "Response":
        """The next item to judge, or that there is none."""
        task, visitor, session = self._task(request), self._access.visitor(request), self._session
        name = visitor.name
        if name is None:
            return _to("/")
        item = session.store.next_item(task.name, name, session.annotators_per_item)
        progress = session.store.progress(task.name, name, session.annotators_per_item)
        last = self._last_findings(task, name)
        if item is None:
            return self._html("done.html", visitor, task=task, progress=progress, findings=last)
        judged, size = session.store.judged_in_image(item, name)
        return self._html(
            "label.html",
            visitor,
            task=task,
            item=item,
            progress=progress,
            place=judged + 1,
            size=size,
            selections=self._selections(item),
            texts=shown_texts(task, item, name),
            questions=neutral(task).questions,
            findings=last,
        )

    def judge(self, request: "Request") -> "Response":
        """Stores what an annotator says of an item."""
        task, form, annotator = self._task(request), request.state.form, self._annotator(request)
        item_id = form.get("item_id", "")
        try:
            answers = meant_answers(task, item_id, annotator, form)
            self._session.store.record(task.name, item_id, annotator, answers)
        except AnswerError as error:
            raise Refused(422, f"Not saved: {error}.") from error
        return _to(f"/label/{task.name}")

    def undo(self, request: "Request") -> "Response":
        """Takes the annotator's last judgement back; its item is shown again."""
        task = self._task(request)
        self._session.store.take_back(task.name, self._annotator(request))
        return _to(f"/label/{task.name}")

    def agreement(self, request: "Request") -> "Response":
        """How far annotators agree, without anybody's answers."""
        visitor = self._access.visitor(request)
        if visitor.name is None:
            return _to("/")
        found: list[tuple[Task, Sequence[QuestionAgreement]]] = []
        for task in self._session.tasks:
            questions = task_agreement(task, self._session.store.answers(task.name))
            if questions[0].items >= MIN_SHARED_ITEMS:
                found.append((task, questions))
        return self._html("agreement.html", visitor, found=found, least=MIN_SHARED_ITEMS)

    def image(self, request: "Request") -> "Response":
        """An image of the run with some of its regions drawn: `none`, or their numbers with dashes between them."""
        from starlette.responses import Response

        numbers = request.path_params["numbers"]
        try:
            chosen = [] if numbers == "none" else [int(number) for number in numbers.split("-")]
            data = self._session.pictures.jpeg(request.path_params["image_id"], chosen)
        except (KeyError, ValueError) as error:
            raise Refused(404, "There is no such picture.") from error
        except ImageChangedError as error:
            raise Refused(410, f"The picture cannot be shown: {error}.") from error
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        return Response(data, media_type="image/jpeg", headers=headers)

    def static(self, request: "Request") -> "Response":
        """The page's own styles and script."""
        from starlette.responses import Response

        try:
            file = static_file(request.path_params["name"])
        except KeyError as error:
            raise Refused(404, _NO_PAGE) from error
        return Response(file.text, media_type=file.media_type, headers={"Cache-Control": "no-cache"})

    def refused(self, _: "Request", error: Exception) -> "Response":
        """The sentence that a refusal says."""
        assert isinstance(error, Refused), "registered for no other"
        return self._error(error.status, error.message)

    def not_saved(self, _: "Request", error: Exception) -> "Response":
        """What the disk says."""
        return self._error(503, f"Not saved: {error}")

    def missing(self, _request: "Request", _error: Exception) -> "Response":
        """An address that leads nowhere."""
        return self._error(404, _NO_PAGE)

    def _annotator(self, request: "Request") -> str:
        name = self._access.visitor(request).name
        if name is None:
            raise Refused(403, "Nobody has entered in this browser; go to the first page and give a name.")
        return name

    def _task(self, request: "Request") -> Task:
        for task in self._session.tasks:
            if task.name == request.path_params["task"]:
                return task
        raise Refused(404, _NO_PAGE)

    def _last_findings(self, task: Task, annotator: str) -> tuple[Finding, ...]:
        """What boxes say of what the annotator judged last; never of an item before, whose judgement it would sway."""
        item = self._session.store.last_judged(task.name, annotator)
        subject = None if item is None else self._session.pictures.subjects.get(item.image_id)
        return () if item is None or subject is None else box_findings(task, item, annotator, subject.regions)

    def _selections(self, item: Item) -> list[RegionSelection]:
        subject = self._session.pictures.subjects.get(item.image_id)
        known = () if subject is None else subject.numbers
        selections: Mapping[str, Sequence[int]] = {
            "mentioned": [number for number in item.mentions if number in known],
            "all": known,
            "none": (),
        }
        return [
            RegionSelection(name, f"/image/{item.image_id}/{'-'.join(map(str, numbers)) or 'none'}.jpg")
            for name, numbers in selections.items()
            if numbers or name == "none"
        ]

    def _error(self, status: int, message: str) -> "Response":
        from starlette.responses import HTMLResponse

        text = self._templates.get_template("error.html").render(message=message, visitor=None, task=None)
        return HTMLResponse(text, status_code=status)

    def _html(self, template: str, visitor: Visitor, *, status: int = 200, **values: Any) -> "Response":
        # Any and **values: what a template is given, by its names, as Jinja's own `render` takes it.
        from starlette.responses import HTMLResponse

        text = self._templates.get_template(template).render(visitor=visitor, **{"task": None, **values})
        response = HTMLResponse(text, status_code=status)
        self._access.remember_visitor(response, visitor)
        return response


def _to(path: str) -> "Response":
    from starlette.responses import RedirectResponse

    return RedirectResponse(path, status_code=303)
