"""Corpora on web servers and on the Hub: what breaks off is gone on with, what lies or is refused is one line."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any  # Any: settings of readers

import pytest
from drawn_corpus import written_corpus
from shard_server import Fault, Served, serving

from builders.localized.recipe import KIND
from ostensive.chat.retry import Backoff
from ostensive.errors import SettingsError
from students.data.loader import ResumableLoader
from students.data.remote import NotThereError, RemoteError, RemoteFile, RemoteSettings, fetch, shown_url
from students.data.shards import find_shards
from students.data.stream import CorpusStream

IMAGES = 9
QUICK = RemoteSettings(attempts=5, backoff=Backoff(base_s=0.001, cap_s=0.002), timeout_s=5.0)
DATA = os.urandom(300_000)
FILE = "/files/data.bin"
TAR = "/corpus/shards/drawn-train-000001.tar"


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Served({FILE: DATA})) as server:
        yield server


@pytest.fixture(scope="module")
def corpus_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    corpus = written_corpus(tmp_path_factory.mktemp("run"), IMAGES, rows=1)
    return {path.name: path.read_bytes() for path in (corpus.path / "shards").iterdir()}


@pytest.fixture
def site(served: Served, corpus_files: dict[str, bytes]) -> Served:
    """A corpus below an address."""
    served.files |= {f"/corpus/shards/{name}": data for name, data in corpus_files.items()}
    return served


def read(served: Served, *, byte_count: int | None = None, size: int = 10_000) -> bytes:
    with RemoteFile(served.address + FILE, {}, byte_count=byte_count, settings=QUICK) as file:
        return b"".join(iter(lambda: file.read(size), b""))


@pytest.mark.parametrize("knows_ranges", [True, False])
@pytest.mark.parametrize(
    "faults",
    [[], ["503"], ["429", "503"], ["break"], ["break", "503", "break"], ["drop"], ["break", "drop", "break", "429"]],
)
def test_a_file_comes_whole_in_spite_of_the_server(served: Served, faults: list[Fault], knows_ranges: bool) -> None:
    """Each answer brings some more, so that patience begins anew."""
    served.knows_ranges = knows_ranges
    served.faults[FILE] = list(faults)
    assert read(served, byte_count=len(DATA)) == DATA
    assert len(served.asked) == len(faults) + 1
    ranges = [span for _, span, _ in served.asked if span]
    assert bool(ranges) == ("break" in faults)


@pytest.mark.parametrize("knows_ranges", [True, False])
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("503", "the server answers 503; 5 attempts in a row brought nothing more"),
        ("drop", "5 attempts in a row brought nothing more"),
        ("claims more", "is 300,100 bytes long, and 300,000 are expected: it was cut short or changed"),
        ("claims less", "is 299,488 bytes long, and 300,000 are expected: it was cut short or changed"),
    ],
)
def test_a_file_that_cannot_be_had_is_one_line(served: Served, fault: Fault, words: str, knows_ranges: bool) -> None:
    served.knows_ranges = knows_ranges
    served.for_good[FILE] = fault
    with pytest.raises(RemoteError) as caught:
        read(served, byte_count=len(DATA))
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{served.address}{FILE}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_header_that_promises_too_much_is_noticed_without_an_index(served: Served, knows_ranges: bool) -> None:
    served.knows_ranges = knows_ranges
    served.for_good[FILE] = "claims more"
    with pytest.raises(RemoteError, match=r"5 attempts in a row brought nothing more$"):
        read(served)
    served.for_good[FILE] = "break"
    if not knows_ranges:  # half of the file, again and again
        with pytest.raises(RemoteError, match=r"5 attempts in a row brought nothing more$"):
            read(served)


@pytest.mark.parametrize(
    ("fault", "words"), [("replaced", "was replaced while it was read"), ("wrong part", "sends another part")]
)
def test_another_file_is_not_put_behind_the_first_half(served: Served, fault: Fault, words: str) -> None:
    served.faults[FILE] = ["break", fault]
    with pytest.raises(RemoteError, match=words):
        read(served)


@pytest.mark.parametrize(("fault", "kind"), [("404", NotThereError), ("401", RemoteError)])
def test_what_is_refused_is_asked_for_once(served: Served, fault: Fault, kind: type[Exception]) -> None:
    served.for_good[FILE] = fault
    with pytest.raises(
        kind, match=rf"^{served.address}{FILE}: the server answers {fault} \(so it is {fault}\); "
    ) as caught:
        fetch(served.address + FILE, {}, QUICK)
    assert "\n" not in str(caught.value)
    assert len(served.asked) == 1


def test_no_server_and_no_address(served: Served) -> None:
    url = served.address.rpartition(":")[0] + ":9/x"
    with pytest.raises(RemoteError, match=r"5 attempts in a row brought nothing more"):
        fetch(url, {}, QUICK)
    with pytest.raises(RemoteError, match=r"^http://a b/x: "):
        fetch("http://a b/x", {}, RemoteSettings(attempts=1))


def test_messages_do_not_repeat_what_may_be_secret() -> None:
    assert shown_url("https://me:word@host.example:8/a/b.tar?token=x#y") == "https://host.example:8/a/b.tar"
    assert shown_url("https://host?key=x") == "https://host"


def names(source: str, **loader: Any) -> list[str]:
    stream = CorpusStream(find_shards(source, remote=QUICK), KIND)
    return [row.row_id for batch in ResumableLoader(stream, batch_size=2, **loader) for row in batch]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_corpus_below_an_address(site: Served, workers: int) -> None:
    site.faults[TAR] = ["503", "break", "drop"]
    found = names(f"{site.address}/corpus/", workers=workers)
    assert sorted(found) == [f"{number:03d}-0" for number in range(IMAGES)]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("404", "drawn-train-000001.tar: the server answers 404"),
        ("503", "drawn-train-000001.tar: the server answers 503; 5 attempts in a row brought nothing more"),
        ("claims less", "drawn-train-000001.tar: is "),
    ],
)
def test_a_shard_that_cannot_be_had_ends_the_epoch(site: Served, fault: Fault, words: str, workers: int) -> None:
    site.for_good[TAR] = fault
    with pytest.raises(RemoteError) as caught:
        names(f"{site.address}/corpus", workers=workers)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_split_that_is_not_there(site: Served) -> None:
    with pytest.raises(SettingsError, match=r"404.*A corpus with the split 'val' is expected there$"):
        find_shards(f"{site.address}/corpus", split="val", remote=QUICK)


_HUB_READER = """
import hashlib, sys
from ostensive.errors import OstensiveError
from students.data.shards import find_shards
try:
    shards = find_shards(sys.argv[1])
    print(shards.where)
    if len(sys.argv) > 2:
        print(input())
    for shard in shards.shards:
        with shards.open(shard) as file:
            print(shard.name, hashlib.sha256(file.read()).hexdigest())
