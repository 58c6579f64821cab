"""A model behind an OpenAI-compatible endpoint as a recipe names it: its address, its key, its price."""

import asyncio
import ipaddress
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal  # Any: JSON values of any depth
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError

from ostensive.chat.capped_bodies import capped_hooks
from ostensive.chat.key_permits import DEFAULT_VARIABLE, KeyPermit, check_permit, is_variable_name
from ostensive.chat.key_scrubbing import answer_without_key, without_key
from ostensive.chat.prices import DEFAULT_MAX_IMAGE_TOKENS, Price, PriceSettings, PriceTable
from ostensive.chat.proxies import Proxy, http_options, proxy_for
from ostensive.chat.records import Sampling
from ostensive.chat.settings import READING_VERSION, ChatModelSettings
from ostensive.errors import AccessRefusedError, SettingsError
from ostensive.models.needs import ModelNeed
from ostensive.settings import SECRET_PROBLEM, Operational

OPENAI_BASE_URL = "https://api.openai.com/v1"
MAX_LINE_CHARS = 300
_HOST = re.compile(r"[\w.:%-]+")
_PLACEHOLDER_KEY = "none"  # the package insists on a key; a server on this machine usually does not


class ServedModelSettings(ChatModelSettings):
    """A chat model behind an OpenAI-compatible endpoint, whatever it is used for."""

    section: ClassVar[str] = "teacher"  # of the recipe, as messages name it

    model: str
    """The model's name as the server knows it."""
    base_url: str | None = None
    """The endpoint; None takes OPENAI_BASE_URL, or OpenAI's own. Answers are remembered per endpoint."""
    endpoint_name: str | None = None
    """What answers are remembered by, for a server of your own whose address changes; None takes the address."""
    api_key: Operational[SecretStr | None] = Field(default=None, exclude=True)
    """The key; None takes the environment variable that `key_variable` names. It is never written down."""
    key_variable: Operational[str] = DEFAULT_VARIABLE
    """The environment variable that holds the key. Where a recipe names it, see `ostensive.chat.key_permits`."""
    send_seed: bool = False
    """Send a seed with each request, for servers that honour it."""
    token_limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"  # noqa: S105 - a field name
    """The name under which the server takes `max_tokens`; newer OpenAI models want the second."""
    max_in_flight: Operational[Annotated[int, Field(ge=1, le=4096)]] = 64
    """Most requests under way at a time; fewer while the server is busy."""
    connect_timeout_s: Operational[Annotated[float, Field(gt=0)]] = 10.0
    read_timeout_s: Operational[Annotated[float, Field(gt=0)]] = 120.0
    """Longest silence of the server within a request."""
    total_timeout_s: Operational[Annotated[float, Field(gt=0)]] = 600.0
    """Longest time for one request with all its attempts; what it waits for others to be answered is not counted."""
    max_attempts: Operational[Annotated[int, Field(ge=1)]] = 6
    """Most attempts at a request that fail by a fault that may be its own."""
    stop_after_refusals: Operational[Annotated[int | None, Field(ge=1)]] = 4
    """The run stops when the first so many requests are all refused alike; None goes on."""
    price: Operational[PriceSettings | None] = None
    """Overrides the price table for this model."""

    def identity(self) -> dict[str, Any]:
        """See `Settings.identity`; the address is part of it unless the endpoint has a name."""
        values = super().identity()
        del values["endpoint_name" if self.endpoint_name is None else "base_url"]
        return values

    def reply_identity(self) -> Mapping[str, Any]:
        """See `ChatModelSettings`; with how replies are read."""
        return {**super().reply_identity(), "reading": READING_VERSION}

    @field_validator("base_url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is None:
            return value
        try:
            parts = urlsplit(value)
        except ValueError as error:
            raise PydanticCustomError(SECRET_PROBLEM, "not a URL") from error
        # A recipe is written down, so a secret must not get into it; nor is what stands here repeated.
        if "@" in value or parts.query or parts.fragment:
            raise PydanticCustomError(
                SECRET_PROBLEM,
                "a URL without user name, password, query or fragment is expected; the key goes into OPENAI_API_KEY",
            )
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ValueError("a URL that starts with http:// or https:// is expected")
        return value

    @field_validator("api_key", mode="before")
    @classmethod
    def _key_is_text(cls, value: object) -> object:
        if not isinstance(value, str | SecretStr | None):  # YAML reads 123456 as a number, and pydantic would show it
            raise PydanticCustomError(SECRET_PROBLEM, "text is expected; put the key in quotes")
        return value

    @field_validator("key_variable", mode="before")
    @classmethod
    def _no_key(cls, value: object) -> object:
        if not isinstance(value, str) or not is_variable_name(value):
            raise PydanticCustomError(
                SECRET_PROBLEM,
                "the name of an environment variable is expected, such as OPENAI_API_KEY; what was given is none, or"
                " looks like a key, and is not repeated: put the key into a variable",
            )
        return value

    def needs(self) -> tuple[ModelNeed, ...]:
        """The server, and a key for it unless one is set here."""
        variable = self.key_variable if self.api_key is None else None
        need = ModelNeed(role=self.role, kind="server", name=self.model, address=self.base_url, key_variable=variable)
        return (need,)

    @property
    def model_name(self) -> str:
        return self.model

    @property
    def address(self) -> str | None:
        return self.base_url

    def price_in(self, prices: PriceTable) -> Price | None:
        """The price that is set here, otherwise the table's."""
        own, listed = self.price, prices.find(self.model)
        if own is None:
            return listed
        max_image_tokens = DEFAULT_MAX_IMAGE_TOKENS if listed is None else listed.max_image_tokens
        return Price(own.prompt, own.completion, own.cached_prompt, max_image_tokens)

    def check_access(self, environment: Mapping[str, str] = os.environ, permits: Sequence[KeyPermit] = ()) -> None:
        """Raises `AccessRefusedError` if the server says that the key is not valid.

        One request for the list of models, before any work, which costs nothing. Only a refused key is taken for an
        answer: a server may lack the list, a key may be allowed to chat and not to list, and a server that is not up
        yet will be asked again later. Raises `SettingsError` as `resolve_endpoint` does.
        """
        endpoint = resolve_endpoint(self, environment, permits)
        # In a thread of its own: whoever calls, a notebook say, may have an event loop at work already.
        with ThreadPoolExecutor(1, "access") as pool:
            refused = pool.submit(asyncio.run, self._key_refusal(endpoint)).result()
        if refused is not None:
            raise AccessRefusedError(
                f"{endpoint.base_url} refuses the key ({' '.join(endpoint.scrub(refused).split())[:200]}); "
                f"check {self.key_variable} or {self.section}.api_key"
            )

    async def _key_refusal(self, endpoint: "Endpoint") -> str | None:
        """What the server says of a key that it does not take; None where it takes it, or says something else."""
        import httpx2
        import openai

        client = openai.AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.api_key.get_secret_value(),
            timeout=self.connect_timeout_s,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(
                event_hooks=capped_hooks(), follow_redirects=False, **http_options(endpoint.base_url, endpoint.proxy)
            ),
        )
        try:
            # The status is all there is to know; a list may be long, or never end.
            async with (
                asyncio.timeout(2 * self.connect_timeout_s),
                client,
                client.models.with_streaming_response.list(),
            ):
                return None
        except openai.AuthenticationError as error:
            return str(error)
        except (openai.OpenAIError, httpx2.HTTPError, TimeoutError):
            return None


