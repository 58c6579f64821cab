"""Names on the Hub: of data sets and of their revisions."""

import re

from cards.hub.client import Account
from ostensive.errors import SettingsError


def full_name(given: str, account: Account) -> str:
    """`user/name` of what was given; raises `SettingsError` for no name, and for one that is somebody else's."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    name = given if "/" in given else f"{account.name}/{given}"
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise SettingsError(
            f"{given!r:.80} is no name of a data set: user/name is expected, of letters, digits, '-', '_' and '.', such"
            f" as {account.name}/my-corpus"
        ) from error
    if not account.may_write:
        raise SettingsError(
            f"{name}: the login of {account.name} may only read; run hf auth login with a token that may write"
        )
    owner = name.split("/")[0]
    if owner not in (account.name, *account.organizations):
        own = ", ".join((account.name, *account.organizations))
        raise SettingsError(
            f"{name}: is somebody else's: you are logged in as {account.name} and may publish under {own}; choose"
            f" {account.name}/{name.split('/')[1]}"
        )
    return name


def check_tag(tag: str | None) -> None:
    """Raises `SettingsError` for what git takes for no tag."""
    if tag is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", tag):
        raise SettingsError(f"--tag {tag!r:.60}: letters, digits, '.', '_' and '-' are expected, such as v2")
