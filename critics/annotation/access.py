"""Who may talk to the page: pure checks of hosts, origins, tokens and signatures.

A page on loopback is open to every other page in the same browser, so that three things are asked of each request: a
`Host` that is an address or a name known beforehand (a name that an attacker lets point to 127.0.0.1 is neither), for
writes an `Origin` that is the page's own, and a form token that only the page itself can know. Beyond loopback an
access token is needed besides. Checks by the client's address were given up: a proxy or a tunnel hides it.
"""

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from ostensive.errors import SettingsError

MIN_TOKEN_LENGTH: Final = 16


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
