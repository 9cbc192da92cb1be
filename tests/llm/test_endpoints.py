"""Addresses, keys, proxies and certificates: used right, or refused in one line without secrets."""

from __future__ import annotations

import gzip
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rag_rec import ConfigError, Settings
from rag_rec.llm import Completion, Message, ModelOptions, OfflineModel, Request, RetryPolicy
from rag_rec.llm import open_model as open_any
from rag_rec.llm.chat_api.endpoint import Endpoint, split_spec
from rag_rec.testing import ChatServer, Response, completion

OPTIONS = ModelOptions(
    retry=RetryPolicy(attempts=3, base_s=0.01), timeout_s=5, context_tokens=8_000
)
ASKED = Request((Message("user", "hello"),))


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def ask(spec: str) -> Completion:
    model = open_any(spec, OPTIONS)
    assert model is not None
    try:
        return model.generate([ASKED])[0]
    finally:
        model.close()


# --- specs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rest", "model", "url"),
    [
        ("gpt-5-mini", "gpt-5-mini", None),
        ("m@http://h/v1", "m", "http://h/v1"),
        ("@cf/meta/llama-3.1-8b@http://h/v1", "@cf/meta/llama-3.1-8b", "http://h/v1"),
        ("org/model@main@https://h", "org/model@main", "https://h"),
        ("org/model@v1.0", "org/model@v1.0", None),
        ("claude@20240620", "claude@20240620", None),
        ("m@HTTP://h/v1", "m", "HTTP://h/v1"),
        ("m@http://h/@v1/x@http://y", "m", "http://h/@v1/x@http://y"),
    ],
)
def test_a_spec_is_cut_at_the_right_place(rest: str, model: str, url: str | None) -> None:
    assert split_spec(rest) == (model, url)
    offline = OfflineModel(Settings(llm=f"openai:{rest}"))
    assert (offline.body(ASKED)["model"], offline.base_url) == (model, url)


@pytest.mark.parametrize(
    ("rest", "match"),
    [
        ("m@localhost:8000/v1", "write the address as http://localhost:8000/v1"),
        ("m@127.0.0.1/v1", "write the address as http://127.0.0.1/v1"),
        ("m@api.deepseek.com", "write the address as http://api.deepseek.com"),
        ("m@gpu-1:8000", "write the address as http://gpu-1:8000"),
        ("@http://h/v1", "names no model"),
        ("m@ftp://h/v1", "is not like http://HOST:PORT/v1"),
        ("m@http://", "is not like"),
        ("m@http:///v1", "is not like"),
        ("m@http://h:99999", "is not like"),
        ("m@http://h:port/v1", "Invalid port"),
    ],
)
def test_an_address_that_cannot_be_meant_is_one_line(rest: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        open_any(f"openai:{rest}", OPTIONS)
    assert "\n" not in str(caught.value)


def test_a_user_and_password_are_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match="user or password") as caught:
        open_any("openai:m@http://bob:hunter2@h/v1", OPTIONS)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("base", "called"),
    [
        ("http://h", "http://h/chat/completions"),
        ("http://h/", "http://h/chat/completions"),
        ("http://h:8000/v1/", "http://h:8000/v1/chat/completions"),
        ("http://h/v1/chat/completions", "http://h/v1/chat/completions"),
        ("http://h/v1?api-version=2", "http://h/v1/chat/completions?api-version=2"),
        ("https://h/a/b#part", "https://h/a/b/chat/completions"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/chat/completions"),
        (" http://h/v1\n", "http://h/v1/chat/completions"),
    ],
)
def test_the_call_is_below_the_base(base: str, called: str) -> None:
    assert str(Endpoint.of(base).below("/chat/completions")) == called


def test_the_hosted_api_and_its_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Endpoint.of(None).hosted
    assert str(Endpoint.of(None).base) == "https://api.openai.com/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://gateway/v1")
    assert Endpoint.of(None) == Endpoint.of("http://gateway/v1")


