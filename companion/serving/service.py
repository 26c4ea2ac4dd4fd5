"""A small HTTP service for one classifier.

Three addresses. `POST /predict` takes `{"text": "..."}` and answers
`{"label": "great", "probabilities": {"other": 0.1, "great": 0.9}}`: the label by the classifier's
threshold if there are two, else the most probable, and the probability of every label in the
classifier's order. `{"texts": ["...", ...]}` is answered by `{"predictions": [...]}`, one such
answer for each text. `GET /health` says whether the model answers, and `GET /metrics` counts what
it did, in Prometheus's text format. A refusal is `{"status": 422, "error": "..."}`. A body is read
as JSON whatever its Content-Type says, since many clients name another one unasked.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any, Protocol

import numpy as np

from companion._common.checking import UsageError, check_texts, close_to
from companion._common.extras import import_extra
from companion.serving.batching import Batcher
from companion.serving.http import Handler, HttpMetrics, MetricsPage, RefusalError, Server
from companion.tasks.labels import choose_classes

prometheus_client = import_extra("prometheus_client", "serve")

__all__ = ["Service"]


class Classifier(Protocol):
    """What a service serves: a `TextClassifier` or an `OnnxClassifier`.

    Its `classes_` and `threshold` are used if it has them.
    """

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Returns each text's probability of each class, shape (n, classes)."""


@dataclass(frozen=True)
class Limits:
    """What one request may ask for, and for how long one answer proves that the model answers."""

    body_bytes: int = 1_000_000
    texts: int = 64
    characters: int = 20_000
    seconds: float = 10.0
    healthy_seconds: float = 5.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            whole = not name.endswith("seconds")
            if not (_is_number(value) and 0 < value < math.inf and (not whole or value % 1 == 0)):
                allowed = "a whole number" if whole else "a number"
                raise UsageError(f"{name} is {value!r}; it must be {allowed} above 0.")

    @classmethod
    def of(cls, limits: dict[str, Any]) -> Limits:
        """Returns the limits of these names and values, or says which name is unknown."""
        names = [field.name for field in fields(cls)]
        for name in limits:
            if name not in names:
                raise UsageError(f"There is no limit {name!r}; {close_to(name, names)}")
        return cls(**limits)


