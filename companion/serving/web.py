"""Trained networks for a page: a reader asks them in the browser, and nothing leaves it."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from companion._common.checking import UsageError, check_name, check_text

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["WebForm", "WebModel", "export_web"]

MOST_BYTES = 2_000_000  # of weights, which a phone has to load

_MOST_PIXELS = 20_000

# The layers that book/_static/network.js computes, and how each must be set.
_LAYERS: dict[str, dict[str, Any]] = {
    "Embedding": {"mask_zero": False},
    "LSTM": {
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "use_bias": True,
        "go_backwards": False,
        "return_sequences": False,
    },
    "Conv2D": {
        "use_bias": True,
        "dilation_rate": [1, 1],
        "groups": 1,
        "data_format": "channels_last",
        "padding": "same",
    },
    "Dense": {"use_bias": True},
    "Flatten": {"data_format": "channels_last"},
    "Softmax": {"axis": -1},
}

_SILENT = {"InputLayer", "Dropout"}  # they change nothing once a network is trained

_ACTIVATIONS = {"linear", "relu", "sigmoid"}


def export_web(model: Any) -> WebModel:
    """Writes a trained network in the form that a page's script computes.

    Each column of a table of weights is rounded to 255 steps (8 bits) between minus and plus its
    largest weight, and biases stay as they are. So the export takes about a quarter of the space
    and answers a little differently.

    Args:
        model: A built `keras.Sequential` of `Embedding`, `LSTM`, `Conv2D`, `Dense`, `Flatten`,
            `Softmax` and `Dropout` layers. It stays as it is.

    Returns:
        A `WebModel`, which answers as the page will.

    Raises:
        UsageError: If a layer is of another kind or set otherwise, or the weights take more than
            2 MB.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> layers = [keras.Input((3,)), keras.layers.Dense(2), keras.layers.Softmax()]
    >>> web = export_web(keras.Sequential(layers))
    >>> web.as_json()["bytes"]
    22
    >>> bool(np.allclose(web.predict(np.ones((4, 3))).sum(axis=1), 1))
    True
    """
    layers = [
        _described(layer) | {"weights": layer.weights}
        for layer in getattr(model, "layers", [])
        if type(layer).__name__ not in _SILENT
    ]
    return WebModel(*pack(model, layers))


def pack(
    model: Any, layers: Sequence[Mapping[str, Any]]
) -> tuple[Any, list[dict[str, Any]], bytes]:
    """Rounds the weights of a model and packs them one after the other.

    Args:
        model: `keras.Model`. It stays as it is.
        layers: list of dict. What the page's script must know of each layer, and its `"weights"`,
            which are variables of the model: each of them once.

    Returns:
        A twin of the model with the rounded weights; the layers with `"arrays"`, where each array
        lies, in place of the weights; and the bytes.

    Raises:
        UsageError: If there are no weights, or more than 2 MB.
    """
    rounded: dict[int, NDArray[np.float32]] = {}
    pieces: list[bytes] = []
    described: list[dict[str, Any]] = []
    for layer in layers:
        known = {key: value for key, value in layer.items() if key != "weights"}
        described.append(known | {"arrays": []})
        for variable in layer["weights"]:
            start = sum(map(len, pieces))
            rounded[id(variable)], piece = _round_weights(variable.numpy())
            described[-1]["arrays"].append({"shape": tuple(variable.shape), "start": start})
            pieces.append(piece)
    content = b"".join(pieces)
    if not content or len(content) > MOST_BYTES:
        raise UsageError(
            f"The network's weights take {len(content):,} bytes; a page holds 1 to "
            f"{MOST_BYTES:,}. Build and train it first, or take a smaller one."
        )
    twin = type(model).from_config(model.get_config())
    twin.set_weights([rounded[id(variable)] for variable in model.weights])
    return twin, described, content


def _round_weights(weights: NDArray[np.float32]) -> tuple[NDArray[np.float32], bytes]:
    """Returns weights as a page has them, and as bytes: one each in a table, and its scales."""
    if weights.ndim == 1:
        return weights, weights.astype("<f4").tobytes()
    largest = np.abs(weights).max(axis=tuple(range(weights.ndim - 1)))
    scales = np.where(largest > 0, largest / 127, 1).astype("<f4")
    codes = np.rint(weights / scales).astype(np.int8)
    return codes * scales, codes.tobytes() + scales.tobytes()


def _described(layer: Any) -> dict[str, Any]:
    """Returns what the script must know of a layer, or says why it cannot compute it."""
    kind, config = type(layer).__name__, layer.get_config()
    if kind not in _LAYERS and kind not in _SILENT:
        raise UsageError(
            f"The page's script knows no layer {kind!r}; it knows {', '.join(sorted(_LAYERS))}."
        )
    for name, needed in _LAYERS.get(kind, {}).items():
        given = list(config[name]) if isinstance(needed, list) else config[name]
        if given != needed:
            raise UsageError(f"{kind} {layer.name!r} has {name}={given!r}; it must be {needed!r}.")
    described: dict[str, Any] = {"kind": kind}
    if kind in {"Dense", "Conv2D"}:
        described["activation"] = config["activation"]
        if config["activation"] not in _ACTIVATIONS:
            raise UsageError(
                f"{kind} {layer.name!r} has the activation {config['activation']!r}; "
                f"it must be one of {', '.join(sorted(_ACTIVATIONS))}."
            )
    if kind == "Conv2D":
        described["strides"] = list(config["strides"])
    return described


class Packed:
    """A network with 8-bit weights, in Keras and as data for a page: what all kinds of it share.

    Args:
        model: `keras.Model` with the rounded weights.
        layers: list of dict. What the page's script must know of each layer.
        content: bytes. All weights, one array after the other.
    """

    def __init__(self, model: Any, layers: Sequence[Mapping[str, Any]], content: bytes) -> None:
        self.model = model
        self._layers = layers
        self._content = content

    def as_json(self) -> dict[str, Any]:
        """Returns the network as data for the page's script.

        Returns:
            A dict with `"layers"`, `"bytes"`, `"sha256"` and `"weights"` (base64).
        """
        return {
            "layers": self._layers,
            "bytes": len(self._content),
            "sha256": hashlib.sha256(self._content).hexdigest(),
            "weights": b64encode(self._content).decode(),
        }

    def _form(
        self,
        about: tuple[str, str, str],
        column: str,
        table: Sequence[tuple[str, str]],
        form: Mapping[str, Any],
    ) -> WebForm:
        """Makes a form from its name, title and note, the answers' column, and what it asks."""
        name, title, note = about
        head = (check_text("label", form["label"]), column)
        data = self.as_json() | dict(form)
        return WebForm(check_name(name), title, note, head, table, data)