class PathServer(ChatServer):
    """Knows one path only, and keeps the heads of requests."""

    def __init__(self, path: str, answer: Callable[[Any], Response] | None = None) -> None:
        super().__init__(answer or (lambda _: Response(completion("hi"))))
        self.path, self.lines = path, []

    def _respond(self, line: str, body: bytes) -> Response:
        self.lines.append(line.split(" ")[1])
        if self.lines[-1] != self.path:
            return Response(b'{"error": "no such page"}', 404)
        return super()._respond(line, body)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/chat/completions", ["/chat/completions"]),
        ("/v1/chat/completions", ["/chat/completions", "/v1/chat/completions"]),
    ],
)
def test_an_address_without_a_path_is_found(
    path: str, asked: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with PathServer(path) as server:
        reply = ask(f"openai:m@{server.url.removesuffix('/v1')}")
    assert reply.text == "hi"
    assert server.lines == asked
    assert ("/v1 is asked" in caplog.text) == (len(asked) == 2)


def test_a_wrong_path_is_an_error_that_says_so() -> None:
    with PathServer("/v1/chat/completions") as server:
        error = ask(f"openai:m@{server.url}/chat").error
    assert "check the address and the model's name" in str(error)
    assert server.lines == ["/v1/chat/chat/completions"]


# --- proxies and certificates -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTP_PROXY"])
@pytest.mark.parametrize(
    ("proxy", "match"),
    [
        ("socks5://127.0.0.1:9", "SOCKS proxy .*pip install socksio"),
        ("socks5h://bob:hunter2@127.0.0.1:9", "SOCKS proxy .*pip install socksio"),
        ("gopher://bob:hunter2@127.0.0.1:9", "write it as http://HOST:PORT"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_line(
    name: str, proxy: str, match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, proxy)
    with pytest.raises(ConfigError, match=match) as caught:
        open_any("openai:m@http://127.0.0.1:8000/v1", OPTIONS)
    assert "hunter2" not in str(caught.value)


def test_a_file_of_certificates_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file.pem")
    with pytest.raises(ConfigError, match="check SSL_CERT_FILE"):
        open_any("openai:m@https://127.0.0.1:8000/v1", OPTIONS)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and its own certificate for this machine, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
        "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    )
    try:
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    whole = folder / "whole.pem"
    whole.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return whole


@contextmanager
def tls_server(certificate: Path) -> Iterator[tuple[str, list[int]]]:
    """A server that answers over TLS, and the handshakes that it saw begin."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    begun: list[int] = []
    body = completion("hi")
    reply = b"HTTP/1.1 200 X\r\ncontent-length: %d\r\n\r\n" % len(body) + body

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            begun.append(1)
            connection.settimeout(5)
            try:
                with context.wrap_socket(connection, server_side=True) as secure:
                    secure.recv(65_536)
                    secure.sendall(reply)
            except OSError:
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/v1", begun
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_a_certificate_that_is_not_trusted_says_what_to_do_once(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tls_server(certificate) as (url, begun):
        error = ask(f"openai:m@{url}").error
        assert "no secure connection" in str(error)
        assert "name a file with its authority's certificate in SSL_CERT_FILE" in str(error)
        assert len(begun) == 1, "it is not tried again"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_name("cert.pem")))
        assert ask(f"openai:m@{url}").text == "hi"


# --- sizes ------------------------------------------------------------------------------------


def test_a_packed_reply_is_bounded_by_what_it_unpacks_to() -> None:
    packed = gzip.compress(completion("A" * (64 << 20)))
    assert len(packed) < 100_000
    answer = Response(packed, headers={"content-encoding": "gzip"})
    with ChatServer(lambda _: answer) as server:
        reply = ask(f"openai:m@{server.url}")
    assert reply.text == ""
    assert "a reply of more than 16777216 bytes" in str(reply.error)


def test_a_packed_reply_of_a_usual_size_is_read() -> None:
    answer = Response(
        gzip.compress(completion("hi"), mtime=0), headers={"content-encoding": "gzip"}
    )
    with ChatServer(lambda _: answer) as server:
        assert ask(f"openai:m@{server.url}").text == "hi"
