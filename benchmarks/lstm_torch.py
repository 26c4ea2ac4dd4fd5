"""The classifier's LSTM in PyTorch, with the parameters and the beginning of Keras's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import lstm_numpy
from benchmarks.lstm_numpy import DIM, UNITS, WORDS, Array


class Network:
    """The LSTM and its optimiser, for texts that are filled up in front of their words."""

    padding = "pre"

    def __init__(self, rng: np.random.Generator, learning_rate: float) -> None:
        self.words = nn.Embedding(WORDS, DIM)
        self.lstm = nn.LSTM(DIM, UNITS, batch_first=True)
        self.answer = nn.Linear(UNITS, 1)
        embedding, kernel, recurrent, bias, output, offset = lstm_numpy.start(rng)
        values = [embedding, kernel.T, recurrent.T, bias, 0 * bias, output[None], offset]
        layers: list[nn.Module] = [self.words, self.lstm, self.answer]
        self.parameters = [p for layer in layers for p in layer.parameters()]
        self.restore([torch.tensor(value) for value in values])
        self.lstm.bias_hh_l0.requires_grad_(False)  # a second bias, which Keras's does not have
        self.optimizer = torch.optim.Adam(self.parameters, learning_rate, eps=1e-7)

    def logits(self, ids: Array) -> torch.Tensor:
        """Returns each text's score, shape (texts,)."""
        _, (hidden, _) = self.lstm(self.words(torch.tensor(ids)))
        return self.answer(hidden[0])[:, 0]

    def train(self, ids: Array, lengths: Array, labels: Array) -> None:
        """Takes one step."""
        self.optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(
            self.logits(ids), torch.tensor(labels)
        )
        loss.backward()
        self.optimizer.step()

    def set_rate(self, learning_rate: float) -> None:
        """Changes the learning rate of the next steps."""
        self.optimizer.param_groups[0]["lr"] = learning_rate

    def predict(self, ids: Array, lengths: Array) -> Array:
        """Returns each text's probability, shape (texts,)."""
        with torch.no_grad():
            return torch.sigmoid(self.logits(ids)).numpy()

    def copy_weights(self) -> list[Any]:
        """Returns the weights as they are now."""
        return [parameter.detach().clone() for parameter in self.parameters]

    def restore(self, weights: list[Any]) -> None:
        """Puts weights back."""
        with torch.no_grad():
            for parameter, value in zip(self.parameters, weights, strict=True):
                parameter.copy_(value)
