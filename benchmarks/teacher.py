"""The teacher stage against the scripted server: how near to the ideal rate, and to a bare `openai` client.

    python benchmarks/teacher.py [--conversations 1000] [--rounds 3] [--json]

(a) 1,000 conversations of 3 turns, 64 in flight, 0.5 s latency, journal on, given to `chat()` in calls of 256 images
x 2 modes from two threads, as the engine does. Target: at least 0.95 of the ideal 64 / 0.5 s = 128 requests a second.
(b) The same with 256 in flight, alternating with a bare `openai.AsyncOpenAI` (its default transport, a semaphore of
256, conversations of the same form, no journal). Target: the median of ours at least that of the bare client.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ostensive.chat.budget import Budget
from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.journal import Journal
from ostensive.chat.records import Conversation, Message, Reply
from ostensive.chat.served import ServedChat
from ostensive.chat.server import ServerSettings, serve

LATENCY_S = 0.5
TURNS = 3
CONVERSATIONS_A_CALL = 512  # 256 images in two modes
PROMPT_WORDS, REPLY_WORDS = 500, 150


def talk(messages: Sequence[Message], seed: int) -> str:
    """Three short paragraphs of about `REPLY_WORDS` words: the size of a real reply, not its sense."""
    return f"{seed:x} {len(messages)} " + "the second region is darker than the first " * (REPLY_WORDS // 8)


def conversations(count: int, salt: str) -> list[Conversation]:
    """Conversations of `TURNS` turns with a prompt of about `PROMPT_WORDS` words; another salt makes others."""
    context = "region two is a small round area near the left edge " * (PROMPT_WORDS // 11)
    follow_ups = tuple(Message("user", f"Write three more, part {turn}.") for turn in range(2, TURNS + 1))
    return [
        Conversation((Message("system", "You write questions."), Message("user", f"{salt} {i}: {context}")), follow_ups)
        for i in range(count)
    ]


@contextlib.contextmanager
def server_process() -> Iterator[str]:
    """The scripted server in a process of its own; its base URL."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def ours(base_url: str, talks: Sequence[Conversation], in_flight: int, threads: int = 2) -> float:
    """Requests a second of `ServedChat` with a journal, from first call to last reply."""
    settings = ServedTeacherSettings(model="scripted", base_url=base_url, max_in_flight=in_flight)
    calls = [talks[i : i + CONVERSATIONS_A_CALL] for i in range(0, len(talks), CONVERSATIONS_A_CALL)]
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal(Path(folder) / "journal.sqlite", "benchmark") as journal,
        ServedChat(settings, journal=journal, budget=Budget(), stop=threading.Event(), price=None) as chat,
        ThreadPoolExecutor(threads) as pool,
    ):
        start = time.perf_counter()
        exchanges = [exchange for call in pool.map(chat.chat, calls) for exchange in call]
        seconds = time.perf_counter() - start
        assert journal.totals("benchmark").requests == len(talks) * TURNS
    assert all(isinstance(reply, Reply) for exchange in exchanges for reply in exchange.replies)
    return len(talks) * TURNS / seconds


def bare(base_url: str, talks: Sequence[Conversation], in_flight: int) -> float:
    """Requests a second of what anybody would write: `openai.AsyncOpenAI` and a semaphore."""
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletionMessageParam

    async def converse(client: AsyncOpenAI, places: asyncio.Semaphore, conversation: Conversation) -> None:
        messages: list[ChatCompletionMessageParam] = [
            {"role": "system", "content": conversation.messages[0].text},
            {"role": "user", "content": conversation.messages[1].text},
        ]
        for turn in range(TURNS):
            async with places:
                completion = await client.chat.completions.create(
                    model="scripted", messages=messages, temperature=0.8, top_p=1.0, max_tokens=1024
                )
            messages.append({"role": "assistant", "content": completion.choices[0].message.content})
            if turn < len(conversation.follow_ups):
                messages.append({"role": "user", "content": conversation.follow_ups[turn].text})

    async def everything() -> float:
        async with AsyncOpenAI(base_url=base_url, api_key="none") as client:
            places = asyncio.Semaphore(in_flight)
            start = time.perf_counter()
            await asyncio.gather(*(converse(client, places, conversation) for conversation in talks))
            return time.perf_counter() - start

    return len(talks) * TURNS / asyncio.run(everything())


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    value: float
    target: float | None


def verdict(figure: Figure) -> str:
    """The target of a figure, and whether it is met."""
    if figure.target is None:
        return ""
    return f">= {figure.target:g}  {'met' if figure.value >= figure.target else 'MISSED'}"


def measure(count: int, rounds: int) -> list[Figure]:
    """All figures."""
    with server_process() as base_url:
        ideal = 64 / LATENCY_S
        at_64 = ours(base_url, conversations(count, "a"), 64)
        mine, theirs = [], []
        for number in range(rounds):
            # The order alternates too, so that a machine that slows down with time favours nobody.
            for own in (True, False) if number % 2 == 0 else (False, True):
                talks = conversations(count, f"b{number}{own}")
                if own:
                    mine.append(ours(base_url, talks, 256))
                else:
                    theirs.append(bare(base_url, talks, 256))
    our_median, bare_median = statistics.median(mine), statistics.median(theirs)
    return [
        Figure("requests/s, 64 in flight", at_64, None),
        Figure("  over the ideal 128/s", at_64 / ideal, 0.95),
        Figure("requests/s, 256 in flight, median", our_median, None),
        Figure("requests/s, bare openai client, 256 in flight, median", bare_median, None),
        Figure("  ours over bare", our_median / bare_median, 1.0),
        Figure("  ours over the ideal 512/s", our_median / (256 / LATENCY_S), None),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(talk, ServerSettings(latency_s=LATENCY_S), on_ready=lambda base_url: print(base_url, flush=True))
        return
    figures = measure(options.conversations, options.rounds)
    if options.json:
        print(json.dumps({figure.name.strip(): figure.value for figure in figures}))
        return
    for figure in figures:
        print(f"{figure.name:<56}{figure.value:>9.3f}  {verdict(figure)}")


if __name__ == "__main__":
    main()
