"""Writes small GGUF files, right ones and wrong ones."""

from __future__ import annotations

import struct
from math import prod
from typing import Any

import numpy as np

STRING, ARRAY, FLOAT, WHOLE, LONG = 8, 9, 6, 4, 10

KINDS = {"F32": 0, "F16": 1, "Q4_1": 3, "Q8_0": 8}


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value(item: Any) -> bytes:
    """A setting's type and its content."""
    if isinstance(item, str):
        return struct.pack("<I", STRING) + text(item)
    if isinstance(item, float):
        return struct.pack("<If", FLOAT, item)
    if isinstance(item, int):
        return struct.pack("<II", WHOLE, item)
    head = struct.pack("<I", ARRAY)
    if isinstance(item[0], str):
        return head + struct.pack("<IQ", STRING, len(item)) + b"".join(map(text, item))
    return head + struct.pack(f"<IQ{len(item)}I", WHOLE, len(item), *item)


def packed(table: np.ndarray, kind: str) -> bytes:
    """A table as numbers, or quantised in the plainest way."""
    if kind in ("F32", "F16"):
        return table.astype("<f4" if kind == "F32" else "<f2").tobytes()
    blocks = table.reshape(-1, 32).astype("float32")
    if kind == "Q8_0":
        scale = (abs(blocks).max(axis=1, keepdims=True) / 127 + 1e-7).astype("<f2")
        numbers = np.rint(blocks / scale.astype("float32")).astype("int8")
        return np.concatenate([scale.view("uint8"), numbers.view("uint8")], axis=1).tobytes()
    least = blocks.min(axis=1, keepdims=True).astype("<f2")
    scale = (((blocks.max(axis=1, keepdims=True) - least) / 15) + 1e-6).astype("<f2")
    numbers = np.rint((blocks - least.astype("float32")) / scale.astype("float32"))
    numbers = numbers.clip(0, 15).astype("uint8")
    halves = numbers[:, :16] | (numbers[:, 16:] << 4)
    return np.concatenate([scale.view("uint8"), least.view("uint8"), halves], axis=1).tobytes()


def gguf(
    settings: dict[str, Any],
    tensors: dict[str, tuple[np.ndarray, str]],
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    offsets: dict[str, int] | None = None,
    shapes: dict[str, tuple[int, ...]] | None = None,
    kinds: dict[str, int] | None = None,
    counts: tuple[int, int] | None = None,
    tail: bytes = b"",
) -> bytes:
    """A whole file; the last arguments make it a wrong one."""
    header = magic + struct.pack("<IQQ", version, *(counts or (len(tensors), len(settings))))
    for name, item in settings.items():
        header += text(name) + value(item)
    data = b""
    for name, (table, kind) in tensors.items():
        shape = (shapes or {}).get(name, table.shape)
        place = (offsets or {}).get(name, len(data))
        header += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        header += struct.pack("<IQ", (kinds or {}).get(name, KINDS[kind]), place)
        content = packed(table, kind)
        assert len(content) * 8 >= prod(table.shape)
        data += content + bytes(-len(content) % 32)
    return header + bytes(-len(header) % 32) + data + tail


def llama(seed: int = 0, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings and tensors of a tiny model of the llama architecture with a byte vocabulary."""
    width, heads, shared, inner, layers = 32, 4, 2, 64, 2
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    pieces = ["<|endoftext|>", *map(chr, printable)]
    pieces += [chr(256 + i) for i in range(256 - len(printable))] + ["th", "the"]
    settings = {
        "general.architecture": "llama",
        "llama.block_count": layers,
        "llama.embedding_length": width,
        "llama.context_length": 64,
        "llama.feed_forward_length": inner,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": shared,
        "llama.rope.freq_base": 5000.0,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.token_type": [3] + [1] * (len(pieces) - 1),
        "tokenizer.ggml.merges": ["t h", "th e"],
        "tokenizer.ggml.eos_token_id": 0,
    } | changes
    rng = np.random.default_rng(seed)
    part = shared * width // heads
    tensors = {"token_embd.weight": (rng.normal(size=(len(pieces), width)), "Q8_0")}
    for i in range(layers):
        shapes = {
            "attn_norm": (width,),
            "attn_q": (width, width),
            "attn_k": (part, width),
            "attn_v": (part, width),
            "attn_output": (width, width),
            "ffn_norm": (width,),
            "ffn_gate": (inner, width),
            "ffn_up": (inner, width),
            "ffn_down": (width, inner),
        }
        for name, shape in shapes.items():
            kind = "F32" if len(shape) == 1 else ("Q4_1", "F16")[i]
            tensors[f"blk.{i}.{name}.weight"] = (rng.normal(size=shape) * 0.4, kind)
    tensors["output_norm.weight"] = (np.ones(width), "F32")
    return settings, tensors