class ServedTeacherSettings(ServedModelSettings):
    """A served chat model as the teacher."""

    kind: Literal["served"] = "served"
    sees_image: bool | None = None
    """Whether the teacher is sent the picture. None takes what the recipe does: `localized` sends its text alone."""
    temperature: float = Field(default=0.8, ge=0, le=2)
    """LSKD, section 2.2 and methods: 0.8."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    """Tokens are drawn from so many of the likeliest; None from all. vLLM and llama.cpp take it, OpenAI refuses it."""
    max_tokens: int = Field(default=1024, ge=1)
    """Longest reply, in tokens."""

    def sampling(self, seed: int | None = None) -> Sampling:
        """How replies are drawn; the seed counts only where the server is to be sent one."""
        seed = seed if self.send_seed else None
        return Sampling(self.temperature, self.top_p, self.max_tokens, seed, top_k=self.top_k)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to ask and with which key. `base_url` is in one form, so that it can be part of a request's key."""

    base_url: str
    api_key: SecretStr
    loopback: bool
    proxy: Proxy | None = None

    def scrub(self, text: str) -> str:
        """`text`, which is no answer, without the key."""
        secret = self.api_key.get_secret_value()
        return text if secret == _PLACEHOLDER_KEY else without_key(text, secret)

    def line(self, text: str) -> str:
        """`text` as one line of at most `MAX_LINE_CHARS` characters without the key."""
        # Scrubbed before it is cut, or the cut could leave half a key.
        return " ".join(self.scrub(text).split())[:MAX_LINE_CHARS]

    def scrub_answer(self, raw: bytes) -> bytes:
        """The body of an answer without the key, where that can be no word of it; see `answer_without_key`."""
        return answer_without_key(raw, self.api_key.get_secret_value())


