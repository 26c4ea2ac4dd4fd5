"""The service answers as the classifier does, and says no clearly."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from companion.serving import Service
from tests.package.serving.clients import BODY, LABELS, Counting, ask, counted, score, send


@pytest.fixture(scope="module")
def service():
    with Service(Counting(), label_names=LABELS) as service:
        yield service


def expected(text):
    probabilities = [1 - score(text), score(text)]
    label = LABELS[int(probabilities[1] >= 0.5)]
    return {"label": label, "probabilities": dict(zip(LABELS, probabilities, strict=True))}


def test_one_text_gets_one_answer_and_a_list_gets_a_list(service):
    assert send(service, {"text": "Fine."}) == (200, expected("Fine."))
    texts = ["Fine.", "好", "🍵🍵"]
    status, answer = send(service, {"texts": texts})
    assert (status, answer) == (200, {"predictions": list(map(expected, texts))})


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


class Fixed:
    """Stands for a trained classifier: the same probabilities for every text."""

    def __init__(self, probabilities, classes, threshold=0.5):
        self.row, self.classes_, self.threshold = probabilities, np.array(classes), threshold

    def predict_proba(self, texts):
        return np.tile(np.array(self.row, np.float32), (len(texts), 1))


@pytest.mark.parametrize(
    ("threshold", "label"), [(0.2, "good"), (0.25, "good"), (0.3, "bad"), (0.5, "bad")]
)
def test_of_two_labels_the_classifiers_threshold_decides(threshold, label):
    with Service(Fixed([0.75, 0.25], ["bad", "good"], threshold)) as service:
        probabilities = {"bad": 0.75, "good": 0.25}
        assert send(service, {"text": "a"}) == (
            200,
            {"label": label, "probabilities": probabilities},
        )
        assert ask(service, "GET", "/health")[1]["threshold"] == threshold


def test_of_more_labels_the_most_probable_is_given_with_the_probability_of_each():
    with Service(Fixed([0.25, 0.625, 0.125], [2, 5, 7])) as service:
        status, answer = send(service, {"texts": ["a", "b"]})
    one = {"label": "5", "probabilities": {"2": 0.25, "5": 0.625, "7": 0.125}}
    assert (status, answer) == (200, {"predictions": [one, one]})


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["only"], "at least two names"),
        (["same", "same"], "all of them different"),
        (["a", "b", "c"], "has 3 names, and the classifier has 2 classes: 0, 1"),
        ("ab", "must be a list of strings"),
        (["a", 3], "must be a list of strings"),
        (["a", ""], "must be a list of strings"),
        ([], "at least two names"),
    ],
)
def test_names_that_are_not_one_for_each_class_are_refused_before_it_starts(names, reason):
    with pytest.raises(ValueError, match=reason):
        Service(Fixed([0.5, 0.5], [0, 1]), label_names=names)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"texts": 0}, "texts is 0; it must be a whole number above 0"),
        ({"texts": 1.5}, "must be a whole number"),
        ({"texts": "64"}, "must be a whole number"),
        ({"characters": True}, "must be a whole number"),
        ({"seconds": -1}, "seconds is -1; it must be a number above 0"),
        ({"seconds": float("nan")}, "must be a number"),
        ({"seconds": float("inf")}, "must be a number"),
        ({"timeout": 5}, "There is no limit 'timeout'; .*Allowed: 'body_bytes', 'texts'"),
        ({"text": 5}, "There is no limit 'text'; did you mean 'texts'"),
    ],
)
def test_impossible_and_unknown_limits_are_refused(wrong, reason):
    with pytest.raises(ValueError, match=reason):
        Service(Counting(), **wrong)


@pytest.mark.slow
def test_fifty_parallel_requests_are_each_answered_with_their_own_scores(service):
    texts = [f"{'x' * (i % 17)}review {i}" for i in range(50)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda text: send(service, {"text": text}), texts))
    assert answers == [(200, expected(text)) for text in texts]


def test_health_and_metrics_say_what_is_and_what_was():
    with Service(Counting(), label_names=LABELS, texts=2) as service:
        assert send(service, {"texts": ["a", "b"]})[0] == 200
        assert send(service, {"texts": ["a", "b", "c"]})[0] == 422
        assert ask(service, "GET", "/nothing")[0] == 404
        status, health, _ = ask(service, "GET", "/health")
        assert (status, health["status"], health["labels"]) == (200, "ok", LABELS)
        assert health["limits"]["texts"] == 2
        for path, status, number in (
            ("/predict", 200, 1),
            ("/predict", 422, 1),
            ("unknown", 404, 1),
        ):
            line = f'companion_requests_total{{path="{path}",status="{status}"}}'
            assert counted(service, line) == number
        for label in LABELS:
            assert counted(service, f'companion_scores_count{{label="{label}"}}') == 2


def test_a_request_that_waits_too_long_is_told_so_and_the_next_is_answered():
    model = Counting()
    with Service(model, seconds=0.2) as service:
        model.gate.clear()
        status, answer, headers = ask(service, body=BODY)
        assert (status, headers["Retry-After"]) == (503, "1")
        assert "No answer within 0.2 s" in answer["error"]
        model.gate.set()
        # On a busy machine this may wait too long as well.
        assert any(ask(service, "GET", "/health")[0] == 200 for _ in range(100))


def test_a_classifier_that_fails_gives_no_traceback_and_the_service_lives(caplog):
    class Broken(Counting):
        def predict_proba(self, texts):
            if "bad" in texts:
                raise RuntimeError("secret path")
            return super().predict_proba(texts)

    with Service(Broken()) as service:
        status, answer = send(service, {"text": "bad"})
        assert status == 500
        assert "secret" not in json.dumps(answer)
        assert send(service, {"text": "good"})[0] == 200
    assert "secret path" in caplog.text


@pytest.mark.parametrize("shape", [(1,), (1, 1), (1, 3), (2, 2)])
def test_probabilities_of_another_shape_are_refused_and_logged(caplog, shape):
    class Odd:
        def predict_proba(self, texts):
            return np.full(shape, 0.5)

    with Service(Odd()) as service:
        assert send(service, {"text": "a"})[0] == 500
    assert f"{shape}, not (1, 2)" in caplog.text


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.1, 1.5])
def test_what_is_no_probability_is_refused_and_spoils_no_other_answer(wrong):
    class Wrong(Counting):
        def predict_proba(self, texts):
            return np.array([[0.5, wrong if text == "bad" else 0.5] for text in texts])

    with Service(Wrong()) as service:
        status, answer = send(service, {"texts": ["good", "bad"]})
        assert status == answer["status"] == 500
        assert f"texts[1] is {wrong}, no probability" in answer["error"]
        probabilities = {"0": 0.5, "1": 0.5}
        assert send(service, {"text": "good"}) == (
            200,
            {"label": "1", "probabilities": probabilities},
        )


def test_health_spares_the_model_that_has_just_answered():
    model = Counting()
    with Service(model) as service:
        assert [ask(service, method, "/health")[0] for method in ("GET", "HEAD", "GET")] == [
            200
        ] * 3
    assert len(model.batches) == 1


def test_health_asks_the_model_when_its_last_answer_is_too_old():
    class Ill(Counting):
        ill = threading.Event()

        def predict_proba(self, texts):
            probabilities = super().predict_proba(texts)
            return probabilities * np.nan if self.ill.is_set() else probabilities

    model = Ill()
    with Service(model, healthy_seconds=1e-9) as service:
        assert ask(service, "GET", "/health")[0] == 200
        model.ill.set()
        status, answer, _ = ask(service, "GET", "/health")
        assert (status, answer["status"]) == (500, 500)
        assert "no probability" in answer["error"]
