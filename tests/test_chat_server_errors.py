"""What servers say when something is wrong, in the shapes they say it in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.chat.server_errors import read_complaint


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"error": {"message": "no such\\nmodel", "type": "invalid_request_error", "code": null}}', "no such model"),
        (b'{"error": "a string"}', "a string"),
        (b'{"message": "at the top", "code": 400}', "at the top"),
        (b'{"object": "error", "message": "vLLM of old"}', "vLLM of old"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (
            b'{"detail": [{"loc": ["body", "max_tokens"], "msg": "too many", "type": "value_error"}]}',
            "body.max_tokens: too many",
        ),
        (b'{"detail": {"message": "inside"}}', "inside"),
        (b'[{"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}}]', "quota"),
        (b'{"errors": [{"message": "first"}, {"message": "second"}]}', "first; second"),
        (
            b'{"error": {"message": "Provider returned error", "code": 502, "metadata": {"raw": "upstream died"}}}',
            "Provider returned error: upstream died",
        ),
        (b'{"error": {"error": {"message": "twice"}}}', "twice"),
        (b"plain words", "plain words"),
        (b"<html><title>502 Bad Gateway</title><body>nginx", "a web page ('502 Bad Gateway')"),
        (b"<html>no title", "a web page"),
        (b'"only a string"', "only a string"),
        (b'{"what": "nothing known"}', '{"what": "nothing known"}'),
        (b"", ""),
        (b"{}", ""),
        (b"null", ""),
    ],
)
def test_the_servers_words_are_found(raw: bytes, message: str) -> None:
    assert read_complaint(raw).message == message


@pytest.mark.parametrize(
    ("raw", "status", "reason"),
    [
        (b'{"error": {"message": "m", "code": "insufficient_quota"}}', 429, "no credit left"),
        (b'{"error": {"message": "m", "type": "insufficient_quota", "code": null}}', 429, "no credit left"),
        (b'{"error": {"message": "m", "code": "project_spend_limit_exceeded"}}', 429, "no credit left"),
        (
            b'{"error": {"message": "m", "details": {"error_code": "enforced_spend_limit_reached"}}}',
            429,
            "no credit left",
        ),
        (b'{"error": {"type": "rate_limit_error", "details": [{"reason": "x"}, 5]}}', 429, "rate limited"),
        (b'{"error": {"type": "rate_limit_error", "details": null}}', 429, "rate limited"),
        (b'{"error": {"message": "m", "code": "rate_limit_exceeded"}}', 429, "rate limited"),
        (b'{"error": {"message": "m", "code": 500}}', 400, "request rejected"),
        (b'{"error": {"message": "m", "code": "404"}}', None, "model or address not found"),
        (b'{"error": {"message": "m", "status": "UNAUTHENTICATED"}}', None, "key refused"),
        (b'{"error": {"message": "m", "status": "PERMISSION_DENIED"}}', None, "request rejected"),
        (b'{"error": {"message": "m", "status": "NOT_FOUND"}}', None, "model or address not found"),
        (b'{"error": {"message": "m", "code": 40303}}', None, "server error"),
        (b'{"error": {"message": "m", "code": true}}', None, "server error"),
        (b'{"error": {"message": "m", "code": "TooManyRequests"}}', None, "rate limited"),
        (b'{"error": {"message": "m", "code": "RateLimitReached"}}', None, "rate limited"),
        (b'{"error": {"message": "m", "type": "RateLimitError"}}', None, "rate limited"),
        (b'{"error": {"message": "m", "type": "Not-Found"}}', None, "model or address not found"),
        (b'{"__type": "ThrottlingException", "message": "m"}', 400, "rate limited"),
        (b'{"error": {"message": "m", "type": "rate_limit_exceeded"}}', 403, "rate limited"),
        (b'{"error": {"message": "m", "code": 503}}', 400, "server error"),
        (b'{"error": {"message": "m", "type": "tokens", "code": "rate_limit_exceeded"}}', 413, "request rejected"),
        (b'{"error": {"message": "m", "code": "InsufficientQuota"}}', 429, "no credit left"),
        (b'{"error": {"message": "m", "type": "exceeded_current_quota_error"}}', 429, "no credit left"),
        (b'{"error": {"message": "m", "code": "AccountOverdueError"}}', 403, "no credit left"),
        (b'{"error": {"message": "m", "code": "insufficient_user_quota"}}', 403, "no credit left"),
    ],
)
def test_what_is_done_about_it(raw: bytes, status: int | None, reason: str) -> None:
    assert read_complaint(raw).decision(status).reason == reason


@given(st.binary())
def test_any_bytes_are_read(raw: bytes) -> None:
    read_complaint(raw).decision()
    read_complaint(b'{"error": ' + raw).decision(500)
