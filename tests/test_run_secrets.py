"""Keys are nowhere to be read: not in the run folder, the card, the output, or an error, whatever the server does."""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from drawing import write_scenes
from hardship import REQUESTS_AN_IMAGE, Done, build_command, call, tree

from builders.localized.scripted import make_script
from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.server import ServerSettings, ServerThread
from ostensive.errors import SettingsError
from ostensive.settings import validate

IMAGES = 2
KEY = "sk-Ostensive0Test-7c1d5e"
WRONG_KEY = "sk-Ostensive0Wrong-99aa"
PASSWORD = "hunter2-swordfish"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("images"), IMAGES)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerThread]:
    """Wants a key, and repeats the header it was sent when it is another one."""
    with ServerThread(make_script(0.2), ServerSettings(required_key=KEY)) as thread:
        yield thread


def assert_nowhere(secret: str, run: Path, *said: Done) -> None:
    """`secret` is in no file of the run and in nothing that was printed, whole or in part."""
    for part in {secret, secret[3:], secret[:-4]}:
        for name, data in tree(run).items():
            assert part.encode() not in data, f"{name} holds the key"
            assert part not in name
        for done in said:
            assert part not in done.stdout
            assert part not in done.stderr


@pytest.mark.parametrize("way", ["environment", "recipe file"])
def test_a_run_with_a_key(
    way: str, server: ServerThread, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, command = tmp_path / "run", build_command(images, tmp_path / "run", server.base_url)
    if way == "environment":
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
    else:
        recipe = tmp_path / "mine.yaml"
        recipe.write_text(yaml.safe_dump({"recipe": "localized", "teacher": {"kind": "served", "api_key": KEY}}))
        command[1] = str(recipe)
    stopped = call(*command, "--max-requests", 5)  # a journal that was not closed in peace has a log beside it
    done = call(*command)
    assert (stopped.returncode, done.returncode) == (1, 0), done.stderr
    assert_nowhere(KEY, run, stopped, done, call("status", run), call("status", run, "--json"))
    assert (run / "journal.sqlite").stat().st_size > 0

    # The recipe that was written down can be used again; the key has to be given again.
    again = build_command(images, tmp_path / "again", server.base_url)
    again[1] = str(run / "recipe.yaml")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    keyless = call(*again)
    assert keyless.returncode == 1
    assert "refuses the key" in keyless.complaint
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    reused = call(*again)
    assert reused.returncode == 0, reused.stderr
    assert tree(tmp_path / "again" / "corpus") == tree(run / "corpus")
    assert_nowhere(KEY, tmp_path / "again", keyless, reused)


@pytest.mark.slow
def test_a_killed_run_leaves_no_key_in_the_write_ahead_log(server: ServerThread, images: Path, tmp_path: Path) -> None:
    slow = ServerSettings(required_key=KEY, latency_s=0.3)
    with ServerThread(make_script(0.2), slow) as slow_server:
        run = tmp_path / "run"
        command = [sys.executable, "-m", "ostensive", *build_command(images, run, slow_server.base_url)]
        environment = {**os.environ, "OPENAI_API_KEY": KEY}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            while slow_server.stats.answered < 5:
                assert process.poll() is None, process.communicate()
            process.kill()
            said, errors = process.communicate()
    assert (run / "journal.sqlite-wal").stat().st_size > 0
    assert_nowhere(KEY, run, Done(process.returncode, said, errors))


def test_a_server_that_repeats_a_refused_key(server: ServerThread, images: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = call(*build_command(images, run, server.base_url, api_key=WRONG_KEY))
    assert (done.returncode, "refuses the key" in done.complaint) == (1, True)
    assert "Bearer [key]" in done.complaint, "the server's words are shown without the key"
    assert_nowhere(WRONG_KEY, run, done)
    assert not run.exists(), "nothing is written before the key is known to be taken"


def test_a_teacher_that_repeats_the_key_in_its_answers(images: Path, tmp_path: Path) -> None:
    script = make_script(0.0)
    with ServerThread(lambda messages, seed: f"Your key is {KEY}.\n\n{script(messages, seed)}") as server:
        done = call(*build_command(images, tmp_path / "run", server.base_url, api_key=KEY))
    assert done.returncode == 0, done.stderr
    assert server.stats.answered == IMAGES * REQUESTS_AN_IMAGE
    assert_nowhere(KEY, tmp_path / "run", done)


def test_a_server_that_is_down(images: Path, tmp_path: Path) -> None:
    with ServerThread(make_script(0.0)) as server:
        pass
    done = call(*build_command(images, tmp_path / "run", server.base_url, api_key=KEY, max_attempts=1))
    assert (done.returncode, "cannot be reached" in done.complaint) == (1, True)
    assert_nowhere(KEY, tmp_path / "run", done)


ADDRESS = (
    "teacher.base_url: a URL without user name, password, query or fragment is expected; the key goes into"
    " OPENAI_API_KEY"
)


@pytest.mark.parametrize(
    "base_url",
    [
        f"http://me:{PASSWORD}@127.0.0.1:9/v1",
        f"http://{PASSWORD}@127.0.0.1:9/v1",
        f"http://127.0.0.1:9/v1?key={PASSWORD}",
        f"http://127.0.0.1:9/v1#{PASSWORD}",
        f"me:{PASSWORD}@127.0.0.1:9/v1",
    ],
)
def test_a_secret_in_the_address_is_refused_and_not_repeated(base_url: str, images: Path, tmp_path: Path) -> None:
    done = call(*build_command(images, tmp_path / "run", base_url))
    assert (done.returncode, done.complaint) == (2, f"localized: {ADDRESS}")
    assert not (tmp_path / "run").exists()


def test_a_secret_in_the_address_of_the_environment(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://me:{PASSWORD}@127.0.0.1:9/v1")
    command = build_command(images, tmp_path / "run", "null", api_key=KEY)
    done = call(*command)
    assert done.returncode == 2
    assert done.complaint == ADDRESS.replace("teacher.base_url", "teacher.base_url or OPENAI_BASE_URL")
    assert_nowhere(PASSWORD, tmp_path / "run", done)
    assert_nowhere(KEY, tmp_path / "run", done)


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [
        ("teacher.api_key={sk: 12345678901}", "localized: teacher.api_key: text is expected; put the key in quotes"),
        ("teacher.api_key=[sk, 12345678901]", "localized: teacher.api_key: text is expected; put the key in quotes"),
        ("teacher={kind: served, api_key: sk-12345678901", "--set teacher: is given twice, as a section and as"),
        ("corpus={source: sk-12345678901", "--set corpus: is given twice, as a section and as"),
        ("dedupe={model: sk-12345678901", "localized: dedupe: input should be a valid dictionary"),
        ("teacher.api_kye=sk-12345678901", "localized: teacher.api_kye: unknown key; the nearest known key is"),
    ],
)
def test_a_key_that_is_given_wrongly_is_not_repeated(
    assignment: str, complaint: str, images: Path, tmp_path: Path
) -> None:
    done = call(*build_command(images, tmp_path / "run", "http://127.0.0.1:9/v1", "--set", assignment))
    assert done.returncode == 2
    assert done.complaint.startswith(complaint)
    assert "12345678901" not in done.stderr


def test_the_schema_and_the_full_recipe_show_no_key(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    shown = [call("recipes", "schema"), call("recipes", "show", "localized", "--full")]
    shown.append(call("estimate", "localized", "--images", images, "--json", "--set", f"teacher={json.dumps(SERVED)}"))
    for done in shown:
        assert done.returncode == 0, done.stderr
        assert KEY not in done.stdout + done.stderr


SERVED = {"kind": "served", "model": "m", "api_key": KEY}


@pytest.mark.parametrize("values", [{"base_url": f"http://me:{KEY}@h/v1"}, {"api_key": [KEY]}, {"key": KEY}])
def test_a_traceback_of_the_python_functions_shows_no_key(values: dict[str, object]) -> None:
    with pytest.raises(SettingsError) as caught:
        validate(ServedTeacherSettings, {"model": "m", **values}, "teacher")
    assert KEY not in "".join(traceback.format_exception(caught.value))
