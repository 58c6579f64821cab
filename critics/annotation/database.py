"""The SQLite file of a run's judgements: its tables."""

import secrets
import sqlite3
from typing import Final

from ostensive.sqlite_files import FileKind

# `judgements` only grows. What an annotator thinks of an item now is the last row there is for the two of them, unless
# that row takes back what was said before (`answers` is null); the view `standing` is that rule. Times are seconds
# since the epoch.
_SCHEMA: Final = """
CREATE TABLE secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE annotators (name TEXT PRIMARY KEY, folded TEXT NOT NULL UNIQUE, since REAL NOT NULL);
CREATE TABLE items (
    task TEXT NOT NULL, item_id TEXT NOT NULL, image_id TEXT NOT NULL, place INTEGER NOT NULL, texts TEXT NOT NULL,
    is_retired INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (task, item_id));
CREATE INDEX items_by_image ON items (task, image_id, place);
CREATE TABLE seats (
    task TEXT NOT NULL, image_id TEXT NOT NULL, annotator TEXT NOT NULL, taken_at REAL NOT NULL,
    PRIMARY KEY (task, image_id, annotator));
CREATE TABLE judgements (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT NOT NULL, item_id TEXT NOT NULL, annotator TEXT NOT NULL,
    answers TEXT, takes_back INTEGER, swapped INTEGER NOT NULL, source TEXT NOT NULL, judged_at REAL NOT NULL);
CREATE INDEX judgements_by_item ON judgements (task, annotator, item_id, sequence);
CREATE VIEW standing AS SELECT * FROM judgements AS one WHERE answers IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM judgements AS later WHERE later.task = one.task AND later.annotator = one.annotator
    AND later.item_id = one.item_id AND later.sequence > one.sequence);
"""


def _fill(cursor: sqlite3.Cursor) -> None:
    cursor.execute("INSERT INTO secrets VALUES ('forms', ?)", (secrets.token_hex(32),))


JUDGEMENTS: Final = FileKind(
    what="a file of judgements",
    application_id=0x6F737461,  # "osta"
    version=1,
    schema=_SCHEMA,
    instead="move it away",
    again="save again",
    busy_timeout_s=30.0,
    fill=_fill,
)
