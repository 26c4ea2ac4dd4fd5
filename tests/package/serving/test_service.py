"""The service answers as the classifier does, and says no clearly."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from companion.serving import Service

LABELS = ("other", "great")


class Counting:
    """Stands for a classifier: its score tells the text, and it notes each batch."""

    def __init__(self):
        self.batches = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def predict_proba(self, texts):
        self.entered.set()
        self.gate.wait(30)
        self.batches.append(len(texts))
        return np.array([score(text) for text in texts], np.float32)


def score(text):
    return np.float32((len(text) * 37 + ord(text[0])) % 101 / 101)


@pytest.fixture(scope="module")
def service():
    with Service(Counting(), label_names=LABELS) as service:
        yield service


def ask(service, method="POST", path="/predict", body=None, headers=None):
    """Returns status, content (parsed if it is JSON) and headers."""
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"), timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
        if "json" in answer.headers.get("Content-Type", "") and content:
            content = json.loads(content)
        return answer.status, content, answer.headers
    finally:
        connection.close()


def send(service, value):
    return ask(service, body=json.dumps(value).encode())[:2]


def test_one_text_gets_one_answer_and_a_list_gets_a_list(service):
    status, answer = send(service, {"text": "Fine."})
    assert (status, answer["score"]) == (200, float(score("Fine.")))
    status, answer = send(service, {"texts": ["Fine.", "好", "🍵🍵"]})
    assert status == 200
    assert [a["score"] for a in answer["predictions"]] == [
        float(score(text)) for text in ("Fine.", "好", "🍵🍵")
    ]
    assert all(a["label"] == LABELS[a["score"] >= 0.5] for a in answer["predictions"])


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "not JSON"),
        (b'{"text": "no end', 400, "not JSON"),
        (b"\xff\xfe\x00", 400, "not JSON"),
        (b"[" * 100_000, 400, "not JSON"),
        (b'"a text"', 422, '{"text": "..."}'),
        (b"[]", 422, '{"text": "..."}'),
        (b"{}", 422, '{"text": "..."}'),
        (b'{"text": "a", "texts": ["b"]}', 422, "nothing else"),
        (b'{"text": "a", "model": "other"}', 422, "nothing else"),
        (b'{"text": 3}', 422, "not str"),
        (b'{"text": null}', 422, "not str"),
        (b'{"text": ""}', 422, "is empty"),
        (b'{"text": " \\n "}', 422, "is empty"),
        (b'{"text": "\\ud83c"}', 422, "half a character"),
        (b'{"texts": "a text"}', 422, "must be a list"),
        (b'{"texts": []}', 422, "is empty"),
        (b'{"texts": ["a", 3]}', 422, "texts[1]"),
        (b'{"texts": {"a": 1}}', 422, "must be a list"),
        (json.dumps({"texts": ["a"] * 65}).encode(), 422, "65 texts; 64 are allowed"),
        (json.dumps({"text": "a" * 20_001}).encode(), 422, "20,000 are allowed"),
        (json.dumps({"text": "a" * 1_000_000}).encode(), 413, "1,000,000 are allowed"),
        (json.dumps({"text": "a" * 30_000_000}).encode(), 413, "1,000,000 are allowed"),
    ],
)
def test_a_wrong_body_is_told_what_is_wrong(service, body, status, reason):
    got, answer, _ = ask(service, body=body)
    assert got == answer["status"] == status
    assert reason in answer["error"]
    assert "Traceback" not in answer["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("DELETE", "/predict", 405),
        ("POST", "/health", 405),
        ("HEAD", "/metrics", 405),
        ("GET", "/", 404),
        ("POST", "/predict/more", 404),
        ("GET", "/../../etc/passwd", 404),
    ],
)
def test_an_unknown_path_or_method_is_refused_with_what_is_allowed(service, method, path, status):
    got, answer, headers = ask(service, method, path)
    assert got == status
    assert headers["Content-Type"].startswith("application/json")
    if status == 405:
        assert headers["Allow"] in ("GET", "POST")
    elif method != "HEAD":
        assert "POST /predict" in answer["error"]


def test_a_body_sent_in_chunks_counts_as_much(service):
    def chunks():
        yield b'{"text": "'
        for _ in range(20):
            yield b"a" * 100_000
        yield b'"}'

    assert ask(service, body=chunks())[0] == 413
    assert ask(service, body=iter([b'{"text": ', b'"Fine."}']))[0] == 200


def test_noise_instead_of_http_ends_only_its_own_connection(service):
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as stranger:
        stranger.sendall(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
        stranger.recv(100)
    assert send(service, {"text": "Fine."})[0] == 200


def test_a_web_page_cannot_reach_it_under_another_name(service):
    status, answer, _ = ask(service, "GET", "/health", headers={"Host": "evil.example:80"})
    assert status == 403
    assert "evil.example" in answer["error"]


@pytest.mark.slow
def test_fifty_parallel_requests_are_each_answered_with_their_own_scores(service):
    texts = [f"{'x' * (i % 17)}review {i}" for i in range(50)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda text: send(service, {"text": text}), texts))
    assert [status for status, _ in answers] == [200] * 50
    assert [answer["score"] for _, answer in answers] == [float(score(text)) for text in texts]


def test_requests_that_wait_share_a_batch():
    model = Counting()
    with Service(model) as service, ThreadPoolExecutor(21) as pool:
        model.gate.clear()
        first = pool.submit(send, service, {"text": "first"})
        assert model.entered.wait(10)
        others = [pool.submit(send, service, {"text": f"other {i}"}) for i in range(20)]
        while service._queue.qsize() < 20:
            assert not any(done.done() for done in others)
        model.gate.set()
        assert all(done.result()[0] == 200 for done in [first, *others])
    assert model.batches == [1, 20]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
def test_a_body_is_read_as_json_whatever_its_type_says(service, kind):
    assert ask(service, body=b'{"text": "Fine."}', headers={"Content-Type": kind})[0] == 200


def test_health_and_metrics_say_what_is_and_what_was():
    with Service(Counting(), label_names=LABELS, texts=2) as service:
        assert send(service, {"texts": ["a", "b"]})[0] == 200
        assert send(service, {"texts": ["a", "b", "c"]})[0] == 422
        assert ask(service, "GET", "/nothing")[0] == 404
        status, health, _ = ask(service, "GET", "/health")
        assert (status, health["status"], health["labels"]) == (200, "ok", list(LABELS))
        assert health["limits"]["texts"] == 2
        metrics = ask(service, "GET", "/metrics")[1].decode()
    assert 'companion_requests_total{path="/predict",status="200"} 1.0' in metrics
    assert 'companion_requests_total{path="/predict",status="422"} 1.0' in metrics
    assert 'companion_requests_total{path="unknown",status="404"} 1.0' in metrics
    assert "companion_scores_count 2.0" in metrics


def test_a_request_that_waits_too_long_is_told_so_and_the_next_is_answered():
    model = Counting()
    with Service(model, seconds=0.2) as service:
        model.gate.clear()
        status, answer = send(service, {"text": "slow"})
        assert status == 503
        assert "No answer within 0.2 s" in answer["error"]
        model.gate.set()
        assert ask(service, "GET", "/health")[0] == 200


def test_a_classifier_that_fails_gives_no_traceback_and_the_service_lives(caplog):
    class Broken(Counting):
        def predict_proba(self, texts):
            if texts == ["bad"]:
                raise RuntimeError("secret path")
            return super().predict_proba(texts)

    with Service(Broken()) as service:
        status, answer = send(service, {"text": "bad"})
        assert status == 500
        assert "secret" not in json.dumps(answer)
        assert send(service, {"text": "good"})[0] == 200
    assert "secret path" in caplog.text


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.1, 1.5])
def test_what_is_no_probability_is_refused_and_spoils_no_other_answer(wrong):
    class Wrong(Counting):
        def predict_proba(self, texts):
            return np.array([wrong if text == "bad" else 0.5 for text in texts])

    with Service(Wrong()) as service:
        status, answer = send(service, {"texts": ["good", "bad"]})
        assert status == answer["status"] == 500
        assert f"texts[1] is {wrong}, no probability" in answer["error"]
        assert send(service, {"text": "good"}) == (200, {"label": "1", "score": 0.5})


def test_health_asks_the_model_and_spares_it_for_some_seconds():
    class Ill(Counting):
        ill = False

        def predict_proba(self, texts):
            return np.full(len(texts), np.nan) if self.ill else super().predict_proba(texts)

    model = Ill()
    with Service(model) as service:
        assert [ask(service, "GET", "/health")[0] for _ in range(3)] == [200] * 3
        assert model.batches == [1]
        model.ill, service._answered_at = True, -np.inf
        status, answer, _ = ask(service, "GET", "/health")
        assert (status, answer["status"]) == (500, 500)
        assert "no probability" in answer["error"]


def half_sent(service):
    host, port = service.url.removeprefix("http://").split(":")
    half = socket.create_connection((host, int(port)), timeout=10)
    half.sendall(b'POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 17\r\n\r\n{"text"')
    while not service.metrics.running:
        time.sleep(0.01)
    return half


def test_a_request_that_arrives_while_stopping_is_answered():
    service = Service(Counting())
    service.start()
    with half_sent(service) as half, ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(service.stop)
        while not service._stopping:
            time.sleep(0.01)
        half.sendall(b': "Fine."}')
        assert half.recv(100).startswith(b"HTTP/1.1 200")
        stopping.result(30)
    assert service.unanswered == 0


def test_requests_that_wait_to_be_taken_when_it_is_told_to_stop_are_answered():
    service = Service(Counting())
    waiting = []

    def ask_and_stop(url):
        for _ in range(100):
            waiting.append(http.client.HTTPConnection(url.removeprefix("http://"), timeout=10))
            waiting[-1].request("POST", "/predict", b'{"text": "Fine."}')
        service._stop()

    service.run(ready=ask_and_stop)
    assert [connection.getresponse().status for connection in waiting] == [200] * 100


@pytest.mark.slow
def test_a_request_that_never_arrives_whole_is_counted_and_delays_no_stop_for_long():
    service = Service(Counting(), seconds=0.5)
    service.start()
    with half_sent(service) as half:
        service.stop()
        assert half.recv(100) == b""
    assert service.unanswered == 1


def test_stopping_finishes_what_runs_and_frees_the_port():
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
    service.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(service, "GET", "/health")


def test_a_port_that_is_taken_is_named(service):
    port = int(service.url.rpartition(":")[2])
    with pytest.raises(OSError, match=f"port {port}, cannot be used"):
        Service(Counting(), port=port).start()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "example.org", ""])
def test_other_addresses_than_this_machines_must_be_allowed(host):
    with pytest.raises(ValueError, match="no passwords and no encryption"):
        Service(Counting(), host=host)


@pytest.mark.parametrize("wrong", [{"texts": 0}, {"seconds": -1}, {"port": 70_000}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        Service(Counting(), **wrong)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM to catch")
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_gracefully(sign):
    code = """
import numpy as np
from companion.serving import Service
class Coin:
    def predict_proba(self, texts):
        return np.full(len(texts), 0.25)
Service(Coin()).run(lambda url: print(url, flush=True))
print("ended")
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    process.send_signal(sign)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "ended\n")
