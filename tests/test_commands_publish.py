"""`ostensive publish` and `ostensive takedown` as a person types them, and the corpus read back by name.

The Hub's library reads its settings once, when it is imported. So what concerns the Hub runs in processes of their own,
with an environment of their own, and nothing in them is changed.
"""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hardship import call
from hub_server import Hub, serve
from hub_state import Fault
from installed_recipe import NAME as RECIPE
from installed_recipe import TESTS, write_distribution
from PIL import Image
from published_run import ME, TOKEN
from test_images_publish import METADATA, PLANTED, camera_exif, encoded, photograph, with_segments

from cards.reading import read_corpus
from cards.takedowns import read_takedowns
from ostensive.run.folder import RunFolder

NAME = "me/street"
SETTINGS = {
    "corpus.license": "cc-by-4.0",
    "corpus.source": "Drawn for a test.",
    "corpus.intended_use": "to test",
    "corpus.contact": "someone@example.org",
    "corpus.splits": "{train: 0.6, test: 0.4}",
    "corpus.max_shard_samples": "2",
    "dedupe.max_distance": "0",  # no model to load
}
READER = """
import hashlib, json, sys
from datasets import Image, load_dataset
found = {}
for streaming in (False, True):
    for config in ("default", "rows"):
        for split, rows in load_dataset(sys.argv[1], config, streaming=streaming).items():
            if config == "default":
                rows = rows.cast_column("image", Image(decode=False))
            rows = [dict(row) for row in rows]
            for row in rows:
                if row.get("image") is not None:
                    row["image"] = hashlib.sha256(row["image"]["bytes"]).hexdigest()
            found[f"{config} {split} {streaming}"] = rows
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Machine:
    """A user's machine: a run, a login, and processes that run there."""

    folder: Path
    hub: Hub

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HF_HOME": str(self.folder / "home"),
            "HF_TOKEN": TOKEN,
            "HF_ENDPOINT": self.hub.address,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "*",
            "OMP_NUM_THREADS": "1",
        }

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "ostensive", *map(str, arguments)]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=self.environment, text=True, **pipes)  # type: ignore[call-overload, no-any-return]  # pipes by name

    def __call__(self, *arguments: object, status: int = 0) -> tuple[str, str]:
        process = self.start(*arguments)
        out, errors = process.communicate(timeout=120)
        assert process.returncode == status, errors
        return out, errors

    def read_by_name(self, name: str = NAME) -> dict[str, list[dict[str, object]]]:
        """The rows of the data set `name` as `datasets` loads them, by configuration, split and whether streamed."""
        done = subprocess.run(
            [sys.executable, "-c", READER, name], env=self.environment, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, list[dict[str, object]]] = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module", autouse=True)
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A recipe of another package is installed: what is published knows none."""
    folder = write_distribution(tmp_path_factory.mktemp("site"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(TESTS)]))
        yield folder


@pytest.fixture(scope="module")
def built(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of photographs that carry all that a telephone writes into them."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "images").mkdir()
    notes = ["file_name,note"]
    for number in range(5):
        data = with_segments(
            encoded(photograph(160 + 8 * number), exif=camera_exif(1 + number)), METADATA, trailer=PLANTED
        )
        assert data.count(PLANTED) > 20
        (folder / "images" / f"photo {number}.jpg").write_bytes(data)
        notes += [
            f"photo {number}.jpg,An astronaut beside flag number {number * 7}",
            f"photo {number}.jpg,She has {number}",
        ]
    (folder / "notes.csv").write_text("\n".join(notes) + "\n")
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    given = ("--images", folder / "images", "--annotations", folder / "notes.csv", "--out", folder / "run")
    done = call("build", RECIPE, *given, "--quiet", *settings)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def machine(built: Path, tmp_path: Path) -> Iterator[Machine]:
    shutil.copytree(built / "run", tmp_path / "run")
    with serve(Hub(users={TOKEN: ME})) as hub:
        yield Machine(tmp_path, hub)


def expected(run: Path) -> dict[str, list[dict[str, object]]]:
    """What the files of the corpus hold, by config and split."""
    corpus, found = read_corpus(RunFolder(run)), {}
    for split in corpus.splits:
        found[f"rows {split}"] = [dict(row) for row in corpus.rows(split)]
        files = [file.path for file in corpus.manifest.files_of("samples") if file.split == split]
        rows = [row for path in files for row in pq.read_table(corpus.path / path).to_pylist()]
        for row in rows:
            row["image"] = hashlib.sha256(row["image"]["bytes"]).hexdigest()
        found[f"default {split}"] = rows
    return found


def assert_reads_back(machine: Machine) -> None:
    found, wanted = machine.read_by_name(), expected(machine.run)
    for name, rows in wanted.items():
        assert found.pop(f"{name} False") == found.pop(f"{name} True") == rows, name
    assert not found


@pytest.mark.slow
def test_published_and_read_back_by_name(machine: Machine) -> None:
    out, shown = machine("publish", machine.run, "street", "--yes")
    assert f"data set    {NAME}, private, made now" in shown
    assert "licence cc-by-4.0" in shown
    assert out.splitlines()[0] == f"published   {machine.hub.address}/datasets/{NAME} as v1"
    assert_reads_back(machine)


@pytest.mark.slow
def test_taken_down_published_again_and_read_back_by_name(machine: Machine) -> None:
    machine("publish", machine.run, NAME, "--yes")
    image_id = str(expected(machine.run)["rows train"][0]["image_id"])
    out, _ = machine("takedown", machine.run, image_id[:12], "--reason", "the owner asked", "--json")
    assert json.loads(out)["image_id"] == image_id
    out, _ = machine("publish", machine.run, NAME, "--yes", "--squash", "--json", "--quiet")
    values = json.loads(out)
    assert (values["plan"]["tag"], values["plan"]["removed_tags"]) == ("v2", ["v1"])
    assert list(machine.hub.data_set(NAME).commits.values()) == [machine.hub.data_set(NAME).head]
    assert_reads_back(machine)
    assert not any(image_id[:32].encode() in data for data in machine.hub.data_set(NAME).head.values())


def test_nothing_of_a_camera_is_published(built: Path) -> None:
    """Place, serial number, owner, thumbnails, comments: not in any byte of the folder, nor read from its pictures."""
    files = [path for path in (built / "run" / "corpus").rglob("*") if path.is_file()]
    assert len(files) > 8
    for path in files:
        data = path.read_bytes()
        for mark in (PLANTED, b"Exif\0\0", b"ns.adobe.com", b"Photoshop", b"JFXX", b"MPF\0"):
            assert mark not in data, f"{path.name}: {mark!r}"
    pictures = 0
    for path in (path for path in files if path.suffix == ".tar"):
        with tarfile.open(path) as tar:
            for member in tar.getmembers()[::2]:
                stream = tar.extractfile(member)
                assert stream is not None
                with Image.open(io.BytesIO(stream.read())) as image:
                    assert not image.getexif()
                    assert set(image.info) <= {
                        "jfif",
                        "jfif_version",
                        "jfif_unit",
                        "jfif_density",
                        "dpi",
                        "icc_profile",
                    }
                pictures += 1
    assert pictures == 5


@pytest.mark.slow
def test_control_c_in_the_middle(machine: Machine) -> None:
    process: list[subprocess.Popen[str]] = []
    fault = Fault("PUT /large/", then=lambda: process[0].send_signal(signal.SIGINT), is_answered=True, after=3)
    machine.hub.faults.append(fault)
    process.append(machine.start("publish", machine.run, NAME, "--yes", "--quiet"))
    out, errors = process[0].communicate(timeout=120)
    assert (process[0].returncode, out) == (130, "")
    assert errors.splitlines()[-1] == "ostensive: interrupted; the same command continues"
    assert set(machine.hub.data_set(NAME).head) == {".gitattributes"}
    sent = machine.hub.take_received()
    machine("publish", machine.run, NAME, "--yes")
    assert sent + machine.hub.take_received() == sum(
        path.stat().st_size for path in (machine.run / "corpus").rglob("*") if path.suffix in (".tar", ".parquet")
    )


@pytest.mark.slow
def test_killed_while_a_file_is_sent(machine: Machine) -> None:
    process: list[subprocess.Popen[str]] = []
    machine.hub.faults.append(
        Fault("PUT /large/", then=lambda: process[0].send_signal(signal.SIGKILL), after=3, is_answered=True)
    )
    process.append(machine.start("publish", machine.run, NAME, "--yes"))
    assert process[0].wait(timeout=120) == -signal.SIGKILL
    held = sum(map(len, machine.hub.objects.values()))
    machine.hub.take_received()
    machine("publish", machine.run, NAME, "--yes")
    large = sum(
        path.stat().st_size for path in (machine.run / "corpus").rglob("*") if path.suffix in (".tar", ".parquet")
    )
    assert held + machine.hub.take_received() == large
    assert_reads_back(machine)


def test_what_is_typed_wrong_is_one_line_and_nothing_is_sent(machine: Machine) -> None:
    """In this process: none of it comes as far as the Hub."""
    done = call("publish", machine.run, NAME)
    assert done.returncode == 2
    assert done.complaint == "publish: nobody can be asked here; look at it with --dry-run, then give --yes"
    done = call("publish", machine.folder / "nowhere", NAME, "--yes")
    assert (done.returncode, "there is no run here" in done.complaint) == (2, True)
    done = call("takedown", machine.run, "f" * 64, "--reason", "x")
    assert (done.returncode, "has no such image" in done.complaint) == (2, True)
    done = call("takedown", machine.run, "f" * 64)
    assert done.returncode == 2
    assert "--reason" in done.stderr
    recipe = machine.run / "recipe.yaml"
    text = recipe.read_text("utf-8")
    assert "\n  license: cc-by-4.0\n" in text
    recipe.write_text(text.replace("\n  license: cc-by-4.0\n", "\n"), "utf-8")
    done = call("publish", machine.run, NAME, "--yes")
    assert done.returncode == 2
    assert "corpus.license is required: nobody but you knows it" in done.complaint
    assert not machine.hub.asked
    assert read_takedowns(machine.run) == ()


def test_a_takedown_says_what_changed(machine: Machine) -> None:
    image_id = str(expected(machine.run)["rows train"][0]["image_id"])
    done = call("takedown", machine.run, image_id, "--reason", "asked")
    assert (done.returncode, done.stderr) == (0, "")
    rows = len([row for row in expected(machine.run)["rows train"] if row["image_id"] == image_id])
    assert rows == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"taken down  {image_id}, with ")
    assert (
        lines[-1]
        == "next        where this corpus is published: ostensive publish, with --squash for its older revisions"
    )
    assert read_takedowns(machine.run)[0].reason == "asked"
    status = call("status", machine.run)
    assert "corpus" in status.stdout
