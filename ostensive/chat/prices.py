"""What tokens cost: a dated table that the user can add to or override, and the arithmetic of one request.

A price that is not known is None, never 0: a budget must not take an unknown model for a free one. That holds for
servers on this machine too, since a gateway there may well be billed; say `price: {prompt: 0, completion: 0}` of a
model that costs nothing. Names are looked up whatever the endpoint, because a gateway keeps the vendor's names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path

from pydantic import Field

from ostensive.settings import Settings, validate
from ostensive.yaml_text import parse_yaml, read_yaml

DEFAULT_MAX_IMAGE_TOKENS = 16_384
"""The most an image is taken to count as where the table does not say: Qwen2-VL's default limit (arXiv:2409.12191)."""
_DATE_SUFFIX = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4})$")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens of each kind. `max_image_tokens` bounds what one image in a prompt counts as."""

    prompt: float
    completion: float
    cached_prompt: float | None = None  # None: like other prompt tokens
    max_image_tokens: int = DEFAULT_MAX_IMAGE_TOKENS

    def usd(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int) -> float:
        """What a request costs; `cached_tokens` are among `prompt_tokens`."""
        cached_tokens = min(cached_tokens, prompt_tokens)
        cached_price = self.prompt if self.cached_prompt is None else self.cached_prompt
        millionths = (prompt_tokens - cached_tokens) * self.prompt + cached_tokens * cached_price
        return (millionths + completion_tokens * self.completion) / 1_000_000


FREE = Price(0.0, 0.0)


class PriceSettings(Settings):
    """US dollars for a million tokens."""

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)
    cached_prompt: float | None = Field(default=None, ge=0)
    """Prompt tokens that the server had in its cache; None counts them like the others."""


class _ListedPrice(PriceSettings):
    max_image_tokens: int = Field(default=DEFAULT_MAX_IMAGE_TOKENS, ge=0)


class _PriceFile(Settings):
    as_of: date | None = None
    source: str = ""
    models: dict[str, dict[str, object]]


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by model, those of the user before those that ship; `as_of` is the day the latter were true."""

    as_of: date | None
    own: Mapping[str, Price]
    shipped: Mapping[str, Price]

    def find(self, model: str) -> Price | None:
        """The price of `model`: of that very name, or of the name without the date at its end; None if not known."""
        undated = _DATE_SUFFIX.sub("", model)
        for table in (self.own, self.shipped):
            for name in (model, undated):
                if name in table:
                    return table[name]
        return None


def load_prices(user_file: Path | None = None) -> PriceTable:
    """The table that ships, and over it that of `user_file`; raises `SettingsError` in one line if that is wrong."""
    shipped_text = resources.files("ostensive.chat").joinpath("prices.yaml").read_text(encoding="utf-8")
    shipped = validate(_PriceFile, parse_yaml(shipped_text, "prices.yaml"), "prices.yaml")
    if user_file is None:
        return PriceTable(shipped.as_of, {}, _prices(shipped, "prices.yaml"))
    origin = f"--prices {user_file}"
    own = validate(_PriceFile, read_yaml(user_file, origin), origin)
    return PriceTable(shipped.as_of, _prices(own, origin), _prices(shipped, "prices.yaml"))


def _prices(file: _PriceFile, origin: str) -> dict[str, Price]:
    return {
        name: Price(price.prompt, price.completion, price.cached_prompt, price.max_image_tokens)
        for name, values in file.models.items()
        for price in [validate(_ListedPrice, values, f"{origin}: {name}")]
    }
