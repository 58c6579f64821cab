"""Text files of people's: decoded a piece at a time, by their byte order mark or the encoding that is named.

Python's own text files say of bytes in another encoding only where in some chunk they stand, not where in the file.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ostensive.errors import SettingsError

_CHUNK_BYTES: Final = 1 << 20
_MAX_LINE: Final = 1 << 24  # characters
_MAX_WHOLE: Final = 1 << 30  # characters
_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is how this one begins
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class UndecodableError(SettingsError):
    """A text file in another encoding; `fault` says where, without what to do about a file of annotations."""

    def __init__(self, fault: str, remedy: str = "") -> None:
        super().__init__(fault + remedy)
        self.fault = fault


def _texts(path: str, shown: str, encoding: str | None) -> Iterator[str]:
    """The text of a file, in pieces and without its byte order mark; raises `SettingsError` with the first bad byte."""
    before, lines = 0, 1
    with Path(path).open("rb") as file:
        chunk = file.read(_CHUNK_BYTES)
        name = encoding or _marked_encoding(chunk)
        decoder = codecs.getincrementaldecoder(name)()
        is_first = True
        while True:
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                good = error.object[: error.start].decode(name, "ignore")
                if is_first:
                    _refuse_zero_bytes(good, shown)
                yield good.removeprefix("\ufeff") if is_first else good  # whoever stops before the fault may have it
                at = before - (len(error.object) - len(chunk)) + error.start
                line, byte = lines + good.count("\n"), error.object[error.start]
                remedy = "" if encoding else "; if it is Latin-1 or Windows-1252, say annotations.encoding=cp1252"
                raise UndecodableError(
                    f"{shown}, line {line}: byte 0x{byte:02x} at {at} is not {name.upper()} ({error.reason})",
                    f"; save the file as UTF-8{remedy}",
                ) from error
            if is_first:
                _refuse_zero_bytes(text, shown)
            yield text.removeprefix("\ufeff") if is_first else text
            if not chunk:
                return
            before, lines, is_first = before + len(chunk), lines + text.count("\n"), False
            chunk = file.read(_CHUNK_BYTES)


def _refuse_zero_bytes(start: str, shown: str) -> None:
    """Raises `SettingsError` where a file begins as ASCII does in UTF-16: with other letters it is no UTF-8 either."""
    if "\0" in start[:2]:
        raise UndecodableError(
            f"{shown}: holds zero bytes, as UTF-16 without a byte order mark does",
            f"; say annotations.encoding=utf-16-{'be' if start[0] == chr(0) else 'le'}, or save the file as UTF-8",
        )


def decode(data: bytes, encoding: str | None) -> str:
    """The text that all of a small file holds; raises `UnicodeDecodeError`."""
    return data.decode(encoding or _marked_encoding(data)).removeprefix("\ufeff")


def as_utf8(data: bytes) -> bytes:
    """The bytes of a file of names as UTF-8 without a mark, where it is UTF-16 or UTF-32 by its mark; all else as is.

    What begins like a mark and is no such text, with a suffix in it, holds a name that is no UTF-8.
    """
    if b"\0" not in data or _marked_encoding(data) == "utf-8":
        return data.removeprefix(codecs.BOM_UTF8)
    try:
        text = decode(data, None)
    except UnicodeDecodeError:
        return data
    return text.encode("utf-8") if "." in text and "\0" not in text else data


def _marked_encoding(start: bytes) -> str:
    return next((name for mark, name in _BYTE_ORDER_MARKS if start.startswith(mark)), "utf-8")


def read_lines(path: str, shown: str, encoding: str | None) -> Iterator[str]:
    """Lines with their line feeds. Only a line feed ends one: other separators of Unicode may stand in a text."""
    rest, number = "", 0
    for text in _texts(path, shown, encoding):
        *whole, rest = (rest + text).split("\n")
        for line in whole:
            number += 1
            yield line + "\n"
        if len(rest) > _MAX_LINE:
            raise SettingsError(
                f"{shown}, line {number + 1}: longer than {_MAX_LINE} characters; is it of this format?"
            )
    if rest:
        yield rest


def read_whole(path: str, shown: str, encoding: str | None) -> str:
    """All of a text file; raises `SettingsError` where that is too much to hold."""
    parts, length = [], 0
    for text in _texts(path, shown, encoding):
        parts.append(text)
        length += len(text)
        if length > _MAX_WHOLE:
            raise SettingsError(f"{shown}: more than {_MAX_WHOLE} characters of JSON; write it as JSON Lines (.jsonl)")
    return "".join(parts)