class WebModel(Packed):
    """A network with 8-bit weights, in Keras and as data for a page.

    `export_web` makes it; it keeps a copy of its own.

    Args:
        model: `keras.Sequential` with the rounded weights.
        layers: list of dict. What the page's script must know of each layer.
        content: bytes. All weights, one array after the other.
    """

    def predict(self, x: ArrayLike) -> NDArray[np.float32]:
        """Computes what the page's script computes, in Keras.

        Args:
            x: array of shape `(n, …)`, as the network takes it.

        Returns:
            Array of shape `(n, outputs)`.
        """
        answers: NDArray[np.float32] = self.model.predict(np.asarray(x), verbose=0)
        return answers

    def ask_words(
        self,
        name: str,
        title: str,
        note: str,
        *,
        label: str,
        words: Sequence[str],
        classes: tuple[str, str],
        examples: Mapping[str, ArrayLike],
    ) -> WebForm:
        """Makes a form for a network that reads rows of word numbers, with zeros in front.

        Args:
            name: str. Lower-case words joined by hyphens; once per page.
            title: str. What can be asked, in one line.
            note: str. How good the network is, and what it knows.
            label: str. What the reader is to type.
            words: The words it knows: the first one has the number one.
            classes: What an answer of 0 and of 1 means.
            examples: dict from a text to its row of numbers, shape `(length,)`, at least one.

        Returns:
            A `WebForm`; as a cell's last expression it shows itself.

        Raises:
            ValueError: If the name is none, a text is empty, or there is no example.
        """
        rows = _stacked(examples)
        answers = self.predict(rows).ravel()
        form = {
            "kind": "words",
            "label": label,
            "words": list(words),
            "length": rows.shape[1],
            "classes": list(classes),
            "examples": list(examples),
        }
        table = [(text, f"{p:.3f}") for text, p in zip(examples, answers, strict=True)]
        return self._form((name, title, note), f"Probability of “{classes[1]}”", table, form)

    def ask_picture(
        self, name: str, title: str, note: str, *, label: str, examples: Mapping[str, ArrayLike]
    ) -> WebForm:
        """Makes a form for a network that reads small grey pictures of one drawn thing.

        Args:
            name: str. Lower-case words joined by hyphens; once per page.
            title: str. What can be asked, in one line.
            note: str. How good the network is, and what it knows.
            label: str. What the reader is to draw, and what the examples are.
            examples: dict from a picture's name to its pixels, shape `(height, width)`, from 0
                (paper) to 1 (ink), at least one.

        Returns:
            A `WebForm`; as a cell's last expression it shows itself.

        Raises:
            ValueError: If the name is none, a text is empty, or there is no example.
        """
        pictures = np.rint(255 * _stacked(examples)).astype(np.uint8)
        if pictures.ndim != 3 or pictures.size > _MOST_PIXELS:
            raise ValueError(
                f"The examples have the shape {pictures.shape}; they must be pictures of shape "
                f"(height, width) with {_MOST_PIXELS:,} pixels in all. Give fewer or smaller ones."
            )
        answers = self.predict(pictures[..., None] / np.float32(255))
        form = {
            "kind": "picture",
            "label": label,
            "examples": list(examples),
            "shape": list(pictures.shape[1:]),
            "pictures": b64encode(pictures.tobytes()).decode(),
        }
        table = [
            (text, f"{p.argmax()}, with probability {p.max():.2f}")
            for text, p in zip(examples, answers, strict=True)
        ]
        return self._form((name, title, note), "The network reads", table, form)


