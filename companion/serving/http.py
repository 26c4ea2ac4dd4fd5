"""What each HTTP service has: who may ask, limits, errors, metrics and a graceful end.

A service is a `Server` with a `Handler` for each of its addresses. Every answer is JSON, apart from
that of `MetricsPage`; a wrong request is told what is wrong and what is allowed. Nothing here knows
what is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, ClassVar, Self

from companion._common.checking import UsageError
from companion._common.extras import import_extra
from companion.serving.batching import OverloadError

prometheus_client = import_extra("prometheus_client", "serve")
import_extra("tornado", "serve")

from tornado import httputil, ioloop, iostream, web  # noqa: E402
from tornado.httpserver import HTTPServer  # noqa: E402
from tornado.netutil import bind_sockets  # noqa: E402

__all__ = ["Handler", "HttpMetrics", "MetricsPage", "RefusalError", "Server", "is_loopback"]

_LOG = logging.getLogger(__name__)

_READ_ON = 100  # times `body_bytes` are read and thrown away, so that the refusal arrives

_IDLE_SECONDS = 60.0  # then a connection that asks nothing is closed

_PAUSE_SECONDS = 0.5  # until connections are taken again after that has failed

_SAY_AGAIN_SECONDS = 60.0  # until the log says again that it has failed

_GRACE_SECONDS = 0.05  # in which what was sent before the end is read


class RefusalError(Exception):
    """A request that is not answered, with a sentence for its sender.

    Args:
        status: int. The HTTP status, from 400 on.
        reason: str. What is wrong and what is allowed.
        **headers: str by keyword, underscores for hyphens. Headers of the answer.
    """

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def is_loopback(host: str) -> bool:
    """Says whether an address is reached from this machine only.

    Args:
        host: str. A name or an address, without a port.

    Returns:
        `True` for `localhost`, 127.0.0.0/8 and ::1; `False` for all else, names that might lead to
        them included.

    Example:

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class HttpMetrics:
    """What a service counts of its requests, in a registry of its own.

    A subclass adds metrics to it by the keywords in `own`.
    """

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        self.own: dict[str, Any] = {"registry": self.registry, "namespace": "companion"}
        self.requests = prometheus_client.Counter(
            "requests", "Requests answered.", ["path", "status"], **self.own
        )
        self.seconds = prometheus_client.Histogram(
            "request_seconds", "Seconds to answer.", ["path"], **self.own
        )
        self.lost = prometheus_client.Counter(
            "requests_lost", "Requests whose sender left or did not send all of it.", **self.own
        )


