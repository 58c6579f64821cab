"""The store of a run's judgements: who was given what, what they said, and what they took back.

Each judgement is one row and is never changed or removed, but for the name of somebody who turns out to be another;
taking one back adds a row that says so. A call returns when what it wrote is on the disk. All methods may be called
from any thread between `__enter__` and `__exit__`, and several processes may have the same file open.
"""

import json
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self  # Any: rows of SQLite

from critics.annotation import database
from critics.annotation.assignment import Assignment, ImageOfRound, choose_image, is_swapped
from critics.annotation.foreign import MAX_FOREIGN_NAME, ForeignJudgement, TakenIn
from critics.annotation.items import Item
from critics.annotation.tasks import TASKS, AnswerError, check_answers
from critics.labels import Draw
from ostensive.errors import SettingsError
from ostensive.recipe_kind import ShownText
from ostensive.run.folder import RunFolder, existing_run

STORE_NAME: Final = "annotations.sqlite"
"""The file's name in a run folder."""
MAX_NAME_LENGTH: Final = 40


@dataclass(frozen=True, slots=True)
class Standing:
    """What an annotator thinks of an item now. `answers` by question."""

    sequence: int
    item: Item
    annotator: str
    answers: Mapping[str, str]
    swapped: bool  # whether the two sides were shown in the other order; the answers are in the item's own
    source: str  # "page", or the file that was imported
    judged_at: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an annotator is in a task, and all annotators together."""

    judged: int  # by this annotator
    items: int  # of the task, not retired
    done: int  # items with as many judgements as are wanted


class AnnotationStore:
    """The judgements in the SQLite file at `path`. Raises `StorageError` in one line where the disk refuses."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock  # seconds since the epoch
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._connection = database.JUDGEMENTS.connect(self.path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction that sees and makes a whole; nothing of it stays when the block ends badly."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    # A full disk makes SQLite roll back by itself.
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise database.JUDGEMENTS.storage_error(self.path, error) from error

    def secret(self) -> bytes:
        """What form tokens and cookies are signed with; made with the file, so that a page outlives a restart."""
        with self._transaction() as db:
            return bytes.fromhex(db.execute("SELECT value FROM secrets WHERE name = 'forms'").fetchone()[0])

    def enter_annotator(self, name: str, *, is_foreign: bool = False) -> str:
        """The annotator of that name as first written, entered if new. Raises `AnswerError` for what is no name.

        Case, width and spaces do not count, so that one person is not taken for two. Names that come from elsewhere may
        be longer.
        """
        shown = " ".join(unicodedata.normalize("NFC", name).split())
        most = MAX_FOREIGN_NAME if is_foreign else MAX_NAME_LENGTH
        if not shown or len(shown) > most or any(unicodedata.category(c)[0] == "C" for c in shown):
            raise AnswerError(f"a name of 1 to {most} visible characters is expected")
        folded = unicodedata.normalize("NFKC", shown).casefold()
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO annotators VALUES (?, ?, ?)", (shown, folded, self._clock()))
            return str(db.execute("SELECT name FROM annotators WHERE folded = ?", (folded,)).fetchone()[0])

    def rounds(self, task: str) -> dict[str, int]:
        """The numbers of the rounds of a task, by what they were chosen by."""
        with self._transaction() as db:
            return dict(db.execute(database.ROUNDS, (task,)).fetchall())

    def held_out_images(self) -> dict[str, bool]:
        """Whether each image that has items is held out; that stays, whatever is added."""
        with self._transaction() as db:
            found = db.execute("SELECT image_id, max(held_out) FROM items GROUP BY image_id")
            return {image_id: bool(held_out) for image_id, held_out in found}

    def add_items(self, items: Sequence[Item], *, rounds: Mapping[str, int] | None = None) -> int:
        """Adds items after those that are there, and brings retired ones back; returns how many are new.

        `rounds` are new rounds of their task, by what they are chosen by. An item that is there keeps how it was drawn,
        and what is added to an image is held out if the image is. Raises `SettingsError` where an item of that id was
        judged with other texts.
        """
        with self._transaction() as db:
            place = db.execute("SELECT coalesce(max(place), 0) FROM items").fetchone()[0]
            before = db.execute("SELECT count(*) FROM items").fetchone()[0]
            for offset, item in enumerate(items, 1):
                texts = _texts_json(item)
                row = {"task": item.task, "item_id": item.item_id, "image_id": item.image_id, "texts": texts}
                db.execute(database.ADD_ITEM, {**row, **asdict(item.draw), "place": place + offset})
                key = (item.task, item.item_id)
                if db.execute(_TEXTS_OF, key).fetchone()[0] != texts:
                    raise SettingsError(
                        f"{self.path}: the item {item.item_id!r} was judged with other texts; give the new ones an"
                        " item_id of their own"
                    )
            for chosen_by, number in (rounds or {}).items():
                task = next(item.task for item in items)
                db.execute("INSERT OR IGNORE INTO rounds VALUES (?, ?, ?)", (task, number, chosen_by))
            return int(db.execute("SELECT count(*) FROM items").fetchone()[0]) - int(before)

    def retire_items(self, task: str, item_ids: Iterable[str]) -> None:
        """Items that are not to be given out any more; what was said of them stays."""
        keys = [(task, item_id) for item_id in item_ids]
        with self._transaction() as db:
            db.executemany("UPDATE items SET is_retired = 1 WHERE task = ? AND item_id = ?", keys)

    def items(self, task: str, *, with_retired: bool = False) -> list[Item]:
        """The items of a task in the order in which they are given out."""
        query = f"SELECT {database.ITEM} FROM items WHERE task = ? AND is_retired <= ? ORDER BY place"  # noqa: S608 - constants
        with self._transaction() as db:
            return [_item(row) for row in db.execute(query, (task, int(with_retired)))]

    def item(self, task: str, item_id: str) -> Item | None:
        """One item; None if there is none of that id."""
        query = f"SELECT {database.ITEM} FROM items WHERE task = ? AND item_id = ?"  # noqa: S608 - constants
        with self._transaction() as db:
            row = db.execute(query, (task, item_id)).fetchone()
        return None if row is None else _item(row)

    def next_item(self, task: str, annotator: str, annotators_per_item: int) -> Item | None:
        """The next to judge: the rest of the images already given, then a new one; None at the end."""
        with self._transaction() as db:
            row = db.execute(database.NEXT_ITEM, {"task": task, "annotator": annotator}).fetchone()
            if row is None:
                sizes = {
                    ImageOfRound(image_id, number): size
                    for image_id, number, size in db.execute(database.UNITS, (task,))
                }
                given = [Assignment(*one) for one in db.execute(database.ASSIGNMENTS, (task,))]
                now = self._clock()
                image = choose_image(sizes, given, annotator, annotators_per_item=annotators_per_item, now=now)
                if image is None:
                    return None
                assignment = (task, image.image_id, image.round_number, annotator, now)
                db.execute("INSERT INTO assignments VALUES (?, ?, ?, ?, ?)", assignment)
                row = db.execute(database.NEXT_ITEM, {"task": task, "annotator": annotator}).fetchone()
        assert row is not None, "an image that was given out has an item to judge"
        return _item(row)

    def record(self, task: str, item_id: str, annotator: str, given: Mapping[str, str]) -> None:
        """Adds what the annotator says of an item that was given to them; raises `AnswerError` where it was not.

        `given` is checked as `check_answers` does. Saying the same again changes nothing.
        """
        answers = check_answers(TASKS[task], given)
        swapped = TASKS[task].sides is not None and is_swapped(item_id, annotator)
        with self._transaction() as db:
            if db.execute(_IS_GIVEN, (task, item_id, annotator)).fetchone() is None:
                raise AnswerError(
                    f"the item {item_id[:40]!r} was not given to {annotator}; go back to the list of tasks"
                )
            self._insert(db, (task, item_id, annotator), answers, swapped=swapped, source="page")

    def rename_annotator(self, old: str, new: str) -> None:
        """Files all that was said by `old` under `new`, both of them annotators already; what was said last stands."""
        with self._transaction() as db:
            for statement in database.RENAME:
                db.execute(statement, {"old": old, "new": new})

    def taken_in(self) -> list[TakenIn]:
        """The annotations that came from elsewhere, of those that have an id there."""
        query = "SELECT task, item_id, annotation_id, nullif(created_at, 0), annotator FROM imports WHERE annotation_id"
        with self._transaction() as db:
            return [TakenIn(*row) for row in db.execute(f"{query} <> ''")]

    def foreign_users(self) -> dict[str, set[str]]:
        """The annotators that came from elsewhere with each user id."""
        found: dict[str, set[str]] = {}
        with self._transaction() as db:
            for user_id, annotator in db.execute("SELECT user_id, annotator FROM foreign_users"):
                found.setdefault(user_id, set()).add(annotator)
        return found

    def record_imported(self, judgements: Sequence[ForeignJudgement], source: str) -> int:
        """Adds judgements of known items by known annotators, all or none; returns how many were not there already.

        What has come in before as it is, or in a later state, changes nothing, whatever has been said since.
        """
        checked = [(one, check_answers(TASKS[one.item.task], one.answers)) for one in judgements]
        added = 0
        with self._transaction() as db:
            for one, answers in checked:
                item, text = one.item, json.dumps(answers, sort_keys=True)
                if one.user_id is not None:
                    db.execute("INSERT OR IGNORE INTO foreign_users VALUES (?, ?)", (one.user_id, one.annotator))
                db.execute(database.ASSIGN, (one.annotator, self._clock(), item.task, item.item_id))
                key = (item.task, item.item_id, one.annotator)
                if _is_old(one, text, db.execute(database.IMPORTED, key).fetchall()):
                    continue
                annotation = (one.annotation_id or "", one.created_at or 0.0)
                db.execute(
                    database.KEEP_IMPORT,
                    (item.task, item.item_id, *annotation, one.annotator, text, one.updated_at),
                )
                added += self._insert(db, key, answers, swapped=one.swapped, source=source)
        return added

    def _insert(
        self,
        db: sqlite3.Connection,
        key: tuple[str, str, str],  # task, item, annotator
        answers: Mapping[str, str],
        *,
        swapped: bool,
        source: str,
    ) -> bool:
        text = json.dumps(answers, sort_keys=True)
        last = db.execute(f"{database.STANDING_ANSWERS} AND item_id = ? AND annotator = ?", key).fetchone()
        if last is not None and last[0] == text:
            return False
        db.execute(database.ADD_JUDGEMENT, (*key, text, None, swapped, source, self._clock()))
        return True

    def take_back(self, task: str, annotator: str) -> Item | None:
        """Takes back the annotator's last standing judgement in a task and returns its item; None if there is none."""
        with self._transaction() as db:
            query = (
                "SELECT sequence, item_id, swapped FROM standing WHERE task = ? AND annotator = ?"
                " AND source = 'page' ORDER BY sequence DESC LIMIT 1"
            )
            last = db.execute(query, (task, annotator)).fetchone()
            if last is None:
                return None
            sequence, item_id, swapped = last
            row = (task, item_id, annotator, None, sequence, swapped, "page", self._clock())
            db.execute(database.ADD_JUDGEMENT, row)
            query = f"SELECT {database.ITEM} FROM items WHERE task = ? AND item_id = ?"  # noqa: S608 - constants
            return _item(db.execute(query, (task, item_id)).fetchone())

    def last_judged(self, task: str, annotator: str) -> Item | None:
        """The item whose judgement `take_back` would take back; None if there is none."""
        query = (
            f"SELECT {database.ITEM} FROM items JOIN standing USING (task, item_id) WHERE task = ? AND annotator = ?"  # noqa: S608 - constants
            " AND source = 'page' ORDER BY sequence DESC LIMIT 1"
        )
        with self._transaction() as db:
            row = db.execute(query, (task, annotator)).fetchone()
        return None if row is None else _item(row)

    def standing(self, task: str) -> list[Standing]:
        """Everything that stands in a task, by item in the order of giving out, then by annotator."""
        with self._transaction() as db:
            return [
                Standing(row[7], _item(row), row[8], json.loads(row[9]), bool(row[10]), row[11], row[12])
                for row in db.execute(database.STANDING, (task,))
            ]

    def answers(self, task: str) -> dict[str, dict[str, Mapping[str, str]]]:
        """The answers that stand in a task, by item and annotator."""
        found: dict[str, dict[str, Mapping[str, str]]] = {}
        for standing in self.standing(task):
            found.setdefault(standing.item.item_id, {})[standing.annotator] = standing.answers
        return found

    def progress(self, task: str, annotator: str, annotators_per_item: int) -> Progress:
        """How far the annotator and all together are."""
        with self._transaction() as db:
            items = db.execute("SELECT count(*) FROM items WHERE task = ? AND is_retired = 0", (task,)).fetchone()[0]
            mine = db.execute(database.JUDGED_BY, (task, annotator)).fetchone()[0]
            done = db.execute(database.DONE, (task, annotators_per_item)).fetchone()[0]
        return Progress(mine, items, done)

    def judged_in_image(self, item: Item, annotator: str) -> tuple[int, int]:
        """How many items of the item's image and round the annotator has judged, and how many there are."""
        key = (annotator, item.task, item.image_id, item.draw.round_number)
        with self._transaction() as db:
            judged, items = db.execute(database.JUDGED_IN_IMAGE, key).fetchone()
        return judged, items


def open_store(run: RunFolder) -> AnnotationStore:
    """The judgements of a run, to be entered; the file is made if it is not there."""
    return AnnotationStore(run.path / STORE_NAME)


def existing_store(out: Path | str) -> AnnotationStore:
    """The judgements of the run in `out`; raises `SettingsError` where nobody was asked yet."""
    store = open_store(existing_run(out))
    if not store.path.exists():
        raise SettingsError(f"{out}: nothing was judged here yet; label with `ostensive annotate RUN`")
    return store


_IS_GIVEN: Final = (
    "SELECT 1 FROM items JOIN assignments USING (task, image_id, round_number)"
    " WHERE task = ? AND item_id = ? AND annotator = ?"
)
_TEXTS_OF: Final = "SELECT texts FROM items WHERE task = ? AND item_id = ?"


def _is_old(one: ForeignJudgement, text: str, earlier: Sequence[tuple[str, float | None, str]]) -> bool:
    """Whether a judgement has come in as it is, or was overtaken by a later one; `earlier` are those of the person."""
    for answers, updated_at, annotation_id in earlier:
        times_known = one.updated_at is not None and updated_at is not None
        if times_known and one.updated_at < updated_at:  # type: ignore[operator] # both are known
            return True
        if annotation_id == (one.annotation_id or "") and answers == text:
            return True
    return False


def _texts_json(item: Item) -> str:
    """The texts as they are stored; lone surrogates, which SQLite refuses, are shown as `?`."""
    texts = json.dumps([[text.name, text.text, text.mentions] for text in item.texts], ensure_ascii=False)
    return texts.encode("utf-8", "replace").decode("utf-8")


def _item(row: Sequence[Any]) -> Item:
    task, item_id, image_id, texts, drawn, held_out, round_number = row[:7]
    shown = (ShownText(name, text, tuple(mentions)) for name, text, mentions in json.loads(texts))
    return Item(task, item_id, image_id, tuple(shown), Draw(drawn, bool(held_out), round_number))