def resolve_endpoint(
    settings: ServedModelSettings, environment: Mapping[str, str], permits: Sequence[KeyPermit] = ()
) -> Endpoint:
    """The endpoint of a teacher.

    Raises `SettingsError` if address or proxy are unusable, or the key is missing or may not go there: `permits` are
    the user's word for what is not usual.
    """
    base_url, loopback = _address(settings, environment)
    _check_permit(settings, base_url, loopback, environment, permits, of_recipe=False)
    if settings.api_key is not None:
        key = settings.api_key.get_secret_value().strip()
    else:
        key = environment.get(settings.key_variable, "").strip()
    if not key:
        if not loopback:
            raise SettingsError(
                f"no key for {base_url}: set the environment variable {settings.key_variable} (any word for a server"
                " that wants none)"
            )
        key = _PLACEHOLDER_KEY
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(
            f"the key in {settings.key_variable} or {settings.section}.api_key has characters that no key has"
        )
    # Proxies of the environment are for other machines than this one.
    proxy = None if loopback else proxy_for(base_url, environment)
    return Endpoint(base_url, SecretStr(key), loopback, proxy)


def check_key_permits(
    chats: Iterable[object], permits: Sequence[KeyPermit], environment: Mapping[str, str] = os.environ
) -> None:
    """Raises `SettingsError` where the key of one of `chats`, the models of a recipe, may not go to its server.

    Stricter than `resolve_endpoint`: the recipe may be anybody's, so that not even the usual key goes to a server on
    another machine because the recipe alone names it.
    """
    for chat in chats:
        if isinstance(chat, ServedModelSettings):
            base_url, loopback = _address(chat, environment)
            _check_permit(chat, base_url, loopback, environment, permits, of_recipe=True)


def _check_permit(
    settings: ServedModelSettings,
    base_url: str,
    loopback: bool,
    environment: Mapping[str, str],
    permits: Sequence[KeyPermit],
    *,
    of_recipe: bool,
) -> None:
    if settings.api_key is None:
        check_permit(
            settings.key_variable,
            base_url,
            section=settings.section,
            by_recipe=settings.base_url is not None,
            is_loopback=loopback,
            users_url=environment.get("OPENAI_BASE_URL"),
            of_recipe=of_recipe,
            permits=permits,
        )


def _address(settings: ServedModelSettings, environment: Mapping[str, str]) -> tuple[str, bool]:
    """The address in one form, and whether it is on this machine."""
    given = settings.base_url or environment.get("OPENAI_BASE_URL") or OPENAI_BASE_URL
    try:
        parts = urlsplit(given.strip())
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"{settings.section}.base_url: not a URL ({error})") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(
            f"{settings.section}.base_url or OPENAI_BASE_URL: a URL that starts with http:// or https:// is expected"
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        # Not repeated in the message: what stands there is likely to be secret.
        raise SettingsError(
            f"{settings.section}.base_url or OPENAI_BASE_URL: a URL without user name, password, query or fragment is"
            f" expected; the key goes into {settings.key_variable}"
        )
    if not _HOST.fullmatch(parts.hostname):
        raise SettingsError(f"{settings.section}.base_url or OPENAI_BASE_URL: no host can have that name")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    netloc = host if port is None else f"{host}:{port}"
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", "")), _is_loopback(parts.hostname)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
