"""A language model's loss in bits per byte, which compares across tokenisers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from companion._common.backend import keras
from companion._common.checking import check_texts

if TYPE_CHECKING:
    from companion.preprocessing.tokenizer import BytePairTokenizer

__all__ = ["bits_per_byte"]

_BATCH = 32


def bits_per_byte(model: keras.Model, tokenizer: BytePairTokenizer, texts: Sequence[str]) -> float:
    """Returns how many bits a model needs for one byte of texts, on average.

    The text is cut into windows as long as the model's sequence. Each token is predicted from those
    before it in its window, the first token of a text from the mark of a text's end. The sum of
    -log2 of the probabilities, over the number of bytes, does not depend on how text is cut into
    tokens.

    Args:
        model: `keras.Model` from `build_gpt`.
        tokenizer: `BytePairTokenizer` of the texts that the model learnt from.
        texts: List of non-empty strings.

    Returns:
        Float, in bits. 8 is no knowledge at all.

    Raises:
        ValueError: If a text is empty or no text.

    Example:

    >>> import math
    >>> from companion.models import build_gpt
    >>> from companion.preprocessing import BytePairTokenizer
    >>> from companion.models import build_gpt
    >>> from companion.preprocessing import BytePairTokenizer
    >>> tokenizer = BytePairTokenizer(257)
    >>> model = build_gpt(257, 8, hidden_dim=8, num_layers=1)
    >>> for weight in model.weights:
    ...     _ = weight.assign(0 * weight)
    >>> round(bits_per_byte(model, tokenizer, ["a text"]), 4) == round(math.log2(257), 4)
    True
    """
    texts, length = check_texts(texts), model.input_shape[1]
    rows: list[list[int]] = []
    for text in texts:
        ids = [tokenizer.end_id, *tokenizer.encode(text)]
        rows += [ids[start : start + length + 1] for start in range(0, len(ids) - 1, length)]
    bits = 0.0
    for start in range(0, len(rows), _BATCH):
        batch = np.zeros((_BATCH, length + 1), "int32")
        counts = np.zeros((_BATCH, length), bool)
        for place, row in enumerate(rows[start : start + _BATCH]):
            batch[place, : len(row)] = row
            counts[place, : len(row) - 1] = True
        logits = np.asarray(model(batch[:, :-1]), "float64")  # (batch, length, vocabulary)
        logits -= logits.max(axis=-1, keepdims=True)
        right = np.take_along_axis(logits, batch[:, 1:, None], axis=-1)[..., 0]
        nats = np.log(np.exp(logits).sum(axis=-1)) - right
        bits += float(nats[counts].sum()) / math.log(2)
    return bits / sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
