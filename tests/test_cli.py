"""The command line as a user meets it: real processes, exit status, one line for what is wrong."""

import json
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import yaml
from drawing import draw_scene, write_scenes
from hardship import call

COMMAND = [sys.executable, "-m", "ostensive"]
ONE_TURN = ["--set", "localized.turns=1"]
LICENCE = [
    "--set",
    "corpus.license=cc0-1.0",
    "--set",
    "corpus.source=drawn by a test",
    "--set",
    "corpus.intended_use=to test",
]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("images"), 4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    sets = ["--set", "teacher.error_rate=0.3", "--set", "run.partition_size=3"]
    done = call("build", "localized", "--images", images, "--out", out, "--json", *LICENCE, *sets)
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values["rows"] > 0
    names = [stage["name"] for stage in values["stages"]]
    assert names == ["images", "distinct", "verbalized", "candidates", "unique", "scored", "judged"]
    for before, stage in zip(values["stages"], values["stages"][1:], strict=False):
        assert stage["inputs"] == before["kept"]
    for stage in values["stages"]:
        assert stage["rows"] == stage["kept"] + sum(stage["dropped"].values()) + sum(stage["failed"].values())
    assert values["rows"] == values["stages"][-1]["kept"]
    return out


def test_help_and_version() -> None:
    assert "build" in call("--help").stdout
    assert call("--version").stdout.startswith("ostensive 0.")
    assert call().returncode == 2


