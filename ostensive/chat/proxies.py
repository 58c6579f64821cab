"""Which proxy of the environment stands between this machine and an address, found out before anything is sent.

Read as `curl` and `httpx2` read it: `http_proxy`, `https_proxy` and `all_proxy` by the scheme of the address, but
`no_proxy` first; a name in small letters before the same in others. It is read here, because the HTTP clients read all
of it when they are made and raise what they like at a proxy that they do not know, even where it is not needed.
"""

import ipaddress
import os
import re
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypedDict
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from ostensive.errors import SettingsError

if TYPE_CHECKING:
    import ssl

    import httpx2

_HTTP: Final = ("http", "https")
_SOCKS: Final = {"socks5": "socks5", "socks5h": "socks5h", "socks": "socks5"}  # GNOME writes socks and means SOCKS 5
_PORTS: Final = {"http": 80, "https": 443}
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_EXAMPLE: Final = "http://proxy.example:3128"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that can be used. Its address may hold a password."""

    url: SecretStr
    is_socks: bool
    named_by: str  # the variables


class HttpOptions(TypedDict):
    """What an `httpx2` client is made with so that it takes this proxy, or none, whatever the environment says."""

    proxy: "httpx2.Proxy | None"
    trust_env: bool
    verify: "ssl.SSLContext | bool"


def http_options(address: str, proxy: Proxy | None) -> HttpOptions:
    """How to make a client of `httpx2` or `openai` for the URL `address` that goes by `proxy`.

    Raises `SettingsError` where SSL_CERT_FILE or SSL_CERT_DIR, which count where there is TLS, hold no certificates.
    """
    import httpx2

    way = httpx2.Proxy(proxy.url.get_secret_value()) if proxy is not None else None
    verify: ssl.SSLContext | bool = True
    try:
        if address.startswith("https:") or (way is not None and way.url.scheme == "https"):
            verify = httpx2.create_ssl_context(trust_env=True)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(
            f"SSL_CERT_FILE or SSL_CERT_DIR: no certificates can be read there ({error.strerror or error}); name a PEM"
            " file, or unset both"
        ) from error
    return {"proxy": way, "trust_env": False, "verify": verify}


def proxy_for(address: str, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy that `environment` names for the URL `address`; None for none.

    Raises `SettingsError`, naming the variable, for a proxy that cannot be used, or not without a package.
    """
    parts = urlsplit(address)
    named = _named(environment)
    key = next((key for key in (parts.scheme, "all") if key in named), None)
    if key is None or _is_exempt(parts, named.get("no", "")):
        return None
    value = named[key].strip()
    naming = _Naming(_variables(key, environment), _shown(value), parts.hostname or "")
    scheme = _SCHEME.match(value)
    kind = scheme[1].lower() if scheme else "http"
    if kind not in _HTTP and kind not in _SOCKS:
        raise naming.problem(f"only http, https and socks5 proxies can be used (as {_EXAMPLE})")
    url = f"{_SOCKS.get(kind, kind)}://{value[scheme.end() :] if scheme else value}"
    if not _is_whole(url, has_scheme=scheme is not None):
        raise naming.problem(f"that is not the address of a proxy, as {_EXAMPLE} is")
    if kind in _SOCKS and not _has_socks():
        raise naming.problem("SOCKS needs the package socksio (pip install 'ostensive[socks]')")
    return Proxy(SecretStr(url), kind in _SOCKS, naming.who)


def proxy_problem(address: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Why no client can go by the proxy that there is for `address`; None where one can, or there is none."""
    try:
        proxy_for(address, environment)
    except SettingsError as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True)
class _Naming:
    """What names a proxy, for messages."""

    variables: tuple[str, ...]
    shown: str  # the proxy
    host: str  # of the server

    @property
    def who(self) -> str:
        return " and ".join(self.variables) or "the network settings of this machine"

    def problem(self, text: str) -> SettingsError:
        verb = "names" if len(self.variables) == 1 else "name"
        unset = f"unset it (unset {' '.join(self.variables)})" if self.variables else "change them"
        return SettingsError(
            f"{self.who} {verb} the proxy {self.shown} for {self.host}: {text}; or {unset}, or add {self.host} to"
            " NO_PROXY"
        )


def _named(environment: Mapping[str, str]) -> dict[str, str]:
    """The values of `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, by what stands before `_proxy`."""
    found = {}
    for name, value in environment.items():
        if name.lower().endswith("_proxy") and value:
            found[name.lower().removesuffix("_proxy")] = value
    for name, value in environment.items():
        if name.endswith("_proxy") and name == name.lower():
            found[name.removesuffix("_proxy")] = value
    if "REQUEST_METHOD" in environment and "http_proxy" not in environment:
        found.pop("http", None)  # in a CGI script HTTP_PROXY is a header of whoever asks
    if not found and sys.platform == "darwin":
        return dict(urllib.request.getproxies())
    return {name: value for name, value in found.items() if value.strip()}


def _variables(key: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that would have to be unset, the one that counts first."""
    found = [name for name, value in environment.items() if name.lower() == f"{key}_proxy" and value.strip()]
    return tuple(sorted(found, reverse=True))


def _is_exempt(address: SplitResult, no_proxy: str) -> bool:
    """Whether one of the hosts in `no_proxy` is that of `address`: its name, a domain that it is in, or a network."""
    host = (address.hostname or "").rstrip(".")
    port = _without_port(address.netloc)[1] or str(_PORTS.get(address.scheme, ""))
    for entry in re.split(r"[,\s]+", no_proxy.strip().lower()):
        scheme, _, rest = entry.rpartition("://")
        if not rest or (scheme and scheme not in {address.scheme, "all"}):
            continue
        if rest == "*" or _is_in_network(host, rest.strip("[]")):
            return True
        named, entry_port = _without_port(rest)
        domain = named.removeprefix("*").strip(".")
        if entry_port in {"", port} and domain and (host == domain or host.endswith(f".{domain}")):
            return True
    return False


def _without_port(entry: str) -> tuple[str, str]:
    """`entry` as host and port, without the brackets of IPv6; the port is empty where there is none."""
    bracketed = re.fullmatch(r"\[(.*)\](?::(\d+))?", entry)
    if bracketed:
        return bracketed[1], bracketed[2] or ""
    host, _, port = entry.rpartition(":")
    return (host, port) if host and ":" not in host and port.isdigit() else (entry, "")


def _is_in_network(host: str, entry: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _is_whole(url: str, *, has_scheme: bool) -> bool:
    """Whether the HTTP client can read the proxy's address."""
    import httpx2

    try:
        proxy = httpx2.Proxy(url)
        port = urlsplit(url).port
    except (ValueError, httpx2.InvalidURL):
        return False
    # Without a scheme a slash in it is more likely a slip of the pen (http//proxy, http:/proxy) than a path.
    return bool(proxy.url.host) and port != 0 and (has_scheme or proxy.url.path in {"", "/"}) and " " not in url


def _has_socks() -> bool:
    try:
        import socksio  # noqa: F401 - httpx2 imports it itself, and says so late
    except ImportError:
        return False
    return True


def _shown(value: str) -> str:
    """The proxy without user name and password."""
    before, at, host = " ".join(value.split()).rpartition("@")
    scheme = _SCHEME.match(before)
    return f"{scheme[0] if scheme else ''}[...]@{host:.80}" if at else f"{host:.80}"
