"""A GPT with a cache as an ONNX graph, its tables kept at 32, 16, 8 or 4 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion._common.extras import import_extra
from companion.models.decoding.weights import GPTWeights

__all__ = ["PRECISIONS", "GPTGraph", "quantize_rows"]

PRECISIONS = ("float32", "float16", "int8", "int4")

_BLOCK = 32  # weights that share one scale

_MIDDLE = 128  # ONNX Runtime keeps whole numbers from -128 as bytes from 0

_WHOLE = {"int8": 8, "int4": 4}  # bits of whole numbers; others are floating-point numbers

_HEAD_MULTIPLE = 16  # what its attention asks of a head's numbers

_MICROSOFT = "com.microsoft"  # the domain of what ONNX Runtime adds to ONNX

_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "gelu": ("Gelu", {"domain": _MICROSOFT}),
    "relu": ("Relu", {}),
    "silu": ("QuickGelu", {"domain": _MICROSOFT, "alpha": 1.0}),
}


def quantize_rows(
    table: NDArray[np.float32], bits: int = 8
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Rounds each row to whole numbers of so many bits, a scale for every 32 of them.

    Args:
        table: float32 array `(rows, columns)`.
        bits: int, 8 for numbers from -127 to 127, or 4 for -7 to 7. Defaults to 8.

    Returns:
        uint8 array `(rows, blocks, 32)` or, of 4 bits, `(rows, blocks, 16)`, a pair in each byte,
        the first lowest: the whole numbers plus 128 or 8, the last block filled up with zeros; and
        float32 array `(rows, blocks)`, their scales.

    Example:

    >>> numbers, scales = quantize_rows(np.array([[0.5, -1.0]], "float32"))
    >>> ((numbers[0, 0, :2].astype(int) - 128) * scales[0, 0]).round(2).tolist()
    [0.5, -1.0]
    """
    rows, columns = table.shape
    padded = np.pad(table, ((0, 0), (0, -columns % _BLOCK))).reshape(rows, -1, _BLOCK)
    middle = 2 ** (bits - 1)
    scales = np.abs(padded).max(axis=-1) / np.float32(middle - 1)
    scaled = padded / np.where(scales == 0, np.float32(1), scales)[..., None]
    numbers = (np.rint(scaled) + middle).astype("uint8")
    return (numbers if bits == 8 else numbers[..., ::2] | numbers[..., 1::2] << 4), scales


