"""Hashes of JSON values: one canonical text form, so that equal settings and equal requests have equal keys."""

import hashlib
import json
from typing import Any  # Any: JSON values of any depth


def canonical_json(value: Any) -> str:
    """`value` as JSON with sorted keys, no white space and no NaN; equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()
