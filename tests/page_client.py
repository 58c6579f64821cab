"""A plain HTTP client for the labelling page, as a browser without a script would use it, and a page to look at."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import TracebackType
from typing import Self

import httpx2

from critics.annotation.access import AccessControl
from critics.annotation.app import AnnotationSession
from critics.annotation.serving import address_of, listen, make_server


class PageClient:
    """One visitor: keeps cookies, sends forms with the token of the page it looks at, from the page's own origin."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.http = httpx2.Client(base_url=address, timeout=60)
        self.page = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def get(self, path: str) -> httpx2.Response:
        response = self.http.get(path)
        self.page = response.text if "text/html" in response.headers.get("content-type", "") else self.page
        return response

    def send(self, path: str, *, origin: str | None = "own", token: str = "", **fields: str) -> httpx2.Response:
        """Sends a form; answers with the response to it, redirects not followed."""
        headers = {} if origin is None else {"origin": self.address if origin == "own" else origin}
        return self.http.post(path, data={"form_token": token or self.form_token, **fields}, headers=headers)

    @property
    def form_token(self) -> str:
        return self.hidden("form_token")

    @property
    def item_id(self) -> str:
        return self.hidden("item_id")

    def hidden(self, name: str) -> str:
        found = re.search(rf'name="{name}" value="([^"]*)"', self.page)
        return found[1] if found else ""

    def enter(self, name: str) -> Self:
        self.get("/")
        assert self.send("/enter", name=name).status_code == 303
        self.get("/")
        return self

    def judge(self, task: str = "triple", **answers: str) -> str:
        """Judges the item that comes next and returns its id; an empty text where there is none."""
        self.get(f"/label/{task}")
        if item_id := self.item_id:
            response = self.send(f"/label/{task}", item_id=item_id, **answers)
            assert (response.status_code, response.headers["location"]) == (303, f"/label/{task}"), response.text
        return item_id


@contextmanager
def served(session: AnnotationSession, access: AccessControl) -> Iterator[str]:
    """The address of the page, served by a thread of this process on a free port of loopback."""
    with closing(listen("127.0.0.1", 0)) as listener:
        server = make_server(session, access)
        thread = threading.Thread(target=server.run, args=([listener],), name="page", daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield address_of(listener)
        finally:
            server.should_exit = True
            thread.join()