def test_the_run_folder_is_what_the_design_says(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert names >= {
        "recipe.yaml",
        "images",
        "distinct",
        "verbalized",
        "candidates",
        "unique",
        "scored",
        "judged",
        "journal.sqlite",
        "corpus",
        "log.jsonl",
    }
    assert {path.name for path in (run / "corpus").iterdir()} >= {
        "README.md",
        "shards",
        "data",
        "rows",
        "manifest.json",
    }


def test_the_resolved_recipe_can_be_built_from(run: Path, images: Path, tmp_path: Path) -> None:
    done = call("build", run / "recipe.yaml", "--images", images, "--out", tmp_path / "again", "--quiet")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again/corpus/README.md").read_bytes() == (run / "corpus/README.md").read_bytes()


def test_status_as_text_and_json(run: Path) -> None:
    text = call("status", run).stdout
    assert text.startswith("run is done; 4 source images")
    assert "candidates           2/2" in text
    values = json.loads(call("status", run, "--json").stdout)
    assert (values["outcome"], values["partitions"], values["seconds_left"]) == ("done", 2, None)


def test_a_table_on_standard_output_and_nothing_else_when_quiet(run: Path, images: Path) -> None:
    sets = ["--set", "teacher.error_rate=0.3", "--set", "run.partition_size=3"]
    done = call("build", "localized", "--images", images, "--out", run, "--quiet", *LICENCE, *sets)
    assert done.stderr == ""
    assert done.stdout.splitlines()[0].split() == ["stage", "in", "rows", "kept", "dropped", "failed"]


def test_preview_prints_every_text_and_writes_nothing(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("preview", "localized", "--images", images)
    assert done.returncode == 0, done.stderr
    for expected in ("=== verbalized ===", "[0] ", "conversation 2 of 2", "--- user", "question: ", "accepted: "):
        assert expected in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_estimate_counts_what_a_build_then_asks(images: Path, run: Path) -> None:
    values = json.loads(call("estimate", "localized", "--images", images, "--json").stdout)
    assert (values["images"], values["requests"], values["usd"]) == (4, 24, 0)
    assert values["prompt_tokens"] > values["completion_tokens"] > 0
    served = ["--set", "teacher.kind=served", "--set", "teacher.model=gpt-4o-mini"]
    priced = json.loads(call("estimate", "localized", "--images", images, "--json", *served).stdout)
    assert 0 < priced["usd"] < 1
    unknown = call(
        "estimate", "localized", "--images", images, "--set", "teacher.kind=served", "--set", "teacher.model=m"
    )
    assert "cost        unknown (no price is known for the model)" in unknown.stdout


def test_recipes_are_listed_shown_copied_and_described(tmp_path: Path) -> None:
    assert call("recipes", "list").stdout.startswith("localized     Questions, answers and rationales")
    assert yaml.safe_load(call("recipes", "show", "localized").stdout)["recipe"] == "localized"
    full = yaml.safe_load(call("recipes", "show", "localized", "--full").stdout)
    assert full["teacher"] == {"kind": "scripted", "sees_image": None, "error_rate": 0.0}
    assert full["corpus"]["license"] == "YOURS", "which no build takes"
    copied = call("recipes", "copy", "localized", tmp_path)
    assert copied.stdout.strip() == str(tmp_path / "localized.yaml")
    again = call("recipes", "copy", "localized", tmp_path)
    assert (again.returncode, again.stderr.strip().endswith("exists already; choose another name")) == (2, True)
    schema = json.loads(call("recipes", "schema").stdout)
    assert schema["additionalProperties"] is False
    assert "teacher" in schema["properties"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["build", "localised"],
            "localised: neither a recipe (localized, rationales, preferences, instructions, explanations) nor a YAML"
            " file; did you mean localized?",
        ),
        (
            ["build", "localized"],
            "localized: corpus.license is required: nobody but you knows it; e.g. --set corpus.license=cc-by-4.0",
        ),
        (
            ["build", "localized", *LICENCE, "--set", "teacher.temprature=1"],
            "localized: teacher.temprature: unknown key",
        ),
        (
            ["build", "localized", *LICENCE, "--profile", "ofline"],
            "profile: there is no profile called 'ofline'; known are microworld, offline",
        ),
        (["build", "localized", *LICENCE, "--set", "recipe=locl"], "recipe: there is no recipe called 'locl'"),
        (["build", "localized", *LICENCE, "--prices", "none.yaml"], "none.yaml"),
    ],
)
def test_what_is_set_wrong_stops_before_any_work(
    arguments: list[str], message: str, images: Path, tmp_path: Path
) -> None:
    done = call(*arguments, "--images", images, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("ostensive: ")
    assert len(done.stderr.splitlines()) == 1
    assert not list((tmp_path / "run").glob("*/*.parquet"))


def test_images_that_are_not_there(tmp_path: Path) -> None:
    done = call("build", "localized", "--images", tmp_path / "none", "--out", tmp_path / "run", *LICENCE)
    assert done.returncode == 2
    assert "none" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_smaller_limit_does_not_throw_work_away(run: Path, images: Path) -> None:
    done = call("build", "localized", "--images", images, "--out", run, "--limit", 2, *LICENCE)
    assert done.returncode == 2
    assert "--limit 2:" in done.stderr
    assert "holds 4 images already and would lose the others" in done.stderr


def test_a_missing_key_is_named_before_any_work(images: Path, tmp_path: Path) -> None:
    served = ["--set", "teacher.kind=served", "--set", "teacher.model=gpt-4o-mini"]
    done = call("build", "localized", "--images", images, "--out", tmp_path / "run", "--quiet", *LICENCE, *served)
    assert done.returncode == 2
    assert "OPENAI_API_KEY" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_max_requests_stops_with_a_usable_corpus_and_more_continues(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [
        "build",
        "localized",
        "--images",
        images,
        "--out",
        out,
        "--quiet",
        *LICENCE,
        "--set",
        "run.partition_size=1",
    ]
    done = call(*command, "--max-requests", 13)
    assert done.returncode == 1
    assert "--max-requests: 13 of 13" in done.stderr
    state = json.loads(call("status", out, "--json").stdout)
    assert state["outcome"] == "BudgetReached"
    assert state["stages"][-1]["kept"] > 0
    assert (out / "corpus/README.md").exists()
    again = call(*command, "--max-requests", 13)
    assert again.returncode == 1, "the limit holds for the run, not for the command"
    assert call(*command, "--max-requests", 24).returncode == 0


def test_a_shared_journal_pays_once_for_two_runs(images: Path, tmp_path: Path) -> None:
    shared = ["--journal", tmp_path / "shared.sqlite", *LICENCE, "--quiet", "--images", images]
    assert call("build", "localized", "--out", tmp_path / "one", *shared).returncode == 0
    again = call("build", "localized", "--out", tmp_path / "two", *shared, "--max-requests", 0)
    assert again.returncode == 0, again.stderr


def interruptible(images: Path, out: Path) -> subprocess.Popen[str]:
    write_scenes(images, 12)
    command = [*COMMAND, "build", "localized", "--images", images, "--out", out, *LICENCE, *ONE_TURN]
    return subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_ctrl_c_stops_cleanly_and_the_run_resumes(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "run"
    with interruptible(images, out) as process:
        wait_for(out / "images", process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=150)
    assert process.returncode == 130
    assert "stopping: what is in flight is finished first" in errors
    assert errors.splitlines()[-1] == "ostensive: interrupted; the same command continues"
    assert "Traceback" not in errors
    assert json.loads(call("status", out, "--json").stdout)["outcome"] == "Interrupted"
    done = call("build", "localized", "--images", images, "--out", out, "--quiet", *LICENCE, *ONE_TURN)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    with interruptible(tmp_path / "images", tmp_path / "run") as process:
        wait_for(tmp_path / "run" / "images", process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)  # two signals of one kind may arrive as one
        started = time.monotonic()
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - started < 5


# ---- no image at all ------------------------------------------------------------------------------------------------


def refused_folder(folder: Path, kind: str) -> Path:
    """A folder of which nothing can be taken in, for one reason."""
    folder.mkdir()
    match kind:
        case "links":
            write_scenes(folder.parent / "elsewhere", 3)
            for path in (folder.parent / "elsewhere").iterdir():
                (folder / path.name).symlink_to(path)
        case "pointers":
            for number in range(3):
                (folder / f"{number}.jpg").write_text("version https://git-lfs.github.com/spec/v1\n")
        case "small":
            for number in range(3):
                draw_scene(number, width=40, height=40).resize((8, 8)).save(folder / f"{number}.png")
        case "tar":
            with tarfile.open(folder / "a.tar", "w") as tar:
                for number in range(3):
                    tar.addfile(tarfile.TarInfo(f"{number}.jpg"))
        case "broken tar":
            (folder / "a.tar").write_bytes(b"no tar at all")
        case "phone":
            (folder / "a.HEIC").write_bytes(b"x")
    return folder


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "links",
            "images: all 3 were refused (3 leads out of the folder); neither a link nor a path in a row is"
            " followed out of the folder: copy the files with `cp -RL`, download them with `hf"
            " download --local-dir`, or give a list of the files",
        ),
        (
            "pointers",
            "images: all 3 were refused (3 not an image); look into one of them: pointers of Git LFS (`git lfs pull`)"
            " and error pages of servers are none",
        ),
        ("small", "images: all 3 were refused (3 too small); lower intake.min_side"),
        ("tar", "images: all 3 were refused (3 empty file); copy or download the files again"),
        ("broken tar", "images: the only one was refused (1 unreadable); see what is wrong with one of them"),
        ("phone", "images: the only one was refused (1 format not supported); convert the images to JPEG"),
    ],
)
def test_a_run_into_which_no_image_came_is_a_failure_that_says_what_to_do(
    tmp_path: Path, kind: str, message: str
) -> None:
    images, out = refused_folder(tmp_path / "images", kind), tmp_path / "run"
    done = call("build", "localized", "--images", images, "--out", out, "--quiet", *LICENCE)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.complaint == f"{message}; the rows of {out}/images have the reason of each"
    assert not (out / "corpus").exists()
    assert f"run is NoImagesError: {message}" in call("status", out).stdout
    for command in ("preview", "estimate"):
        done = call(command, "localized", "--images", images)
        assert (done.returncode, done.stdout, done.complaint) == (1, "", message)


