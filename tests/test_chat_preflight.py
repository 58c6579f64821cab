import contextlib
import socket
import threading
import time

import pytest

from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.server import ServerSettings, ServerThread
from ostensive.errors import AccessRefusedError, SettingsError

KEY = "sk-the-right-one"


def teacher(base_url: str | None) -> ServedTeacherSettings:
    return ServedTeacherSettings(model="m", base_url=base_url, connect_timeout_s=2)


def test_a_refused_key_is_told_in_one_line_without_the_key() -> None:
    with ServerThread(lambda _messages, _seed: "yes", ServerSettings(required_key=KEY)) as server:
        teacher(server.base_url).check_access({"OPENAI_API_KEY": KEY})
        with pytest.raises(AccessRefusedError) as caught:
            teacher(server.base_url).check_access({"OPENAI_API_KEY": "sk-a-wrong-one"})
    text = str(caught.value)
    assert text.startswith(f"{server.base_url} refuses the key (")
    assert text.endswith("check OPENAI_API_KEY or teacher.api_key")
    assert "sk-a-wrong-one" not in text
    assert "\n" not in text
    assert server.stats.received == 0, "nothing that costs was asked"


def test_whatever_else_the_server_says_is_no_answer() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    teacher(f"http://127.0.0.1:{port}/v1").check_access({})  # nobody listens
    with ServerThread(lambda _messages, _seed: "yes") as server:
        teacher(f"{server.base_url}/nowhere").check_access({})  # 404


def test_a_list_of_models_that_never_ends_is_not_read() -> None:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
            for _ in range(400):
                if over.wait(0.05):
                    break
                connection.sendall(b" ")

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        began = time.monotonic()
        teacher(f"http://127.0.0.1:{listener.getsockname()[1]}/v1").check_access({})
        over.set()
    assert time.monotonic() - began < 15


def test_what_can_be_known_without_asking() -> None:
    with pytest.raises(SettingsError, match="set the environment variable OPENAI_API_KEY"):
        teacher("https://models.example/v1").check_access({})
