"""Each kind of server in each situation, over HTTP: rows kept, dropped and failed, requests sent and paid, tokens.

What is served and what must come of it stands in `server_shapes/*.yaml`, from the servers' documentation. The table in
`docs/teachers.md` is made of the same files: `python tests/test_chat_server_shapes.py` writes it anew.
"""

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: counts of different types, and pytest keeps the class of its parameters to itself
from urllib.request import urlopen

import pytest
from drawing import write_scenes
from hardship import outcomes, stages_of
from plain_services import plain_services
from shape_server import SITUATIONS, TRIPLES, Expected, serving, shapes, sound_text

from builders.localized.records import Qar
from builders.localized.scripted import make_script
from builders.localized.settings import LocalizedSettings
from builders.localized.stage import CandidatesStage
from ostensive.chat.budget import TOKENS_A_MESSAGE, Budget
from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.journal import Journal
from ostensive.chat.retry import Backoff
from ostensive.chat.served import ServedChat
from ostensive.errors import AccessRefusedError
from ostensive.records import Box, Region, Verbalization
from ostensive.stage import Dropped, Failed, Kept

PAGE = Path(__file__).parent.parent / "docs" / "teachers.md"
ATTEMPTS, MAX_TOKENS = 3, 1024

QUICK = ("gemini", "mistral", "openrouter")
"""Whole builds of the default set: a list of parts, errors in lists, errors with status 200. Each takes some 3 s."""


def situations_to_ask() -> Iterator[Any]:
    for kind, found in shapes().items():
        for name in found.situations:
            yield pytest.param(kind, name, id=f"{kind}-{name}")


def kinds_to_build() -> Iterator[Any]:
    for kind in shapes():
        yield pytest.param(kind, marks=[] if kind in QUICK else [pytest.mark.slow])


def scene(number: int) -> Verbalization:
    regions = tuple(
        Region(k, Box(0.1 + 0.2 * k, 0.1, 0.25 + 0.2 * k, 0.9), "thing", None, caption)
        for k, caption in enumerate(("a red boat", "a dark tree", "a white dog"))
    )
    return Verbalization(f"{number:064x}", (f"There are {number} birds.",), (), regions, ())


@dataclass(frozen=True)
class Came:
    """What came of some requests, in the terms of `Expected`."""

    kept: int
    dropped: Mapping[str, int]
    failed: Mapping[str, int]
    answers: int
    spoiled: int
    prompt_tokens: int
    completion_tokens: int
    estimated: int
    details: tuple[str, ...]


class Asked:
    """A stage that asks a served teacher through a journal of its own, one request an image and turn."""

    def __init__(self, base_url: str, folder: Path, *, turns: int = 1) -> None:
        self._journal = folder / "journal.sqlite"
        self._settings = ServedTeacherSettings.model_validate(
            {
                "model": "model-x",
                "base_url": base_url,
                "max_attempts": ATTEMPTS,
                "max_in_flight": 1,
                "max_tokens": MAX_TOKENS,
            }
        )
        localized = LocalizedSettings(modes=("ids",), turns=turns, qars_per_turn=TRIPLES)
        self._stage = CandidatesStage(localized, teacher=self._settings, script=make_script(0.0), seed=0)

    def ask(self, *rows: Verbalization) -> list[Kept[Qar]]:
        """The outcomes of `rows`, one after the other."""
        found = []
        with Journal(self._journal, "run") as journal:
            chat = ServedChat(
                self._settings,
                journal=journal,
                budget=Budget(),
                stop=threading.Event(),
                price=None,
                environment={},
                backoff=Backoff(0.001, 0.002),
            )
            with self._stage.opened(plain_services(open_chat=lambda _settings, _script: chat)):
                for row in rows:
                    found += self._stage.process([row], {})
        assert all(isinstance(outcome, Kept) for outcome in found)
        return [outcome for outcome in found if isinstance(outcome, Kept)]

    def bound(self, row: Verbalization) -> int:
        """The most tokens that the prompt about `row` can have."""
        messages = self._stage.conversation(row, "ids").messages
        return sum(len(message.text.encode()) for message in messages) + TOKENS_A_MESSAGE * (len(messages) + 1)

    def came_of(self, found: list[Kept[Qar]]) -> Came:
        losses = [loss for outcome in found for loss in outcome.losses]
        answers, spoiled = (self._rows(table) for table in ("answers", "spoiled"))
        return Came(
            kept=sum(len(outcome.records) for outcome in found),
            dropped=Counter(loss.reason for loss in losses if isinstance(loss, Dropped)),
            failed=Counter(loss.reason for loss in losses if isinstance(loss, Failed)),
            answers=len(answers),
            spoiled=len(spoiled),
            prompt_tokens=sum(row[0] for row in answers + spoiled),
            completion_tokens=sum(row[1] for row in answers + spoiled),
            estimated=sum(row[2] for row in answers + spoiled),
            details=tuple(loss.detail for loss in losses),
        )

    def _rows(self, table: str) -> list[tuple[int, int, int]]:
        with closing(sqlite3.connect(self._journal)) as connection:
            return connection.execute(f"SELECT prompt_tokens, completion_tokens, estimated FROM {table}").fetchall()


