"""Publishing a corpus on the Hub: what is checked, shown, sent and committed, in this order.

All that changed is sent first, where no reader sees it: the Hub holds it, and a second try sends only what it lacks.
Then one commit makes card, manifest and files the new head together, so that no reader ever meets a card without its
files, and all that the manifest on the Hub lists is known to be the program's own. (Commits of files ahead of the card
would change the data under the card that is there, because it names its files by patterns.)
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from cards.card import CARD_NAME
from cards.hub.card_merge import PublishedCard
from cards.hub.checking import LocalCorpus, local_corpus
from cards.hub.client import HubClient, Upload
from cards.hub.faults import HubConflictError, HubUnavailableError
from cards.hub.names import check_tag, full_name
from cards.hub.plan import LocalFile, PublishPlan, batches
from cards.hub.preparing import Preparation, Prepared, PublishOptions
from cards.hub.published import LastPublished, write_published
from ostensive.errors import Interrupted, OstensiveError
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.run.folder import RunFolder


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication came to. `commit` is None where nothing was done."""

    plan: PublishPlan
    address: str
    commit: str | None


@dataclass(frozen=True, slots=True)
class Publication:
    """A run that is to be published. `confirm` is asked before anything is sent."""

    run: RunFolder
    recipe: Recipe
    kind: RecipeKind
    options: PublishOptions
    hub: HubClient
    confirm: Callable[[PublishPlan], bool] = lambda _plan: True
    stop: threading.Event | None = None
    tell: Callable[[str], None] = lambda _line: None

    def carry_out(self, given_name: str) -> Published:
        """Publishes the corpus as `given_name`; the same call after an interruption sends only the rest.

        Raises `SettingsError` and `OstensiveError` for what may not be published before anything is sent, `HubError`
        where the Hub refuses, `Interrupted` when asked to stop.
        """
        with self.run.locked():
            local = local_corpus(self.run, self.recipe, self.kind)
            check_tag(self.options.tag)
            name = full_name(given_name, self.hub.account())
            prepared = self._preparation.prepared(name, local)
            local.check_content({file.path for file in prepared.plan.of("new", "changed")})
            address = f"{self.hub.address}/datasets/{name}"
            if self.options.dry_run or prepared.plan.is_empty or not self.confirm(prepared.plan):
                return Published(prepared.plan, address, None)
            return Published(prepared.plan, address, self._sent(local, prepared))

    @property
    def _preparation(self) -> Preparation:
        return Preparation(self.run, self.kind, self.options, self.hub)

    def _sent(self, local: LocalCorpus, prepared: Prepared) -> str:
        plan, name = prepared.plan, prepared.plan.name
        if plan.is_new:
            self.hub.create(name, is_private=plan.is_private)
            found = self.hub.repository(name)
            assert found is not None, "it was made"
            prepared = replace(prepared, there=found)
        assert prepared.there is not None, "it is there by now"
        if prepared.card.text != local.card:
            local.keep_card(prepared.card.text)
        commit = prepared.there.head
        if plan.changes_files:
            uploads = self._uploaded(local, prepared)
            commit = self._committed(local, prepared, uploads)
            self._check_arrived(name, prepared.files)
        if plan.squash:
            self.hub.squash(name, self._message(local))
            commit = self._head(name)
            for tag in plan.removed_tags:
                self.hub.remove_tag(name, tag)
        if plan.tag is not None:
            self.hub.tag(name, plan.tag, commit)
        write_published(self.run.path, name, LastPublished(commit, PublishedCard.of(prepared.card.text)))
        return commit

    def _uploaded(self, local: LocalCorpus, prepared: Prepared) -> dict[str, Upload]:
        """Has the Hub hold all large files that changed, some at a time."""
        plan = prepared.plan
        changed = plan.of("new", "changed")
        card = prepared.card.text.encode()
        uploads = {
            file.path: Upload(file.path, card if file.path == CARD_NAME else local.folder / file.path)
            for file in changed
        }
        done = 0
        for batch in batches(changed):
            self._check_stop()
            self.hub.send(plan.name, [uploads[file.path] for file in batch])
            done += len(batch)
            self.tell(f"sent {done:,} of {len(changed):,} files")
        self._check_stop()
        return uploads

    def _check_stop(self) -> None:
        if self.stop is not None and self.stop.is_set():
            raise Interrupted("interrupted while files were sent")

    def _committed(self, local: LocalCorpus, prepared: Prepared, uploads: dict[str, Upload]) -> str:
        """The commit that makes all of it the head; made anew on another head where that changes nothing of ours."""
        assert prepared.there is not None, "it is there by now"
        plan, head, message = prepared.plan, prepared.there.head, self._message(local)
        try:
            return self._commit(prepared, uploads, head, message)
        except (HubConflictError, HubUnavailableError) as error:
            self.tell(f"{error}; looking at what is there")
            again = self._preparation.prepared(plan.name, local)
            if not again.plan.changes_files and again.there is not None:  # it went well, and only the answer was lost
                return again.there.head
            changed = again.manifest_there != prepared.manifest_there or again.card.text != prepared.card.text
            if changed or again.there is None or again.plan.files != plan.files:
                raise HubConflictError(
                    f"{plan.name}: somebody else changed its corpus or its card at the same time; run the same command"
                    " again, which shows what it would do now"
                ) from error
            return self._commit(prepared, uploads, again.there.head, message)

    def _commit(self, prepared: Prepared, uploads: dict[str, Upload], head: str, message: str) -> str:
        deleted = [file.path for file in prepared.plan.of("deleted")]
        return self.hub.commit(prepared.plan.name, list(uploads.values()), deleted, message=message, head=head)

    def _check_arrived(self, name: str, files: tuple[LocalFile, ...]) -> None:
        """A `.gitignore` on the Hub makes it pass over files without a word."""
        there = self.hub.repository(name)
        for file in files:
            found = None if there is None else there.files.get(file.path)
            if found is None or found.byte_count != file.byte_count:
                raise OstensiveError(
                    f"{name}: {file.path} is not there after it was sent; if a .gitignore there names it, remove that,"
                    " and run the same command again"
                )

    def _head(self, name: str) -> str:
        there = self.hub.repository(name)
        if there is None:
            raise OstensiveError(f"{name}: was removed at the same time; run the same command again")
        return there.head

    def _message(self, local: LocalCorpus) -> str:
        manifest = local.manifest
        return self.options.message or f"{manifest.name}: {manifest.rows:,} rows about {manifest.images:,} images"