def test_one_image_among_many_refused_is_a_run_preview_and_estimate(tmp_path: Path) -> None:
    images = write_scenes(tmp_path / "images", 1, first=17)  # beyond those that an estimate tries first
    for number in range(40):
        (images / f"scene {number:04d}.jpg").write_bytes(b"") if number != 17 else None
    assert call("preview", "localized", "--images", images).stdout.startswith(
        "\n=== images ===\nscene 0017.jpg  96 x 72"
    )
    assert "images      40 (estimated from 1)" in call("estimate", "localized", "--images", images).stdout
    (images / "phone.heic").write_bytes(b"x")  # refused when it is listed
    assert "images      40 (estimated from 1)" in call("estimate", "localized", "--images", images).stdout
    out = tmp_path / "run"
    sets = ["--set", "run.max_failed_share=1"]
    done = call("build", "localized", "--images", images, "--out", out, "--quiet", *LICENCE, *sets)
    assert (done.returncode, "about 1 image\n" in done.stdout) == (0, True)


# ---- names of files on a terminal -----------------------------------------------------------------------------------


def test_names_of_files_do_not_act_on_the_terminal(tmp_path: Path) -> None:
    name = "a\x1b[2J\x07\x9b\u202e\n9.41\u202fAM.jpg"
    shown = "a\\x1b[2J\\x07\\x9b\\u202e"
    folder = tmp_path / "evil\x1b]0;x\x07"
    folder.mkdir()
    draw_scene(1).save(folder / name, "JPEG")
    done = call("preview", "localized", "--images", folder)
    assert f"{shown}\n9.41\u202fAM.jpg  96 x 72" in done.stdout
    text = call("build", "localized", "--images", folder, "--out", tmp_path / "run\x85\x1b[", "--quiet", *LICENCE)
    as_json = call(
        "build", "localized", "--images", folder, "--out", tmp_path / "run\x85\x1b[", "--quiet", "--json", *LICENCE
    )
    assert "/run\\x85\\x1b[/corpus" in text.stdout
    assert json.loads(as_json.stdout)["corpus"] == str(tmp_path / "run\x85\x1b[" / "corpus")
    (folder / "empty").mkdir()
    refused = call("build", "localized", "--images", folder / "empty", "--out", folder / "other", *LICENCE)
    assert (refused.returncode, "evil\\x1b]0;x\\x07/empty: no image in this" in refused.complaint) == (2, True)
    for done_ in (done, text, as_json, refused):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", done_.stdout + done_.stderr)
