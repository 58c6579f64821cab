"""Proxies of the environment: which one is for an address, what is said of one that cannot be used, SOCKS over real
sockets."""

import contextlib
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from drawing import write_scenes
from hypothesis import given
from hypothesis import strategies as st

from ostensive.chat.budget import Budget
from ostensive.chat.endpoint import ServedTeacherSettings, resolve_endpoint
from ostensive.chat.journal import Journal
from ostensive.chat.proxies import http_options, proxy_for, proxy_problem
from ostensive.chat.records import Conversation, Message, NoReply, Reply, Sampling
from ostensive.chat.retry import Backoff
from ostensive.chat.served import ServedChat
from ostensive.chat.server import ServerSettings, ServerThread
from ostensive.errors import AccessRefusedError, SettingsError

KEY = "sk-test-0123456789abcdef"
ADDRESS = "https://models.example:8443/v1"


def url_of(environment: dict[str, str], address: str = ADDRESS) -> str | None:
    proxy = proxy_for(address, environment)
    return None if proxy is None else proxy.url.get_secret_value()


# ---- which proxy --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"HTTP_PROXY": "http://other:1"}, None),  # of another scheme
        ({"HTTPS_PROXY": "http://one:3128"}, "http://one:3128"),
        ({"https_proxy": "one:3128"}, "http://one:3128"),
        ({"HTTPS_PROXY": "http://large:1", "https_proxy": "http://small:1"}, "http://small:1"),
        ({"HTTPS_PROXY": "http://large:1", "https_proxy": ""}, None),  # unset on purpose
        ({"https_proxy": "http://one:1", "ALL_PROXY": "socks4://two:1"}, "http://one:1"),
        ({"All_Proxy": "https://one:1/"}, "https://one:1/"),
        ({"ALL_PROXY": "socks5h://me:secret@one:1080"}, "socks5h://me:secret@one:1080"),
        ({"ALL_PROXY": "SOCKS5://one:1080"}, "socks5://one:1080"),
        ({"all_proxy": "socks://one:1080/"}, "socks5://one:1080/"),  # as GNOME writes it
        ({"ALL_PROXY": "http://[::1]:3128"}, "http://[::1]:3128"),
        ({"ALL_PROXY": "   "}, None),
    ],
)
def test_the_proxy_of_an_address(environment: dict[str, str], expected: str | None) -> None:
    assert url_of(environment) == expected


@pytest.mark.parametrize(
    ("no_proxy", "address", "is_exempt"),
    [
        ("models.example", ADDRESS, True),
        ("MODELS.EXAMPLE", ADDRESS, True),
        ("one,  models.example  ,two", ADDRESS, True),
        ("one models.example", ADDRESS, True),
        ("example", ADDRESS, True),
        (".example", ADDRESS, True),
        ("*.example", ADDRESS, True),
        ("*", ADDRESS, True),
        ("models.example:8443", ADDRESS, True),
        ("models.example:443", ADDRESS, False),
        ("models.example:443", "https://models.example/v1", True),
        ("https://models.example", ADDRESS, True),
        ("http://models.example", ADDRESS, False),
        ("dels.example", ADDRESS, False),
        ("a.models.example", ADDRESS, False),
        ("", ADDRESS, False),
        (" , ,. ", ADDRESS, False),
        ("10.0.0.0/8", "https://10.1.2.3/v1", True),
        ("10.0.0.0/8", "https://11.1.2.3/v1", False),
        ("10.1.2.3", "https://10.1.2.3:9/v1", True),
        ("10.1.2.3:8", "https://10.1.2.3:9/v1", False),
        ("fd00::/8", "https://[fd00::1]/v1", True),
        ("[fd00::1]", "https://[fd00::1]:9/v1", True),
        ("[fd00::1]:9", "https://[fd00::1]:9/v1", True),
        ("[fd00::1]:8", "https://[fd00::1]:9/v1", False),
    ],
)
def test_hosts_that_no_proxy_is_for(no_proxy: str, address: str, is_exempt: bool) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        environment = {"ALL_PROXY": "http://one:1", name: no_proxy}
        assert url_of(environment, address) == (None if is_exempt else "http://one:1")
    # What is not for this address is not looked at.
    assert (proxy_problem(address, {"ALL_PROXY": "gopher://one", "NO_PROXY": no_proxy}) is None) == is_exempt