def wanted(expected: Expected, bound: int) -> Came:
    """What `expected` stands for where the most a prompt can have is `bound` tokens."""
    prompt = bound if expected.prompt_tokens == "bound" else expected.prompt_tokens
    completion = MAX_TOKENS if expected.completion_tokens == "bound" else expected.completion_tokens
    nothing = not expected.answers + expected.spoiled
    return Came(
        kept=expected.kept,
        dropped=expected.dropped,
        failed=expected.failed,
        answers=expected.answers,
        spoiled=expected.spoiled,
        prompt_tokens=0 if nothing else int(prompt),
        completion_tokens=0 if nothing else int(completion),
        estimated=expected.estimated,
        details=(),
    )


def sent_for(expected: Expected) -> int:
    return ATTEMPTS if expected.sent == "attempts" else int(expected.sent)


def total(parts: list[Came]) -> dict[str, Any]:
    """Several as one, without the details."""

    def by_reason(name: str) -> Counter[str]:
        return sum((Counter(getattr(part, name)) for part in parts), Counter())

    numbers = ("kept", "answers", "spoiled", "prompt_tokens", "completion_tokens", "estimated")
    return {name: sum(getattr(part, name) for part in parts) for name in numbers} | {
        "dropped": by_reason("dropped"),
        "failed": by_reason("failed"),
    }


@pytest.mark.parametrize(("kind", "name"), list(situations_to_ask()))
def test_a_server_in_a_situation(kind: str, name: str, tmp_path: Path) -> None:
    situations = shapes()[kind].situations
    expected = situations[name].expected
    names = [*filter(None, [situations[name].after]), name]
    rows = [scene(number) for number in range(len(names))]
    with serving() as alone:
        asked = Asked(alone.base_url(kind, names), tmp_path)
        if expected.stops:
            with pytest.raises(AccessRefusedError, match=expected.stops):
                asked.ask(*rows)
            assert total([asked.came_of([])]) == total([])
            assert alone.stats()["received"] == sent_for(expected)
            return
        found = asked.ask(*rows)
        came = asked.came_of(found)
        sent = alone.stats()["received"]
        again = asked.ask(*rows) if expected.answers else found
        sent_again = alone.stats()["received"]
    parts = [(situations[one].expected, asked.bound(row)) for one, row in zip(names, rows, strict=True)]
    assert total([came]) == total([wanted(*part) for part in parts])
    assert sent == sum(sent_for(part) for part, _ in parts)
    assert all(expected.detail in detail for detail in came.details)
    # What a run says it cost is what the journal has, now and when the answers come from there.
    spend = sum((outcome.spend for outcome in found[1:]), found[0].spend)
    booked = (spend.requests, spend.prompt_tokens, spend.completion_tokens, spend.estimated_requests)
    assert booked == (came.answers + came.spoiled, came.prompt_tokens, came.completion_tokens, came.estimated)
    assert spend.spoiled_requests == came.spoiled
    assert (again, sent_again) == (found, sent), "an answer is asked for once"


