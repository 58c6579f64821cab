"""SIGKILL in the middle of labelling: what the page had confirmed is there, and work goes on where it stopped."""

import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest
from annotated_run import write_run
from page_client import PageClient

from critics.annotation.store import STORE_NAME, AnnotationStore

COMMAND = [sys.executable, "-m", "ostensive", "annotate"]


def start(run: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [*COMMAND, str(run), "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


@pytest.mark.slow
def test_a_kill_loses_at_most_the_judgement_in_flight(tmp_path: Path) -> None:
    run = write_run(tmp_path, images=8).path
    rng = random.Random(3)
    process, address = start(run)
    confirmed: dict[str, list[str]] = {"Ada": [], "Bo": []}

    def label(name: str) -> None:
        try:
            with PageClient(address) as client:
                client.enter(name)
                while item_id := client.judge(qa="accept", rationale="maybe"):
                    confirmed[name].append(item_id)
        except (httpx2.HTTPError, AssertionError):
            return  # the server is gone

    threads = [threading.Thread(target=label, args=(name,)) for name in confirmed]
    for thread in threads:
        thread.start()
    while sum(map(len, confirmed.values())) < 12 and process.poll() is None:
        time.sleep(0.01)
    time.sleep(rng.uniform(0, 0.05))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for thread in threads:
        thread.join()
    counts = {name: len(items) for name, items in confirmed.items()}
    assert 12 <= sum(counts.values()) < 80, "the kill came in the middle"
    with AnnotationStore(run / STORE_NAME) as store:
        stored = {name: [] for name in confirmed}  # type: dict[str, list[str]]
        for one in sorted(store.standing("triple"), key=lambda one: one.sequence):
            stored[one.annotator].append(one.item.item_id)
            assert one.answers == {"qa": "accept", "rationale": "maybe"}
    for name, items in confirmed.items():
        # Each has one judgement in flight at most, which may have been stored before the answer was sent.
        assert stored[name][: len(items)] == items
        assert len(stored[name]) <= len(items) + 1

    process, address = start(run)
    try:
        with PageClient(address) as ada:
            ada.enter("Ada")
            assert f"You have judged {len(stored['Ada'])};" in ada.page
            following = ada.judge(qa="reject")
            assert following
            assert following not in stored["Ada"]
    finally:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"{sum(map(len, stored.values())) + 1} judgements in {run / 'annotations' / 'judgements.parquet'}" in said
