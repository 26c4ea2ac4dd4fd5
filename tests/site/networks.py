"""The networks and searches that notebooks hold, and what their script computes, in Python."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bs4 import BeautifulSoup
from scipy.special import ndtr

from companion.data import Passage
from companion.preprocessing import BytePairTokenizer, log_mel
from companion.tasks import Retriever
from tools.notebooks import ROOT, notebooks

SEPARATORS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'  # of Keras' Tokenizer
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Network:
    """A network with its form, as a notebook keeps it."""

    page: str
    name: str
    data: dict[str, Any]
    html: str

    @property
    def stored(self) -> list[str]:
        """The answers that stand in the page for readers without JavaScript."""
        rows = BeautifulSoup(self.html, "html.parser").select("tbody tr")
        return [row.find_all("td")[1].get_text() for row in rows]

    def inputs(self) -> Sequence[Any]:
        """The examples as arrays that the network takes."""
        if self.data["kind"] == "words":
            return [self.row(text) for text in self.data["examples"]]
        if self.data["kind"] == "text":
            return [self.tokenizer.encode(text) for text in self.data["examples"]]
        if self.data["kind"] == "speech":
            return [self.spectrogram(sound) for sound in self.sounds]
        pixels = np.frombuffer(base64.b64decode(self.data["pictures"]), np.uint8)
        pictures = pixels.reshape(-1, *self.data["shape"], 1).astype(np.float32) / 255
        return list(pictures)

    def row(self, text: str) -> list[int]:
        """The numbers of a text's words, with zeros in front."""
        numbers = {word: number for number, word in enumerate(self.data["words"], 1)}
        words = text.lower().translate(str.maketrans(SEPARATORS, " " * len(SEPARATORS))).split(" ")
        length = self.data["length"]
        return ([0] * length + [numbers[word] for word in words if word in numbers])[-length:]

    @property
    def sounds(self) -> list[Array]:
        """The stored sounds, from -1 to 1."""
        codes = [np.frombuffer(base64.b64decode(one), "<i2") for one in self.data["sounds"]]
        return [sound / 32_768 for sound in codes]

    def spectrogram(self, sound: Array) -> Array:
        """What a network that hears is given: relative to the loudest point, silence behind it."""
        frames, bands = self.data["frames"], self.data["bands"]
        mel = log_mel(sound[: 160 * frames], bands)
        found = np.maximum(mel - mel.max(), -8) / 4 + 1
        return np.pad(found, [(0, frames - len(mel)), (0, 0)], constant_values=-1)

    def written(self, shares: Array) -> str:
        """The words of the likeliest steps: repeats joined, blanks left out."""
        best = shares.argmax(axis=1).tolist()
        kept = [a for a, before in zip(best, [0, *best], strict=False) if a and a != before]
        return " ".join(self.data["words"][i - 1] for i in kept) or "nothing"

    @property
    def tokenizer(self) -> BytePairTokenizer:
        """The tokenizer of a network that writes."""
        return BytePairTokenizer.from_merges(self.data["merges"])

    @property
    def retriever(self) -> Retriever:
        """The search, which reads the stored passages again."""
        sections = self.data["sections"]
        passages = [Passage(text, *sections[number]) for number, text in self.data["passages"]]
        return Retriever("words", use_headings=self.data["headings"]).fit(passages)

    def write(self, text: str, num_tokens: int) -> list[int]:
        """The ids that follow a text, the likeliest each time."""
        ids = self.tokenizer.encode(text)
        start = len(ids)
        for _ in range(num_tokens):
            ids.append(int(self.answer(ids[-self.data["length"] :]).argmax()))
        return ids[start:]

    def answer(self, x: Any) -> Array:
        for layer in self.data["layers"]:
            weights = [self._array(**entry) for entry in layer["arrays"]]
            x = LAYERS[layer["kind"]](np.asarray(x), layer, *weights)
        return np.asarray(x)

    def _array(self, shape: Sequence[int], start: int) -> Array:
        content = base64.b64decode(self.data["weights"])
        size, width = math.prod(shape), shape[-1]
        if len(shape) == 1:
            return np.frombuffer(content, "<f4", size, start)
        codes = np.frombuffer(content, np.int8, size, start).reshape(shape)
        return np.asarray(codes * np.frombuffer(content, "<f4", width, start + size))


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def embedding(ids: Array, layer: Any, table: Array) -> Array:
    return table[ids]


def lstm(rows: Array, layer: Any, kernel: Array, recurrent: Array, bias: Array) -> Array:
    hidden = cell = np.zeros(len(recurrent))
    for row in rows:
        gates = np.split(row @ kernel + hidden @ recurrent + bias, 4)
        take, keep, new, show = sigmoid(gates[0]), sigmoid(gates[1]), gates[2], sigmoid(gates[3])
        cell = keep * cell + take * np.tanh(new)
        hidden = show * np.tanh(cell)
    return hidden