@pytest.mark.parametrize("kind", shapes())
def test_what_a_model_thought_is_not_sent_back_to_it(kind: str, tmp_path: Path) -> None:
    names = [name for name in shapes()[kind].situations if name.startswith("reasoning")]
    for name in names:
        (tmp_path / name).mkdir()
        with serving() as alone:
            Asked(alone.base_url(kind, [name]), tmp_path / name, turns=2).ask(scene(0))
        first, second = alone.requests
        answer, follow_up = second["messages"][len(first["messages"]) :]
        assert (answer["role"], answer["content"].strip()) == ("assistant", sound_text(first))
        assert follow_up["role"] == "user"


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(kinds_to_build()))
def test_a_whole_build_in_all_situations(kind: str, tmp_path: Path) -> None:
    import ostensive
    from ostensive.run.options import BuildOptions

    situations = shapes()[kind].situations
    mixed = ["ordinary", *(name for name in situations if name != "ordinary" and not situations[name].expected.stops)]
    images = write_scenes(tmp_path / "images", (len(mixed) + 1) // 2)
    with serving() as alone:
        settings = {
            "teacher.kind": "served",
            "teacher.model": "model-x",
            "teacher.base_url": alone.base_url(kind, mixed),
            "teacher.max_attempts": ATTEMPTS,
            "teacher.max_in_flight": 1,
            "localized.turns": 1,
            "corpus.license": "cc0-1.0",
            "corpus.source": "drawn by a test",
            "corpus.intended_use": "to test",
        }
        options = BuildOptions(settings=tuple(f"{key}={value}" for key, value in settings.items()))
        corpus = ostensive.build("localized", images=images, out=tmp_path / "run", options=options)
        with urlopen(f"{alone.address}/stats") as response:
            stats = json.load(response)
    given = Counter(stats["situations"])
    assert set(given) == set(mixed), "each of them once, the first ones twice where requests are left over"
    expected = [situations[name].expected for name in given.elements()]
    came = stages_of(tmp_path / "run")["candidates"]
    assert came.kept == sum(one.kept for one in expected)
    assert came.dropped == sum((Counter(one.dropped) for one in expected), Counter())
    assert came.failed == sum((Counter(one.failed) for one in expected), Counter())
    assert stats["received"] == sum(sent_for(one) for one in expected)
    assert came.spend.requests == sum(one.answers + one.spoiled for one in expected)
    assert came.spend.spoiled_requests == sum(one.spoiled for one in expected)
    assert came.spend.estimated_requests == sum(one.estimated for one in expected)
    # Of prompts only the least is known: where tokens are estimated, they are bounds.
    assert came.spend.prompt_tokens >= sum(int(one.prompt_tokens) for one in expected if one.prompt_tokens != "bound")
    completions = (MAX_TOKENS if one.completion_tokens == "bound" else int(one.completion_tokens) for one in expected)
    assert came.spend.completion_tokens == sum(completions)
    said = {row["question"] for row in outcomes(tmp_path / "run", "candidates") if row["outcome"] == "kept"}
    assert {row["question"] for row in corpus.rows()} <= said


def test_every_server_is_shown_in_every_situation() -> None:
    assert len(shapes()) == 12
    for kind, found in shapes().items():
        assert set(SITUATIONS) <= found.situations.keys(), kind
        assert all(one.source for one in found.situations.values()), kind


# ---- the table in the documentation ---------------------------------------------------------------------------------

HEAD = "| server | what it sends | kept | dropped | failed | sent | paid |"


def table() -> str:
    """What becomes of three triples that one request asks for, by server and situation."""
    lines = [HEAD, "|---" * 7 + "|"]
    for found in shapes().values():
        for name, situation in found.situations.items():
            what = f"{name.replace('_', ' ')}: {situation.shows}"
            lines.append(f"| {' | '.join((found.server, what, *_cells(situation.expected)))} |")
    return "\n".join(lines)


def _cells(expected: Expected) -> tuple[str, ...]:
    paid = str(expected.answers + expected.spoiled) + (" (estimated)" if expected.estimated else "")
    sent = "`teacher.max_attempts`" if expected.sent == "attempts" else str(expected.sent)
    failed = f"the run stops: `{expected.stops}`" if expected.stops else _reasons(expected.failed)
    return str(expected.kept), _reasons(expected.dropped), failed, sent, paid


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} `{reason}`" for reason, count in counts.items()) or "0"


def with_table(text: str) -> str:
    """The page with the table as it should be."""
    before, _, rest = text.partition("<!-- shapes -->\n")
    _, _, after = rest.partition("<!-- /shapes -->\n")
    assert after, "docs/teachers.md has the two comments"
    return f"{before}<!-- shapes -->\n{table()}\n<!-- /shapes -->\n{after}"


def test_the_table_in_the_documentation_is_that_of_the_data() -> None:
    text = PAGE.read_text("utf-8")
    assert text == with_table(text), "python tests/test_chat_server_shapes.py writes it anew"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
