"""What all tests share: no hub, no real keys, and property tests that do not depend on the machine's mood."""

import os

import pytest
from chromium import browser  # noqa: F401 - a fixture
from hypothesis import HealthCheck, settings

# Before any Hugging Face library is imported: a test that reaches for the hub shall fail and not wait.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"

settings.register_profile(
    "ostensive", deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ostensive")


@pytest.fixture(autouse=True)
def no_access_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's real endpoint or key is used by a test."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
