"""What a server says has gone wrong, in whatever shape, with a status that tells of it or with 200."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any  # Any: JSON values of any depth

from ostensive.chat.bodies import page_title
from ostensive.chat.retry import (
    EXHAUSTED_CODES,
    FILTERED_PROMPT,
    REJECTED,
    SERVER_ERROR,
    RetryDecision,
    decide_on_status,
)
from ostensive.json_text import parse_cut_json

_MESSAGE_FIELDS = (
    "message",
    "detail",
    "msg",
    "error_message",
    "error_msg",
    "error_description",
    "description",
    "title",
)
_ERROR_FIELDS = ("status_msg", "error", "errors", "base_resp")
_NO_CODES = (None, 0, 200, "", "0", "200", "ok", "OK", "success")
_NAME_FIELDS = ("code", "type", "__type", "status", "status_code", "http_code", "error_code", "reason")
_MAX_MESSAGE_CHARS = 2000

# Names that APIs give to what HTTP has a number for: google.rpc.Code, Anthropic's and OpenAI's types.
_STATUS_BY_NAME = {
    400: "invalid_argument invalid_request_error invalid_request bad_request failed_precondition out_of_range"
    " invalid_parameter_error badrequesterror context_length_exceeded content_policy_violation content_filter"
    " unsupported_parameter unsupported_value invalid_value",
    401: "unauthenticated authentication_error invalid_api_key unauthorized authenticationerror invalid_authentication",
    402: "billing_error payment_required insufficient_balance insufficient_credits",
    403: "permission_denied permission_error forbidden access_denied permissiondeniederror",
    404: "not_found not_found_error model_not_found notfounderror model_not_exist",
    408: "request_timeout deadline_exceeded timeout_error timeout",
    409: "aborted conflict conflict_error already_exists",
    413: "request_too_large payload_too_large",
    422: "unprocessable_entity unprocessableentityerror validation",
    429: "resource_exhausted rate_limit_exceeded rate_limit_error rate_limited ratelimiterror too_many_requests"
    " rate_limit rate_limit_reached tokens requests engine_overloaded_error throttling throttling_rate_quota throttled",
    500: "internal internal_error internal_server_error api_error server_error unknown data_loss generation"
    " internalservererror",
    501: "unimplemented not_implemented",
    502: "bad_gateway upstream_error provider_error",
    503: "unavailable service_unavailable overloaded_error overloaded model_overloaded serviceunavailableerror"
    " insufficient_system_resource"
    " unavailable_error incomplete_generation",
    504: "gateway_timeout",
}
_FILTERS = {
    "content_filter",
    "content_filtered",
    "content_moderation",
    "content_policy_violation",
    "moderation",
    "moderation_blocked",
    "prompt_blocked",
    "responsibleaipolicyviolation",
    "safety_error",
    "data_inspection_failed",
    "sensitive_content_detected",
    "input_text_sensitive_content_detected",
    "input_image_sensitive_content_detected",
}
_BUSY_STATUSES = (429, 503, 529)
_MISUSED_STATUSES = (400, 403)  # that some servers say of everything; what they mean stands in the body


def _plain(name: str) -> str:
    """`name` however it is spelled: `rate_limit_exceeded`, `RateLimitExceeded`, `rate-limit-exceeded`."""
    return re.sub(r"[\W_]", "", name).lower().removesuffix("exception")


_STATUSES = {_plain(name): status for status, names in _STATUS_BY_NAME.items() for name in names.split()}
_PLAIN_FILTERS = {_plain(name) for name in _FILTERS}
_PLAIN_EXHAUSTED = {_plain(code): code for code in sorted(EXHAUSTED_CODES)}


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a server complains of: its own words, and the codes and names it gives to it."""

    message: str
    names: tuple[str | int, ...] = ()

    def decision(self, status: int | None = None) -> RetryDecision:
        """What to do about it; without a `status` of the answer, or with 200, the server's own code stands for it."""
        words = [name for name in self.names if isinstance(name, str)]
        code = next((_PLAIN_EXHAUSTED[_plain(word)] for word in words if _plain(word) in _PLAIN_EXHAUSTED), None)
        named = next(filter(None, map(_status_named, self.names)), None)
        if status is None or (status in _MISUSED_STATUSES and named in _BUSY_STATUSES):
            status = named
        if status is None:
            return SERVER_ERROR if code is None else decide_on_status(500, code)
        decision = decide_on_status(status, code)
        filtered = any(_plain(word) in _PLAIN_FILTERS for word in words)
        return FILTERED_PROMPT if decision is REJECTED and filtered else decision


