"""Download one public file safely: resumed, verified, and never half there.

Bytes are collected beside the target, in a file whose name ends with ``.part``. Only a complete
file with the expected SHA-256 is renamed to the target, so whatever carries the final name can be
trusted.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import re
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["DownloadError", "cache_folder", "download_file"]


_CHUNK_BYTES = 1 << 18

_TIMEOUT_SECONDS = 30.0


class DownloadError(RuntimeError):
    """A download that did not succeed; the message says what to do next."""


def cache_folder() -> Path:
    """Return the folder that downloads are kept in; it may not be there yet.

    Returns:
        The path in the environment variable `COMPANION_CACHE`, or else the folder that the
        operating system has for such files.

    Example:

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, COMPANION_CACHE="/large/disk"):
    ...     cache_folder().as_posix()
    '/large/disk'
    """
    if named := os.environ.get("COMPANION_CACHE"):
        return Path(named)
    from platformdirs import user_cache_path

    return user_cache_path("companion", appauthor=False)


def download_file(
    url: str, path: str | os.PathLike[str], *, sha256: str, progress: bool = True
) -> Path:
    """Fetch a file once and return its path.

    A file that is already there with the right hash is returned without any request. A download
    that was cut off continues where it stopped. A file with a wrong hash is deleted, never
    returned. Of two processes that want one file, the second waits for the first.

    Args:
        url: str. Address, ``http`` or ``https`` only.
        path: str or path. Where the file shall be; missing folders are made.
        sha256: str. The expected SHA-256 of the whole file, 64 hexadecimal digits.
        progress: bool. Show progress on the standard error stream. Defaults to `True`.

    Returns:
        The path of the verified file.

    Raises:
        ValueError: The address or the hash cannot be right.
        DownloadError: No network, an error of the server, a wrong hash or a full disk.

    Example:

    >>> download_file("ftp://example.org/reviews.gz", "reviews.gz", sha256="0" * 64)
    Traceback (most recent call last):
    ValueError: Cannot download from 'ftp://example.org/reviews.gz': the address must start with \
http:// or https://.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError(
            f"Cannot download from {url!r}: the address must start with http:// or https://."
        )
    if not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise ValueError(f"sha256 must be 64 hexadecimal digits, but is {sha256!r}.")
    target = Path(path)
    part = target.with_name(target.name + ".part")
    try:
        if target.is_file() and _sha256(target) == sha256.lower():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        from filelock import FileLock

        with FileLock(target.with_name(target.name + ".lock")):
            if not (target.is_file() and _sha256(target) == sha256.lower()):  # by the one before us
                _fetch_verified(url, part, sha256.lower(), progress)
                os.replace(part, target)
    except OSError as error:  # of the file system: the network's own are already translated
        raise _disk_error(error, part) from error
    return target


def _fetch_verified(url: str, part: Path, sha256: str, progress: bool) -> None:
    """Complete `part` until its hash is right; a stale beginning is given one fresh start."""
    if part.is_file() and _sha256(part) == sha256:
        return
    resumed = True
    while resumed:
        resumed = _fetch(url, part, progress)
        found = _sha256(part)
        if found == sha256:
            return
        part.unlink()
    raise DownloadError(
        f"What {url} sends is not the expected file: its SHA-256 is {found}, not {sha256}. It "
        "was deleted. Either it was damaged on the way (try again) or the publisher changed it "
        "(report it)."
    )


def _fetch(url: str, part: Path, progress: bool) -> bool:
    """Append to `part` what is still missing; return whether an earlier beginning was used."""
    start = part.stat().st_size if part.is_file() else 0
    try:
        response = _open(url, start)
    except urllib.error.HTTPError as error:
        error.close()
        if start and error.code == 416:  # nothing lies after our beginning: it cannot be the file's
            return _fetch_afresh(url, part, progress)
        raise DownloadError(
            f"The server answered {error.code} ({error.reason}) for {url}. Check the address, or "
            "try later."
        ) from error
    with response:
        resumed = start > 0 and response.status == 206
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            return _fetch_afresh(url, part, progress)
        start = start if resumed else 0  # a server that ignores Range sends everything again
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with part.open("ab" if resumed else "wb") as file:
            for chunk in _chunks(response, url, start, total, progress):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    return resumed


def _fetch_afresh(url: str, part: Path, progress: bool) -> bool:
    part.unlink()
    return _fetch(url, part, progress)


def _open(url: str, start: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "large-models-companion"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        request = urllib.request.Request(url, headers=headers)
        response: http.client.HTTPResponse = urllib.request.urlopen(
            request, timeout=_TIMEOUT_SECONDS
        )
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        if isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError):
            raise DownloadError(
                f"The certificate of {urlsplit(url).hostname} could not be checked ({error}). "
                "The network is there, but this Python does not know who signed it. On macOS run "
                "'Install Certificates.command' in Python's folder; behind a company's proxy, name "
                "its certificate file in the environment variable SSL_CERT_FILE."
            ) from error
        raise DownloadError(
            f"Could not reach {urlsplit(url).hostname} ({error}). Check the network connection "
            "and run the same line again: what has arrived is kept."
        ) from error
    return response


def _chunks(
    response: http.client.HTTPResponse, url: str, start: int, total: int | None, progress: bool
) -> Iterator[bytes]:
    """Yield the body; a body that ends early is an error, and what came before it is kept."""
    done = start
    report = _Progress(url, total) if progress else None
    try:
        while chunk := response.read(_CHUNK_BYTES):
            done += len(chunk)
            yield chunk
            if report:
                report.update(done)
        if total is not None and done != total:
            raise ConnectionError(f"of {total:,}")
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(
            f"The download of {url} stopped after {done:,} bytes ({error}). Run the same line "
            "again: it continues from there."
        ) from error


class _Progress:
    """One line on a log, or a line that grows on a terminal."""

    def __init__(self, url: str, total: int | None) -> None:
        self.name, self.total, self.shown = url.rsplit("/", 1)[-1], total, -1
        if not sys.stderr.isatty():
            size = f" ({total / 1e6:.1f} MB)" if total else ""
            print(f"Downloading {self.name}{size} …", file=sys.stderr)

    def update(self, done: int) -> None:
        percent = 100 * done // self.total if self.total else 0
        if sys.stderr.isatty() and self.total and percent > self.shown:
            self.shown = percent
            end = "\n" if done >= self.total else ""
            print(f"\rDownloading {self.name} {percent:3d} %", end=end, file=sys.stderr, flush=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _disk_error(error: OSError, part: Path) -> DownloadError:
    if error.errno == errno.ENOSPC:
        part.unlink(missing_ok=True)  # leave the disk as it was found
        return DownloadError(
            f"The disk that holds {part.parent} is full. The incomplete file was removed: free "
            "some space and run the same line again."
        )
    return DownloadError(f"Cannot write {part} ({error}). Check the folder and its permissions.")
