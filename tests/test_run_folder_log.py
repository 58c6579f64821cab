"""The log of a run is read line by line, whatever its texts hold."""

from pathlib import Path

from ostensive.run.folder import RunFolder


def test_separators_of_unicode_and_odd_lines_lose_no_event(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    texts = ["first\u2028second", "a\x85b", "c\x0cd", "e\u2029f"]
    lines = [f'{{"event": "noted", "message": "{text}"}}' for text in texts]
    (tmp_path / "log.jsonl").write_text("\n".join([*lines, "[" * 5_000, "5", '{"cut": ']) + "\n", "utf-8")
    found = [event["message"].encode() for event in run.read_log()]
    assert found == [text.encode() for text in texts if "\x0c" not in text]
