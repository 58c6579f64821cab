"""The project's own exceptions: each message is one line that says what, where, what was expected and what to do."""


class OstensiveError(Exception):
    """Anything that ends a command with a message instead of a traceback (exit status 1)."""


class SettingsError(OstensiveError):
    """A setting, a recipe or an argument is wrong (exit status 2). Raised before any work is done."""


class RunLockedError(OstensiveError):
    """Another process is at work in the run folder."""


class StorageError(OstensiveError):
    """The disk is full, read-only or broken. Finished partitions are whole; the same command continues."""


class Interrupted(OstensiveError):  # noqa: N818 - it is not an error but what the user asked for
    """The user asked to stop (exit status 130). The run continues with the same command."""


class BudgetReached(OstensiveError):  # noqa: N818 - it is not an error but a limit that was asked for
    """`--max-cost` or `--max-requests` is reached. The run continues with a larger budget."""


class NoImagesError(OstensiveError):
    """None of the images that were listed could be taken in. Nothing was loaded or asked, and no corpus is written."""


class TooManyFailedError(OstensiveError):
    """More rows failed than `run.max_failed_share` allows. The corpus of the others is written."""


class EmptyCorpusError(OstensiveError):
    """No row came through all stages. What was lost, and why, is written beside the corpus without rows."""


class AccessRefusedError(OstensiveError):
    """The server refuses the key, the model or the request itself: asking again cannot help, so the run stops."""


def one_line(error: Exception, most_chars: int = 200) -> str:
    """What an error of another library says, for a message of ours."""
    return " ".join(str(error).split())[:most_chars]
