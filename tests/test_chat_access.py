import threading
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from ostensive.chat.access import TeacherSettings, open_chat
from ostensive.chat.budget import Budget
from ostensive.chat.journal import Journal
from ostensive.chat.prices import FREE, load_prices
from ostensive.chat.records import Sampling
from ostensive.chat.settings import ChatModelSettings
from ostensive.models.generator import GeneratorPool
from ostensive.settings import validate

KINDS: tuple[type[ChatModelSettings], ...] = get_args(get_args(TeacherSettings)[0])
REQUIRED = {"model": "m", "base_url": "http://127.0.0.1:9/v1"}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite", "run") as journal:
        yield journal


def settings_of(kind: type[ChatModelSettings]) -> ChatModelSettings:
    return validate(kind, {name: value for name, value in REQUIRED.items() if name in kind.model_fields}, kind.__name__)


@pytest.mark.parametrize("kind", KINDS)
def test_each_provider_in_the_table_can_be_opened_as_a_teacher(kind: type, journal: Journal) -> None:
    settings = settings_of(kind)
    chat = open_chat(
        settings,  # type: ignore[arg-type]  # the test asks whether every kind is one of them
        journal=journal,
        budget=Budget(),
        stop=threading.Event(),
        script=lambda _messages, _seed: "",
        prices=load_prices(),
        generators=GeneratorPool(),
    )
    assert callable(chat.chat)
    assert isinstance(settings.sampling(7), Sampling)  # type: ignore[attr-defined]
    assert settings.model_name


def test_a_model_is_free_and_without_an_address_unless_its_section_says_otherwise() -> None:
    class Plain(ChatModelSettings):
        @property
        def model_name(self) -> str:
            return "plain"

    plain = Plain()
    assert plain.price_in(load_prices()) is FREE
    assert plain.address is None
    assert plain.reply_identity() == {}
    plain.check_access({})  # refuses nothing
