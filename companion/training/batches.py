"""The batches that a training sees, in an order that can be repeated."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from companion._common.backend import keras, without_tuning
from companion.training.inputs import Examples

__all__ = ["Batches"]


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of examples in an order that is a pure function of seed and epoch.

    Args:
        data: `Examples`.
        batch_size: Integer. Examples in a batch.
        seed: Integer. Decides the orders.
        size: Integer or `None`. Examples in an epoch, which may be a part of a pass; `None` is a
            whole pass. Defaults to `None`.
        part: Integer. Which part of each batch this process reads, from 0. Defaults to 0.
        parts: Integer. Into how many equal parts each batch is cut. Defaults to 1.

    Example:

    >>> batches = Batches(Examples(np.arange(4), np.zeros(4)), batch_size=2, seed=0)
    >>> sorted(np.concatenate([batches[0][0], batches[1][0]]).tolist())
    [0, 1, 2, 3]
    """

    def __init__(
        self,
        data: Examples,
        batch_size: int,
        seed: int,
        size: int | None = None,
        part: int = 0,
        parts: int = 1,
    ) -> None:
        super().__init__()
        self.data, self.batch_size, self.seed = data, batch_size, seed
        self.part, self.parts = part, parts
        self.size = min(size or data.number, data.number)
        self.start(0)

    def start(self, epoch: int) -> None:
        """Puts the examples in the order of an epoch.

        Args:
            epoch: Integer, from 0.
        """
        number = self.data.number
        rows, first, last = [], epoch * self.size, (epoch + 1) * self.size
        for turn in range(first // number, (last - 1) // number + 1):
            order = np.random.default_rng([self.seed, turn]).permutation(number)
            start = turn * number
            rows.append(order[max(first - start, 0) : last - start])
        self.order = np.concatenate(rows)

    def __len__(self) -> int:
        return math.ceil(self.size / self.batch_size)

    def __getitem__(self, index: int) -> Any:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        share = len(rows) // self.parts
        rows = rows[self.part * share : (self.part + 1) * share]
        return keras.tree.map_structure(lambda array: array[rows], self.data.parts())

    def for_fit(self) -> Any:
        """Returns what `fit` reads fastest: for TensorFlow a `tf.data.Dataset` of the batches."""
        if keras.backend.backend() != "tensorflow":
            return self
        import tensorflow as tf

        kinds = keras.tree.map_structure(
            lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), self.data.parts()
        )
        batches = tf.data.Dataset.from_generator(
            lambda: (self[index] for index in range(len(self))), output_signature=kinds
        )
        known_length = tf.data.experimental.assert_cardinality(len(self))
        return without_tuning(batches.apply(known_length).prefetch(2))
