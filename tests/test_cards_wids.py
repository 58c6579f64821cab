"""The index of shards is read by `wids` itself, which came with `webdataset` until 1.0."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from drawn_corpus import sample_of, written_corpus

UV = os.environ.get("UV") or shutil.which("uv")
LAST_WITH_WIDS = "webdataset==0.2.111"
READ = """
import json, sys, warnings
warnings.simplefilter("ignore")
import wids
dataset = wids.ShardListDataset(sys.argv[1], cache_dir=sys.argv[2], keep=True)
samples = [dataset[place] for place in range(len(dataset))]
seen = [[one["__key__"], one[".jpg"].size, one[".json"]["source"]] for one in samples]
print(json.dumps(seen), file=open(sys.argv[3], "w"))
"""


@pytest.mark.slow
def test_wids_reads_every_sample(tmp_path: Path) -> None:
    if UV is None:
        pytest.skip("uv is not installed")
    corpus = written_corpus(tmp_path / "run", 7, a_shard=3)
    library = tmp_path / "library"
    # In a folder of its own: it would take the place of the `webdataset` that is here.
    install = [UV, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(library), "--no-deps"]
    # Not from here, where this project's own versions are asked for.
    subprocess.run([*install, LAST_WITH_WIDS], check=True, capture_output=True, text=True, cwd=tmp_path)
    seen = tmp_path / "seen.json"
    subprocess.run(
        [sys.executable, "-c", READ, "shardindex-train.json", str(tmp_path / "cache"), str(seen)],
        check=True,
        capture_output=True,
        text=True,
        cwd=corpus.path / "shards",
        env={**os.environ, "PYTHONPATH": str(library)},
    )
    expected = [(sample_of(number, 1).image, f"{number}.jpg") for number in range(7)]
    assert json.loads(seen.read_text("utf-8")) == [
        [image.image_id[:32], [image.width, image.height], source] for image, source in expected
    ]
