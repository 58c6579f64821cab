"""Nothing of others acts on the terminal, warnings of the log included."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.commands.terminal import WarningsOnTerminal, complain, print_lines, say
from ostensive.images.paths import shown_text

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b31m\u202e\rall is well\u2028\x7f\ud800"


def test_errors_results_and_warnings_are_printable(capsys: pytest.CaptureFixture[str]) -> None:
    complain(HOSTILE)
    say(HOSTILE)
    print_lines([HOSTILE])
    record = logging.LogRecord("x", logging.WARNING, "x", 1, "%s is damaged", (HOSTILE,), None)
    WarningsOnTerminal().emit(record)
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert "owned" in text
        assert not any(char in text for char in HOSTILE if not char.isprintable())
    assert len(printed.err.splitlines()) == 3


@given(st.text())
def test_what_is_shown_holds_no_control(text: str) -> None:
    shown = shown_text(text)
    assert not set(shown) & {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (9, 10)}
