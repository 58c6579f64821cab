"""What is here and what is on the Hub, put beside each other before anything is sent."""

import hashlib
from dataclasses import dataclass, replace
from typing import Final

from cards.card import CARD_NAME, own_tags, without_edits
from cards.hub.card_merge import CardSide, MergedCard, merge_cards
from cards.hub.checking import LocalCorpus, blob_id
from cards.hub.client import HubClient, HubRepository
from cards.hub.plan import LocalFile, PublishPlan, foreign_among_data, next_version, plan_files, version_number
from cards.hub.published import read_published
from cards.reading import MANIFEST_NAME, listed_paths
from ostensive.errors import OstensiveError, SettingsError
from ostensive.recipe_kind import RecipeKind
from ostensive.run.folder import RunFolder

# What a new data set may hold before the first corpus: the Hub puts it there, or its page of a new data set.
_BEFORE_ANYTHING: Final = frozenset({".gitattributes", ".gitignore", CARD_NAME, "LICENSE", "LICENSE.md"})


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """What a publication is to be."""

    private: bool = True
    """Of a data set that is made now; one that is there stays as it is."""
    dry_run: bool = False
    """Only say what would be done."""
    tag: str | None = None
    """The tag of this version; None is the next `v<n>`, where the corpus changed."""
    message: str | None = None
    """Of the commit."""
    squash: bool = False
    """Fold the history into one commit, with the tags `v<n>` before, so that no older revision can be read."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan, and all it was worked out from."""

    plan: PublishPlan
    card: MergedCard
    files: tuple[LocalFile, ...]  # the card among them
    there: HubRepository | None
    manifest_there: bytes | None


@dataclass(frozen=True, slots=True)
class Preparation:
    """A run that is to be published, and the Hub as its user sees it."""

    run: RunFolder
    kind: RecipeKind
    options: PublishOptions
    hub: HubClient

    def prepared(self, name: str, local: LocalCorpus) -> Prepared:
        """The plan for `name`; raises `OstensiveError` where something else is there or cards cannot be merged."""
        there = self.hub.repository(name)
        manifest_there = card_there = None
        if there is not None:
            manifest_there = self.hub.read(name, MANIFEST_NAME, there.head)
            card = self.hub.read(name, CARD_NAME, there.head)
            origin = f"the card of {name}"
            card_there = None if card is None else CardSide(_text(card, origin), origin)
            _check_is_ours(name, there, manifest_there, card_there)
        last = read_published(self.run.path).get(name)
        here = CardSide(local.card, str(local.card_path))
        merged = merge_cards(here, card_there, None if last is None else last.card, own_tags(self.kind))
        data = merged.text.encode()
        in_git = {} if there is None else {path for path, file in there.files.items() if file.sha256 is None}
        card_file = LocalFile(CARD_NAME, len(data), hashlib.sha256(data).hexdigest(), blob_id(data))
        files = (*local.with_blob_ids(in_git), card_file)
        plan = self._plan(name, local, files, there, manifest_there)
        if merged.note:
            plan = replace(plan, notes=(*plan.notes, merged.note))
        return Prepared(plan, merged, files, there, manifest_there)

    def _plan(
        self,
        name: str,
        local: LocalCorpus,
        files: tuple[LocalFile, ...],
        there: HubRepository | None,
        manifest_there: bytes | None,
    ) -> PublishPlan:
        on_hub = {} if there is None else there.files
        owned = _owned(manifest_there)
        known = {file.path for file in files} | owned
        kept = tuple(sorted(path for path in on_hub if path not in known))
        planned = plan_files(files, on_hub, owned)
        plan = PublishPlan(
            name=name,
            is_new=there is None,
            is_private=self.options.private if there is None else there.is_private,
            images=local.manifest.images,
            rows=local.manifest.rows,
            license=local.settings.license,
            files=planned,
            image_licenses=local.manifest.statistics.images_by_field.get("license", {}),
            withheld=local.manifest.withheld,
            withheld_rows=local.manifest.withheld_rows,
            kept=kept,
            left_out=local.left_out,
            notes=tuple(
                f"{path} is not of this corpus and lies where its files do: readers may take it for a part of it"
                for path in foreign_among_data(kept, {file.path for file in files})
            ),
            squash=self.options.squash,
        )
        tags = {} if there is None else there.tags
        tag = self._tag(plan, there, manifest_there)
        if not plan.squash:
            return replace(plan, tag=tag)
        removed = tuple(sorted(filter(version_number, tags), key=version_number))
        notes = (f"the tag {one} stands for older files, which it keeps there" for one in tags if one not in removed)
        return replace(plan, tag=tag, removed_tags=removed, notes=(*plan.notes, *notes))

    def _tag(self, plan: PublishPlan, there: HubRepository | None, manifest_there: bytes | None) -> str | None:
        """The tag to set; None where the corpus on the Hub has its own already."""
        tags, asked = {} if there is None else there.tags, self.options.tag
        if asked is not None:
            if asked not in tags:
                return asked
            if there is not None and tags[asked] == there.head and not plan.changes_files and not plan.squash:
                return None
            raise SettingsError(f"--tag {asked}: {plan.name} has a revision of this tag already; choose another")
        versions = sorted(filter(version_number, tags), key=version_number)
        if plan.squash or not versions or any(file.path == MANIFEST_NAME for file in plan.of("new", "changed")):
            return next_version(tags)
        # Tagged before, unless the command was ended between the commit and its tag.
        tagged = self.hub.read(plan.name, MANIFEST_NAME, tags[versions[-1]])
        return None if tagged == manifest_there else next_version(tags)


def _check_is_ours(name: str, there: HubRepository, manifest: bytes | None, card: CardSide | None) -> None:
    """Raises `OstensiveError` for a data set that holds something else."""
    other = sorted(path for path in there.files if path not in _BEFORE_ANYTHING) if manifest is None else []
    if manifest is not None and listed_paths(manifest) is None:
        other = [MANIFEST_NAME]
    elif manifest is None and card is not None and without_edits(card.text):
        other = [CARD_NAME]
    if other:
        raise OstensiveError(
            f"{name}: is taken: it holds other files ({other[0]}{', ...' if other[1:] else ''}) and no corpus of"
            " Ostensive; choose another name"
        )


def _owned(manifest_there: bytes | None) -> frozenset[str]:
    """The files on the Hub that a publication before this put there, whatever version made it."""
    return frozenset() if manifest_there is None else frozenset({*(listed_paths(manifest_there) or ()), MANIFEST_NAME})


def _text(data: bytes, origin: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise OstensiveError(
            f"{origin}: not UTF-8 at byte {error.start}; mend it there, and run the same command again"
        ) from error