except OstensiveError as error:
    print(f"{type(error).__name__}: {error}")
"""


def hub_environment(served: Served, **more: str) -> dict[str, str]:
    own = {"HF_ENDPOINT": served.address, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_secret", "NO_PROXY": "*"}
    return {**os.environ, **own, "OMP_NUM_THREADS": "1", **more}


def read_from_hub(served: Served, address: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _HUB_READER, address],
        check=True, capture_output=True, text=True, env=hub_environment(served, **environment),
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert "hf_secret" not in done.stdout + done.stderr
    return done.stdout.splitlines()


def test_a_corpus_on_the_hub(served: Served, corpus_files: dict[str, bytes]) -> None:
    """At the commit that a branch stood for when reading began; the token goes to the Hub alone."""
    old, new = "1" * 40, "2" * 40
    served.files |= {f"/me/street/{old}/shards/{name}": data for name, data in corpus_files.items()}
    served.files[f"/me/street/{new}/shards/shardindex-train.json"] = b"{}"
    served.commits = {"main": old, "refs/pr/1": old}
    tars = sorted(name for name in corpus_files if name.endswith(".tar"))
    expected = [f"{name} {hashlib.sha256(corpus_files[name]).hexdigest()}" for name in tars]
    started = subprocess.Popen(
        [sys.executable, "-c", _HUB_READER, "hf://datasets/me/street", "wait"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=hub_environment(served),
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert started.stdout is not None
    assert started.stdin is not None
    first = started.stdout.readline()
    served.commits["main"] = new  # somebody pushes
    rest, _ = started.communicate("go on\n")
    assert [first.strip(), *rest.splitlines()] == [f"hf://datasets/me/street@{old[:12]}", "go on", *expected]
    for path, _, token in served.asked:
        assert token == ("Bearer hf_secret" if path.startswith("/datasets/") else None), path
    assert any(path.startswith(f"/me/street/{old}/") for path in served.paths_asked()), "from the storage"


def test_what_the_hub_does_not_have(served: Served, corpus_files: dict[str, bytes]) -> None:
    commit = "1" * 40
    served.files |= {f"/me/street/{commit}/v2/shards/{name}": data for name, data in corpus_files.items()}
    served.commits = {"refs/pr/1": commit}
    assert (
        read_from_hub(served, "hf://datasets/me/street@refs%2Fpr%2F1/v2")[0] == "hf://datasets/me/street@111111111111"
    )
    (missing,) = read_from_hub(served, "hf://datasets/me/street@gone")
    assert missing.startswith("SettingsError: ")
    assert "the server answers 404" in missing
    (offline,) = read_from_hub(served, "hf://datasets/me/street", HF_HUB_OFFLINE="1")
    assert offline == (
        "SettingsError: hf://datasets/me/street: HF_HUB_OFFLINE is set, and shards are read from the Hub; unset it"
    )