@given(st.dictionaries(st.sampled_from(["ALL_PROXY", "https_proxy", "NO_PROXY"]), st.text(max_size=40)))
def test_any_text_in_the_environment_is_a_proxy_or_one_line(environment: dict[str, str]) -> None:
    try:
        proxy = proxy_for(ADDRESS, environment)
    except SettingsError as error:
        said = str(error)
    else:
        said = "models.example"
        if proxy is not None:
            http_options(ADDRESS, proxy)  # a client can be made with it
    assert len(said.splitlines()) == 1
    assert "models.example" in said


# ---- what is said of one that cannot be used ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"ALL_PROXY": "socks4a://one:1", "all_proxy": "socks4://one:1"},
            "all_proxy and ALL_PROXY name the proxy socks4://one:1 for models.example: only http, https and socks5 "
            "proxies can be used (as http://proxy.example:3128); or unset it (unset all_proxy ALL_PROXY), or add "
            "models.example to NO_PROXY",
        ),
        (
            {"HTTPS_PROXY": "http://one:port"},
            "HTTPS_PROXY names the proxy http://one:port for models.example: that is not the address of a proxy, as "
            "http://proxy.example:3128 is; or unset it (unset HTTPS_PROXY), or add models.example to NO_PROXY",
        ),
    ],
)
def test_the_variable_is_named_and_what_to_do(environment: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        resolve_endpoint(ServedTeacherSettings(model="m", base_url=ADDRESS), {"OPENAI_API_KEY": KEY} | environment)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "value",
    [
        "http://", "http//one:1", "http:/one:1", "one:1:2", "http://one:99999", "http://one:0", "http://o ne:1", "::1",
        "direct://", "ftp://one:1", "pac+http://one/p.pac", "http://me:pa#ss@one:1", "http://me:p@ss@one:x",
    ],
)  # fmt: skip
def test_what_is_no_proxy(value: str) -> None:
    said = proxy_problem(ADDRESS, {"ALL_PROXY": value})
    assert said is not None
    assert said.startswith("ALL_PROXY names the proxy ")
    for secret in ("pa#ss", "p@ss", "ss@"):
        assert secret not in said.replace("[...]@", "")


def test_a_password_of_a_proxy_is_not_shown() -> None:
    proxy = proxy_for(ADDRESS, {"ALL_PROXY": "http://me:hidden@one:1"})
    assert "hidden" not in repr(proxy)
    assert "hidden" not in repr(resolve_endpoint(
        ServedTeacherSettings(model="m", base_url=ADDRESS),
        {"OPENAI_API_KEY": KEY, "ALL_PROXY": "http://me:hidden@one:1"},
    ))  # fmt: skip
    assert "hidden" not in str(proxy_problem(ADDRESS, {"ALL_PROXY": "socks4://me:hidden@one:1"}))


def test_certificates_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "words.pem").write_text("no certificate")
    for path in (tmp_path / "gone.pem", tmp_path / "words.pem"):
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        with pytest.raises(SettingsError, match=r"^SSL_CERT_FILE or SSL_CERT_DIR: no certificates can be read there"):
            http_options(ADDRESS, None)
        http_options("http://models.example/v1", None)  # no TLS, no certificates