def check_examples(examples: Sized) -> None:
    """Raises a `ValueError` where a form has no example."""
    if not len(examples):
        raise ValueError("There is no example; give at least one, for readers without JavaScript.")


def _stacked(examples: Mapping[str, ArrayLike]) -> NDArray[Any]:
    check_examples(examples)
    return np.stack([np.asarray(example) for example in examples.values()])


@dataclass(frozen=True)
class WebForm:
    """A form in which a reader asks a network; where no script runs, a table of examples.

    `WebModel.ask_words` and `WebModel.ask_picture` make it. The weights travel beside the output,
    as its metadata, and the site keeps them in a file that is loaded when a reader asks.

    Args:
        name: str. Lower-case words joined by hyphens; once per page.
        title: str. What can be asked, in one line.
        note: str. How good the network is, and what it knows.
        head: The names of the table's two columns.
        table: list of pairs of an example and the network's answer to it.
        data: dict. The network and its form as JSON.
    """

    name: str
    title: str
    note: str
    head: tuple[str, str]
    table: Sequence[tuple[str, str]]
    data: Mapping[str, Any]

    def __post_init__(self) -> None:
        check_text("title", self.title)
        check_text("note", self.note)

    def to_html(self) -> str:
        """Makes the form's part of a page.

        Returns:
            A str of HTML: a figure with the note and a table of examples, without the weights.
        """
        head = "".join(f'<th scope="col">{escape(text)}</th>' for text in self.head)
        rows = "".join(
            f"<tr><td>{escape(example)}</td><td>{escape(answer)}</td></tr>"
            for example, answer in self.table
        )
        return (
            f'<figure class="network" data-network="{self.name}" data-kind="{self.data["kind"]}">'
            f"<figcaption>{escape(self.title)}</figcaption>"
            f'<p class="network-note">{escape(self.note)}</p>'
            f'<table class="table network-examples"><thead><tr>{head}</tr></thead>'
            f"<tbody>{rows}</tbody></table></figure>"
        )

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        lines = [self.title, self.note, *(f"{answer}: {text}" for text, answer in self.table)]
        bundle = {"text/plain": "\n".join(lines), "text/html": self.to_html()}
        return bundle, {"text/html": {"network": dict(self.data)}}
