"""Who may ask, what is refused, what is counted, and how a service ends."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from companion.serving import Service
from companion.serving.http import is_loopback
from tests.package.serving.clients import (
    BODY,
    LABELS,
    Counting,
    ask,
    counted,
    half_sent,
    place,
    send,
    was_begun,
)


@pytest.fixture(scope="module")
def service():
    with Service(Counting(), label_names=LABELS) as service:
        yield service


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", "/predict", 405, "POST"),
        ("HEAD", "/predict", 405, "POST"),
        ("DELETE", "/predict", 405, "POST"),
        ("OPTIONS", "/predict", 405, "POST"),
        ("POST", "/health", 405, "GET, HEAD"),
        ("PUT", "/metrics", 405, "GET, HEAD"),
        ("GET", "/", 404, None),
        ("HEAD", "/nothing", 404, None),
        ("POST", "/predict/more", 404, None),
        ("GET", "/../../etc/passwd", 404, None),
    ],
)
def test_an_unknown_path_or_method_is_refused_with_what_is_allowed(
    service, method, path, status, allowed
):
    got, answer, headers = ask(service, method, path)
    assert (got, headers["Allow"]) == (status, allowed)
    assert headers["Content-Type"].startswith("application/json")
    if status == 404 and method != "HEAD":
        assert "POST /predict, GET /health, GET /metrics" in answer["error"]


@pytest.mark.parametrize("path", ["/health", "/metrics"])
def test_head_is_answered_as_get_without_its_content(service, path):
    status, content, headers = ask(service, "HEAD", path)
    assert (status, content) == (200, b"")
    assert headers["Content-Type"] == ask(service, "GET", path)[2]["Content-Type"]
    assert int(headers["Content-Length"]) > 0


def test_a_body_sent_in_chunks_counts_as_much(service):
    def chunks():
        yield b'{"text": "'
        for _ in range(20):
            yield b"a" * 100_000
        yield b'"}'

    assert ask(service, body=chunks())[0] == 413
    assert ask(service, body=iter([BODY[:5], BODY[5:]]))[0] == 200


@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP, deflate"])
def test_a_compressed_body_is_refused_by_its_name(service, coding):
    headers = {"Content-Encoding": coding}
    status, answer, headers = ask(service, body=gzip.compress(BODY), headers=headers)
    assert (status, headers["Accept-Encoding"]) == (415, "identity")
    assert f"compressed ({coding.lower()})" in answer["error"]


def test_a_body_that_says_it_is_not_compressed_is_read(service):
    assert ask(service, body=BODY, headers={"Content-Encoding": "identity"})[0] == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
def test_a_body_is_read_as_json_whatever_its_type_says(service, kind):
    assert ask(service, body=BODY, headers={"Content-Type": kind})[0] == 200


def test_noise_instead_of_http_ends_only_its_own_connection(service):
    with socket.create_connection(place(service), timeout=10) as stranger:
        stranger.sendall(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
        stranger.recv(100)
    assert send(service, {"text": "Fine."})[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("allow_remote", [False, True])
def test_a_service_of_this_machine_answers_no_other_name_whatever_is_allowed(host, allow_remote):
    with Service(Counting(), host=host, allow_remote=allow_remote) as service:
        for name in ("evil.example:80", "localhost.evil.example", "10.0.0.1", "host.internal"):
            status, answer, _ = ask(service, "GET", "/health", headers={"Host": name})
            assert status == 403
            assert name.partition(":")[0] in answer["error"]
            assert "--host" in answer["error"]
            assert "allow_remote=True" in answer["error"]
        for name in ("localhost:1", "LOCALHOST", "localhost.", "127.0.0.1", "127.8.8.8", "[::1]:9"):
            assert ask(service, "GET", "/health", headers={"Host": name})[0] == 200


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_the_other_loopback_address_is_guarded_too():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    with Service(Counting(), host="::1", allow_remote=True) as service:
        assert service.url.startswith("http://[::1]:")
        assert ask(service, "GET", "/health")[0] == 200
        assert ask(service, "GET", "/health", headers={"Host": "evil.example"})[0] == 403


def test_a_service_for_others_answers_under_every_name():
    with Service(Counting(), host="0.0.0.0", allow_remote=True) as service:
        host = {"Host": "models.example:8000"}
        assert ask(service, "GET", "/health", headers=host)[0] == 200
        page = {**host, "Origin": "https://evil.example"}
        assert ask(service, body=BODY, headers=page)[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "https://evil.example", "Content-Type": "text/plain"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "OPTIONS", "GET"])
def test_a_web_page_of_somebody_else_is_refused(service, headers, method):
    computed = counted(service, "companion_batch_texts_count")
    status, answer, _ = ask(service, method, body=BODY, headers=headers)
    assert status == 403
    assert "web page" in answer["error"]
    assert counted(service, "companion_batch_texts_count") == computed


def test_a_page_of_the_service_itself_and_a_program_are_answered(service):
    for headers in (
        {"Origin": service.url},
        {"Origin": service.url, "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {},
    ):
        assert ask(service, body=BODY, headers=headers)[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "example.org", "", "localhost.evil.io"])
def test_other_addresses_than_this_machines_must_be_allowed(host):
    assert not is_loopback(host)
    with pytest.raises(ValueError, match="no passwords and no encryption"):
        Service(Counting(), host=host)


def test_a_port_that_is_taken_is_named(service):
    port = place(service)[1]
    with pytest.raises(OSError, match=f"port {port}, cannot be used"):
        Service(Counting(), port=port).start()


@pytest.mark.parametrize("host", ["x" * 70 + ".org", "no such name", "203.0.113.1"])
def test_an_address_that_cannot_be_used_fails_at_the_start(host):
    with pytest.raises(OSError, match=r"cannot be used: .+ Choose another\."):
        Service(Counting(), host=host, allow_remote=True).start()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def test_whatever_fails_at_the_start_is_passed_on_and_frees_the_port():
    class Unready(Service):
        def begin(self):
            raise LookupError("no weights")

    port = free_port()
    for _ in range(2):
        with pytest.raises(LookupError, match="no weights"):
            Unready(Counting(), port=port).start()
    with Service(Counting(), port=port) as service:
        assert send(service, {"text": "Fine."})[0] == 200


def test_whoever_waits_for_the_address_and_fails_ends_the_service():
    def fail(url):
        raise BrokenPipeError("nobody reads")

    port = free_port()
    for _ in range(2):
        with pytest.raises(BrokenPipeError, match="nobody reads"):
            Service(Counting(), port=port).run(ready=fail)


@pytest.mark.parametrize("port", [70_000, -1, "80", 80.5, True])
def test_an_impossible_port_is_refused(port):
    with pytest.raises(ValueError, match="must lie between"):
        Service(Counting(), port=port)


def test_a_service_starts_again_after_it_was_stopped():
    service = Service(Counting())
    for _ in range(3):
        url = service.start()
        assert url == service.url
        assert send(service, {"text": "Fine."})[0] == 200
        service.stop()
        with pytest.raises(ConnectionRefusedError):
            ask(service, "GET", "/health")
        service.stop()


def test_a_service_that_runs_is_not_started_twice(service):
    with pytest.raises(RuntimeError, match=f"runs already, at {service.url}"):
        service.start()
    assert send(service, {"text": "Fine."})[0] == 200


def test_a_request_that_arrives_while_stopping_is_answered():
    service, halves = Service(Counting()), queue.SimpleQueue()

    def begin_and_stop(url):
        half = half_sent(service)
        service.stop()  # before anything of the request was read
        halves.put(half)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(service.run, begin_and_stop)
        with halves.get(timeout=30) as half:
            assert was_begun(half)
            half.sendall(BODY)
            assert half.recv(100).startswith(b"HTTP/1.1 200")
        running.result(30)
    assert service.unanswered == 0


def test_requests_that_wait_to_be_taken_when_it_is_told_to_stop_are_answered():
    service = Service(Counting())
    waiting = []

    def ask_and_stop(url):
        for _ in range(100):
            waiting.append(http.client.HTTPConnection(*place(service), timeout=10))
            waiting[-1].request("POST", "/predict", BODY)
        service.stop()

    service.run(ready=ask_and_stop)
    assert [connection.getresponse().status for connection in waiting] == [200] * 100
    assert service.unanswered == 0


def test_a_request_that_never_arrives_whole_is_counted_and_keeps_no_stop():
    service = Service(Counting(), seconds=0.2)
    service.start()
    with half_sent(service) as half:
        assert was_begun(half)
        service.stop()
        assert half.recv(100) == b""
    assert service.unanswered == 1


def test_stopping_finishes_what_runs():
    model = Counting()
    service = Service(model)
    service.start()
    model.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(send, service, {"text": "running"})
        assert model.entered.wait(10)
        stopping = pool.submit(service.stop)
        model.gate.set()
        assert running.result()[0] == 200
        stopping.result(30)


def test_a_client_that_leaves_is_no_failure_and_its_texts_are_not_computed(caplog, monkeypatch):
    model, left = Counting(), threading.Semaphore(0)
    with Service(model) as service, ThreadPoolExecutor(2) as pool:
        count = service.metrics.lost.inc
        monkeypatch.setattr(service.metrics.lost, "inc", lambda: (count(), left.release()))
        model.gate.clear()
        first = pool.submit(send, service, {"text": "first"})
        assert model.entered.wait(10)
        for _ in range(20):
            with half_sent(service) as leaving:
                assert was_begun(leaving)
                leaving.sendall(BODY)
        assert all(left.acquire(timeout=30) for _ in range(20))
        assert counted(service, "companion_requests_lost_total") == 20
        last = pool.submit(send, service, {"text": "last"})
        model.gate.set()
        assert [first.result()[0], last.result()[0]] == [200, 200]
        assert counted(service, 'companion_requests_total{path="/predict",status="200"}') == 2
    assert model.batches == [["first"], ["last"]]
    assert caplog.text == ""


SERVE = """
import resource, sys
import numpy as np
from companion.serving import Service
class Coin:
    def predict_proba(self, texts):
        return np.full((len(texts), 2), 0.5)
