"""The classifier's LSTM in NumPy: forward, gradients and Adam, with nothing to compile.

It is the model of `keras.Sequential([Embedding(1000, 64), LSTM(64), Dense(1, "sigmoid")])`, with
the same parameters. Two things make it quick on a processor: each text ends where its words end,
and the embedding is multiplied by the LSTM's input weights once per word of the vocabulary instead
of once per word of the text.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

Array = np.ndarray[Any, Any]
WORDS, DIM, UNITS = 1000, 64, 64


def start(rng: np.random.Generator) -> list[Array]:
    """Returns embedding, input, recurrent weights, bias, output weights and bias, begun as Keras's.

    Shapes: (words, dim), (dim, 4 units), (units, 4 units), (4 units,), (units,), (1,).
    """

    def glorot(rows: int, columns: int) -> Array:
        limit = np.sqrt(6 / (rows + columns))
        return rng.uniform(-limit, limit, (rows, columns)).astype(np.float32)

    bias = np.zeros(4 * UNITS, np.float32)
    bias[UNITS : 2 * UNITS] = 1  # gates in Keras's order: input, forget, cell, output
    recurrent = np.linalg.qr(rng.normal(size=(4 * UNITS, UNITS)))[0].T.astype(np.float32)
    embedding = rng.uniform(-0.05, 0.05, (WORDS, DIM)).astype(np.float32)
    output = glorot(UNITS, 1)[:, 0]
    return [embedding, glorot(DIM, 4 * UNITS), recurrent, bias, output, np.zeros(1, np.float32)]


def sigmoid(x: Array) -> Array:
    """Returns 1 / (1 + exp(-x))."""
    return 0.5 * np.tanh(0.5 * x) + 0.5


def forward(parameters: list[Array], ids: Array, lengths: Array) -> tuple[Array, tuple[Any, ...]]:
    """Returns each text's probability, shape (texts,), and what the gradients need.

    Texts are rows of `ids`, filled up behind their `lengths` words with anything.
    """
    embedding, kernel, recurrent, bias, output, offset = parameters
    texts, steps = ids.shape
    units, dtype = len(output), embedding.dtype
    a, b, c = units, 2 * units, 3 * units
    halves = np.full(4 * units, 0.5, dtype)  # one tanh serves all gates: see `sigmoid`
    halves[b:c] = 1
    table = (embedding @ kernel + bias) * halves  # (words, 4 units)
    weights = np.ascontiguousarray((recurrent * halves).T)
    gates = np.empty((steps, 4 * units, texts), dtype)  # one column for each text
    hidden = np.zeros((steps + 1, units, texts), dtype)
    cell = np.zeros_like(hidden)
    squashed = np.empty((steps, units, texts), dtype)
    for t in range(steps):
        z = np.matmul(weights, hidden[t], out=gates[t])
        z += table[ids[:, t]].T
        np.tanh(z, out=z)
        for sigmoids in (z[:b], z[c:]):
            np.multiply(sigmoids, 0.5, out=sigmoids)
            np.add(sigmoids, 0.5, out=sigmoids)
        np.multiply(z[a:b], cell[t], out=cell[t + 1])
        cell[t + 1] += z[:a] * z[b:c]
        np.tanh(cell[t + 1], out=squashed[t])
        np.multiply(z[c:], squashed[t], out=hidden[t + 1])
    last = hidden[lengths, :, np.arange(texts)]  # (texts, units): where the words end
    return sigmoid(last @ output + offset), (gates, hidden, cell, squashed, last)


def gradients(parameters: list[Array], ids: Array, lengths: Array, labels: Array) -> list[Array]:
    """Returns the gradients of the mean binary cross-entropy, one for each parameter."""
    embedding, kernel, recurrent, _, output, _ = parameters
    p, (gates, hidden, cell, squashed, last) = forward(parameters, ids, lengths)
    texts, steps = ids.shape
    units = len(output)
    a, b, c = units, 2 * units, 3 * units
    i, g, o = gates[:, :a], gates[:, b:c], gates[:, c:]
    slopes = gates * (1 - gates)  # of each gate's place, for a slope of 1 behind it
    slopes[:, :a] *= g
    slopes[:, a:b] *= cell[:-1]
    slopes[:, b:c] = i * (1 - g * g)
    slopes[:, c:] *= squashed
    into_cell = o * (1 - squashed * squashed)
    error = ((p - labels) / texts).astype(embedding.dtype)
    into = np.outer(output, error)  # (units, texts)
    dh, dc, dz = np.zeros_like(into), np.zeros_like(into), np.empty_like(gates)
    shortest = lengths.min()
    for t in range(steps - 1, -1, -1):
        if t + 1 >= shortest:
            dh += into * (lengths == t + 1)
        dc += dh * into_cell[t]
        for gate in (slice(0, a), slice(a, b), slice(b, c)):
            np.multiply(slopes[t, gate], dc, out=dz[t, gate])
        np.multiply(slopes[t, c:], dh, out=dz[t, c:])
        dc *= gates[t, a:b]
        np.matmul(recurrent, dz[t], out=dh)
    rows = dz.transpose(0, 2, 1).reshape(-1, 4 * units)
    before = hidden[:-1].transpose(0, 2, 1).reshape(-1, units)
    words = ids.T.ravel()
    pick = csr_matrix(
        (np.ones(len(words), rows.dtype), words, np.arange(len(words) + 1)),
        shape=(len(words), len(embedding)),
    )
    by_word = pick.T @ rows  # (words, 4 units): the sum over every place of a word
    head = [last.T @ error, error.sum(keepdims=True)]
    return [by_word @ kernel.T, embedding.T @ by_word, before.T @ rows, by_word.sum(0), *head]


class Adam:
    """Adam with Keras's default constants."""

    def __init__(self, parameters: list[Array], learning_rate: float) -> None:
        self.parameters, self.learning_rate, self.steps = parameters, learning_rate, 0
        self.means = [np.zeros_like(p) for p in parameters]
        self.squares = [np.zeros_like(p) for p in parameters]

    def step(self, slopes: list[Array]) -> None:
        """Moves the parameters, in place."""
        self.steps += 1
        rate = self.learning_rate * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for p, g, m, v in zip(self.parameters, slopes, self.means, self.squares, strict=True):
            np.add(m, 0.1 * (g - m), out=m)
            np.add(v, 0.001 * (g * g - v), out=v)
            np.subtract(p, rate * m / (np.sqrt(v) + 1e-7), out=p)


class Network:
    """The LSTM and its optimiser, for texts that are filled up behind their words."""

    padding = "post"

    def __init__(self, rng: np.random.Generator, learning_rate: float) -> None:
        self.parameters = start(rng)
        self.adam = Adam(self.parameters, learning_rate)

    def train(self, ids: Array, lengths: Array, labels: Array) -> None:
        """Takes one step."""
        self.adam.step(gradients(self.parameters, ids, lengths, labels))

    def set_rate(self, learning_rate: float) -> None:
        """Changes the learning rate of the next steps."""
        self.adam.learning_rate = learning_rate

    def predict(self, ids: Array, lengths: Array) -> Array:
        """Returns each text's probability, shape (texts,)."""
        return forward(self.parameters, ids, lengths)[0]

    def copy_weights(self) -> list[Array]:
        """Returns the weights as they are now."""
        return [value.copy() for value in self.parameters]

    def restore(self, weights: list[Array]) -> None:
        """Puts weights back."""
        for parameter, value in zip(self.parameters, weights, strict=True):
            parameter[:] = value
