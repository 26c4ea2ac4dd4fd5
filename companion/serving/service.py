"""A small HTTP service for one classifier: checked input, batches, metrics, a graceful end.

Three addresses: `POST /predict` takes `{"text": "..."}` or `{"texts": ["...", ...]}`, `GET /health`
says whether the model answers, and `GET /metrics` counts what it did, in Prometheus's text format.
Every answer but the last is JSON; a wrong request is told what is wrong and what is allowed. A body
is read as JSON whatever its Content-Type says, since many clients name another one unasked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from companion._common.checking import check_texts
from companion._common.extras import install_hint

__all__ = ["Service"]


try:
    from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
    from tornado import httputil, web
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError(
        f"The service needs tornado and prometheus-client. Run: {install_hint('serve')}",
        name=_error.name,
    ) from _error

_LOOPBACK = ("127.0.0.1", "localhost", "::1")

_WAITING = 256  # requests; more are sent away

_HEALTHY_SECONDS = 5.0  # for so long one answer of the model proves that it answers


class Classifier(Protocol):
    """What a service serves: a `TextClassifier` or an `OnnxClassifier`."""

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Returns each text's probability of label 1, shape (n,)."""


@dataclass(frozen=True)
class Limits:
    """What one request may ask for."""

    body_bytes: int = 1_000_000
    texts: int = 64
    characters: int = 20_000
    seconds: float = 10.0

    def __post_init__(self) -> None:
        if not all(limit > 0 for limit in vars(self).values()):
            raise ValueError(f"Limits must be above 0, but are {vars(self)}.")