class Service(Server):
    """Serves a classifier over HTTP, from a thread of its own or in the foreground.

    Predictions leave the network's thread: what waits is put together into one batch, so that many
    small requests cost little more than one. A request that waits too long is told so, and what
    nobody waits for any more is not computed. It can be started again after it was stopped.

    Args:
        classifier: A trained `TextClassifier`, or an `OnnxClassifier`.
        label_names: List of strings, one for each class and all different, or `None`, which takes
            the classifier's `classes_`. Defaults to `None`.
        host: str. The address to listen on. Defaults to `"127.0.0.1"`, which only programs on this
            machine reach.
        port: int. The port; 0 takes any that is free. Defaults to `0`.
        allow_remote: bool. Whether `host` may be an address that other machines reach. The service
            knows no passwords and no encryption, so that is refused unless it is asked for.
            Defaults to `False`.
        **limits: `body_bytes`, `texts` (in one request), `characters` (in one text), `seconds`
            (until an answer) and `healthy_seconds` (for so long one answer of the model proves to
            `/health` that it answers). Default to 1,000,000, 64, 20,000, 10 and 5.

    Raises:
        UsageError: If `host` is not this machine's own and `allow_remote` is not given, a limit is
            unknown or not positive, or the label names are not one for each class.

    Example:

    >>> import numpy as np
    >>> import urllib.request
    >>> class Coin:
    ...     def predict_proba(self, texts):
    ...         return np.full((len(texts), 2), 0.5)
    >>> with Service(Coin(), label_names=["heads", "tails"]) as service:
    ...     request = urllib.request.Request(f"{service.url}/predict", b'{"text": "Fine."}')
    ...     print(urllib.request.urlopen(request).read().decode())
    {"label": "tails", "probabilities": {"heads": 0.5, "tails": 0.5}}
    """

    metrics: _Metrics

    def __init__(
        self,
        classifier: Classifier,
        *,
        label_names: Sequence[str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        allow_remote: bool = False,
        **limits: Any,
    ) -> None:
        self.limits = Limits.of(limits)
        self.label_names = _checked_names(label_names, getattr(classifier, "classes_", None))
        super().__init__(
            {"/predict": _Predict, "/health": _Health, "/metrics": MetricsPage},
            _Metrics(),
            host=host,
            port=port,
            allow_remote=allow_remote,
            body_bytes=self.limits.body_bytes,
            seconds=self.limits.seconds,
        )
        self._classifier, self._answered_at = classifier, -math.inf

    @property
    def threshold(self) -> float:
        """The least probability of the second of two labels at which it is answered."""
        return float(getattr(self._classifier, "threshold", 0.5))

    def begin(self) -> None:
        """Starts the thread that predicts."""
        self._batcher: Batcher[str, np.ndarray] = Batcher(
            self._predict_proba,
            seconds=self.limits.seconds,
            observe=self.metrics.batches.observe,
        )

    def end(self) -> None:
        """Ends the thread that predicts."""
        self._batcher.close()

    async def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        """Returns the answers to a request's texts when their batch has been computed.

        Args:
            texts: List of strings that were checked.

        Returns:
            List of dicts with the keys `label` and `probabilities`.

        Raises:
            OverloadError: If too many requests wait, or this one too long.
            RefusalError: If the model gives something that is no probability.
        """
        rows = np.asarray(await self._batcher.submit(texts), np.float64)  # (n, classes)
        for number, row in enumerate(rows):
            wrong = row[~((row >= 0) & (row <= 1))]  # nor is NaN, which JSON does not know
            if wrong.size:
                reason = f"The model's answer to texts[{number}] is {wrong[0]}, no probability."
                raise RefusalError(500, reason)
        self._answered_at = time.monotonic()
        return [
            {
                "label": self.label_names[which],
                "probabilities": dict(zip(self.label_names, row.tolist(), strict=True)),
            }
            for which, row in zip(choose_classes(rows, self.threshold), rows, strict=True)
        ]

    async def check(self) -> None:
        """Returns if the model answers, or has answered a moment ago; else raises as `predict`."""
        if time.monotonic() > self._answered_at + self.limits.healthy_seconds:
            await self.predict(["How are you?"])

    def _predict_proba(self, texts: list[str]) -> list[np.ndarray]:
        rows = np.asarray(self._classifier.predict_proba(texts))
        expected = (len(texts), len(self.label_names))
        if rows.shape != expected:
            raise ValueError(f"predict_proba gave the shape {rows.shape}, not {expected}.")
        return list(rows)


class _Metrics(HttpMetrics):
    def __init__(self) -> None:
        super().__init__()
        tenths, sizes = [i / 10 for i in range(1, 11)], [1, 2, 4, 8, 16, 32, 64, 128]
        self.scores = prometheus_client.Histogram(
            "scores", "Probabilities of each label.", ["label"], buckets=tenths, **self.own
        )
        self.batches = prometheus_client.Histogram(
            "batch_texts", "Texts in a batch.", buckets=sizes, **self.own
        )


class _Predict(Handler):
    allowed = "POST"
    service: Service

    async def reply(self) -> None:
        texts, single = self._texts()
        answers = await self.service.predict(texts)
        for answer in answers:
            for label, score in answer["probabilities"].items():
                self.service.metrics.scores.labels(label).observe(score)
        await self.finish(answers[0] if single else {"predictions": answers})

    def _texts(self) -> tuple[list[str], bool]:
        """Returns the request's texts, and whether it was one without a list."""
        body, limits = self.read_json(), self.service.limits
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


class _Health(Handler):
    allowed = "GET"
    service: Service

    async def reply(self) -> None:
        service = self.service
        await service.check()
        health = {"labels": service.label_names, "threshold": service.threshold}
        await self.finish({"status": "ok", **health, "limits": asdict(service.limits)})


def _checked_names(names: Sequence[str] | None, classes: Any) -> list[str]:
    """Returns the labels' names, one for each class."""
    if names is None:
        names = ["0", "1"] if classes is None else [str(label) for label in classes]
    if isinstance(names, str) or not all(isinstance(name, str) and name for name in names):
        raise UsageError(f"label_names is {names!r}; it must be a list of strings, none empty.")
    if len(names) < 2 or len(set(names)) < len(names):
        raise UsageError(
            f"label_names is {list(names)}; give at least two names, all of them different."
        )
    if classes is not None and len(names) != len(classes):
        raise UsageError(
            f"label_names has {len(names)} names, and the classifier has {len(classes)} classes: "
            f"{', '.join(map(str, classes))}. Give one name for each."
        )
    return list(names)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
