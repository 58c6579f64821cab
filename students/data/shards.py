"""Where the shards of a split are: a folder here, a web server, or a data set on the Hugging Face Hub.

All three are known by the index that is published beside shards (`shards/shardindex-<split>.json`, as `wids` reads it):
how many samples and bytes each has, so that a reader knows its part beforehand and notices what is missing.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast  # Any: JSON values
from urllib.parse import quote, unquote

from ostensive.errors import OstensiveError, SettingsError, one_line
from ostensive.fingerprint import fingerprint
from ostensive.json_text import parse_json
from ostensive.run.splits import DEFAULT_SPLIT
from ostensive.user_paths import shown_path, user_path
from students.data.remote import DEFAULT, Fetched, NotThereError, RemoteFile, RemoteSettings, fetch, shown_url

_KIND: Final = "wids-shard-index-v1"
_HUB: Final = re.compile(r"hf://datasets/([^/@]+/[^/@]+)(?:@([^/]+))?(/.*)?")
_BUFFER_BYTES: Final = 1 << 20


class ShardError(OstensiveError):
    """A shard that is not what its index says, or a sample in it that cannot be read."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A tar of samples."""

    name: str
    place: str  # a path or an address
    samples: int
    byte_count: int | None  # None where the index does not say


@dataclass(frozen=True, slots=True)
class ShardSet:
    """The shards of a split, in the order of the index."""

    where: str  # for messages
    split: str
    shards: tuple[Shard, ...]
    digest: str  # of all that the index says: other shards have another
    is_on_hub: bool = False
    remote: RemoteSettings = DEFAULT

    @property
    def sample_count(self) -> int:
        return sum(shard.samples for shard in self.shards)

    def open(self, shard: Shard) -> BinaryIO:
        """The bytes of a shard, to be read once from the beginning.

        Raises `ShardError` for a file that is not there or not as long as the index says; reading one on a server
        raises `RemoteError`.
        """
        if "://" in shard.place:
            headers = _hub_headers() if self.is_on_hub else {}
            file = RemoteFile(shard.place, headers, byte_count=shard.byte_count, settings=self.remote)
            return cast(BinaryIO, io.BufferedReader(file, _BUFFER_BYTES))
        path = Path(shard.place)
        try:
            found = path.stat().st_size
            if shard.byte_count is not None and found != shard.byte_count:
                raise ShardError(
                    f"{shown_path(path)}: is {found:,} bytes long, and {shard.byte_count:,} are expected: it was cut"
                    " short or changed; copy it again"
                )
            return path.open("rb", buffering=_BUFFER_BYTES)
        except OSError as error:
            raise ShardError(f"{shown_path(path)}: cannot be read: {error.strerror or error}") from error


def find_shards(source: str | Path, *, split: str = DEFAULT_SPLIT, remote: RemoteSettings = DEFAULT) -> ShardSet:
    """The shards of a split of the corpus at `source`.

    That is the folder of a run or of a corpus; its address, `https://...`, where `shards/` lies below; or
    `hf://datasets/NAME/CORPUS`, also with `@REVISION` and a folder behind it: the revision's commit is read to the
    end. Raises `SettingsError` for a corpus without images or such a split and for an index that cannot be read;
    `RemoteError` for a server that does not give it.
    """
    text = str(source)
    if text.startswith("hf://"):
        return _on_hub(text, split, remote)
    if re.match(r"https?://", text):
        base = f"{text.rstrip('/')}/shards/"
        fetched = _fetched(f"{base}{_index_name(split)}", {}, split, remote)
        return _shard_set(fetched.data, shown_url(text), split, lambda name: base + quote(name), remote=remote)
    if "://" in text:
        raise SettingsError(f"{shown_url(text)}: a folder, http(s)://... or hf://datasets/... is expected")
    return _in_folder(user_path(text, "corpus"), split)