if files := int(sys.argv[1]):
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
Service(Coin()).run(lambda url: print(url, flush=True))
print("ended")
"""


@pytest.fixture
def process(request):
    command = [sys.executable, "-c", SERVE, str(request.param)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        yield process
        process.kill()


@pytest.mark.skipif(os.name != "posix", reason="Windows has no limit of open files to set")
@pytest.mark.parametrize("process", [40], indirect=True)
def test_at_the_limit_of_open_files_it_says_so_once_and_answers_again_when_there_is_room(process):
    host, port = re.search(r"//(.+):(\d+)", process.stdout.readline()).groups()
    idle = [socket.create_connection((host, int(port)), timeout=30) for _ in range(80)]
    said = process.stderr.readline()
    assert "New connections wait until there is room for them: Too many open files" in said
    for connection in idle:
        connection.close()
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request("POST", "/predict", BODY)
    assert connection.getresponse().status == 200
    connection.close()
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out, errors) == (0, "ended\n", "")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM to catch")
@pytest.mark.parametrize("process", [0], indirect=True)
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_gracefully(process, sign):
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    process.send_signal(sign)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out, errors) == (0, "ended\n", "")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_know_are_no_json(service, number):
    status, answer, _ = ask(service, body=b'{"text": %b}' % number.encode())
    assert status == 400
    assert json.dumps(number)[1:-1] in answer["error"]
