"""Who may talk to the page: every request is checked here, so that no route can forget a check.

A page on loopback is open to every other page in the same browser, so that three things are asked of each request: a
`Host` that is an address or a name known beforehand (a name that an attacker lets point to 127.0.0.1 is neither), for
writes an `Origin` that is the page's own, and a form token that only the page itself can know. Beyond loopback an
access token is needed besides. The client's address says nothing: a proxy or a tunnel hides it. A form that passed has
its fields in `request.state.form`.
"""

import base64
import hashlib
import hmac
import ipaddress
import re
import secrets as random_secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from ostensive.errors import SettingsError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MIN_TOKEN_LENGTH: Final = 16
MAX_FORM_BYTES: Final = 64 * 1024
_OWN_PATH: Final = re.compile("/|(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+/?")
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


class AccessControl:
    """Checks requests and keeps who is who in signed cookies. `token` is None where the page is open to its machine."""

    def __init__(self, secret: bytes, *, host: str, token: str | None = None, also_hosts: tuple[str, ...] = ()) -> None:
        self._secret = secret
        self._host = host
        self._token = token
        self._also_hosts = also_hosts
        # Two runs that are open in one browser have different cookies: cookies do not tell ports apart.
        self._prefix = f"ostensive-{sign(secret, 'run', '')[:8]}"

    async def check(self, request: "Request") -> "Response | None":
        """None for a request that may go on; an answer that sets the access cookie; raises `Refused` for all others."""
        from starlette.responses import RedirectResponse

        authority = request.headers.get("host", "")
        if not is_known_host(authority, bound_to=self._host, also=self._also_hosts):
            raise Refused(421, "This server does not answer to that name; use its address, or --allow-host NAME.")
        if self._token is not None and not self._has_access(request, self._token):
            given = request.query_params.get("token")
            if request.method != "GET" or given is None or not equal(given, self._token):
                raise Refused(401, "A token is needed: open the address that the command printed.")
            # The token leaves the address line.
            response = RedirectResponse(own_path(request.url.path), status_code=303)
            self._set(response, "access", sign(self._secret, "access", self._token))
            return response
        if request.method not in ("GET", "HEAD"):
            if not is_own_origin(request.headers.get("origin"), authority):
                raise Refused(403, "This form did not come from the page itself; open the page and try again.")
            request.state.form = await _read_form(request)
            if not equal(request.state.form.get("form_token", ""), self.visitor(request).form_token):
                raise Refused(403, "This form is not the page's own, or cookies are off; open the page and try again.")
        return None

    def visitor(self, request: "Request") -> Visitor:
        """Who the cookies say it is; a new key where they say nothing."""
        known = unsealed(self._secret, "visitor", request.cookies.get(f"{self._prefix}-visitor", ""))
        key = known or random_secrets.token_hex(16)
        name = unsealed(self._secret, "name", request.cookies.get(f"{self._prefix}-name", ""))
        return Visitor(key, name, sign(self._secret, "form", key), known is None)

    def remember_visitor(self, response: "Response", visitor: Visitor) -> None:
        """Gives a new visitor the cookie that its forms are bound to."""
        if visitor.is_new:
            self._set(response, "visitor", sealed(self._secret, "visitor", visitor.key))

    def remember_name(self, response: "Response", name: str) -> None:
        """Notes that this browser stands for an annotator."""
        self._set(response, "name", sealed(self._secret, "name", name))

    def forget_name(self, response: "Response") -> None:
        """Notes that it stands for nobody any more."""
        response.delete_cookie(f"{self._prefix}-name")

    def _has_access(self, request: "Request", token: str) -> bool:
        cookie = request.cookies.get(f"{self._prefix}-access", "")
        return is_signed(self._secret, "access", token, cookie)

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


def check_token(token: str | None, host: str) -> None:
    """Raises `SettingsError` for a token that is too short, or for none where `host` is not loopback."""
    if token is None and not is_loopback(host):
        raise SettingsError(f"--host {host} is open to others, so a token is needed: --token TEXT")
    if token is not None and (len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable()):
        raise SettingsError(f"--token: at least {MIN_TOKEN_LENGTH} printable ASCII characters are expected")


def is_loopback(host: str) -> bool:
    """Whether a host, an address or a name without port, is this machine and no other can reach it."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def host_of(authority: str) -> str | None:
    """The host of a `Host` header without its port, lower case; None for what is none."""
    try:
        parts = urlsplit(f"//{authority}")
        _ = parts.port  # raises for what is no number
    except ValueError:
        return None
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return parts.hostname


def is_known_host(authority: str, *, bound_to: str, also: Collection[str] = ()) -> bool:
    """Whether a `Host` header may be answered by a server that is bound to the host `bound_to`.

    An address is, for it cannot be pointed elsewhere; on loopback only a loopback one. Of names only `localhost`, the
    one bound to and those in `also` are.
    """
    host = host_of(authority)
    if host is None:
        return False
    if host in {"localhost", bound_to.lower(), *(name.lower() for name in also)}:
        return True
    return _address(host) is not None and (is_loopback(host) or not is_loopback(bound_to))


def is_own_origin(origin: str | None, authority: str) -> bool:
    """Whether an `Origin` header says that a form came from the page that `authority`, the `Host` header, names."""
    if origin is None:
        return False
    scheme, separator, rest = origin.partition("://")
    return bool(separator) and scheme in ("http", "https") and rest.lower() == authority.lower()


def own_path(path: str) -> str:
    """`path` where it can only be one of this page's, otherwise the page itself.

    Browsers take `//host`, `/\\host` and `/` with a tab or an escaped slash after it for other places.
    """
    return path if _OWN_PATH.fullmatch(path) else "/"


def sign(secret: bytes, purpose: str, value: str) -> str:
    """A signature of `value` for one purpose; 64 hexadecimal digits."""
    return hmac.new(secret, f"{purpose}\0{value}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def is_signed(secret: bytes, purpose: str, value: str, signature: str) -> bool:
    """Whether `signature` is that of `value`; takes the same time whatever it is."""
    return equal(sign(secret, purpose, value), signature)


def equal(one: str, other: str) -> bool:
    """Whether two texts are equal; the time it takes says nothing about where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def sealed(secret: bytes, purpose: str, value: str) -> str:
    """`value` as a cookie that only the owner of `secret` can make."""
    text = base64.urlsafe_b64encode(value.encode()).decode("ascii").rstrip("=")
    return f"{text}.{sign(secret, purpose, value)}"


def unsealed(secret: bytes, purpose: str, cookie: str) -> str | None:
    """What `sealed` put into a cookie; None for one that is not of its making."""
    text, _, signature = cookie.partition(".")
    try:
        value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        return None
    return value if is_signed(secret, purpose, value, signature) else None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