def _in_folder(path: Path, split: str) -> ShardSet:
    folder = next((one for one in (path / "corpus" / "shards", path / "shards") if one.is_dir()), None)
    if folder is None:
        raise SettingsError(
            f"{shown_path(path)}: holds no shards; the folder of a finished run or of a published corpus is expected"
        )
    there = sorted(one.name.removeprefix("shardindex-").removesuffix(".json") for one in folder.glob("shardindex-*"))
    if not there:
        raise SettingsError(f"{shown_path(path)}: holds no image, so that there is nothing to train on")
    if split not in there:
        raise SettingsError(f"{shown_path(path)}: has no split called {split!r}; there are {', '.join(there)}")
    data = (folder / _index_name(split)).read_bytes()
    return _shard_set(data, shown_path(path), split, lambda name: str(folder / name))


def _on_hub(address: str, split: str, remote: RemoteSettings) -> ShardSet:
    from huggingface_hub import constants, hf_hub_url

    found = _HUB.fullmatch(address)
    if found is None:
        raise SettingsError(f"{address}: hf://datasets/OWNER/NAME is expected, or hf://datasets/OWNER/NAME@REVISION")
    if constants.HF_HUB_OFFLINE:
        raise SettingsError(f"{address}: HF_HUB_OFFLINE is set, and shards are read from the Hub; unset it")
    name, below = found[1], (found[3] or "").strip("/")
    folder = f"{below}/shards" if below else "shards"

    def url_of(file: str, revision: str | None) -> str:
        return hf_hub_url(name, file, subfolder=folder, repo_type="dataset", revision=revision)

    # The index at a branch says at which commit it is; shards are then read at that commit, whatever is pushed.
    index = url_of(_index_name(split), unquote(found[2]) if found[2] else None)
    fetched = _fetched(index, _hub_headers(), split, remote)
    commit = fetched.headers.get("x-repo-commit")
    if not commit:
        raise SettingsError(f"{address}: the server names no commit, as the Hub does; look at HF_ENDPOINT")
    where = f"{address.partition('@')[0]}@{commit[:12]}"
    return _shard_set(fetched.data, where, split, lambda file: url_of(file, commit), remote=remote, is_on_hub=True)


def _hub_headers() -> dict[str, str]:
    """With the token of whoever is logged in; asked for when a shard is opened, so that it is stored nowhere."""
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # exported when it is run

    return dict(build_hf_headers())


def _fetched(url: str, headers: dict[str, str], split: str, remote: RemoteSettings) -> Fetched:
    try:
        return fetch(url, headers, remote)
    except NotThereError as error:
        raise SettingsError(f"{error} A corpus with the split {split!r} is expected there") from error


def _index_name(split: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", split):
        raise SettingsError(f"split {split!r}: is no name of a split")
    return f"shardindex-{split}.json"


def _shard_set(
    data: bytes,
    where: str,
    split: str,
    place_of: Callable[[str], str],
    *,
    remote: RemoteSettings = DEFAULT,
    is_on_hub: bool = False,
) -> ShardSet:
    try:
        index = parse_json(data, strict=False)
        if index["__kind__"] != _KIND:
            raise ValueError(f"its kind is {index['__kind__']!r}")
        shards = tuple(_shard(entry, place_of) for entry in index["shardlist"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"{where}: {_index_name(split)} is no index of shards ({type(error).__name__}: {one_line(error)});"
            f" one of the kind {_KIND} is expected"
        ) from error
    if not any(shard.samples for shard in shards):
        raise SettingsError(f"{where}: holds no image, so that there is nothing to train on")
    digest = fingerprint([[shard.name, shard.samples, shard.byte_count] for shard in shards])[:16]
    return ShardSet(where, split, shards, digest, is_on_hub, remote)


def _shard(entry: Any, place_of: Callable[[str], str]) -> Shard:
    """A shard of the index, which lies beside it: an index is no reason to read from anywhere else."""
    name, samples, byte_count = entry["url"], entry["nsamples"], entry.get("filesize")
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*\.tar", name):
        raise ValueError(f"{name!r:.80} is no name of a shard beside it")
    for number in (samples, *([] if byte_count is None else [byte_count])):
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise ValueError(f"{name}: {number!r:.20} is no count")
    return Shard(name, place_of(name), samples, byte_count)
