"""The door of the page: every request passes it, and what it lets through is known to come from the page itself.

One place checks hosts, the access token, origins, form tokens and sizes, so that no route can forget one. A form that
passed has its fields in `request.state.form`.
"""

import secrets as random_secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from critics.annotation import access

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MAX_FORM_BYTES: Final = 64 * 1024
_YEAR_S: Final = 365 * 24 * 3600
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then send `Origin: null` with the page's own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault
    """What ends a request: its status, and one sentence that says what is wrong and what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: a browser, and the annotator it stands for, if one has entered."""

    key: str
    name: str | None
    form_token: str
    is_new: bool


class Door:
    """Checks requests and keeps who is who in signed cookies. `token` is None where the page is open to its machine."""

    def __init__(self, secret: bytes, *, host: str, token: str | None = None, also_hosts: tuple[str, ...] = ()) -> None:
        self._secret = secret
        self._host = host
        self._token = token
        self._also_hosts = also_hosts
        # Two runs that are open in one browser have different cookies: cookies do not tell ports apart.
        self._prefix = f"ostensive-{access.sign(secret, 'run', '')[:8]}"

    async def check(self, request: "Request") -> "Response | None":
        """None for a request that may go on; an answer that sets the access cookie; raises `Refused` for all others."""
        from starlette.responses import RedirectResponse

        authority = request.headers.get("host", "")
        if not access.is_known_host(authority, bound_to=self._host, also=self._also_hosts):
            raise Refused(421, "This server does not answer to that name; use its address, or --allow-host NAME.")
        if self._token is not None and not self._has_access(request, self._token):
            given = request.query_params.get("token")
            if request.method != "GET" or given is None or not access.equal(given, self._token):
                raise Refused(401, "A token is needed: open the address that the command printed.")
            response = RedirectResponse(request.url.path, status_code=303)  # the token leaves the address line
            self._set(response, "access", access.sign(self._secret, "access", self._token))
            return response
        if request.method not in ("GET", "HEAD"):
            if not access.is_own_origin(request.headers.get("origin"), authority):
                raise Refused(403, "This form did not come from the page itself; open the page and try again.")
            request.state.form = await _read_form(request)
            if not access.equal(request.state.form.get("form_token", ""), self.visitor(request).form_token):
                raise Refused(403, "This form is not the page's own, or cookies are off; open the page and try again.")
        return None

    def visitor(self, request: "Request") -> Visitor:
        """Who the cookies say it is; a new key where they say nothing."""
        known = access.unsealed(self._secret, "visitor", request.cookies.get(f"{self._prefix}-visitor", ""))
        key = known or random_secrets.token_hex(16)
        name = access.unsealed(self._secret, "name", request.cookies.get(f"{self._prefix}-name", ""))
        return Visitor(key, name, access.sign(self._secret, "form", key), known is None)

    def remember_visitor(self, response: "Response", visitor: Visitor) -> None:
        """Gives a new visitor the cookie that its forms are bound to."""
        if visitor.is_new:
            self._set(response, "visitor", access.sealed(self._secret, "visitor", visitor.key))

    def remember_name(self, response: "Response", name: str) -> None:
        """Notes that this browser stands for an annotator."""
        self._set(response, "name", access.sealed(self._secret, "name", name))

    def forget_name(self, response: "Response") -> None:
        """Notes that it stands for nobody any more."""
        response.delete_cookie(f"{self._prefix}-name")

    def _has_access(self, request: "Request", token: str) -> bool:
        cookie = request.cookies.get(f"{self._prefix}-access", "")
        return access.is_signed(self._secret, "access", token, cookie)

    def _set(self, response: "Response", name: str, value: str) -> None:
        # Lax: with Strict the redirect that follows an address opened from a mail would come without its cookie.
        response.set_cookie(f"{self._prefix}-{name}", value, max_age=_YEAR_S, httponly=True, samesite="lax")


async def _read_form(request: "Request") -> Mapping[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise Refused(413, "This form is too long.")
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=50, errors="strict"))
    except ValueError as error:
        raise Refused(400, "This form cannot be read.") from error