class Service:
    """Serves a classifier over HTTP, from a thread of its own or in the foreground.

    Predictions leave the network's thread: what waits is put together into one batch, so that many
    small requests cost little more than one. A request that waits too long is told so.

    Args:
        classifier: A trained `TextClassifier`, or an `OnnxClassifier`.
        label_names: Two strings, of label 0 and of label 1. Defaults to `("0", "1")`.
        host: str. The address to listen on. Defaults to `"127.0.0.1"`, which only programs on this
            machine reach.
        port: int. The port; 0 takes any that is free. Defaults to `0`.
        allow_remote: bool. Whether `host` may be an address that other machines reach. The service
            knows no passwords and no encryption, so that is refused unless it is asked for.
            Defaults to `False`.
        **limits: `body_bytes`, `texts` (in one request), `characters` (in one text) and `seconds`
            (until an answer). Default to 1,000,000, 64, 20,000 and 10.

    Raises:
        ValueError: If `host` is not this machine's own and `allow_remote` is not given, or a limit
            is not positive.

    Example:

    >>> import urllib.request
    >>> class Coin:
    ...     def predict_proba(self, texts):
    ...         return np.full(len(texts), 0.25)
    >>> with Service(Coin(), label_names=("other", "great")) as service:
    ...     request = urllib.request.Request(f"{service.url}/predict", b'{"text": "Fine."}')
    ...     print(urllib.request.urlopen(request).read().decode())
    {"label": "other", "score": 0.25}
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        label_names: Sequence[str] = ("0", "1"),
        host: str = "127.0.0.1",
        port: int = 0,
        allow_remote: bool = False,
        **limits: Any,
    ) -> None:
        if host not in _LOOPBACK and not allow_remote:
            raise ValueError(
                f"host is {host!r}, which other machines can reach, and the service has no "
                "passwords and no encryption. Keep to 127.0.0.1, or allow it: allow_remote=True."
            )
        if not 0 <= port <= 65535:
            raise ValueError(f"port is {port}; it must lie between 0, any free one, and 65535.")
        self.limits = Limits(**limits)
        self.label_names = tuple(label_names)
        self.allow_remote, self._host, self._port = allow_remote, host, port
        self.metrics = _Metrics()
        self._classifier = classifier
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._failed: OSError | None = None
        self._stop: Callable[[], object] = lambda: None
        self._stopping, self._answered_at = False, -math.inf
        self.unanswered = 0
        self.url = ""

    def start(self) -> str:
        """Starts the service in a thread and returns its address, without a slash at the end.

        Raises:
            OSError: If the port is taken or the address is not this machine's.
        """
        self._thread = threading.Thread(target=self._run_in_thread, daemon=True, name="service")
        self._thread.start()
        self._started.wait()
        if self._failed:
            raise self._failed
        return self.url

    def stop(self) -> None:
        """Takes no more requests, finishes those that it has and ends; again, it does nothing.

        A request that has not arrived whole is waited for as long as for an answer; if it then
        still has not, `unanswered` counts it.
        """
        with contextlib.suppress(RuntimeError):  # its loop has ended already
            self._stop()
        if self._thread:
            self._thread.join()

    def __enter__(self) -> Service:
        """Starts the service."""
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stops the service."""
        self.stop()

    def run(self, ready: Callable[[str], object] = lambda url: None) -> None:
        """Serves until `stop`, or in the main thread until SIGINT or SIGTERM.

        Args:
            ready: Callable. Is given the address once requests are taken.

        Raises:
            OSError: If the port is taken or the address is not this machine's.
        """
        try:
            sockets = bind_sockets(self._port, self._host)
        except OSError as error:
            why = error.strerror or error
            raise OSError(
                f"{self._host}, port {self._port}, cannot be used: {why}. Choose another."
            ) from error
        asyncio.run(self._serve(sockets, ready))

    def _run_in_thread(self) -> None:
        try:
            self.run()
        except OSError as error:
            self._failed = error
        finally:
            self._started.set()

    async def _serve(self, sockets: list[socket.socket], ready: Callable[[str], object]) -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(stopping.set)
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(_WAITING)
        server = HTTPServer(
            _application(self),
            # Larger bodies are read to their end and thrown away, so that the answer arrives.
            max_body_size=1000 * self.limits.body_bytes,
            body_timeout=self.limits.seconds,
            idle_connection_timeout=60,
        )
        server.add_sockets(sockets)
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"http://{host}:{sockets[0].getsockname()[1]}"
        if threading.current_thread() is threading.main_thread():
            for sign in (signal.SIGINT, signal.SIGTERM):
                with contextlib.suppress(NotImplementedError):  # Windows
                    loop.add_signal_handler(sign, stopping.set)
        predicting = asyncio.create_task(self._predict_batches())
        self._started.set()
        ready(self.url)
        await stopping.wait()
        for _ in range(20):  # turns of the loop, which take what was sent before
            await asyncio.sleep(0)
        server.stop()
        self._stopping = True
        end = time.monotonic() + self.limits.seconds + 1  # what waits too long is told so before
        while self.metrics.running and time.monotonic() < end:
            await asyncio.sleep(0.01)
        predicting.cancel()
        await server.close_all_connections()

    async def predict(self, texts: list[str]) -> np.ndarray:
        """Returns the probabilities of a request's texts when their batch has been computed.

        Args:
            texts: List of strings that were checked.

        Returns:
            Array of the shape `(n,)`.

        Raises:
            Exception: A refusal with its status, if too many requests wait, this one too long, or
                the model gives something that is no probability.
        """
        answer: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait(_Waiting(texts, answer))
            scores = await asyncio.wait_for(answer, self.limits.seconds)
        except asyncio.QueueFull:
            raise RefusalError(503, "Too many requests wait: try again in a second.") from None
        except TimeoutError:
            raise RefusalError(
                503, f"No answer within {self.limits.seconds:g} s: send fewer texts at a time."
            ) from None
        for number, score in enumerate(scores):
            if not 0 <= score <= 1:  # nor is NaN, which JSON does not know
                reason = f"The model's answer to texts[{number}] is {score}, no probability."
                raise RefusalError(500, reason)
        self._answered_at = time.monotonic()
        return scores

    async def check(self) -> None:
        """Returns if the model answers, or has answered a moment ago; else raises as `predict`."""
        if time.monotonic() > self._answered_at + _HEALTHY_SECONDS:
            await self.predict(["How are you?"])

    async def _predict_batches(self) -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "classifier") as worker:
            while True:
                batch = [await self._queue.get()]
                while not self._queue.empty() and sum(len(w.texts) for w in batch) < 64:
                    batch.append(self._queue.get_nowait())
                texts = [text for waiting in batch for text in waiting.texts]
                try:
                    work = loop.run_in_executor(worker, self._classifier.predict_proba, texts)
                    answers = np.split(
                        np.asarray(await work), np.cumsum([len(w.texts) for w in batch])[:-1]
                    )
                except Exception as error:
                    for waiting in batch:
                        if not waiting.answer.done():
                            waiting.answer.set_exception(error)
                    continue
                self.metrics.batches.observe(len(texts))
                for waiting, answer in zip(batch, answers, strict=True):
                    if not waiting.answer.done():  # as one that has waited too long
                        waiting.answer.set_result(answer)


@dataclass(frozen=True)
class _Waiting:
    texts: list[str]
    answer: asyncio.Future[np.ndarray]


