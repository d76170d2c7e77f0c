import hashlib
import http.server
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from contsemi.data import sources
from contsemi.data.sources import cifar
from contsemi.data.sources.download import download
from contsemi.errors import InputError

CONTENT = bytes(range(256)) * 4000


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.endswith("missing.bin"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        half = self.path.endswith("half.bin")
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if half else CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Of a client that has left: not what a download says."""


@pytest.fixture
def server() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


MD5 = hashlib.md5(CONTENT).hexdigest()


def test_a_file_is_fetched_whole(
    server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = download(f"{server}/good.bin", tmp_path / "new", md5=MD5, title="test")
    assert file == tmp_path / "new" / "good.bin"
    assert file.read_bytes() == CONTENT
    assert list((tmp_path / "new").iterdir()) == [file]
    said = capfd.readouterr()
    assert said.out == said.err == ""  # no bar where no terminal is
    assert socket.getdefaulttimeout() is None


def test_a_server_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources.download, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"http://127.0.0.1:{mute.getsockname()[1]}/good.bin"
        with pytest.raises(InputError, match=r"the download failed \(timed out\)"):
            download(address, tmp_path, md5=MD5, title="Test")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "md5", "reason"),
    [
        ("good.bin", "0" * 32, "(File not found or corrupted)"),
        ("half.bin", MD5, "(File not found or corrupted)"),
        ("missing.bin", MD5, "Not Found"),
    ],
)
def test_a_failure_leaves_nothing(
    server: str, tmp_path: Path, name: str, md5: str, reason: str
) -> None:
    with pytest.raises(InputError) as caught:
        download(f"{server}/{name}", tmp_path, md5=md5, title="Test")
    text = str(caught.value)
    assert text.startswith(f"data.root={tmp_path}: holds no Test, and the download failed (")
    assert reason in text
    assert f"; put {name} (MD5 {md5}) from {server}/{name} there, or give data.root=" in text
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError):
        download(f"{server}/{name}", tmp_path / "new" / "er", md5=md5, title="Test")
    assert list(tmp_path.iterdir()) == []


def test_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(
        InputError, match=r"holds no CIFAR-10, and the download failed \(no network"
    ):
        cifar.load(tmp_path / "data", "cifar10", size=None, may_download=True)
