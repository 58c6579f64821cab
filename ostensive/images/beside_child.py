"""The process beside: decodes pictures that it is given on standard input, under limits that come with each.

A request is a line of JSON and the bytes of the picture; so is an answer. It ends with its input.
"""

import contextlib
import json
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final  # Any: JSON values

from ostensive.images import refusals
from ostensive.images.decode import decode_rgb, load
from ostensive.images.ordinary import DECODED_FACTOR
from ostensive.images.pixels import orientation_of, to_rgb, turned
from ostensive.images.publish import make_jpeg, try_publishing
from ostensive.images.refusals import ImageRefusedError
from ostensive.images.settings import IntakeSettings

_MAX_COMPLAINTS: Final = 1 << 20
_Made = tuple[dict[str, Any], bytes]


def _examine(data: bytes, *, settings: Mapping[str, Any]) -> _Made:
    """The facts that `decode.load` tells, of a picture that can be seen and published."""
    loaded = load(data, IntakeSettings(**settings))
    try_publishing(loaded, data)
    # Done once under the limits, as it will be done again without.
    facts, stored = loaded.facts, loaded.image
    del loaded
    if facts.sample_bits is None:
        to_rgb(turned(stored, orientation_of(stored)))
    else:
        del stored
        decode_rgb(data, None, facts.sample_bits)
    return {"facts": asdict(facts)}, b""


def _rgb(data: bytes, *, max_pixels: int | None, sample_bits: int | None) -> _Made:
    image = decode_rgb(data, max_pixels, sample_bits)
    return {"size": image.size}, image.tobytes()


def _jpeg(data: bytes, *, jpeg_quality: int, sample_bits: int | None) -> _Made:
    return {}, make_jpeg(data, jpeg_quality=jpeg_quality, sample_bits=sample_bits)


TASKS: Final[Mapping[str, Callable[..., _Made]]] = {"examine": _examine, "rgb": _rgb, "jpeg": _jpeg}


def main() -> None:
    """Answers requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever is interrupted closes the pipe
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    for limit, value in ((resource.RLIMIT_FSIZE, _MAX_COMPLAINTS), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that writes to standard output spoils no answer
    requests = sys.stdin.buffer
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["bytes"])
        facts, made = _answer(request, data)
        answers.write(json.dumps({**facts, "bytes": len(made)}).encode() + b"\n")
        answers.write(made)
        answers.flush()


def _answer(request: Mapping[str, Any], data: bytes) -> _Made:
    limits = request["limits"]
    try:
        _limit(limits, len(data))
        return TASKS[request["task"]](data, **request["arguments"])
    except ImageRefusedError as error:
        return {"refused": [error.reason, error.detail]}, b""
    except MemoryError:
        return {"refused": [refusals.BYTE_LIMIT, "decoding it takes more memory than there is for it"]}, b""
    except Exception as error:  # noqa: BLE001 - the boundary of one picture
        return {"refused": [refusals.UNREADABLE, f"{type(error).__name__}: {error}"[:200]]}, b""
    finally:
        _limit(None, 0)


def _limit(limits: Mapping[str, Any] | None, file_bytes: int) -> None:
    """Sets what this process may take from now on, beyond what it has taken; None for no limit."""
    memory = seconds = resource.RLIM_INFINITY
    if limits is not None:
        memory = _memory_in_use() + limits["max_decoded_bytes"] + DECODED_FACTOR * file_bytes
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = int(used.ru_utime + used.ru_stime + limits["max_seconds"]) + 1
    for limit, value in ((resource.RLIMIT_DATA, memory), (resource.RLIMIT_CPU, seconds)):
        with contextlib.suppress(ValueError, OSError):  # where a system has no such limit
            resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))


def _memory_in_use() -> int:
    """Bytes that count against the limit of memory; half a gigabyte where the system does not tell."""
    try:
        found = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
        return int(found.split()[1]) << 10
    except (OSError, StopIteration):
        return 512 << 20
