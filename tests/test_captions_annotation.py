"""People judge the captions of a recipe of another package on the page, and a threshold follows from what they say."""

import csv
import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from os import environ, pathsep
from pathlib import Path

import pytest
from drawing import write_scenes
from installed_recipe import NAME, TESTS, captions_installed
from page_client import PageClient

from critics.labels import read_labels

__all__ = ["captions_installed"]
NOTES = ("A red boat on the lake", "Two dogs play with a ball", "An empty street at night", "A lamp behind a window")


@pytest.mark.slow
def test_captions_are_judged_on_the_page_and_a_threshold_is_chosen(captions_installed: Path, tmp_path: Path) -> None:
    environment = {**environ, "PYTHONPATH": pathsep.join([str(captions_installed), str(TESTS)])}
    images, run, notes = write_scenes(tmp_path / "images", 24), tmp_path / "run", tmp_path / "notes.csv"
    with notes.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "note"])
        for number, path in enumerate(sorted(images.iterdir())):
            writer.writerow([path.name, f"{NOTES[number % 4]}, seen on day {number}"])

    def call(*arguments: object) -> str:
        command = [sys.executable, "-m", "ostensive", *map(str, arguments)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    settings = [
        "corpus.license=cc0-1.0",
        "corpus.source=mine",
        "corpus.intended_use=to test",
        "critics=[{kind: judge, min_accept_probability: 0}]",
    ]
    sets = [part for setting in settings for part in ("--set", setting)]
    call("build", NAME, "--images", images, "--annotations", notes, "--out", run, "--quiet", *sets)

    command = [sys.executable, "-m", "ostensive", "annotate", str(run), "--port", "0", "--annotators", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        said = next(line for line in server.stdout if "http://" in line)
        address = said[said.index("http://") :].split()[0].rstrip("/")
        with PageClient(address) as ada:
            ada.enter("Ada")
            for number in range(24):
                page = ada.get("/label/accept").text
                assert "Here is" in page
                assert "seen on day" in page, "the note stands beside the caption"
                answer = "reject" if number % 3 == 0 else "accept"
                assert ada.send("/label/accept", item_id=ada.item_id, acceptable=answer).status_code == 303
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0

    labels = read_labels(run / "annotations" / "labels.parquet")
    assert len(labels) == 24
    assert sum(label.accepted for label in labels) == 16
    assert {target.name for label in labels for target in label.targets} == {"acceptable"}
    with closing(sqlite3.connect(run / "annotations.sqlite")) as store:
        assert store.execute("select distinct task from items").fetchall() == [("accept",)]
    found = json.loads(call("critic", "threshold", run, "--threshold", "0.5", "--json"))
    assert found["critic"] == "judge"
    assert found["figures"]["rows"] == 24
