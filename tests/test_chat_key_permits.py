"""No secret of the user's goes where a recipe alone says, and a key in the place of a name is not repeated."""

from pathlib import Path

import pytest
from drawing import write_scenes
from typer.testing import CliRunner

from ostensive.chat.endpoint import ServedTeacherSettings, check_key_permits, resolve_endpoint
from ostensive.chat.key_permits import is_variable_name, parse_permits, permits_in
from ostensive.chat.server import ServerThread
from ostensive.cli import app
from ostensive.errors import SettingsError
from ostensive.recipe import parse_assignments

SECRET = "hush-hush-0123456789"
STRANGER = "http://models.evil.example/v1"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("images"), 1)


def teacher(base_url: str | None, variable: str = "OPENAI_API_KEY") -> ServedTeacherSettings:
    return ServedTeacherSettings(model="m", base_url=base_url, key_variable=variable)


@pytest.mark.parametrize(
    ("base_url", "variable"),
    [
        (None, "OPENAI_API_KEY"),
        ("https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("http://127.0.0.1:8000/v1", "OPENAI_API_KEY"),
        ("http://gpu:8000/v1", "OPENAI_API_KEY"),  # as OPENAI_BASE_URL has it
        ("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
        ("https://API.GROQ.com./openai/v1", "GROQ_API_KEY"),
    ],
)
def test_what_is_usual_needs_no_word(base_url: str | None, variable: str) -> None:
    check_key_permits([teacher(base_url, variable)], (), {"OPENAI_BASE_URL": "http://gpu:8000/v1"})


@pytest.mark.parametrize(
    ("base_url", "variable"),
    [
        (None, "AWS_SECRET_ACCESS_KEY"),
        (STRANGER, "OPENAI_API_KEY"),
        (STRANGER, "HF_TOKEN"),
        (STRANGER, "GROQ_API_KEY"),
        ("http://127.0.0.1:8000/v1", "AWS_SECRET_ACCESS_KEY"),
        ("http://localhost:8000/v1", "GROQ_API_KEY"),
        ("http://[::1]:8000/v1", "GITHUB_TOKEN"),
        ("http://api.groq.com/openai/v1", "GROQ_API_KEY"),  # in clear over the network
        ("https://api.groq.com.evil.example/v1", "GROQ_API_KEY"),
        ("http://gpu:8001/v1", "OPENAI_API_KEY"),
    ],
)
def test_what_a_recipe_alone_says_is_refused_in_one_line(base_url: str | None, variable: str) -> None:
    environment = {variable: SECRET, "OPENAI_BASE_URL": "http://gpu:8000/v1"}
    with pytest.raises(SettingsError, match=f"say so with --allow-key {variable}=") as caught:
        check_key_permits([teacher(base_url, variable)], (), environment)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    if variable != "OPENAI_API_KEY":  # whoever makes the settings in Python gets no further
        with pytest.raises(SettingsError, match="--allow-key"):
            resolve_endpoint(teacher(base_url, variable), environment)


@pytest.mark.parametrize(
    "given", ["OWN=models.evil.example", "OWN=Models.Evil.example:80", "OWN=http://models.evil.example:80/v1"]
)
def test_the_users_word_counts_for_that_variable_and_host(given: str) -> None:
    url = "http://models.evil.example:80/v1"
    permits = parse_permits([given])
    assert resolve_endpoint(teacher(url, "OWN"), {"OWN": SECRET}, permits).api_key.get_secret_value() == SECRET
    for other_url, variable in ((url, "OTHER"), ("http://evil.example:80/v1", "OWN")):
        with pytest.raises(SettingsError, match="--allow-key"):
            resolve_endpoint(teacher(other_url, variable), {"OWN": SECRET, "OTHER": SECRET}, permits)


def test_a_port_that_was_named_is_that_port() -> None:
    with pytest.raises(SettingsError, match="--allow-key"):
        check_key_permits([teacher("http://a.example:81/v1", "OWN")], parse_permits(["OWN=a.example:80"]), {})


@pytest.mark.parametrize(
    "given", ["", "OWN", "OWN=", "=host", "sk-proj-abcdef=host", "gsk_SECRET123abc=h", "OWN=a@b", "OWN=*"]
)
def test_a_word_that_is_none_is_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(SettingsError, match="--allow-key: the name of an environment variable") as caught:
        parse_permits([given])
    assert "SECRET123" not in str(caught.value)
    assert "sk-proj" not in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "base_url", "variable", "may_go"),
    [
        (["teacher.base_url=http://a.example/v1"], "http://a.example/v1", "OPENAI_API_KEY", True),
        (["teacher.base_url=http://a.example/v1"], "http://a.example/v1", "AWS_SECRET_ACCESS_KEY", False),
        (["teacher.base_url=http://a.example/v1", "teacher.key_variable=OWN"], "http://a.example/v1", "OWN", True),
        (["teacher.key_variable=OWN"], None, "OWN", True),
        (["teacher.key_variable=OWN"], "http://a.example/v1", "OWN", False),  # the recipe names the server
        (["critics=[{kind: judge, endpoint: {base_url: 'http://a.example/v1', key_variable: OWN}}]"],
         "http://a.example/v1", "OWN", True),
    ],
)  # fmt: skip
def test_settings_beside_the_recipe_are_the_users_word(
    typed: list[str], base_url: str | None, variable: str, may_go: bool
) -> None:
    permits = tuple(permits_in(parse_assignments(typed)))
    if may_go:
        check_key_permits([teacher(base_url, variable)], permits, {})
    else:
        with pytest.raises(SettingsError, match="--allow-key"):
            check_key_permits([teacher(base_url, variable)], permits, {})


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "openai_key",
        "_KEY2",
        "AZURE_GPT4O_KEY",
        "Key",
        "AWS_SECRET_ACCESS_KEY",
        "HF_TOKEN",
        "K8S_V1_KEY",
    ],
)
def test_names_of_variables(name: str) -> None:
    assert is_variable_name(name)


