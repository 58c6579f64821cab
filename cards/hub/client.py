"""The Hub, as far as publishing needs it: `huggingface_hub` with its exceptions as ours.

Who the user is comes from their own login (`hf auth login`, or HF_TOKEN); a token is never handed in, kept or written.
Whether files travel as LFS or as Xet is the library's business, and nothing here depends on it.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from logging import ERROR
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar  # Any: responses of a library that is not typed here

from cards.hub.faults import HubConflictError, HubUnavailableError, WaitTooLongError, translated
from cards.hub.plan import HubFile
from ostensive.errors import SettingsError, one_line

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

T = TypeVar("T")
_KIND: Final = "dataset"
_MAIN: Final = "main"
_TIMEOUT_S: Final = 300.0  # the library waits for ever
_LONGEST_WAIT_S: Final = 600.0  # that a server may ask for; the Hub's own windows are of five minutes


@dataclass(frozen=True, slots=True)
class Account:
    """Who is logged in."""

    name: str
    organizations: tuple[str, ...]
    may_write: bool


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A data set on the Hub as its main branch is."""

    is_private: bool
    head: str
    files: dict[str, HubFile]
    tags: dict[str, str]  # the commit of each


class Upload:
    """A file on its way: sent once, however often it is then committed."""

    def __init__(self, path: str, source: Path | bytes) -> None:
        self.path = path
        self._source = source
        self._sent: CommitOperationAdd | None = None

    def operation(self) -> "CommitOperationAdd":
        """What the library takes; after it was committed in vain, the same again."""
        from huggingface_hub import CommitOperationAdd

        if self._sent is None:
            self._sent = CommitOperationAdd(self.path, self._source)
        return self._sent


