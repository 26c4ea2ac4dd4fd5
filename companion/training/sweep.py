"""One run of a sweep over sizes and amounts of text: a byte-level GPT read once over its bytes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from companion._common.backend import keras
from companion.data.prose import load_shakespeare
from companion.models.gpt import build_gpt
from companion.training.schedules import build_gpt_optimizer

__all__ = ["train_on_bytes"]


SEQUENCE_LENGTH, BATCH_SIZE, STEPS_AT_ONCE = 128, 8, 8

EVALUATED_SEQUENCES = 1024


def sequences(text: str) -> np.ndarray:
    """Cuts a text's bytes into rows of one more than the model reads: inputs and their next."""
    ids = np.frombuffer(text.encode(), np.uint8).astype("int32")
    rows = (len(ids) - 1) // SEQUENCE_LENGTH
    starts = np.arange(rows)[:, None] * SEQUENCE_LENGTH
    rows_of_ids: np.ndarray = ids[starts + np.arange(SEQUENCE_LENGTH + 1)]
    return rows_of_ids  # (rows, SEQUENCE_LENGTH + 1)


def draw_weights(model: keras.Model, seed: int) -> None:
    """Draws each random weight anew with NumPy, with the spread that Keras gave it."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        first = np.asarray(weight)
        if np.ptp(first) > 0:
            weight.assign(rng.normal(0, first.std(), first.shape))


def train_on_bytes(layers: int, width: int, training_bytes: int, seed: int = 0) -> dict[str, Any]:
    """Trains a GPT once over the bytes of Shakespeare's plays and tests it on plays held out.

    No byte is seen twice. The learning rate rises over a twentieth of the steps and falls to zero
    at the run's own end: a run that is cut short before the fall looks worse than its budget
    allows. NumPy draws the first weights, so that every backend gives nearly the same loss.

    Args:
        layers: Integer. Blocks of the model.
        width: Integer, a multiple of 16. Its hidden dimension; each head has 16 of it.
        training_bytes: Integer, at least 8192. How much text; rounded to whole groups of batches.
        seed: Integer. Decides the first weights. Defaults to 0.

    Returns:
        Dict of `layers`, `width`, `parameters`, `training_bytes`, `bytes_seen` and `loss`, in nats
        per byte.

    Raises:
        ValueError: If there is not that much text, or a size is out of range.

    Example:

    >>> train_on_bytes(1, 16, 8192)["parameters"]
    7216
    """
    if layers < 1 or width < 16 or width % 16:
        raise ValueError(f"layers={layers} must be at least 1, width={width} a multiple of 16.")
    plays = load_shakespeare()
    rng = np.random.default_rng(0)
    rows = rng.permutation(sequences("\n".join(plays.train.values())))
    test = rng.permutation(sequences("\n".join(plays.test.values())))[:EVALUATED_SEQUENCES]
    at_once = BATCH_SIZE * STEPS_AT_ONCE
    wanted = round(training_bytes / SEQUENCE_LENGTH / at_once) * at_once
    if not 0 < wanted <= len(rows):
        most = len(rows) * SEQUENCE_LENGTH
        raise ValueError(f"training_bytes={training_bytes} must lie between 8192 and {most}.")
    rows = rows[:wanted]
    keras.utils.set_random_seed(seed)
    model = build_gpt(256, SEQUENCE_LENGTH, width, layers, num_heads=width // 16)
    draw_weights(model, seed)
    peak = 0.003 * math.sqrt(128 / width)
    model.compile(
        build_gpt_optimizer(len(rows) // BATCH_SIZE, peak, final_share=0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
        steps_per_execution=STEPS_AT_ONCE,
    )
    model.fit(rows[:, :-1], rows[:, 1:], batch_size=BATCH_SIZE, shuffle=False, verbose=0)
    held_out = model.evaluate(test[:, :-1], test[:, 1:], batch_size=128, verbose=0)
    return {
        "layers": layers,
        "width": width,
        "parameters": model.count_params(),
        "training_bytes": training_bytes,
        "bytes_seen": int(rows[:, 1:].size),
        "loss": round(float(held_out), 5),
    }
