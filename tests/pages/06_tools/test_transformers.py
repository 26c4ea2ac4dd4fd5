"""What the page on Transformers builds by hand: the size of an adapter, and a LoRA."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from companion import economics
from tools.cells import run_cells

PAGE = "06_tools/transformers"


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    nothing = {"number": lambda weights: 0, "learners": lambda model: [], "smol": None}
    nothing |= {"LoraConfig": lambda **_: None, "get_peft_model": lambda *_: None}
    return run_cells(PAGE, "adapter-numbers", "explorer-function", math=math, **nothing)


def test_an_adapter_of_every_table_learns_more_than_one_of_attention(page: dict[str, Any]) -> None:
    for model in page["SHAPES"]:
        some = [page["adapter_numbers"](model, 4, where) for where in page["ADAPTED"]]
        assert some == sorted(set(some))
        assert page["adapter_numbers"](model, 8, page["ADAPTED"][0]) == 2 * some[0]


def test_the_memory_is_the_sum_of_its_parts(page: dict[str, Any]) -> None:
    found = page["customers_memory"]("SmolLM2", 16, "all tables", 10)["rows"]
    learn = page["adapter_numbers"]("SmolLM2", 16, "all tables")
    copies, adapters = (row["gigabytes"] for row in found)
    assert copies == pytest.approx(10 * economics.weight_bytes(134.5e6) / 1e9, abs=1e-3)
    assert adapters == pytest.approx(2 * (134.5e6 + 10 * learn) / 1e9, abs=1e-3)


@pytest.mark.parametrize("wrong", [("GPT", 4, "all tables", 1), ("SmolLM2", 0, "all tables", 1)])
def test_a_state_that_is_none_is_refused(page: dict[str, Any], wrong: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        page["customers_memory"](*wrong)


def test_a_lora_starts_as_the_layer_it_stands_beside() -> None:
    torch = pytest.importorskip("torch")
    lora = run_cells(PAGE, "lora-class", nn=torch.nn, torch=torch)["LoRA"]
    layer, x = torch.nn.Linear(6, 5), torch.ones(2, 6)
    adapted = lora(layer, rank=2, alpha=4)
    assert torch.equal(adapted(x), layer(x))
    with torch.no_grad():
        adapted.up.fill_(1.0)
        change = (adapted(x) - layer(x)).numpy()
    by_formula = 4 / 2 * np.asarray(x) @ adapted.down.detach().numpy().T @ np.ones((2, 5))
    np.testing.assert_allclose(change, by_formula, rtol=1e-4)
