"""The price table and what a user may put over it."""

import re
from pathlib import Path

import pytest

from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.prices import Price, PriceSettings, load_prices
from ostensive.errors import SettingsError


def test_the_table_has_a_date_and_known_models() -> None:
    table = load_prices()
    assert table.as_of is not None
    gpt_4o = table.find("gpt-4o")
    assert gpt_4o is not None
    assert (gpt_4o.prompt, gpt_4o.cached_prompt, gpt_4o.completion) == (2.5, 1.25, 10.0)
    assert table.find("scripted") == Price(0, 0)


@pytest.mark.parametrize(
    ("model", "same_as"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
    ],
)
def test_a_dated_name_has_the_price_of_the_model(model: str, same_as: str) -> None:
    assert load_prices().find(model) == load_prices().find(same_as) is not None


def test_an_exact_name_goes_before_the_one_without_a_date() -> None:
    table = load_prices()
    assert table.find("gpt-4o-2024-05-13") != table.find("gpt-4o")


@pytest.mark.parametrize("model", ["gpt-4o-turbo", "my-gpt-4o", "gpt", "", "gpt-4o-2024", "Qwen/Qwen2.5-7B-Instruct"])
def test_an_unknown_price_is_none_and_not_zero(model: str) -> None:
    price = load_prices().find(model)
    assert price is None or model == "gpt-4o-2024"  # four digits are a date in OpenAI's older names


def test_a_users_table_adds_and_overrides(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("models:\n  gpt-4o: {prompt: 1, completion: 2}\n  mine: {prompt: 0, completion: 0}\n")
    table = load_prices(file)
    assert table.find("gpt-4o") == Price(1, 2)
    assert table.find("gpt-4o-2024-05-13") == Price(1, 2)  # what the user says of a model holds for its versions
    assert table.find("mine") == Price(0, 0)
    assert table.find("gpt-4.1") == load_prices().find("gpt-4.1")


def test_the_recipe_overrides_every_table() -> None:
    settings = ServedTeacherSettings(model="gpt-4o", price=PriceSettings(prompt=0, completion=0))
    price = settings.price_in(load_prices())
    assert price is not None
    assert price.usd(10**6, 10**6, 0) == 0
    assert ServedTeacherSettings(model="nobody/knows", base_url="http://127.0.0.1:1").price_in(load_prices()) is None


def test_cached_tokens_have_their_own_price() -> None:
    assert Price(2.0, 8.0, 0.5).usd(1_000_000, 500_000, 400_000) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 4)
    assert Price(2.0, 8.0).usd(1_000_000, 0, 400_000) == pytest.approx(2.0)
    assert Price(2.0, 8.0, 0.5).usd(100, 0, 10**9) == pytest.approx(50 / 1e6)  # more cached than sent: all cached


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("models: {m: {prompt: 1}}", "m: completion: field required"),
        ("models: {m: {prompt: -1, completion: 1}}", "m: prompt: input should be greater than or equal to 0"),
        ("model: {}", "model: unknown key; the nearest known key is models"),
        ("- a", "a mapping of settings is expected"),
        ("models: {m: {prompt: 1, prompt: 2, completion: 1}}", "the key 'prompt' stands twice in this line"),
        ("models:\n  m: {prompt: 1, completion: 1}\n  m: {prompt: 2, completion: 1}", "the key 'm' stands"),
        ("models: [", "not YAML"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_prices(file)
    assert re.sub(r", line \d+:", ":", str(caught.value)).startswith(f"--prices {file}: {problem}")
    assert "\n" not in str(caught.value)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--prices .*none\.yaml: there is no such file"):
        load_prices(tmp_path / "none.yaml")