@pytest.mark.parametrize(
    ("command", "scheme"),
    [
        ("build", "socks5"),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in (("build", "socks"), ("build", "socks5h"), ("doctor", "socks5"))
        ),
    ],
)
def test_without_the_extra_a_command_says_so_before_any_work(command: str, scheme: str, tmp_path: Path) -> None:
    write_scenes(tmp_path / "photos", 1)
    words = [
        *(command, "localized", *(("--images", "photos", "--out", "run") if command == "build" else ())),
        *("--set", "corpus.license=cc0-1.0", "--set", "corpus.source=mine", "--set", "corpus.intended_use=to test"),
        *("--set", "teacher.kind=served"),
        *("--set", "teacher.model=m", "--set", "teacher.base_url=http://0.0.0.0:9/v1"),
    ]  # fmt: skip
    without = "import sys; sys.modules['socksio'] = None; from ostensive.cli import main; main()"
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-c", without, *words],
        cwd=tmp_path,
        env=environment | {"OPENAI_API_KEY": KEY, "ALL_PROXY": f"{scheme}://127.0.0.1:9/"},
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stdout if command == "doctor" else done.stderr
    assert (
        f"ALL_PROXY names the proxy {scheme}://127.0.0.1:9/ for 0.0.0.0: SOCKS needs the package socksio "
        "(pip install 'ostensive[socks]'); or unset it (unset ALL_PROXY), or add 0.0.0.0 to NO_PROXY"
    ) in " ".join(told.split())
    assert "Traceback" not in done.stderr
    if command == "build":
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert not list((tmp_path / "run").glob("images/*")), "no work was done"


# ---- over the wire ------------------------------------------------------------------------------------------------