class GPTGraph:
    """The graph of one model, and the tables that belong to it.

    Args:
        weights: `GPTWeights`.
        precision: str, one of `PRECISIONS`. How tables are kept; sums are in float32.

    Attributes:
        model: `onnx.ModelProto`. Its large tables are only named: they are initializers that are
            kept elsewhere where `fixed`, else inputs.
        fixed: bool. Whether ONNX Runtime lays the tables out anew. Whole numbers it must; otherwise
            it would only keep the whole model twice.
        tables: dict from a name to its array.
        head_dim: int. Numbers in a head of the cache.
    """

    def __init__(self, weights: GPTWeights, precision: str) -> None:
        self.settings, self.read, self.precision = weights.settings, weights.read, precision
        self.onnx = import_extra("onnx", "pretrained")
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.inputs: list[Any] = []
        self.fixed = precision in _WHOLE
        self.tables: dict[str, NDArray[Any]] = {}
        self.head_dim = -(-self.settings.head_dim // _HEAD_MULTIPLE) * _HEAD_MULTIPLE
        self.model = self._model()

    def _model(self) -> Any:
        helper, settings = self.onnx.helper, self.settings
        floats, whole, wide = (
            getattr(self.onnx.TensorProto, kind) for kind in ("FLOAT", "INT32", "INT64")
        )
        heads = settings.num_key_value_heads
        cache = ["batch", heads, "capacity", self.head_dim]
        inputs: list[tuple[str, Any, list[Any]]] = [
            ("ids", wide, ["batch", "length"]),
            ("rows", wide, ["rows"]),
        ]
        inputs += [("last", whole, ["batch"]), ("total", whole, [])]
        if settings.rotary:
            self._constant("cosines", self._angles(np.cos))
            self._constant("sines", self._angles(np.sin))
        else:
            inputs.append(("positions", wide, ["batch", "length"]))
        x, branch = self._embed(), ""
        outputs: list[tuple[str, Any, list[Any]]] = []
        for i in range(settings.num_layers):
            x, branch = self._block(f"block_{i}", x, branch)
            for kind in ("keys", "values"):
                inputs.append((f"{kind}_{i}", floats, cache))
                outputs.append((f"new_{kind}_{i}", floats, cache))
        hidden, _ = self._norm("final_norm", x, branch, output="hidden")
        picked = self._add("Gather", [hidden, "rows"], axis=1)
        self._multiply("token_embedding", picked, settings.vocabulary_size, output="logits")
        width = ["batch", "length", settings.hidden_dim]
        shape = ["batch", "rows", settings.vocabulary_size]
        outputs += [("hidden", floats, width), ("logits", floats, shape)]
        described = [
            [helper.make_tensor_value_info(*one) for one in side] for side in (inputs, outputs)
        ]
        described[0] += self.inputs
        graph = helper.make_graph(self.nodes, "gpt", *described, self.initializers)
        versions = [helper.make_opsetid("", 17), helper.make_opsetid(_MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=versions, ir_version=9)

    def _block(self, name: str, x: str, branch: str) -> tuple[str, str]:
        """Adds one block; what it adds to the shortcut is returned beside the shortcut."""
        settings, number = self.settings, name.removeprefix("block_")
        heads, shared = settings.num_heads, settings.num_key_value_heads
        normed, x = self._norm(f"{name}/attention_norm", x, branch)
        packed = self._multiply(f"{name}/qkv", normed, (heads + 2 * shared) * self.head_dim)
        attended = f"{name}/attended"
        self.nodes.append(
            self.onnx.helper.make_node(
                "GroupQueryAttention",
                [packed, "", "", f"keys_{number}", f"values_{number}", "last", "total"]
                + (["cosines", "sines"] if settings.rotary else []),
                [attended, f"new_keys_{number}", f"new_values_{number}"],
                domain=_MICROSOFT,
                num_heads=heads,
                kv_num_heads=shared,
                do_rotary=int(settings.rotary),
                scale=settings.head_dim**-0.5,
            )
        )
        branch = self._multiply(f"{name}/attention_output", attended, settings.hidden_dim)
        normed, x = self._norm(f"{name}/feedforward_norm", x, branch)
        operation, options = _ACTIVATIONS[settings.activation]
        hidden = self._multiply(f"{name}/up", normed, settings.intermediate_dim)
        if settings.gated:
            gate = self._multiply(f"{name}/gate", normed, settings.intermediate_dim)
            hidden = self._add("Mul", [self._add(operation, [gate], **options), hidden])
        else:
            hidden = self._add(operation, [hidden], **options)
        return x, self._multiply(f"{name}/down", hidden, settings.hidden_dim)

    def _embed(self) -> str:
        name = "token_embedding"
        self._keep(name, self.settings.vocabulary_size)
        found = self._add("Gather", [name, "ids"])
        if self.fixed:
            scales = self._add("Gather", [f"{name}/scales", "ids"])
            self._constant("middle", np.float32(_MIDDLE))
            self._constant("last_axis", np.array([-1]))
            self._constant("flat", np.array([0, 0, -1]))
            self._constant("from", np.array([0]))
            self._constant("to", np.array([self.settings.hidden_dim]))
            found = self._add("Cast", [found], to=self.onnx.TensorProto.FLOAT)
            found = self._add("Sub", [found, "middle"])
            found = self._add("Mul", [found, self._add("Unsqueeze", [scales, "last_axis"])])
            found = self._add("Reshape", [found, "flat"])
            found = self._add("Slice", [found, "from", "to", "last_axis"])
        elif self.precision == "float16":
            found = self._add("Cast", [found], to=self.onnx.TensorProto.FLOAT)
        if self.settings.rotary:
            return found
        self._constant("position_embedding", self.read("position_embedding"))
        return self._add("Add", [found, self._add("Gather", ["position_embedding", "positions"])])

    def _norm(self, name: str, x: str, branch: str, output: str = "") -> tuple[str, str]:
        """Adds a branch to the shortcut, and norms the sum; returns both."""
        scale, output = f"{name}/scale", output or f"{name}/out"
        self._constant(scale, self.read(name))
        options = {"epsilon": self.settings.epsilon}
        if not branch:
            node = ("SimplifiedLayerNormalization", [x, scale], [output])
            self.nodes.append(self.onnx.helper.make_node(*node, **options, axis=-1))
            return output, x
        outputs = [output, "", "", f"{name}/sum"]
        node = ("SkipSimplifiedLayerNormalization", [x, branch, scale], outputs)
        self.nodes.append(self.onnx.helper.make_node(*node, **options, domain=_MICROSOFT))
        return output, outputs[-1]

    def _multiply(self, name: str, x: str, rows: int, output: str = "") -> str:
        """Multiplies vectors with a table that has a row for each output."""
        columns = self._keep(name, rows)
        if self.fixed:
            options = {"K": columns, "N": rows, "bits": self._bits(name), "block_size": _BLOCK}
            options["accuracy_level"] = 4  # vectors are rounded to 8 bits as well, block by block
            table = [x, name, f"{name}/scales"]
            return self._add("MatMulNBits", table, output, domain=_MICROSOFT, **options)
        if self.precision == "float16":
            name = self._add("Cast", [name], to=self.onnx.TensorProto.FLOAT)
        return self._add("FusedMatMul", [x, name], output, domain=_MICROSOFT, transB=1)

    def _keep(self, name: str, rows: int) -> int:
        """Keeps a table at the precision, once; returns its columns before any filling up."""
        if name in self.tables:
            return self.settings.hidden_dim
        table = self._with_whole_heads(name, self.read(name))
        if table.shape[0] != rows:
            raise ValueError(f"The table {name!r} has {table.shape[0]} rows instead of {rows}.")
        if self.fixed:
            numbers, scales = quantize_rows(table, self._bits(name))
            self._table(name, numbers)
            self._table(f"{name}/scales", scales)
        else:
            self._table(name, np.ascontiguousarray(table, dtype=self.precision))
        return int(table.shape[1])

    def _bits(self, name: str) -> int:
        """The embedding, which also gives the logits, never has fewer than 8 bits."""
        return 8 if name == "token_embedding" else _WHOLE[self.precision]

    def _with_whole_heads(self, name: str, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fills each head up with zeros, which change no product, to a length that ORT takes."""
        half = self.settings.head_dim // 2 if self.settings.rotary else self.settings.head_dim
        parts = self.settings.head_dim // half
        more = self.head_dim // parts - half
        if not more or not name.endswith(("/qkv", "/attention_output")):
            return table
        if name.endswith("/qkv"):
            filled = np.pad(table.reshape(-1, half, table.shape[1]), ((0, 0), (0, more), (0, 0)))
            return filled.reshape(-1, table.shape[1])
        filled = np.pad(table.reshape(len(table), -1, half), ((0, 0), (0, 0), (0, more)))
        return filled.reshape(len(table), -1)

    def _angles(self, wave: Any) -> NDArray[np.float32]:
        half = self.settings.head_dim // 2
        rates = np.zeros(self.head_dim // 2)
        rates[:half] = self.settings.rope_base ** (-np.arange(half) / half)
        angles = np.outer(np.arange(self.settings.context_length), rates)
        found: NDArray[np.float32] = wave(angles).astype("float32")
        return found

    def _add(self, operation: str, inputs: list[str], output: str = "", **options: Any) -> str:
        output = output or f"{operation}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operation, inputs, [output], **options))
        return output

    def _constant(self, name: str, value: Any) -> None:
        array = np.asarray(value)
        self.initializers.append(self.onnx.numpy_helper.from_array(array, name))

    def _table(self, name: str, array: NDArray[Any]) -> None:
        """Names a large table in the graph; its numbers are handed over beside it."""
        self.tables[name] = array
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        if not self.fixed:
            made = self.onnx.helper.make_tensor_value_info(name, kind, array.shape)
            self.inputs.append(made)
            return
        proto = self.onnx.TensorProto()
        proto.name, proto.data_location = name, self.onnx.TensorProto.EXTERNAL
        proto.data_type = kind
        proto.dims.extend(array.shape)
        entry = proto.external_data.add()
        entry.key, entry.value = "location", "memory"
        self.initializers.append(proto)