KEYS = [
    "gsk_SECRET123abc", "sk-proj-SECRET123", "hf_abcdefghijKLMNOP", "sk_live_SECRET123", "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyD3SECRET123", "eyJhbGciOiJIUzI1NiJ9", "c0ffee12SECRET123ab", "A1B2C3D4E5F6", "a" * 40, "SECRET123 x", "",
    "0SECRET123", "SECRET123\n", "xai-SECRET123", "ghp_SECRET123",
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_keys_are_no_names(key: str) -> None:
    assert not is_variable_name(key)


RECIPE = """\
recipe: localized
teacher: {{kind: served, model: nice, base_url: '{url}', key_variable: {variable}, max_attempts: 1}}
corpus: {{license: cc0-1.0, source: mine, intended_use: research}}
"""


@pytest.mark.parametrize("command", ["build", "preview", "estimate", "doctor"])
def test_a_strangers_recipe_gets_no_secret(
    command: str, tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    out = tmp_path / "run"
    with ServerThread(lambda _messages, _seed: "no") as server:
        recipe = tmp_path / "nice.yaml"
        recipe.write_text(RECIPE.format(url=server.base_url, variable="AWS_SECRET_ACCESS_KEY"), "utf-8")
        more = [] if command == "doctor" else ["--images", str(images)]
        done = CliRunner().invoke(
            app, [command, str(recipe), *more, *(["--out", str(out)] if command == "build" else [])]
        )
    assert command == "doctor" or isinstance(done.exception, SettingsError)
    assert "--allow-key AWS_SECRET_ACCESS_KEY=127.0.0.1" in done.output + str(done.exception)
    assert server.stats.received == 0
    assert not out.exists()


@pytest.mark.parametrize("key", ["gsk_SECRET123abc", "sk-proj-SECRET123"])
def test_a_key_in_the_place_of_a_name_is_repeated_nowhere(key: str, tmp_path: Path, images: Path) -> None:
    out = tmp_path / "run"
    recipe = tmp_path / "own.yaml"
    recipe.write_text(RECIPE.format(url="http://127.0.0.1:9/v1", variable=key), "utf-8")
    for name, more in (
        (str(recipe), []),
        ("localized", ["teacher.kind=served", "teacher.model=m", f"teacher.key_variable={key}"]),
    ):
        settings = ["corpus.license=cc0-1.0", "corpus.source=mine", "corpus.intended_use=x", *more]
        typed = [part for setting in settings for part in ("--set", setting)]
        done = CliRunner().invoke(app, ["build", name, "--images", str(images), "--out", str(out), *typed])
        assert isinstance(done.exception, SettingsError)
        assert "key_variable: the name of an environment variable is expected" in done.output + str(done.exception)
        assert "SECRET123" not in done.output + str(done.exception)
        assert not out.exists()