class RefusalError(Exception):
    """A request that is not answered, with the HTTP status and a sentence for its sender."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class _Metrics:
    def __init__(self) -> None:
        self.running: set[web.RequestHandler] = set()
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry, "namespace": "companion"}
        self.requests = Counter("requests", "Requests answered.", ["path", "status"], **own)
        self.seconds = Histogram("request_seconds", "Seconds to answer.", ["path"], **own)
        tenths = [i / 10 for i in range(1, 11)]
        self.scores = Histogram("scores", "Probabilities of label 1.", buckets=tenths, **own)
        sizes = [1, 2, 4, 8, 16, 32, 64, 128]
        self.batches = Histogram("batch_texts", "Texts in a batch.", buckets=sizes, **own)


def _application(service: Service) -> web.Application:
    given = {"service": service}
    return web.Application(
        [
            ("/predict", _Predict, given),
            ("/health", _Health, given),
            ("/metrics", _MetricsPage, given),
        ],
        default_handler_class=_Handler,
        default_handler_args=given,
        log_function=lambda handler: None,  # the metrics count, and texts stay out of logs
    )


@web.stream_request_body
class _Handler(web.RequestHandler):
    """Answers 404; what follows it answers more."""

    allowed = ""

    def initialize(self, service: Service) -> None:
        self.service = service
        self._body, self._received = bytearray(), 0

    def prepare(self) -> None:
        """Counts the request as running, though its body may yet be on the way."""
        self.service.metrics.running.add(self)

    async def answer(self) -> None:
        """Answers once the body is read, whatever the method: only then a refusal arrives."""
        host = httputil.split_host_and_port(self.request.host.lower())[0].strip("[]")
        if not self.service.allow_remote and host not in _LOOPBACK:
            # A web page could otherwise reach the service under a name of its own.
            raise RefusalError(403, f"Requests to {_LOOPBACK[0]} are answered, not to {host!r}.")
        if not self.allowed:
            paths = "POST /predict, GET /health, GET /metrics"
            raise RefusalError(404, f"There is nothing at {self.request.path!r}. Allowed: {paths}.")
        if self.request.method != self.allowed:
            raise RefusalError(405, f"{self.request.path} takes {self.allowed} only.")
        await self.reply()

    get = head = post = put = patch = delete = options = answer

    async def reply(self) -> None:
        """Answers a request of the method that is allowed."""

    def data_received(self, chunk: bytes) -> None:
        self._received += len(chunk)
        if self._received <= self.service.limits.body_bytes:
            self._body += chunk

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        if not isinstance(error, RefusalError):
            super().log_exception(kind, error, trace)

    def write_error(self, status_code: int, **info: Any) -> None:
        error = info.get("exc_info", (None, None, None))[1]
        reason = "Something failed in the service; its log says more."
        if isinstance(error, RefusalError):
            status_code, reason = error.status, error.reason
            self.set_status(status_code)
        elif status_code < 500:
            reason = f"{self._reason}."
        if status_code == 405:
            self.set_header("Allow", self.allowed)
        self.finish({"status": status_code, "error": reason})

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.service.unanswered += self.service._stopping and self in self.service.metrics.running
        self.service.metrics.running.discard(self)

    def on_finish(self) -> None:
        self.service.metrics.running.discard(self)
        path = self.request.path if self.allowed else "unknown"
        self.service.metrics.requests.labels(path, str(self.get_status())).inc()
        self.service.metrics.seconds.labels(path).observe(self.request.request_time())


class _Predict(_Handler):
    allowed = "POST"

    async def reply(self) -> None:
        texts, single = self._texts()
        scores = list(map(float, await self.service.predict(texts)))
        names = self.service.label_names
        answers = [{"label": names[score >= 0.5], "score": score} for score in scores]
        for score in scores:
            self.service.metrics.scores.observe(score)
        await self.finish(answers[0] if single else {"predictions": answers})

    def _texts(self) -> tuple[list[str], bool]:
        """Returns the request's texts, and whether it was one without a list."""
        limits = self.service.limits
        if self._received > limits.body_bytes:
            allowed = f"{limits.body_bytes:,} are allowed"
            raise RefusalError(413, f"The body has {self._received:,} bytes; {allowed}.")
        try:
            body = json.loads(bytes(self._body))
        except (ValueError, RecursionError) as error:
            raise RefusalError(400, f"The body is not JSON: {error}.") from None
        if not isinstance(body, dict) or set(body) not in ({"text"}, {"texts"}):
            reason = 'Send {"text": "..."} or {"texts": ["...", ...]}, nothing else.'
            raise RefusalError(422, reason)
        single = "text" in body
        try:
            texts = check_texts([body["text"]] if single else body["texts"])
        except ValueError as error:
            raise RefusalError(422, str(error)) from None
        if len(texts) > limits.texts:
            allowed = f"{limits.texts:,} are allowed at a time"
            raise RefusalError(422, f"{len(texts):,} texts; {allowed}.")
        longest = max(map(len, texts))
        if longest > limits.characters:
            allowed = f"{limits.characters:,} are allowed"
            raise RefusalError(422, f"A text has {longest:,} characters; {allowed}.")
        return texts, single


class _Health(_Handler):
    allowed = "GET"

    async def reply(self) -> None:
        service = self.service
        await service.check()
        self.finish({"status": "ok", "labels": service.label_names, "limits": vars(service.limits)})


class _MetricsPage(_Handler):
    allowed = "GET"

    async def reply(self) -> None:
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        await self.finish(generate_latest(self.service.metrics.registry))