def _status_named(name: str | int) -> int | None:
    if isinstance(name, str) and not (name.isascii() and name.isdigit()):
        return _STATUSES.get(_plain(name))
    number = int(name) if len(str(name)) <= 4 else 0
    return number if 400 <= number < 600 else None


def complaint_in(value: Mapping[str, Any]) -> Complaint | None:  # Any: as above
    """The error that a body, a choice or a message has under `error`; None where there is none.

    Null, false, "", 0, an empty object, and an object that says nothing but a code of 0 or 200 are no errors.
    """
    error = value.get("error")
    if not error or _says_nothing(error):
        return None
    return _complaint(error, value)


def complaint_of(value: Any) -> Complaint | None:  # Any: as above
    """The error that a body without choices is; None where nothing in it says so."""
    if isinstance(value, list):
        value = next((item for item in value if isinstance(item, dict)), None)
    if not isinstance(value, dict):
        return None
    found = complaint_in(value)
    if found is not None:
        return found
    for name in ("errors", "base_resp", "detail"):
        inner = value.get(name)
        if inner and not _says_nothing(inner):
            return _complaint(inner, value)
    says_so = "error" in (value.get("object"), value.get("type"), value.get("status")) or value.get("success") is False
    if says_so or any(isinstance(value.get(name), str) and value[name] for name in _MESSAGE_FIELDS):
        return _complaint(value, {})
    return None


def read_complaint(raw: bytes) -> Complaint:
    """What the body of an answer with a status other than 2xx says; its message is empty where it says nothing."""
    text = raw.decode("utf-8", "replace").strip()
    try:
        value = parse_cut_json(text)
    except ValueError:
        title = page_title(text)
        return Complaint(f"a web page{title}" if text[:1] == "<" or title else text[:_MAX_MESSAGE_CHARS])
    found = complaint_of(value)
    if found is not None:
        return found
    return Complaint(value if isinstance(value, str) else "" if not value else text[:_MAX_MESSAGE_CHARS])


def _says_nothing(error: object) -> bool:
    if isinstance(error, list):
        return all(_says_nothing(item) for item in error)
    if not isinstance(error, dict):
        return not error
    if any(error.get(name) not in _NO_CODES for name in ("code", "status", "status_code")):
        return False
    return _message(error).lower() in ("", "success", "ok")


def _complaint(error: object, around: Mapping[str, Any]) -> Complaint:  # Any: as above
    inner: object = error
    for _ in range(4):  # an error within an error, or in a list
        if isinstance(inner, list) and inner:
            inner = inner[0]
        elif isinstance(inner, dict) and isinstance(inner.get("error"), dict):
            inner = inner["error"]
        else:
            break
    details = inner.get("details") if isinstance(inner, dict) else None  # where Anthropic says that money has run out
    names = [*_names(inner), *_names(details), *_names(around)]
    message = _message(error) or _message(around)
    return Complaint(message[:_MAX_MESSAGE_CHARS], tuple(dict.fromkeys(names)))


def _names(value: object) -> list[str | int]:
    found: list[str | int] = []
    if not isinstance(value, Mapping):
        return found
    for name in _NAME_FIELDS:
        code = value.get(name)
        if isinstance(code, float) and code.is_integer():
            code = int(code)
        if isinstance(code, str | int) and not isinstance(code, bool) and code not in ("", 0):
            found.append(code)
    return found


def _message(error: object, depth: int = 0) -> str:
    """The words of an error: text, an object with a message, a list of those (FastAPI's with the place)."""
    if isinstance(error, str):
        return " ".join(error.split())
    if depth > 4 or not isinstance(error, dict | list):
        return ""
    if isinstance(error, list):
        return "; ".join(filter(None, (_message(item, depth + 1) for item in error[:3])))
    texts = [_message(error.get(name), depth + 1) for name in (*_MESSAGE_FIELDS, *_ERROR_FIELDS)]
    message = next(filter(None, texts), "")
    place = error.get("loc")
    if message and isinstance(place, list):
        message = f"{'.'.join(str(part) for part in place[:6])}: {message}"
    metadata = error.get("metadata")
    raw = _message(metadata.get("raw"), depth + 1) if isinstance(metadata, dict) else ""
    return f"{message}: {raw}" if raw and raw not in message else message
