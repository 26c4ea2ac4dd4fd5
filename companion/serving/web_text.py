"""A small GPT for a page: it goes on in the browser from what a reader types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion._common.checking import UsageError, check_text
from companion.serving.web import Packed, WebForm, check_examples, pack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from companion.preprocessing import BytePairTokenizer

__all__ = ["WebWriter", "export_web_gpt"]

_BLOCK_PARTS = [
    "attention_norm",
    "query_key_value",
    "attention_output",
    "feedforward_norm",
    "feedforward_up",
    "feedforward_down",
]

_BLOCK_SETTINGS = {"rotary": True, "gated": False, "activation": "gelu"}


def export_web_gpt(model: Any, tokenizer: BytePairTokenizer) -> WebWriter:
    """Writes a trained GPT in the form that a page's script computes.

    Weights are rounded as `export_web` rounds them, so the export answers a little differently.

    Args:
        model: `keras.Model` from `build_gpt`, with rotary positions and a fixed sequence length.
            It stays as it is.
        tokenizer: `BytePairTokenizer` whose ids the model reads.

    Returns:
        A `WebWriter`, which expects of each token what the page will.

    Raises:
        UsageError: If the model is none of `build_gpt`'s, is set otherwise, has another number of
            ids than the tokenizer, or its weights take more than 2 MB.

    Example:

    >>> from companion.models import build_gpt
    >>> from companion.preprocessing import BytePairTokenizer
    >>> sizes = {"sequence_length": 8, "hidden_dim": 8, "num_layers": 1, "num_heads": 2}
    >>> web = export_web_gpt(build_gpt(257, **sizes), BytePairTokenizer(257))
    >>> web.predict([[65, 66]]).shape
    (1, 257)
    """
    _check_kinds(model)
    if model.output_shape[-1] != tokenizer.vocabulary_size or model.input_shape[1] is None:
        raise UsageError(
            f"The model reads {model.input_shape[1]} of {model.output_shape[-1]} ids; it must "
            f"have a sequence length, and the tokenizer's {tokenizer.vocabulary_size} ids."
        )
    embedding, *blocks, norm = model.layers[1:]
    layers = [{"kind": "Embedding", "weights": embedding.weights}]
    layers += [_described(block) for block in blocks]
    last = {"kind": "RMSNormalization", "epsilon": norm.epsilon, "weights": norm.weights}
    twin, described, content = pack(model, [*layers, last])
    described.append({"kind": "LastLogits", "arrays": described[0]["arrays"]})
    described.append({"kind": "Softmax", "arrays": []})
    return WebWriter(twin, tokenizer, described, content)


def _check_kinds(model: Any) -> None:
    kinds = [type(layer).__name__ for layer in getattr(model, "layers", [])]
    blocks = ["DecoderBlock"] * (len(kinds) - 3)
    if kinds != ["InputLayer", "ReversibleEmbedding", *blocks, "RMSNormalization"]:
        raise UsageError(
            f"The page's script computes a GPT of `build_gpt` with rotary positions, not a model "
            f"of the layers {', '.join(kinds) or 'none'}."
        )


def _described(block: Any) -> dict[str, Any]:
    config = block.get_config()
    for name, needed in _BLOCK_SETTINGS.items():
        if config[name] != needed:
            raise UsageError(f"{block.name!r} has {name}={config[name]!r}; it must be {needed!r}.")
    return {
        "kind": "DecoderBlock",
        "heads": block.num_heads,
        "base": block.rope_base,
        "epsilon": block.epsilon,
        "weights": [getattr(block, part).weights[0] for part in _BLOCK_PARTS],
    }


class WebWriter(Packed):
    """A GPT with 8-bit weights, in Keras and as data for a page.

    `export_web_gpt` makes it; it keeps a copy of its own. Drawing a token is the page's part.

    Args:
        model: `keras.Model` with the rounded weights.
        tokenizer: `BytePairTokenizer`.
        layers: list of dict. What the page's script must know of each layer.
        content: bytes. All weights, one array after the other.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: BytePairTokenizer,
        layers: Sequence[dict[str, Any]],
        content: bytes,
    ) -> None:
        super().__init__(model, layers, content)
        self.tokenizer = tokenizer

    def predict(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Computes what the page's script computes, in Keras.

        Args:
            rows: list of lists of token ids, each with one at least and no more than the model
                reads.

        Returns:
            Array `(rows, ids)`: the probability of each id to come next.
        """
        ends = np.array([len(row) for row in rows])
        ids = np.zeros((len(rows), self.model.input_shape[1]), np.int32)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row  # what stands behind them cannot matter
        logits = np.asarray(self.model.predict(ids, verbose=0), np.float64)
        powers = np.exp(logits[np.arange(len(rows)), ends - 1])
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def ask_text(
        self, name: str, title: str, note: str, *, label: str, examples: Sequence[str]
    ) -> WebForm:
        """Makes a form in which a reader types a start and the GPT goes on.

        Args:
            name: str. Lower-case words joined by hyphens; once per page.
            title: str. What can be asked, in one line.
            note: str. How good the network is, and what it knows.
            label: str. What the reader is to type.
            examples: list of str, at least one. Starts, none longer than the model reads.

        Returns:
            A `WebForm`; as a cell's last expression it shows itself.

        Raises:
            ValueError: If the name is none, a text is empty, or there is no example.
        """
        check_examples(examples)
        for text in examples:
            check_text("example", text)
        form = {
            "kind": "text",
            "label": label,
            "length": self.model.input_shape[1],
            "merges": [list(pair) for pair in self.tokenizer.merges],
            "examples": list(examples),
        }
        answers = self.predict([self.tokenizer.encode(text) for text in examples]).max(axis=1)
        table = [(text, f"{p:.2f}") for text, p in zip(examples, answers, strict=True)]
        column = "Probability of the likeliest next token"
        return self._form((name, title, note), column, table, form)