class SocksServer(socketserver.ThreadingTCPServer):
    """SOCKS 5 (RFC 1928, and 1929 for names and passwords): every host is this machine, and names are resolved here."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, login: tuple[str, str] | None = None, reply: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _SocksHandler)
        self.login = login
        self.reply = reply
        self.asked: list[str] = []


class _SocksHandler(socketserver.BaseRequestHandler):
    server: SocksServer

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self._greet()

    def _greet(self) -> None:
        sock: socket.socket = self.request
        methods = self._take(self._take(2)[1])
        wanted = 2 if self.server.login else 0
        if wanted not in methods:
            sock.sendall(b"\x05\xff")
            return
        sock.sendall(bytes([5, wanted]))
        if self.server.login:
            name = self._take(self._take(2)[1])
            password = self._take(self._take(1)[0])
            fits = (name.decode(), password.decode()) == self.server.login
            sock.sendall(b"\x01\x00" if fits else b"\x01\x01")
            if not fits:
                return
        kind = self._take(4)[3]
        host = self._take(self._take(1)[0]).decode() if kind == 3 else socket.inet_ntoa(self._take(4))
        port = int.from_bytes(self._take(2), "big")
        self.server.asked.append(f"{host}:{port}")
        sock.sendall(bytes([5, self.server.reply, 0, 1, 0, 0, 0, 0, 0, 0]))
        if self.server.reply == 0:
            with socket.create_connection(("127.0.0.1", port)) as onward:
                threading.Thread(target=_pump, args=(onward, sock), daemon=True).start()
                _pump(sock, onward)

    def _take(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.request.recv(count - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(base_url: str, environment: dict[str, str], path: Path) -> Reply | NoReply:
    """The first reply of a teacher, through the whole client: preflight, journal, connection."""
    settings = ServedTeacherSettings.model_validate(
        {"model": "m", "base_url": base_url, "connect_timeout_s": 3, "max_attempts": 2}
    )
    environment = {"OPENAI_API_KEY": KEY, **environment}
    settings.check_access(environment)
    with (
        Journal(path / "journal.sqlite", "r") as journal,
        ServedChat(
            settings, journal=journal, budget=Budget(), stop=threading.Event(), price=None, environment=environment,
            backoff=Backoff(base_s=0.01, cap_s=0.02),
        ) as chat,
    ):  # fmt: skip
        return chat.chat([Conversation((Message("user", "hello"),), (), Sampling())])[0].replies[0]


@pytest.mark.parametrize("scheme", ["socks", "socks5", "socks5h"])
@pytest.mark.parametrize("login", [None, ("me", "p ss")])
def test_a_teacher_behind_a_socks_proxy(scheme: str, login: tuple[str, str] | None, tmp_path: Path) -> None:
    proxy = SocksServer(login)
    with ServerThread(lambda messages, _seed: f"{messages[-1].text} back") as teacher, serving(proxy) as port:
        there = f"models.example:{urlsplit(teacher.base_url).port}"
        who = "me:p%20ss@" if login else ""
        reply = ask(f"http://{there}/v1", {"ALL_PROXY": f"{scheme}://{who}127.0.0.1:{port}"}, tmp_path)
    assert isinstance(reply, Reply)
    assert reply.text == "hello back"
    assert set(proxy.asked) == {there}, "the proxy was asked, by name"
    assert len(proxy.asked) == 2, "once for the key, once for the answer"


def test_a_refused_key_is_told_through_a_socks_proxy(tmp_path: Path) -> None:
    settings = ServerSettings(required_key="sk-another")
    with ServerThread(lambda _messages, _seed: "yes", settings) as teacher, serving(SocksServer()) as port:
        there = f"http://models.example:{urlsplit(teacher.base_url).port}/v1"
        with pytest.raises(AccessRefusedError, match="refuses the key"):
            ask(there, {"https_proxy": "http://none:1", "http_proxy": f"socks5://127.0.0.1:{port}"}, tmp_path)


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        (SocksServer(reply=5), "ProxyError: Proxy Server could not connect: Connection refused."),
        (SocksServer(login=("me", "other")), "ProxyError: Requested NO AUTHENTICATION REQUIRED from proxy server"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # httpcore2 leaves that socket open
def test_a_socks_proxy_that_refuses(proxy: SocksServer, reason: str, tmp_path: Path) -> None:
    with serving(proxy) as port, pytest.raises(AccessRefusedError) as caught:
        ask("http://models.example/v1", {"ALL_PROXY": f"socks5://127.0.0.1:{port}"}, tmp_path)
    assert str(caught.value).startswith(f"http://models.example/v1 cannot be reached ({reason}")
    assert ", by the proxy of ALL_PROXY; 2 attempts)" in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_is_not_there(scheme: str, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        environment = {"ALL_PROXY": f"{scheme}://127.0.0.1:{probe.getsockname()[1]}"}
        with pytest.raises(AccessRefusedError, match=r"cannot be reached \(.*, by the proxy of ALL_PROXY; 2 attempts"):
            ask("http://models.example/v1", environment, tmp_path)


class ForwardingProxy(ThreadingHTTPServer):
    """An HTTP proxy that sends every request to one server of this machine, or refuses."""

    def __init__(self, status: int = 200, port: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _ForwardingHandler)
        self.status = status
        self.port = port
        self.asked: list[str] = []


class _ForwardingHandler(BaseHTTPRequestHandler):
    server: ForwardingProxy

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is inherited
        pass

    def _forward(self) -> None:
        import http.client

        self.server.asked.append(f"{self.command} {self.path}")
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        onward = http.client.HTTPConnection("127.0.0.1", self.server.port)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        onward.request(self.command, urlsplit(self.path).path, body, dict(self.headers))
        answer = onward.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_CONNECT = _forward  # noqa: N815 - as `http.server` calls them


def test_a_teacher_behind_an_http_proxy_beside_a_broken_one(tmp_path: Path) -> None:
    with ServerThread(lambda messages, _seed: f"{messages[-1].text} back") as teacher:
        proxy = ForwardingProxy(port=urlsplit(teacher.base_url).port or 0)
        with serving(proxy) as port:
            environment = {"HTTP_PROXY": f"127.0.0.1:{port}", "ALL_PROXY": "socks4://x", "HTTPS_PROXY": "what://"}
            reply = ask("http://models.example/v1", environment, tmp_path)
    assert isinstance(reply, Reply)
    assert proxy.asked == [
        "GET http://models.example/v1/models",
        "POST http://models.example/v1/chat/completions",
    ]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_http_proxy_that_wants_a_password_stops_the_run(scheme: str, tmp_path: Path) -> None:
    with serving(ForwardingProxy(status=407)) as port, pytest.raises(AccessRefusedError, match="407"):
        ask(f"{scheme}://models.example/v1", {"ALL_PROXY": f"http://127.0.0.1:{port}"}, tmp_path)


def test_a_server_that_no_proxy_is_for_is_asked_directly(tmp_path: Path) -> None:
    with ServerThread(lambda _messages, _seed: "yes") as teacher:
        there = f"http://0.0.0.0:{urlsplit(teacher.base_url).port}/v1"  # not taken for loopback
        reply = ask(there, {"ALL_PROXY": "socks4://x", "NO_PROXY": "0.0.0.0"}, tmp_path)
    assert isinstance(reply, Reply)
