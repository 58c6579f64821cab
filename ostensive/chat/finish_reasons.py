"""Why a reply ended, in one vocabulary: servers have some sixty words for seven things."""

from dataclasses import dataclass
from enum import Enum


class Ending(Enum):
    """What a finish reason says of the reply."""

    WHOLE = "stop"
    LENGTH = "length"  # cut at a limit of tokens
    FILTERED = "content_filter"
    REFUSED = "refusal"
    TOOLS = "tool_calls"  # the model wanted a tool instead of, or after, saying something
    ERROR = "error"  # the server failed, whatever came before
    UNKNOWN = "unknown"  # no reason, or a word that nobody knows


_WORDS = {
    Ending.WHOLE: "stop stopped stop_sequence stop_token end_turn turn_end eos eos_token eot end end_of_text"
    " end_of_sequence end_of_turn complete completed completion finished finish done normal success",
    Ending.LENGTH: "length max_tokens max_output_tokens max_new_tokens max_completion_tokens model_length max_length"
    " max_token token_limit token_limit_reached context_length context_length_exceeded context_window_exceeded"
    " model_context_window_exceeded limit truncated incomplete",
    Ending.FILTERED: "content_filter content_filtered contentfilter content_filter_error safety recitation blocklist"
    " prohibited_content spii sensitive image_safety image_prohibited_content image_recitation"
    " language guardrail guardrail_intervened guardrails moderation moderated flagged filtered blocked error_toxic",
    Ending.REFUSED: "refusal refused",
    Ending.TOOLS: "tool_calls tool_call tool_use function_call function_calls malformed_function_call"
    " unexpected_tool_call too_many_tool_calls pause_turn",
    Ending.ERROR: "error errored abort aborted cancel cancelled canceled fail failed failure network_error"
    " connection_error server_error internal_error internal_server_error engine_error model_error upstream_error"
    " overloaded insufficient_system_resource timeout time_limit load unavailable rate_limit error_limit",
}
_KNOWN = {word.replace("_", ""): (ending, word) for ending, words in _WORDS.items() for word in words.split()}
_PREFIXES = ("finishreason.", "finish_reason_", "finishreason_", "stopreason.", "stop_reason_", "chatfinishreason.")
_MAX_WORD_CHARS = 40


@dataclass(frozen=True, slots=True)
class FinishReason:
    """A finish reason. `word` is "stop", "length" or "content_filter" for those; otherwise what the server said.

    `detail` is what it says beyond the word: Gemini has "content_filter: RECITATION".
    """

    ending: Ending
    word: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.word}: {self.detail}" if self.detail else self.word


def finish_reason_of(value: object) -> FinishReason:
    """What a server's `finish_reason` means: case, `-` and `_` and the name of an enum before it do not count.

    What follows a colon is a detail where a word that is known stands before it.
    """
    if not isinstance(value, str) or not value.strip():
        return FinishReason(Ending.UNKNOWN, Ending.UNKNOWN.value)
    said = value.strip()
    first, _, rest = said[:200].partition(":")
    plain = first.strip().lower().replace("-", "_").replace(" ", "_")
    for prefix in _PREFIXES:
        plain = plain.removeprefix(prefix)
    ending, known = _KNOWN.get(plain.replace("_", ""), (Ending.UNKNOWN, ""))
    if ending is Ending.UNKNOWN:
        return FinishReason(ending, " ".join(said.split())[:_MAX_WORD_CHARS])
    word = ending.value if ending in (Ending.WHOLE, Ending.LENGTH, Ending.FILTERED) else known
    return FinishReason(ending, word, " ".join(rest.split())[:_MAX_WORD_CHARS])
