"""The scripted teacher over HTTP in the OpenAI format, with settable latency and faults."""

import sys
from collections.abc import Sequence

from ostensive.chat.faults import FAULT_KINDS, Faults
from ostensive.chat.scripted import Script
from ostensive.chat.server import ServerSettings, serve
from ostensive.errors import SettingsError
from ostensive.settings import nearest_key


def serve_scripted(
    script: Script, *, host: str, port: int, latency_s: float, faults: Sequence[str], faulty_attempts: int
) -> None:
    """Serves what `script` says until interrupted; prints the base URL on standard output once it listens."""
    chances = parse_faults(faults)
    settings = ServerSettings(latency_s=latency_s, faults=Faults(**chances, most_per_request=faulty_attempts))

    def on_ready(base_url: str) -> None:
        sys.stdout.write(f"{base_url}\n")
        sys.stdout.flush()

    serve(script, settings, host=host, port=port, on_ready=on_ready)


def parse_faults(faults: Sequence[str]) -> dict[str, float]:
    """`["server_error=0.1"]` as chances by kind; raises `SettingsError` naming the nearest kind."""
    chances: dict[str, float] = {}
    for fault in faults:
        kind, _, chance = fault.partition("=")
        if kind not in FAULT_KINDS:
            near = nearest_key(kind, FAULT_KINDS)
            hint = f"the nearest known kind is {near}" if near else f"known are {', '.join(FAULT_KINDS)}"
            raise SettingsError(f"--fault {fault}: unknown kind; {hint}")
        try:
            chances[kind] = float(chance)
        except ValueError as error:
            raise SettingsError(f"--fault {fault}: KIND=SHARE with a share from 0 to 1 is expected") from error
    return chances
