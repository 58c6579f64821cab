"""What can be wrong with a build is found out before anything is written: a misuse leaves no folder behind."""

import threading

from ostensive.chat.access import open_chat
from ostensive.chat.budget import Budget
from ostensive.chat.endpoint import check_key_permits
from ostensive.chat.journal import JOURNAL, Journal
from ostensive.chat.prices import load_prices
from ostensive.errors import SettingsError
from ostensive.files import storage_errors
from ostensive.models.generator import GeneratorPool
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.run.folder import RunFolder
from ostensive.run.options import BuildOptions
from ostensive.run.pipeline import stages_of
from ostensive.run.planning import Plan, has_given_splits
from ostensive.run.services import permits_of


def check_before_work(run: RunFolder, recipe: Recipe, kind: RecipeKind, plan: Plan, options: BuildOptions) -> None:
    """Raises for models, prompts, prices, keys, addresses and a journal that cannot be used.

    A server is sent at most a question for its list of models, and only if there is work to do. What is raised is a
    `SettingsError`, an `AccessRefusedError`, or a `StorageError` for a journal that is none.
    """
    prices, permits = load_prices(options.prices), permits_of(options)
    check_key_permits(recipe.chats, permits)
    stages = stages_of(recipe, kind, with_splits=has_given_splits(plan.annotations))
    for stage in stages:
        _ = stage.identity  # says what is wrong with a model's files
    _check_journal(options)
    journal, budget = Journal(run.journal_path, ""), Budget(max_usd=options.max_cost_usd)
    for settings in recipe.chats:
        open_chat(  # not entered, so that nothing is sent, and no file is made
            settings,
            journal=journal,
            budget=budget,
            stop=threading.Event(),
            script=_no_script,
            prices=prices,
            generators=GeneratorPool(),
            permits=permits,
        )
    names = [*plan.intake_stages, *(stage.name for stage in stages)]
    if any(len(run.partition_paths(name)) < len(plan.items) for name in names):
        for settings in recipe.chats:
            settings.check_access(permits=permits)


def _check_journal(options: BuildOptions) -> None:
    journal = options.journal
    if journal is None:
        return
    with storage_errors(journal):
        if journal.is_dir():
            raise SettingsError(f"--journal {journal}: is a folder; a file is expected")
        if not journal.parent.is_dir():
            raise SettingsError(f"--journal {journal}: there is no folder {journal.parent}; make it, or name another")
        if journal.exists():
            JOURNAL.connect(journal).close()


def _no_script(_messages: object, _seed: int) -> str:
    return ""