class HubClient:
    """One user's view of the Hub. `tell` gets a line where something has to be waited for.

    What fails on the Hub's side is asked again after each of `again_after_s`.
    """

    def __init__(
        self, tell: Callable[[str], None] = lambda _line: None, again_after_s: Sequence[float] = (1.0, 4.0)
    ) -> None:
        self._tell = tell
        self._again_after_s = again_after_s

    @property
    def address(self) -> str:
        """Where the Hub is: HF_ENDPOINT."""
        from huggingface_hub import constants

        return constants.ENDPOINT

    def account(self) -> Account:
        """Raises `SettingsError` where nobody is logged in."""
        from huggingface_hub import get_token

        if get_token() is None:
            raise SettingsError(
                f"nobody is logged in at {self.address}; run hf auth login, or set HF_TOKEN, and the same command again"
            )
        found: dict[str, Any] = self._asked("your login", lambda api: api.whoami())
        role = found.get("auth", {}).get("accessToken", {}).get("role", "write")
        names = tuple(one["name"] for one in found.get("orgs", []))
        return Account(found["name"], names, may_write=role != "read")

    def repository(self, name: str) -> HubRepository | None:
        """The data set `name`; None where there is none, or none that this user may see."""
        from huggingface_hub import RepoFile
        from huggingface_hub.errors import RepositoryNotFoundError

        def look(api: "HfApi") -> HubRepository | None:
            try:
                info = api.repo_info(name, repo_type=_KIND, revision=_MAIN)
            except RepositoryNotFoundError as error:
                if error.response.status_code == 401:  # of a login that is good the Hub says 404
                    raise
                return None
            assert info.sha is not None, "a revision has a commit"
            entries = api.list_repo_tree(name, repo_type=_KIND, revision=info.sha, recursive=True)
            files = [
                HubFile(one.path, one.size, one.blob_id, None if one.lfs is None else one.lfs.sha256)
                for one in entries
                if isinstance(one, RepoFile)
            ]
            tags = {ref.name: ref.target_commit for ref in api.list_repo_refs(name, repo_type=_KIND).tags}
            return HubRepository(bool(info.private), info.sha, {file.path: file for file in files}, tags)

        return self._asked(name, look)

    def read(self, name: str, path: str, commit: str) -> bytes | None:
        """A small file of a commit; None where it is not there."""
        from huggingface_hub.errors import RemoteEntryNotFoundError

        def fetch(api: "HfApi") -> bytes | None:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    found = api.hf_hub_download(name, path, repo_type=_KIND, revision=commit, cache_dir=folder)
                except RemoteEntryNotFoundError:
                    return None
                return Path(found).read_bytes()

        return self._asked(f"{name}: {path}", fetch)

    def create(self, name: str, *, is_private: bool) -> None:
        """Make the data set; one of that name that is there already is taken for a first try of this."""
        self._asked(name, lambda api: api.create_repo(name, repo_type=_KIND, private=is_private, exist_ok=True))

    def send(self, name: str, uploads: Sequence[Upload]) -> None:
        """Have the Hub hold the bytes of these files; what it holds already is not sent. No reader sees them yet."""
        self._once(
            name, lambda api: api.preupload_lfs_files(name, [one.operation() for one in uploads], repo_type=_KIND)
        )

    def commit(self, name: str, uploads: Sequence[Upload], deleted: Sequence[str], *, message: str, head: str) -> str:
        """Make all of it the new head of the main branch at once; returns the commit.

        Raises `HubConflictError` where the branch is no longer at `head`.
        """
        from huggingface_hub import CommitOperationDelete

        def make(api: "HfApi") -> str:
            added = [one.operation() for one in uploads]
            gone = [CommitOperationDelete(path) for path in deleted]
            made = api.create_commit(name, [*added, *gone], commit_message=message, repo_type=_KIND, parent_commit=head)
            return str(made.oid)

        return self._once(name, make)

    def tag(self, name: str, tag: str, commit: str) -> None:
        """Raises `HubConflictError` where the tag stands for something else."""
        what = f"{name}: tag {tag}"
        try:
            self._asked(what, lambda api: api.create_tag(name, tag=tag, revision=commit, repo_type=_KIND))
        except HubConflictError:
            repository = self.repository(name)
            if repository is None or repository.tags.get(tag) != commit:  # a first try whose answer was lost
                raise

    def remove_tag(self, name: str, tag: str) -> None:
        """Remove a tag that is there."""
        self._asked(f"{name}: tag {tag}", lambda api: api.delete_tag(name, tag=tag, repo_type=_KIND))

    def squash(self, name: str, message: str) -> None:
        """Fold the history of the main branch into one commit."""
        self._once(name, lambda api: api.super_squash_history(name, repo_type=_KIND, commit_message=message))

    def _asked(self, what: str, ask: Callable[["HfApi"], T]) -> T:
        """What the Hub answers; asked again where it is the Hub that fails."""
        for wait_s in self._again_after_s:
            try:
                return self._once(what, ask)
            except HubUnavailableError as error:
                self._tell(f"{one_line(error)}; trying again")
                time.sleep(wait_s)
        return self._once(what, ask)

    def _once(self, what: str, ask: Callable[["HfApi"], T]) -> T:
        import httpx2
        from huggingface_hub import HfApi

        try:
            with _bounded_session(self._tell):
                return ask(HfApi())
        except (httpx2.HTTPError, WaitTooLongError, OSError, ValueError, RuntimeError) as error:
            raise translated(error, what, self.address) from error


@contextmanager
def _bounded_session(tell: Callable[[str], None]) -> Iterator[None]:
    """The library's HTTP client, which retries by itself, with an end to its patience and without its own output."""
    from huggingface_hub import get_session
    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    session, verbosity, is_quiet = get_session(), logging.get_verbosity(), are_progress_bars_disabled()
    hooks, timeout = session.event_hooks, session.timeout

    def look_at(response: Any) -> None:
        wait_s = retry_after_s(response.headers.get("Retry-After", ""))
        if response.status_code == 429 and wait_s is not None and wait_s > _LONGEST_WAIT_S:
            raise WaitTooLongError(wait_s)
        if response.status_code == 429 or response.status_code >= 500:
            tell(f"the Hub answers {response.status_code}; it is asked again")

    session.event_hooks = {**hooks, "response": [*hooks.get("response", ()), look_at]}
    session.timeout = _TIMEOUT_S
    logging.set_verbosity(ERROR)
    if not is_quiet:
        disable_progress_bars()
    try:
        yield
    finally:
        session.event_hooks, session.timeout = hooks, timeout
        logging.set_verbosity(verbosity)
        if not is_quiet:
            enable_progress_bars()


def retry_after_s(text: str) -> float | None:
    """The seconds of the header `Retry-After`; None for a date, which the library does not read either."""
    try:
        return float(text)
    except ValueError:
        return None
