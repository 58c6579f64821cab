"""The SQLite file of a run's judgements: its tables, and what is asked of them."""

import secrets
import sqlite3
from typing import Final

from ostensive.sqlite_files import FileKind

# `judgements` only grows. What an annotator thinks of an item now is the last row there is for the two of them, unless
# that row takes back what was said before (`answers` is null); the view `standing` is that rule. `imports` has what
# came from elsewhere as it was last; an annotation without an id there has '' for it, one without a time 0. Times are
# seconds since the epoch. What is given out is what a round has of an image; `rounds` says by a hash what each of them
# was chosen by. `held_out` is the same of all items of an image.
_SCHEMA: Final = """
CREATE TABLE secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE annotators (name TEXT PRIMARY KEY, folded TEXT NOT NULL UNIQUE, since REAL NOT NULL);
CREATE TABLE items (
    task TEXT NOT NULL, item_id TEXT NOT NULL, image_id TEXT NOT NULL, place INTEGER NOT NULL, texts TEXT NOT NULL,
    round_number INTEGER NOT NULL, drawn TEXT NOT NULL, held_out INTEGER NOT NULL,
    is_retired INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (task, item_id));
CREATE INDEX items_by_image ON items (task, image_id, round_number, place);
CREATE TABLE rounds (task TEXT NOT NULL, round_number INTEGER NOT NULL, chosen_by TEXT NOT NULL,
    PRIMARY KEY (task, round_number), UNIQUE (task, chosen_by));
CREATE TABLE assignments (
    task TEXT NOT NULL, image_id TEXT NOT NULL, round_number INTEGER NOT NULL, annotator TEXT NOT NULL,
    given_at REAL NOT NULL, PRIMARY KEY (task, image_id, round_number, annotator));
CREATE TABLE judgements (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT NOT NULL, item_id TEXT NOT NULL, annotator TEXT NOT NULL,
    answers TEXT, takes_back INTEGER, swapped INTEGER NOT NULL, source TEXT NOT NULL, judged_at REAL NOT NULL);
CREATE INDEX judgements_by_item ON judgements (task, annotator, item_id, sequence);
CREATE TABLE imports (
    task TEXT NOT NULL, item_id TEXT NOT NULL, annotation_id TEXT NOT NULL, created_at REAL NOT NULL,
    annotator TEXT NOT NULL, answers TEXT NOT NULL, updated_at REAL,
    PRIMARY KEY (task, item_id, annotation_id, created_at, annotator));
CREATE TABLE foreign_users (user_id TEXT NOT NULL, annotator TEXT NOT NULL, PRIMARY KEY (user_id, annotator));
CREATE VIEW standing AS SELECT * FROM judgements AS one WHERE answers IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM judgements AS later WHERE later.task = one.task AND later.annotator = one.annotator
    AND later.item_id = one.item_id AND later.sequence > one.sequence);
"""


def _fill(cursor: sqlite3.Cursor) -> None:
    cursor.execute("INSERT INTO secrets VALUES ('forms', ?)", (secrets.token_hex(32),))


JUDGEMENTS: Final = FileKind(
    what="a file of judgements",
    application_id=0x6F737461,  # "osta"
    version=4,
    schema=_SCHEMA,
    instead="move it away",
    again="save again",
    busy_timeout_s=30.0,
    fill=_fill,
)

ITEM: Final = "task, item_id, image_id, texts, drawn, held_out, round_number"
# Texts that nobody has judged yet may change, those that somebody has stay as they were shown. How an item was drawn
# stays, and an image that has items stays on its side of what is held out.
ADD_ITEM: Final = """
INSERT INTO items VALUES (:task, :item_id, :image_id, :place, :texts, :round_number, :drawn,
    coalesce((SELECT max(held_out) FROM items WHERE image_id = :image_id), :held_out), 0)
ON CONFLICT (task, item_id) DO UPDATE SET is_retired = 0, texts = CASE
    WHEN EXISTS (SELECT 1 FROM judgements WHERE judgements.task = items.task AND judgements.item_id = items.item_id)
    THEN items.texts ELSE excluded.texts END
"""
ADD_JUDGEMENT: Final = (
    "INSERT INTO judgements (task, item_id, annotator, answers, takes_back, swapped, source, judged_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
KEEP_IMPORT: Final = "INSERT OR REPLACE INTO imports VALUES (?, ?, ?, ?, ?, ?, ?)"
IMPORTED: Final = (
    "SELECT answers, updated_at, annotation_id FROM imports WHERE task = ? AND item_id = ? AND annotator = ?"
)
RENAME: Final = (
    "UPDATE OR IGNORE assignments SET annotator = :new WHERE annotator = :old",
    "DELETE FROM assignments WHERE annotator = :old",
    "UPDATE judgements SET annotator = :new WHERE annotator = :old",
    "UPDATE OR REPLACE imports SET annotator = :new WHERE annotator = :old",
    "UPDATE OR REPLACE foreign_users SET annotator = :new WHERE annotator = :old",
    "DELETE FROM annotators WHERE name = :old",
)
STANDING_ANSWERS: Final = "SELECT answers FROM standing WHERE task = ?"
NEXT_ITEM: Final = f"""
SELECT {ITEM} FROM items JOIN assignments USING (task, image_id, round_number)
WHERE task = :task AND annotator = :annotator AND is_retired = 0 AND NOT EXISTS (
    SELECT 1 FROM standing WHERE standing.task = items.task AND standing.annotator = :annotator
    AND standing.item_id = items.item_id)
ORDER BY given_at, place LIMIT 1
"""  # noqa: S608 - constants
ASSIGNMENTS: Final = """
SELECT given.image_id, given.round_number, given.annotator, count(standing.sequence),
    max(given.given_at, coalesce(max(judged_at), 0))
FROM assignments AS given
LEFT JOIN items ON items.task = given.task AND items.image_id = given.image_id
    AND items.round_number = given.round_number AND is_retired = 0
LEFT JOIN standing ON standing.task = given.task AND standing.annotator = given.annotator
    AND standing.item_id = items.item_id
WHERE given.task = ? GROUP BY given.image_id, given.round_number, given.annotator
"""
STANDING: Final = """
SELECT items.task, items.item_id, items.image_id, items.texts, items.drawn, items.held_out, items.round_number,
    sequence, annotator, answers, swapped, source, judged_at
FROM standing JOIN items USING (task, item_id) WHERE items.task = ? ORDER BY items.place, annotator
"""
UNITS: Final = """
SELECT image_id, round_number, count(*) FROM items WHERE task = ? AND is_retired = 0
GROUP BY image_id, round_number ORDER BY min(place)
"""
ROUNDS: Final = """
SELECT chosen_by, round_number FROM rounds WHERE task = ?
"""
ASSIGN: Final = """
INSERT OR IGNORE INTO assignments
SELECT task, image_id, round_number, ?, ? FROM items WHERE task = ? AND item_id = ?
"""
JUDGED_IN_IMAGE: Final = """
SELECT count(standing.sequence), count(*) FROM items
LEFT JOIN standing ON standing.task = items.task AND standing.item_id = items.item_id AND standing.annotator = ?
WHERE items.task = ? AND items.image_id = ? AND items.round_number = ? AND is_retired = 0
"""
JUDGED_BY: Final = """
SELECT count(*) FROM standing JOIN items USING (task, item_id)
WHERE items.task = ? AND annotator = ? AND is_retired = 0
"""
DONE: Final = """
SELECT count(*) FROM (SELECT 1 FROM standing JOIN items USING (task, item_id)
WHERE items.task = ? AND is_retired = 0 GROUP BY item_id HAVING count(*) >= ?)
"""