class Server:
    """Listens at one address, from a thread of its own or in the foreground.

    It can be started again after it was stopped. Connections that wait when the process has no room
    for them are taken later.

    Args:
        routes: dict from a path to the subclass of `Handler` that answers there.
        metrics: An `HttpMetrics`.
        host: str. The address to listen on. On an address of this machine only, requests that name
            another host are refused, whatever `allow_remote` says: a web page could otherwise reach
            the service under a name of its own. Defaults to `"127.0.0.1"`.
        port: int. The port; 0 takes any that is free. Defaults to `0`.
        allow_remote: bool. Whether `host` may be an address that other machines reach. There are no
            passwords and no encryption, so that is refused unless it is asked for. Defaults to
            `False`.
        body_bytes: int. Size of a body, at most. Defaults to 1,000,000.
        seconds: float. How long a body may take to arrive; at the end, running requests get as
            long. Defaults to 10.

    Raises:
        UsageError: If `host` is not this machine's own and `allow_remote` is not given, or the port
            is impossible.
    """

    def __init__(
        self,
        routes: Mapping[str, type[Handler]],
        metrics: HttpMetrics,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        allow_remote: bool = False,
        body_bytes: int = 1_000_000,
        seconds: float = 10.0,
    ) -> None:
        if not is_loopback(host) and not allow_remote:
            raise UsageError(
                f"host is {host!r}, which other machines can reach, and the service has no "
                "passwords and no encryption. Keep to 127.0.0.1, or allow it: allow_remote=True."
            )
        if type(port) is not int or not 0 <= port <= 65535:
            raise UsageError(f"port is {port!r}; it must lie between 0, any free one, and 65535.")
        self.routes, self.metrics, self.host, self.port = dict(routes), metrics, host, port
        self.body_bytes, self.seconds = body_bytes, seconds
        self.url, self.unanswered, self.begun, self.local = "", 0, 0, True
        self.running: set[Handler] = set()
        self.elsewhere: type[Handler] = Handler
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object] = lambda: None

    def begin(self) -> None:
        """Is called before the first request; a subclass starts there what it works with."""

    def end(self) -> None:
        """Is called after the last request; a subclass ends there what it works with."""

    def start(self) -> str:
        """Starts the service in a thread and returns its address, without a slash at the end.

        Returns:
            A str, such as `"http://127.0.0.1:8000"`.

        Raises:
            OSError: If the port is taken or the address is not this machine's.
            RuntimeError: If it runs already.
        """
        if self._thread and self._thread.is_alive():
            raise RuntimeError(f"The service runs already, at {self.url}: stop it first.")
        started: Future[str] = Future()

        def run() -> None:
            try:
                self.run(started.set_result)
            except BaseException as error:
                if started.done():
                    raise
                started.set_exception(error)

        self._thread = threading.Thread(target=run, daemon=True, name="service")
        self._thread.start()
        return started.result()

    def stop(self) -> None:
        """Takes no more requests, finishes those that it has and ends; again, it does nothing.

        A request that has not arrived whole is waited for as long as for an answer; if it then
        still has not, `unanswered` counts it.
        """
        with contextlib.suppress(RuntimeError):  # its loop has ended already
            self._stop()
        if self._thread:
            self._thread.join()

    def __enter__(self) -> Self:
        """Starts the service."""
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stops the service."""
        self.stop()

    def run(self, ready: Callable[[str], object] = lambda url: None) -> None:
        """Serves until `stop`, or in the main thread until SIGINT or SIGTERM.

        Args:
            ready: Callable. Is given the address once requests are taken. By default it does
                nothing.

        Raises:
            OSError: If the port is taken or the address is not this machine's.
        """
        try:
            sockets = bind_sockets(self.port, self.host)
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that cannot be one
            why = getattr(error, "strerror", None) or error
            raise OSError(
                f"{self.host}, port {self.port}, cannot be used: {why}. Choose another."
            ) from error
        addresses = [listener.getsockname()[0].partition("%")[0] for listener in sockets]
        self.local = all(map(is_loopback, addresses))
        host = f"[{self.host}]" if ":" in self.host else self.host
        self.url = f"http://{host}:{sockets[0].getsockname()[1]}"
        with contextlib.ExitStack() as opened:
            for listener in sockets:
                opened.enter_context(listener)
            asyncio.run(self._serve(sockets, ready))

    async def _serve(self, sockets: list[socket.socket], ready: Callable[[str], object]) -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        server = HTTPServer(
            web.Application(
                [(path, handler, {"service": self}) for path, handler in self.routes.items()],
                default_handler_class=self.elsewhere,
                default_handler_args={"service": self},
                log_function=lambda handler: None,  # the metrics count; texts stay out of logs
            ),
            max_body_size=_READ_ON * self.body_bytes,
            body_timeout=self.seconds,
            idle_connection_timeout=_IDLE_SECONDS,
        )
        self.running.clear()
        self.begin()
        door = _Door(server, sockets)
        try:
            if threading.current_thread() is threading.main_thread():
                for sign in (signal.SIGINT, signal.SIGTERM):
                    with contextlib.suppress(NotImplementedError):  # Windows
                        loop.add_signal_handler(sign, stopping.set)
            self._stop = lambda: loop.call_soon_threadsafe(stopping.set)
            ready(self.url)
            await stopping.wait()
        finally:
            door.close()
            await self._finish()
            self.end()
            await server.close_all_connections()

    async def _finish(self) -> None:
        """Waits for the requests that were sent before the end."""
        before, begun = _count(self.metrics.lost), -1
        end = time.monotonic() + self.seconds + 1  # what waits too long is told so before
        while (self.running or begun != self.begun) and time.monotonic() < end:
            begun = self.begun
            await asyncio.sleep(_GRACE_SECONDS)
        self.unanswered = len(self.running) + round(_count(self.metrics.lost) - before)


class _Door:
    """Takes connections, and waits a while where the process has no room for another."""

    def __init__(self, server: HTTPServer, sockets: list[socket.socket]) -> None:
        self._server, self._sockets, self._told = server, sockets, float("-inf")
        self._loop = ioloop.IOLoop.current()
        for listener in sockets:
            self._open(listener)

    def close(self) -> None:
        """Takes the connections that wait already, and no more."""
        for listener in self._sockets:
            self._take(listener)
            self._loop.remove_handler(listener)
            listener.close()

    def _open(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:  # not closed meanwhile
            self._loop.add_handler(listener, lambda *_: self._take(listener), self._loop.READ)

    def _take(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):  # none waits, or it has gone again
                return
            except OSError as error:  # such as too many open files: trying on would keep it busy
                self._pause(listener, error)
                return
            stream = iostream.IOStream(connection, max_buffer_size=self._server.max_buffer_size)
            self._server.handle_stream(stream, address)

    def _pause(self, listener: socket.socket, error: OSError) -> None:
        self._loop.remove_handler(listener)
        self._loop.call_later(_PAUSE_SECONDS, self._open, listener)
        if time.monotonic() > self._told + _SAY_AGAIN_SECONDS:
            self._told = time.monotonic()
            why = error.strerror or error
            _LOG.warning("New connections wait until there is room for them: %s.", why)


@web.stream_request_body
class Handler(web.RequestHandler):
    """Answers 404; a subclass states the method that it allows and what it replies."""

    allowed: ClassVar[str] = ""

    def initialize(self, service: Server) -> None:
        """Takes what `Server` gives to each handler."""
        self.service = service
        self._body, self._received = bytearray(), 0
        self._work: asyncio.Future[None] | None = None

    def prepare(self) -> None:
        """Counts the request as running, though its body may yet be on the way."""
        self.service.begun += 1
        self.service.running.add(self)

    async def answer(self) -> None:
        """Answers once the body is read, whatever the method: only then a refusal arrives."""
        connection: Any = self.request.connection
        if connection.stream.closed():  # the end came with the body, of which nobody is told
            self.on_connection_close()
            raise web.Finish
        self._refuse_strangers()
        method, methods = self.request.method, self._methods()
        if not self.allowed:
            routes = self.service.routes.items()
            paths = ", ".join(f"{handler.allowed} {path}" for path, handler in routes)
            raise RefusalError(404, f"There is nothing at {self.request.path!r}. Allowed: {paths}.")
        if method not in methods:
            reason = f"{self.request.path} takes {' and '.join(methods)} only."
            raise RefusalError(405, reason, Allow=", ".join(methods))
        self._work = asyncio.ensure_future(self.reply())
        try:
            await self._work
        except asyncio.CancelledError:
            if self in self.service.running:
                raise
            raise web.Finish from None  # the client has left

    get = head = post = put = patch = delete = options = answer

    async def reply(self) -> None:
        """Answers a request of the method that is allowed; is cancelled if the client leaves."""

    def read_json(self) -> Any:
        """Returns the body, read as JSON whatever its Content-Type says.

        Returns:
            What `json.loads` gives, without NaN and infinity, which JSON does not know.

        Raises:
            RefusalError: If the body is too large, compressed, or no JSON.
        """
        coding = self.request.headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            reason = f"The body is compressed ({coding}): send it as it is, without {coding}."
            raise RefusalError(415, reason, Accept_Encoding="identity")
        if self._received > (most := self.service.body_bytes):
            reason = f"The body has {self._received:,} bytes; {most:,} are allowed."
            raise RefusalError(413, reason)
        try:
            return json.loads(bytes(self._body), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise RefusalError(400, f"The body is not JSON: {error}.") from None

    def data_received(self, chunk: bytes) -> None:
        """Keeps a part of the body, or only its size if the body is too large."""
        self._received += len(chunk)
        if self._received <= self.service.body_bytes:
            self._body += chunk
        else:
            self._body.clear()

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Logs what has failed here; a refusal or a client that has left is no failure."""
        if not isinstance(error, RefusalError | OverloadError | iostream.StreamClosedError):
            super().log_exception(kind, error, trace)

    def write_error(self, status_code: int, **info: Any) -> None:
        """Answers with a status and a sentence."""
        error = info.get("exc_info", (None, None, None))[1]
        if isinstance(error, OverloadError):
            error = RefusalError(503, str(error), Retry_After="1")
        elif not isinstance(error, RefusalError):
            failed = "Something failed in the service; its log says more."
            error = RefusalError(status_code, failed if status_code >= 500 else f"{self._reason}.")
        self.set_status(error.status)
        for name, value in error.headers.items():
            self.set_header(name, value)
        self.finish(self.refusal(error))

    def refusal(self, error: RefusalError) -> dict[str, Any]:
        """Returns the content of an answer that says no; a subclass may give it another form."""
        return {"status": error.status, "error": error.reason}

    def on_connection_close(self) -> None:
        """Forgets a request whose client has left, and what it has not yet computed."""
        super().on_connection_close()
        if self in self.service.running:
            self.service.running.discard(self)
            self.service.metrics.lost.inc()
            if self._work:
                self._work.cancel()

    def on_finish(self) -> None:
        """Counts an answer."""
        if self in self.service.running:
            self.service.running.discard(self)
            path = self.request.path if self.allowed else "unknown"
            self.service.metrics.requests.labels(path, str(self.get_status())).inc()
            self.service.metrics.seconds.labels(path).observe(self.request.request_time())

    def _methods(self) -> tuple[str, ...]:
        return ("GET", "HEAD") if self.allowed == "GET" else (self.allowed,)

    def _refuse_strangers(self) -> None:
        """Refuses what a web page of somebody else asks in the browser of this machine's user."""
        host = self.request.host.lower()
        name = httputil.split_host_and_port(host)[0].strip("[]").removesuffix(".")
        if self.service.local and not is_loopback(name) and name != self.service.host.lower():
            raise RefusalError(
                403,
                f"Requests to {self.service.host} are answered, not to {name!r}. To answer under "
                "other names, start the service with --host and an address that others reach, or "
                "in Python with host and allow_remote=True; it has no passwords.",
            )
        origin = self.request.headers.get("Origin")
        site = self.request.headers.get("Sec-Fetch-Site")
        if site is None and origin is not None:
            site = "same-origin" if origin.lower().partition("://")[2] == host else "cross-site"
        if site not in (None, "same-origin", "none"):
            sender = origin or "another site"
            raise RefusalError(
                403, f"A web page of {sender} may not use this service; its own programs may."
            )


class MetricsPage(Handler):
    """Shows what the service has counted, in Prometheus's text format."""

    allowed = "GET"

    async def reply(self) -> None:
        """Answers with all metrics of the service."""
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        await self.finish(prometheus_client.generate_latest(self.service.metrics.registry))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _count(counter: Any) -> float:
    """Returns where a counter stands."""
    (metric,) = counter.collect()
    return next(float(sample.value) for sample in metric.samples if sample.name.endswith("_total"))