def dense(x: Array, layer: Any, kernel: Array, bias: Array) -> Array:
    return np.asarray(ACTIVATIONS[layer["activation"]](x @ kernel + bias))


def convolution(x: Array, layer: Any, kernel: Array, bias: Array) -> Array:
    sizes, steps, reach = x.shape[:2], layer["strides"], kernel.shape[:2]
    outs = [-(-size // step) for size, step in zip(sizes, steps, strict=True)]
    total = [
        max((out - 1) * step + long - size, 0)
        for out, step, long, size in zip(outs, steps, reach, sizes, strict=True)
    ]
    padded = np.pad(x, [*((some // 2, some - some // 2) for some in total), (0, 0)])
    result = np.zeros((*outs, len(bias))) + bias
    for i in range(reach[0]):
        for j in range(reach[1]):
            seen = padded[i :: steps[0], j :: steps[1]][: outs[0], : outs[1]]
            result = result + seen @ kernel[i, j]
    return np.asarray(ACTIVATIONS[layer["activation"]](result))


def softmax(x: Array, layer: Any = None) -> Array:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def normed(x: Array, layer: Any, scale: Array) -> Array:
    return np.asarray(x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + layer["epsilon"]) * scale)


def turned(x: Array, base: float) -> Array:
    """Heads' vectors (tokens, heads, size) as complex numbers, each turned by its place's angle."""
    half = x.shape[-1] // 2
    angles = np.arange(len(x))[:, None] * base ** (-np.arange(half) / half)
    pairs = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angles)[:, None]
    return np.concatenate([pairs.real, pairs.imag], axis=-1)


def decoder_block(x: Array, layer: Any, *weights: Array) -> Array:
    first, together, output, second, up, down = weights
    length, size = len(x), x.shape[1] // layer["heads"]
    parts = (normed(x, layer, first) @ together).reshape(length, -1, size)
    shared = (parts.shape[1] - layer["heads"]) // 2
    query = turned(parts[:, : layer["heads"]], layer["base"])
    key = turned(parts[:, layer["heads"] : -shared], layer["base"])
    key, value = (
        np.repeat(one, layer["heads"] // shared, axis=1) for one in (key, parts[:, -shared:])
    )
    scores = np.einsum("qhd,khd->hqk", query, key) / math.sqrt(size)
    weight = softmax(np.where(np.tri(length, dtype=bool), scores, -np.inf))
    x = x + np.einsum("hqk,khd->qhd", weight, value).reshape(length, -1) @ output
    hidden = normed(x, layer, second) @ up
    return np.asarray(x + (hidden * ndtr(hidden)) @ down)  # gelu: times the normal distribution


def layer_normed(x: Array, layer: Any, scale: Array, shift: Array) -> Array:
    apart = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt((apart**2).mean(axis=-1, keepdims=True) + layer["epsilon"])
    return np.asarray(apart / spread * scale + shift)


def convolution_1d(x: Array, layer: Any, kernel: Array, bias: Array) -> Array:
    stride, dilation, reach = layer["strides"], layer["dilation"], len(kernel)
    out = -(-len(x) // stride)
    total = max((out - 1) * stride + (reach - 1) * dilation + 1 - len(x), 0)
    padded = np.pad(x, [(total // 2, total - total // 2), (0, 0)])
    first = [padded[k * dilation :][::stride][:out] for k in range(reach)]
    hidden = sum(seen @ weights for seen, weights in zip(first, kernel, strict=True)) + bias
    return np.asarray(hidden * ndtr(hidden))


def residual_convolution(x: Array, layer: Any, *weights: Array) -> Array:
    return x + convolution_1d(layer_normed(x, layer, *weights[:2]), layer, *weights[2:])


def step_shares(x: Array, layer: Any, *weights: Array) -> Array:
    return softmax(layer_normed(x, layer, *weights[:2]) @ weights[2] + weights[3])


ACTIVATIONS: dict[str, Any] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": sigmoid,
}
LAYERS: dict[str, Any] = {
    "Embedding": embedding,
    "LSTM": lstm,
    "Dense": dense,
    "Conv2D": convolution,
    "Flatten": lambda x, layer: x.ravel(),
    "Softmax": softmax,
    "DecoderBlock": decoder_block,
    "RMSNormalization": normed,
    "Conv1D": convolution_1d,
    "ResidualConv1D": residual_convolution,
    "StepShares": step_shares,
    "LastLogits": lambda x, layer, table: table @ x[-1],
}


def stored_networks() -> list[Network]:
    found = []
    for notebook in notebooks(ROOT):
        for _, output in notebook.outputs():
            data = output.get("metadata", {}).get("text/html", {}).get("network")
            if data:
                html = output["data"]["text/html"]
                [figure] = BeautifulSoup(html, "html.parser").select("figure")
                name = str(figure["data-network"])
                found.append(Network(f"book/{notebook.key}", name, data, html))
    return found


NETWORKS = stored_networks()
