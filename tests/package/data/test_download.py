"""The download is tried against a server on this machine that misbehaves in every way we know."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import ssl
import threading
import urllib.error
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from companion.data import DownloadError, download_file, load_film_reviews

BODY = bytes(range(256)) * 4096  # 1 MiB: several chunks
SHA256 = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves BODY and remembers the Range header of each request."""

    daemon_threads = True
    body = BODY
    honours_range = True
    cut_at: int | None = None  # stop sending after this many bytes of the next answer
    wrong_content_range = False
    ranges: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if self.path == "/missing":
            self.send_error(404)
            return
        start = int(wanted[6:-1]) if wanted and self.server.honours_range else 0
        if start >= len(self.server.body):
            self.send_error(416)
            return
        body = self.server.body[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if start:
            named = 0 if self.server.wrong_content_range else start
            self.send_header("Content-Range", f"bytes {named}-{len(self.server.body) - 1}/*")
        self.end_headers()
        cut, self.server.cut_at = self.server.cut_at, None
        self.wfile.write(body[:cut])

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as server:
        server.ranges = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new" / "reviews.bin"


def fetch(server: Server, target: Path, path: str = "/reviews.bin", sha256: str = SHA256) -> Path:
    url = f"http://127.0.0.1:{server.server_port}{path}"
    return download_file(url, target, sha256=sha256, progress=False)


def part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def files_beside(target: Path) -> list[Path]:
    return [path for path in target.parent.iterdir() if path.suffix != ".lock"]


def put_part(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True)
    part_of(target).write_bytes(content)


def test_a_file_arrives_whole_and_alone(server: Server, target: Path) -> None:
    assert fetch(server, target) == target
    assert target.read_bytes() == BODY
    assert files_beside(target) == [target]


def test_a_file_that_is_there_is_not_asked_for_again(server: Server, target: Path) -> None:
    fetch(server, target)
    fetch(server, target, sha256=SHA256.upper())
    assert len(server.ranges) == 1


def test_a_damaged_file_in_the_cache_is_replaced(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"damaged")
    fetch(server, target)
    assert target.read_bytes() == BODY


def test_a_cut_connection_is_an_error_and_the_next_call_continues(
    server: Server, target: Path
) -> None:
    server.cut_at = 300_000
    with pytest.raises(DownloadError, match=r"stopped after 300,000 bytes .* continues from there"):
        fetch(server, target)
    assert not target.exists()
    fetch(server, target)
    assert server.ranges == [None, "bytes=300000-"]
    assert target.read_bytes() == BODY


def test_a_complete_part_needs_no_request(server: Server, target: Path) -> None:
    put_part(target, BODY)
    fetch(server, target)
    assert server.ranges == []
    assert target.read_bytes() == BODY
    assert not part_of(target).exists()


@pytest.mark.parametrize(
    "part",
    [b"x" * 1000, BODY + b"too long"],
    ids=["of another file", "longer than the file"],
)
def test_a_stale_part_gets_one_fresh_start(server: Server, target: Path, part: bytes) -> None:
    put_part(target, part)
    fetch(server, target)
    assert server.ranges == [f"bytes={len(part)}-", None]
    assert target.read_bytes() == BODY


def test_a_server_that_ignores_ranges_is_understood(server: Server, target: Path) -> None:
    server.honours_range = False
    put_part(target, BODY[:1000])
    fetch(server, target)
    assert server.ranges == ["bytes=1000-"]
    assert target.read_bytes() == BODY


def test_a_server_that_sends_another_range_is_not_trusted(server: Server, target: Path) -> None:
    server.wrong_content_range = True
    put_part(target, BODY[:1000])
    fetch(server, target)
    assert server.ranges == ["bytes=1000-", None]
    assert target.read_bytes() == BODY


def test_a_file_with_a_wrong_hash_is_deleted(server: Server, target: Path) -> None:
    server.body = BODY[:-1] + b"!"
    with pytest.raises(DownloadError, match=r"not the expected file.*deleted"):
        fetch(server, target)
    assert files_beside(target) == []


def test_an_error_of_the_server_is_named(server: Server, target: Path) -> None:
    with pytest.raises(DownloadError, match=r"404 \(Not Found\)"):
        fetch(server, target, path="/missing")
    assert files_beside(target) == []


def test_no_connection_is_a_clear_error_and_keeps_the_part(target: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    put_part(target, BODY[:1000])
    with pytest.raises(DownloadError, match=r"Could not reach 127.0.0.1.*run the same line again"):
        download_file(f"http://127.0.0.1:{port}/x", target, sha256=SHA256, progress=False)
    assert part_of(target).read_bytes() == BODY[:1000]


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DownloadError, match=r"disk that holds .* is full"):
        fetch(server, target)
    assert files_beside(target) == []


def test_a_folder_that_cannot_be_written_is_a_clear_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DownloadError, match=r"Cannot write .*permissions"):
        fetch(server, tmp_path / "file" / "reviews.bin")


def test_progress_is_one_line_where_there_is_no_terminal(
    server: Server, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{server.server_port}/reviews.bin"
    download_file(url, target, sha256=SHA256)
    assert capsys.readouterr().err == "Downloading reviews.bin (1.0 MB) …\n"


@pytest.mark.parametrize("url", ["ftp://example.org/x", "file:///x", "reviews.bin", "http://"])
def test_only_web_addresses_are_accepted(url: str, target: Path) -> None:
    with pytest.raises(ValueError, match="must start with http:// or https://"):
        download_file(url, target, sha256=SHA256)


def test_a_hash_of_another_kind_is_refused(target: Path) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        download_file("https://example.org/x", target, sha256="d41d8cd98f00b204e9800998ecf8427e")


def test_two_downloads_of_one_file_at_once_both_get_it(server: Server, target: Path) -> None:
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(fetch(server, target))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [target] * 4
    assert target.read_bytes() == BODY
    assert len(server.ranges) == 1  # the others waited, and then it was there


def test_a_certificate_that_cannot_be_checked_is_named(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        reason = ssl.SSLCertVerificationError("unable to get local issuer certificate")
        raise urllib.error.URLError(reason)

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(DownloadError, match=r"certificate of example.org .*Install Certificates"):
        download_file("https://example.org/x", target, sha256=SHA256, progress=False)


def test_a_named_cache_folder_needs_no_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("companion.data.reviews.IMDB_URL", "http://127.0.0.1:1/x.tar.gz")
    with pytest.raises(DownloadError, match=r"Could not reach"):
        load_film_reviews()
    assert (tmp_path / "cache").is_dir()


def test_without_a_name_the_system_says_where_downloads_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMPANION_CACHE", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *a, **k: tmp_path / "systems")
    monkeypatch.setattr("companion.data.reviews.IMDB_URL", "http://127.0.0.1:1/x.tar.gz")
    with pytest.raises(DownloadError, match=r"Could not reach"):
        load_film_reviews()
    assert (tmp_path / "systems").is_dir()
