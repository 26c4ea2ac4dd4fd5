"""Runs a GPT fast, with a cache of keys and values, by ONNX Runtime on the processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion._common.cores import available_cores
from companion._common.extras import import_extra
from companion.models.decoding.graph import GPTGraph
from companion.models.decoding.weights import GPTWeights

__all__ = ["Cache", "Runtime"]

_CHUNK = 256  # tokens of a prompt read at once: bounds the memory for their attention


class Cache:
    """Keys and values of sequences side by side, and how many positions each holds.

    Args:
        runtime: `Runtime`.
        batch_size: int.
        capacity: int. Positions that there is room for.
    """

    def __init__(self, runtime: Runtime, batch_size: int, capacity: int) -> None:
        settings = runtime.settings
        shape = (batch_size, settings.num_key_value_heads, capacity, runtime.head_dim)
        names = [f"{kind}_{i}" for i in range(settings.num_layers) for kind in ("keys", "values")]
        self.arrays = {name: np.zeros(shape, "float32") for name in names}
        self.lengths, self.capacity = np.zeros(batch_size, "int32"), capacity
        self.binding = runtime.bind(self.arrays)

    def put(self, row: int, other: Cache) -> None:
        """Copies the only sequence of another cache into a row."""
        for name, array in self.arrays.items():
            size = int(other.lengths[0])
            array[row, :, :size] = other.arrays[name][0, :, :size]
        self.lengths[row] = other.lengths[0]


class Runtime:
    """One model at one precision, ready to read prompts and to write.

    Args:
        weights: `GPTWeights`.
        precision: str. `"float32"`, `"float16"`, `"int8"` or `"int4"`.
        threads: int or `None`. Defaults to `None`, the cores that this process may use.

    Attributes:
        settings: `GPTSettings`.
        head_dim: int. Numbers in a head of a cache.
        weight_bytes: int. Bytes of the tables, each read once for a token.
    """

    def __init__(
        self, weights: GPTWeights, precision: str = "float32", threads: int | None = None
    ) -> None:
        self._ort = import_extra("onnxruntime", "pretrained")
        graph = GPTGraph(weights, precision)
        self.settings, self.head_dim = weights.settings, graph.head_dim
        self.weight_bytes = sum(table.nbytes for table in graph.tables.values())
        options = self._ort.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        options.log_severity_level = 3
        wrap = self._ort.OrtValue.ortvalue_from_numpy  # shares the array's memory
        values = {name: wrap(table) for name, table in graph.tables.items()}
        if graph.fixed:
            options.add_external_initializers(list(values), list(values.values()))
        self._tables = {} if graph.fixed else values
        self._session = self._ort.InferenceSession(
            graph.model.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )

    def bind(self, arrays: dict[str, NDArray[np.float32]]) -> Any:
        """Binds a cache's arrays as input and output at once: they grow where they are."""
        binding = self._session.io_binding()
        for name, value in self._tables.items():
            binding.bind_ortvalue_input(name, value)
        for name, array in arrays.items():
            value = self._ort.OrtValue.ortvalue_from_numpy(array)
            binding.bind_ortvalue_input(name, value)
            binding.bind_ortvalue_output(f"new_{name}", value)
        return binding

    def read(
        self, ids: Sequence[int], cache: Cache, every: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Reads a text into a cache of one row, behind what it holds.

        Args:
            ids: sequence of int, at least one.
            cache: `Cache` with room for them.
            every: bool. Whether the logits at every position are wanted. Defaults to `False`.

        Returns:
            float32 arrays: logits `(tokens or 1, vocabulary)`, the last position's or all, and
            hidden states `(tokens, width)`.
        """
        all_logits, all_hidden = [], []
        for start in range(0, len(ids), _CHUNK):
            chunk = np.asarray([ids[start : start + _CHUNK]], "int64")
            rows = np.arange(chunk.shape[1]) if every else np.array([chunk.shape[1] - 1])
            logits, hidden = self._run(chunk, rows, cache)
            all_logits.append(logits[0])
            all_hidden.append(hidden[0])
        kept = all_logits if every else all_logits[-1:]
        return np.concatenate(kept), np.concatenate(all_hidden)

    def step(self, ids: Sequence[int], cache: Cache) -> NDArray[np.float32]:
        """Adds one token to each row of a cache.

        Args:
            ids: sequence of int, one a row.
            cache: `Cache` with room for one more in each.

        Returns:
            float32 array of logits `(rows, vocabulary)`.
        """
        logits, _ = self._run(np.asarray(ids, "int64")[:, None], np.array([0]), cache)
        found: NDArray[np.float32] = logits[:, 0]
        return found

    def _run(self, ids: NDArray[np.int64], rows: NDArray[np.int64], cache: Cache) -> Any:
        length, binding = ids.shape[1], cache.binding
        binding.bind_cpu_input("ids", ids)
        binding.bind_cpu_input("rows", rows)
        binding.bind_cpu_input("last", cache.lengths + np.int32(length - 1))
        binding.bind_cpu_input("total", np.array(cache.lengths.max() + length, "int32"))
        if not self.settings.rotary:
            positions = cache.lengths[:, None].astype("int64") + np.arange(length)
            binding.bind_cpu_input("positions", positions)
        binding.bind_output("logits", "cpu")  # anew, as its shape may be another one
        binding.bind_output("hidden", "cpu")
        self._session.run_with_iobinding(binding)
        cache.lengths += length
        logits, hidden = (value.numpy() for value in binding.get_outputs()[-2:])
        return logits, hidden
