"""Which secret of the environment may go to which server: what a recipe names counts for nothing here.

A recipe may come from anybody, and so may a run folder, whose `recipe.yaml` is one. A recipe that names a server of its
own and the variable of a key would otherwise send any secret of the user's there. So a key goes to a server only where
that is usual for the server, or where the user says so outside the recipe.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final  # Any: what YAML gives
from urllib.parse import urlsplit

from ostensive.errors import SettingsError

DEFAULT_VARIABLE: Final = "OPENAI_API_KEY"
USUAL_HOSTS: Final[Mapping[str, tuple[str, ...]]] = {
    DEFAULT_VARIABLE: ("api.openai.com",),
    "ANTHROPIC_API_KEY": ("api.anthropic.com",),
    "DEEPSEEK_API_KEY": ("api.deepseek.com",),
    "FIREWORKS_API_KEY": ("api.fireworks.ai",),
    "GEMINI_API_KEY": ("generativelanguage.googleapis.com",),
    "GROQ_API_KEY": ("api.groq.com",),
    "MISTRAL_API_KEY": ("api.mistral.ai",),
    "OPENROUTER_API_KEY": ("openrouter.ai",),
    "TOGETHER_API_KEY": ("api.together.xyz", "api.together.ai"),
    "XAI_API_KEY": ("api.x.ai",),
}
"""Variables that services tell their users to set, with the hosts of those services."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_KEY_PREFIX: Final = re.compile(
    r"(?:sk|pk|rk|gsk|hf|xai|pplx|nvapi|fw|csk|r8|tgp|ghp|gho|ghs|ghu|glpat|github_pat|xox[a-z]|key)[_-]|AKIA|ASIA|AIza|eyJ"
)
_MAX_PART_CHARS: Final = 20
_EXAMPLE: Final = "--allow-key GROQ_API_KEY=api.groq.com"


def is_variable_name(text: str) -> bool:
    """Whether `text` may be the name of an environment variable, and is not rather a key that was put in its place."""
    if not _NAME.fullmatch(text) or _KEY_PREFIX.match(text):
        return False
    if any(char.isdigit() for char in text) and text != text.upper() and text != text.lower():
        return False  # letters of both kinds and digits: who names a variable so?
    return not any(_is_random(part) for part in text.split("_"))


def _is_random(part: str) -> bool:
    runs = len(re.findall(r"\d+", part))
    long = len(part) > _MAX_PART_CHARS
    return long or (len(part) >= 8 and runs > 1) or (len(part) >= 16 and runs > 0)


@dataclass(frozen=True, slots=True)
class KeyPermit:
    """The user's word that the key in `variable` may go to `host`; None is whatever server no recipe has named."""

    variable: str
    host: str | None
    port: int | None = None  # None is any


def parse_permits(given: Iterable[str]) -> tuple[KeyPermit, ...]:
    """What `--allow-key NAME=HOST` says, with or without a port; raises `SettingsError`, which repeats none of it."""
    return tuple(_permit(text) for text in given)


def _permit(text: str) -> KeyPermit:
    variable, equals, address = text.partition("=")
    place = _place(address.strip())
    if not equals or not is_variable_name(variable.strip()) or place is None:
        raise SettingsError(
            "--allow-key: the name of an environment variable and the host that its key may go to are expected, such"
            f" as {_EXAMPLE}; what was given is not repeated, for it may hold a key"
        )
    return KeyPermit(variable.strip(), *place)


def permits_in(values: Mapping[str, Any]) -> Iterator[KeyPermit]:
    """What settings that the user types beside a recipe say of keys, section by section.

    Whoever names a server and a variable there lets the key go there. A variable alone is for a server that no recipe
    names; a server alone is for the usual variable.
    """
    variable, address = values.get("key_variable"), values.get("base_url")
    if isinstance(address, str) and (place := _place(address)) is not None:
        yield KeyPermit(variable if isinstance(variable, str) else DEFAULT_VARIABLE, *place)
    elif address is None and isinstance(variable, str):
        yield KeyPermit(variable, None)
    for value in values.values():
        for section in value if isinstance(value, list | tuple) else [value]:
            if isinstance(section, Mapping):
                yield from permits_in(section)


def _place(address: str) -> tuple[str, int | None] | None:
    """Host and port of `host`, `host:port` or a URL."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        port = parts.port
    except ValueError:
        return None
    if parts.username is not None or not parts.hostname or not re.fullmatch(r"[\w.:-]+", parts.hostname):
        return None
    return parts.hostname.rstrip("."), port


def check_permit(
    variable: str,
    base_url: str,
    *,
    section: str,
    by_recipe: bool,
    is_loopback: bool,
    users_url: str | None,
    of_recipe: bool,
    permits: Sequence[KeyPermit],
) -> None:
    """Raises `SettingsError` unless the key in `variable` may go to `base_url`.

    `by_recipe` is whether a section names the address, `users_url` what OPENAI_BASE_URL does. Settings that are not
    `of_recipe` were made by whoever calls: with those the usual variable goes where they say.
    """
    parts = urlsplit(base_url)
    host, port = (parts.hostname or "").rstrip("."), parts.port
    if parts.scheme == "https" and host in USUAL_HOSTS.get(variable, ()):
        return
    own = _place(users_url) if users_url else None
    if variable == DEFAULT_VARIABLE and (
        not of_recipe or not by_recipe or is_loopback or (own is not None and own == (host, port))
    ):
        return
    for permit in permits:
        if permit.variable != variable:
            continue
        if (permit.host is None and not by_recipe) or (permit.host == host and permit.port in (None, port)):
            return
    named = "the recipe names that server" if by_recipe else "the recipe names that variable"
    shown = f"[{host}]" if ":" in host else host
    raise SettingsError(
        f"{section}.key_variable: the key in {variable} would go to {shown}, and {named}, not you; if it may, say so"
        f" with --allow-key {variable}={shown}"
    )
