"""A GGUF file is read as it was written, or refused with a reason before memory is taken."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from companion.models import GGUFError, read_gguf
from tests.package.models.gguf_files import gguf, llama, text

TABLE = np.random.default_rng(0).normal(size=(4, 64)).astype("float32")

SETTINGS = {"general.name": "tiny", "count": 7, "share": 0.5, "words": ["a", "ж"], "ids": [1, 2]}


def whole(**wrong):
    return gguf(SETTINGS, {"one": (TABLE, "F32"), "two": (TABLE, "Q8_0")}, **wrong)


@pytest.fixture
def read(tmp_path):
    def read(content):
        (tmp_path / "model.gguf").write_bytes(content)
        return read_gguf(tmp_path / "model.gguf")

    return read


def test_settings_of_every_kind_come_back(read):
    assert read(whole()).metadata == SETTINGS


@pytest.mark.parametrize(
    ("kind", "error"), [("F32", 0), ("F16", 2e-3), ("Q8_0", 0.03), ("Q4_1", 0.4)]
)
def test_a_table_comes_back_as_exactly_as_its_kind_allows(read, kind, error):
    tensor = read(gguf({}, {"one": (TABLE, kind)})).tensors["one"]
    assert (tensor.kind, tensor.shape) == (kind, TABLE.shape)
    assert abs(tensor.dequantize() - TABLE).max() <= error


def test_a_block_of_four_bits_is_a_scale_a_minimum_and_sixteen_bytes(read):
    tensor = read(gguf({}, {"one": (TABLE, "Q4_1")})).tensors["one"]
    assert tensor.blocks.shape == (TABLE.size // 32, 20)
    scale, least = tensor.blocks[0, :4].copy().view("<f2").astype("float32")
    halves = np.concatenate([tensor.blocks[0, 4:] & 15, tensor.blocks[0, 4:] >> 4])
    np.testing.assert_allclose(tensor.dequantize()[0, :32], halves * scale + least, atol=1e-6)


WRONG = {
    "another magic": (whole(magic=b"GGML"), "GGUF"),
    "another version": (whole(version=1), "version 1"),
    "the other byte order": (whole(version=3 << 24), "version"),
    "too long": (whole(tail=bytes(64)), "too long"),
    "overlap": (whole(offsets={"two": 32}), "overlap"),
    "one place for two": (whole(offsets={"two": 0}), "overlap"),
    "an offset between": (whole(offsets={"two": 1025}), "damaged"),
    "a tensor beyond the end": (whole(offsets={"two": 1 << 20}), "damaged"),
    "a tensor far beyond the end": (whole(offsets={"two": 1 << 63}), "damaged"),
    "an absurd shape": (whole(shapes={"one": (1 << 40, 64)}), "impossible shape"),
    "a shape whose product overflows": (whole(shapes={"one": (1 << 33,) * 4}), "impossible"),
    "no rows": (whole(shapes={"one": (0, 64)}), "impossible shape"),
    "part of a block": (whole(shapes={"two": (4, 63)}), "impossible shape"),
    "nine dimensions": (whole(shapes={"one": (1,) * 9}), "dimensions"),
    "an unknown kind": (whole(kinds={"one": 12}), "kind 12"),
    "too many tensors": (whole(counts=(1 << 40, 5)), "cannot hold"),
    "too many settings": (whole(counts=(2, 1 << 60)), "cannot hold"),
    "a name twice": (whole().replace(text("two"), text("one")), "twice"),
    "a setting twice": (whole().replace(text("share"), text("count")), "twice"),
    "half a character": (whole().replace("ж".encode(), b"\xd0."), "UTF-8"),
    "an alignment of three": (
        gguf({"general.alignment": 3}, {"one": (TABLE, "F32")}),
        "alignment",
    ),
    "nothing": (b"", "ends before"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_with_its_reason(read, case):
    content, reason = WRONG[case]
    with pytest.raises(GGUFError, match=reason):
        read(content)


def test_weights_that_are_no_numbers_are_refused_when_they_are_read(read):
    table = TABLE.copy()
    table[2, 3] = np.nan
    with pytest.raises(GGUFError, match="not finite"):
        read(gguf({}, {"one": (table, "F32")})).tensors["one"].dequantize()


def test_a_missing_file_is_no_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_gguf(tmp_path / "none.gguf")


@given(share=st.floats(0, 1, exclude_max=True))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_anywhere_is_refused(read, share):
    content = gguf(SETTINGS, {"two": (TABLE, "Q8_0"), "one": (TABLE, "F32")})
    with pytest.raises(GGUFError):
        read(content[: int(len(content) * share)])


@given(
    places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1)
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_with_changed_bytes_is_read_or_refused_and_never_fails_otherwise(read, places):
    content = bytearray(gguf(*llama()))
    for share, byte in places:
        content[int(len(content) * share)] = byte
    try:
        for tensor in read(bytes(content)).tensors.values():
            tensor.dequantize()
    except GGUFError:
        pass


@given(number=st.integers(0, 2**64 - 1), place=st.integers(8, 400))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_number_in_the_header_makes_it_take_memory(read, number, place):
    content = bytearray(whole())
    content[place : place + 8] = number.to_bytes(8, "little")
    tracemalloc.start()
    try:
        read(bytes(content))
    except GGUFError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 20 * len(content) + 200_000
